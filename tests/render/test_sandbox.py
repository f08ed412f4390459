"""The sandbox: what templates cannot reach, and what they must not leave open."""

from typing import Any

import pytest

from tocsin.catalog.expressions import Expression, ExpressionError, Scope
from tocsin.errors import RenderError
from tocsin.render.formats import FILTERS
from tocsin.render.sandbox import CONTEXT_NAMES, NULL_ITEM, compiled, is_html, rendered, sandbox


def run(source: str, data: Any = None, name: str = "t/sms", **templates: str) -> str:
    environment = sandbox({name: source} | {key.replace("__", "/"): text for key, text in templates.items()})
    context = {**environment.globals, "data": data, "locale": "en", "timezone": "UTC"}
    return rendered(compiled(environment, name), context)


@pytest.mark.parametrize(
    "source",
    [
        "{{ data.__class__.__mro__ }}",
        "{{ ''.__class__.__base__.__subclasses__() }}",
        "{{ ''|attr('__class__') }}",
        "{{ data.update({'a': 1}) }}",
        "{{ data.list.append(1) }}",
        "{{ cycler.__init__.__globals__ }}",
        "{{ ''.format.__self__ }}",
        "{{ '{0.__class__}'.format(data) }}",
        "{{ lipsum() }}",
        "{% for n in range(100000) %}x{% endfor %}",
        "{% include '/etc/passwd' %}",
        "{% import 'os' as os %}",
    ],
)
def test_templates_reach_nothing_but_their_data(source: str) -> None:
    with pytest.raises(RenderError):
        run(source, {"list": []})


@pytest.mark.parametrize(
    "source",
    [
        "{{ 'x'.ljust(data.n) }}",
        "{{ 'x'.rjust(data.n) }}",
        "{{ 'x'.center(data.n) }}",
        "{{ '1'.zfill(data.n) }}",
        "{{ 'a\tb'.expandtabs(data.n) }}",
        "{{ (1).to_bytes(data.n) }}",
        "{{ ('%0' ~ data.n ~ 'd') % 1 }}",
        "{{ '{:>{n}}'.format(1, n=data.n) }}",
        "{{ '{:>{n:d}}'.format(1, n=data.n) }}",
        "{{ ('{:' ~ data.n ~ '}').format(1) }}",
        "{{ '{x:>{n}}'.format_map(data) }}",
        "{{ [1] | batch(data.n, 0) | list }}",
        "{{ [1] | slice(data.n) | list }}",
        "{{ [1] | slice(slices=data.n) | list }}",
        "{{ [1] | tojson(indent=data.n) }}",
    ],
)
def test_an_event_decides_no_width(source: str) -> None:
    with pytest.raises(RenderError, match="OverflowError"):
        run(source, {"n": 1_001, "x": "y"})
    assert run(source, {"n": 10, "x": "y"})


@pytest.mark.parametrize("source", ["{{ '%*d' % (data.n, 1) }}", "{{ '%.*f' % (data.n, 1) }}"])
def test_a_percent_has_its_widths_in_the_template(source: str) -> None:
    with pytest.raises(RenderError, match="OverflowError"):
        run(source, {"n": 2})


@pytest.mark.parametrize(
    ("source", "text"),
    [
        ("{{ '%05d' % data.n }}", "02026"),
        ("{{ '%.2f %s%%' % (1.005, 'a') }}", "1.00 a%"),
        ("{{ data.n % 7 }}", "3"),
        ("{{ '{:,}'.format(data.n) }}", "2,026"),
        ("{{ '{0:>8}|{n:<3}'.format('é', n=1) }}", "       é|1  "),
        ("{{ '{n}'.format_map(data) }}", "2026"),
        ("{{ 'ab'.ljust(4) }}|", "ab  |"),
        ("{% for row in [1, 2, 3] | batch(2, 2026) %}{{ row }}{% endfor %}", "[1, 2][3, 2026]"),
    ],
)
def test_texts_are_padded_to_small_widths(source: str, text: str) -> None:
    assert run(source, {"n": 2026}) == text


def test_the_data_stays_as_it_was() -> None:
    data = {"list": [1]}
    with pytest.raises(RenderError):
        run("{{ data.list.clear() }}", data)
    assert data == {"list": [1]}


@pytest.mark.parametrize(
    "source",
    [
        "{{ data.gone }}",
        "{{ gone }}",
        "{% if data.gone %}{% endif %}",
        "{% for x in data.gone %}{% endfor %}",
        "{{ data.gone == 1 }}",
        "{{ data.gone ~ 'x' }}",
        "{{ data.gone | upper }}",
        "{{ data.gone | time }}",
        "{{ 1 in data.gone }}",
    ],
)
def test_a_missing_variable_is_always_an_error(source: str) -> None:
    with pytest.raises(
        RenderError, match=r"^template t/sms: variable gone is missing or null; send it, or use `default`$"
    ):
        run(source, {"here": 1})


def test_a_missing_variable_may_be_asked_for() -> None:
    assert run("{{ data.gone is defined }} {{ data.gone | default('none') }}", {}) == "False none"


def test_a_computed_name_is_not_told() -> None:
    with pytest.raises(
        RenderError, match=r"variable \(computed\) is missing or null; send it, or use `default`"
    ):
        run("{{ data[data.key] }}", {"key": "ada@example.com"})


def test_fields_of_the_data_come_before_methods_of_a_dict() -> None:
    assert run("{{ data.items }} {{ data.count }}", {"items": 3, "count": 4}) == "3 4"
    assert run("{% for k, v in data|items %}{{ k }}{{ v }}{% endfor %}", {"a": 1}) == "a1"


def test_only_html_is_escaped() -> None:
    assert run("{{ data }}", "<&>", name="t/en/html") == "&lt;&amp;&gt;"
    assert run("{{ data }}", "<&>", name="t/en/text") == "<&>"
    assert is_html("_layout/html")
    assert not is_html("html/sms")
    assert not is_html(None)


def test_escaping_holds_through_layouts() -> None:
    page = "{% extends 'l/html' %}{% block b %}{{ data }}{% endblock %}"
    layout = "<p>{% block b %}{% endblock %}</p>{{ data }}"
    assert run(page, "<i>", name="t/html", l__html=layout) == "<p>&lt;i&gt;</p>&lt;i&gt;"


def test_blocks_leave_no_lines_behind() -> None:
    assert run("a\n{% if true %}\n  b\n{% endif %}\nc", {}) == "a\n  b\nc"


def test_syntax_errors_name_template_and_line() -> None:
    with pytest.raises(RenderError, match=r"^template t/sms, line 3: "):
        run("\n\n{{ oops")
    with pytest.raises(RenderError, match=r"^template t/sms, line 1: No filter named 'shout'"):
        run("{{ data | shout }}")


def test_a_template_that_is_not_there() -> None:
    with pytest.raises(RenderError, match="there is no gone"):
        compiled(sandbox({}), "gone")


def test_templates_that_call_themselves_end() -> None:
    with pytest.raises(RenderError, match="RecursionError"):
        run("{% macro m() %}{{ m() }}{% endmacro %}{{ m() }}")


def test_templates_are_compiled_once() -> None:
    environment = sandbox({"t/sms": "x"})
    assert compiled(environment, "t/sms") is compiled(environment, "t/sms")


def test_filters_do_not_hide_those_of_jinja() -> None:
    assert not FILTERS.keys() & __import__("jinja2").Environment().filters.keys()
    assert "data" in CONTEXT_NAMES


@pytest.mark.parametrize("source", ["{{ [1] | random }}", "{{ 'x' | center(9000) }}", "{{ 'x' * 9000 }}"])
def test_templates_have_the_rules_of_expressions(source: str) -> None:
    with pytest.raises(RenderError):
        run(source)
    with pytest.raises(ExpressionError):
        Expression(source[2:-2]).test(Scope({}))


@pytest.mark.parametrize(
    "source", ["{{ data.list }}", "{{ data.list|string }}", "{{ data }}", "{{ data.list|batch(2)|list }}"]
)
def test_a_null_in_a_list_is_not_printed_with_the_list(source: str) -> None:
    with pytest.raises(RenderError, match="variable list_item is missing or null"):
        run(source, {"list": ["a", NULL_ITEM]})

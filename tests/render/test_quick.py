"""The shorter way of a template writes the same text as Jinja2, or is not taken."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tocsin.catalog.sandbox import FAILURES
from tocsin.errors import RenderError
from tocsin.render.sandbox import compiled, rendered, sandbox, shorter_way
from tocsin.render.templates import load_templates

EXAMPLES = Path(__file__).parents[2] / "examples"
SHIPPED = load_templates(EXAMPLES / "flights" / "templates")
COMMON: dict[str, Any] = {
    "brand": {
        "name": "Lark & Co",
        "color": "",
        "logo": "",
        "url": "https://lark.example",
        "address": "<1>",
    },
    "user": {"id": "u-1"},
    "event": {"type": "t"},
    "locale": "en",
    "timezone": "America/New_York",
    "required": False,
    "unsubscribe_url": "https://lark.example/u/1?a=1&b=2",
    "preferences_url": "https://lark.example/p/1",
}


def both(templates: Mapping[str, str], name: str, **own: Any) -> tuple[str, str | None]:
    """Write a text by Jinja2 and by the shorter way; None where there is none or it fails."""
    environment = sandbox(templates)
    template = compiled(environment, name)
    context = dict(environment.globals) | COMMON | own
    plain, shorter = rendered(template, context), shorter_way(template)
    try:
        return plain, shorter.run(context) if shorter else None
    except FAILURES:
        return plain, None


def samples_of(name: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    for file in ("sample.json", "digest.json"):
        path = EXAMPLES / "flights" / "templates" / name.split("/")[0] / file
        found += json.loads(path.read_text()) if path.exists() else []
    return found


@pytest.mark.parametrize("name", [name for name in SHIPPED if not name.startswith("_")])
def test_shipped_templates_take_the_shorter_way(name: str) -> None:
    environment = sandbox(SHIPPED)
    template = compiled(environment, name)
    shorter, taken = shorter_way(template), 0
    assert shorter is not None
    for sample in samples_of(name):
        context = dict(environment.globals) | COMMON | {"data": sample, "digest": sample}
        try:
            plain = rendered(template, context)
        except RenderError:
            continue  # a sample of the other kind: a digest's, or an event's
        assert shorter.run(context) == plain
        taken += 1
    assert taken


LAYOUT = "A{% block one %}one{% endblock %}B{% block two %}{{ data.x }}{% endblock %}C"
SAME = {
    "blocks": ("{% extends 'l/html' %}{% block two %}<b>{{ data.x }}</b>{% endblock %}", LAYOUT),
    "blocks in blocks": (
        "{% extends 'l/html' %}{% block inner %}{{ data.x }}{% endblock %}",
        "{% block outer %}<{% block inner %}{% endblock %}>{% endblock %}",
    ),
    "names of the layout": (
        "{% extends 'l/html' %}{% block b %}{{ color }}{% endblock %}",
        "{% set color = data.x %}{% block b %}{% endblock %}",
    ),
    "names of a block stay in it": (
        "{% extends 'l/html' %}{% block a %}{% set y = 1 %}{{ y }}{% endblock %}",
        "{% set y = 2 %}{% block a %}{% endblock %}{{ y }}{% block b %}{{ y }}{% endblock %}",
    ),
    "names set in a branch": (
        "{% extends 'l/html' %}{% block b %}{{ locale }}{% endblock %}",
        "{% if data.no %}{% set locale = 'de' %}{% endif %}{% block b %}{% endblock %}",
    ),
    "a null that is tested": ("{{ data.gone is defined }}{{ data.gone | default('-') }}{{ data.x }}", ""),
    "loops": ("{% for a in data.list %}{{ loop.index }}{{ a.b }}{% else %}none{% endfor %}", ""),
    "methods": ("{{ data.x.upper() }}{{ data.text.items }}", ""),
    "safe and escaped": ("{{ data.x }}{{ data.x | safe }}{{ data.x | upper }}{{ 1 + 1 }}{{ data.list }}", ""),
    "text before extends": ("Z{% extends 'l/html' %}", LAYOUT),
    "a computed parent": ("{% extends 'l/' ~ 'html' %}", LAYOUT),
    "super": ("{% extends 'l/html' %}{% block one %}{{ super() }}!{% endblock %}", LAYOUT),
    "self": ("{% extends 'l/html' %}{% block one %}{{ self.two() }}{% endblock %}", LAYOUT),
    "includes": ("{% include 'l/html' %}{{ data.x }}", LAYOUT),
    "macros": ("{% macro m(a) %}<i>{{ a }}</i>{% endmacro %}{{ m(data.x) }}", ""),
    "imports": (
        "{% from 'l/html' import m %}{{ m(data.x) }}",
        "{% macro m(a) %}<i>{{ a }}</i>{% endmacro %}",
    ),
    "a name of a loop around a block": (
        "{% extends 'l/html' %}{% block b %}{{ a | default('outside') }}{% endblock %}",
        "{% for a in data.list %}{% block b %}{% endblock %}{% endfor %}",
    ),
    "a block that is used in a loop": (
        "{% extends 'l/html' %}{% block b %}{{ data.x }}{% endblock %}",
        "{% for a in data.list %}{{ a.b }}{% block b %}{% endblock %}{% endfor %}",
    ),
}
DATA = {"x": "<&'é\">", "text": {"items": 7}, "list": [{"b": 1}, {"b": "<"}], "no": False}


@pytest.mark.parametrize("case", SAME)
def test_what_is_written_is_the_same(case: str) -> None:
    text, layout = SAME[case]
    plain, shorter = both({"t/html": text, "l/html": layout}, "t/html", data=DATA)
    assert shorter in {plain, None}


@pytest.mark.parametrize("case", ["blocks", "blocks in blocks", "names of the layout", "loops", "methods"])
def test_usual_templates_are_not_left_to_jinja2(case: str) -> None:
    text, layout = SAME[case]
    assert both({"t/html": text, "l/html": layout}, "t/html", data=DATA)[1] is not None


def test_a_parent_that_escapes_otherwise_is_left_to_jinja2() -> None:
    templates = {"t/html": "{% extends 'l/text' %}", "l/text": "{{ data.x }}"}
    assert both(templates, "t/html", data=DATA) == (DATA["x"], None)


def test_mjml_is_html() -> None:
    plain, shorter = both({"t/html.mjml": "<mj-text>{{ data.x }}</mj-text>"}, "t/html.mjml", data=DATA)
    assert plain == shorter
    assert "<&" not in plain


@pytest.mark.parametrize("text", ["{{ data.gone }}", "{{ data.x.gone.y }}", "{{ data[0] }}", "{{ nobody }}"])
def test_what_is_missing_is_told_as_before(text: str) -> None:
    environment = sandbox({"t/sms": text})
    template, context = compiled(environment, "t/sms"), dict(environment.globals) | COMMON | {"data": DATA}
    with pytest.raises(RenderError) as plain:
        rendered(template, context)
    with pytest.raises(RenderError) as quick:
        rendered(template, context, shorter_way(template))
    assert str(quick.value) == str(plain.value)


PIECES = st.sampled_from(
    [
        "{{ data.x }}",
        "{{ data.list[0].b }}",
        "{{ data.text.items }}",
        "{{ color }}",
        "{{ y }}",
        "{% set y = 3 %}",
        "{% set color = data.x %}",
        "{% if data.no %}{{ y }}{% else %}<{% endif %}",
        "{% for y in data.list %}{{ y.b }}{% endfor %}",
        "{{ data.x | upper }}",
        "text\n",
        "{% with y = 4 %}{{ y }}{% endwith %}",
    ]
)
BODY = st.lists(PIECES, max_size=4).map("".join)


@settings(max_examples=150, deadline=None)
@given(
    outer=st.lists(st.one_of(BODY, st.just("BLOCK"), st.just("LOOP")), max_size=5), own=BODY, layout_own=BODY
)
def test_any_blocks_in_any_layout_write_the_same(outer: list[str], own: str, layout_own: str) -> None:
    """Whatever is set where: in the layout, in a block of it, in a loop around a block."""
    parts: list[str] = []
    for number, each in enumerate(outer):
        block = f"{{% block b{number} %}}{layout_own}{{% endblock %}}"
        looped = f"{{% for y in data.list %}}{block}{{% endfor %}}"
        parts.append({"BLOCK": block, "LOOP": looped}.get(each, each))
    blocks = "".join([f"{{% block b{number} %}}{own}{{% endblock %}}" for number in range(0, len(outer), 2)])
    templates = {"t/html": "{% extends 'l/html' %}" + blocks, "l/html": "".join(parts)}
    try:
        plain, shorter = both(templates, "t/html", data=DATA)
    except RenderError:
        return  # a name that is not set: Jinja2 says so
    assert shorter in {plain, None}

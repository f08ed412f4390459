"""Expressions: strict about what is missing, silent about values, harmless whatever the data."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tocsin.catalog.expressions import Expression, ExpressionError, Scope

VARIABLES = {
    "data": {"delay": 72, "flight": "UA 1", "items": [1, 2], "none": None, "deep": {"x": {"y": 1}}},
    "event": {"type": "a"},
    "user": {"locale": "de"},
}


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("data.delay >= 60", True),
        ("data.delay >= 60 and data.gate is defined", False),
        ("data.gate is not defined or data.gate == 'C32'", True),
        ("data.gate | default('none') == 'none'", True),
        ("data['delay'] == 72", True),
        ("data.items | length == 2", True),
        ("2 in data.items", True),
        ("data.deep.x.y == 1", True),
        ("data.none is none", True),
        ("data.missing is none", True),
        ("data.flight.startswith('UA')", True),
        ("data.flight | upper == 'UA 1' and user.locale != 'en' and event.type == 'a'", True),
        ("data.items | map('string') | join(',') == '1,2'", True),
        ("data.delay * 2 == 144 and data.delay ** 2 == 5184", True),
    ],
)
def test_conditions(source: str, expected: bool) -> None:
    assert Expression(source).test(Scope(VARIABLES)) is expected


@pytest.mark.parametrize(
    "source",
    [
        "data.missing",
        "data.missing >= 1",
        "data.missing == 1",
        "not data.missing",
        "data.deep.missing.x is defined and data.deep.missing.x",
        "data.flight >= 1",
        "data.delay / 0",
        "data.flight * 1000000000",
        "data.items * 1000000000",
        "data.delay ** 1000000000",
        "data.items[9]",
        "data.flight.__class__",
        "data.flight.__class__.__mro__",
        "data.items.append(1)",
        "data.missing()",
        "data.delay | first",
        "(data.flight ~ data.missing) == ''",
    ],
)
def test_failures_are_errors_and_never_false(source: str) -> None:
    with pytest.raises(ExpressionError):
        Expression(source).test(Scope(VARIABLES))


@pytest.mark.parametrize(
    ("source", "cure"),
    [
        ("", "not an expression"),
        ("data.", "not an expression"),
        ("data.x }}", "without braces"),
        ("{{ data.x }}", "not an expression"),
        ("data.x y", "without braces"),
        ("dta.x", "unknown variable `dta`: use data, event, now or user"),
        ("range(3)", "unknown variable `range`"),
        ("data.x | nothing", "only Jinja2's own filters"),
        ("data.x is nothing", "only Jinja2's own filters"),
        ("data.items | random", "only Jinja2's own filters"),
    ],
)
def test_mistakes_are_found_when_compiled(source: str, cure: str) -> None:
    with pytest.raises(ExpressionError, match=cure.replace("|", r"\|")):
        Expression(source)


def test_keys_are_texts_or_numbers() -> None:
    assert Expression("data.flight ~ '/' ~ data.delay").text(Scope(VARIABLES)) == "UA 1/72"
    assert Expression("data.delay").text(Scope(VARIABLES)) == "72"
    for source in ("data.items", "data.none", "data.deep", "data.missing"):
        with pytest.raises(ExpressionError):
            Expression(source).text(Scope(VARIABLES))


def test_expressions_of_one_scope_do_not_see_each_other() -> None:
    scope = Scope(VARIABLES)
    assert Expression("data.delay > 1").test(scope)
    with pytest.raises(ExpressionError):
        Expression("data.missing").text(scope)
    assert Expression("data.flight").text(scope) == "UA 1"


def test_an_expression_knows_what_it_reads() -> None:
    assert Expression("data.x == user.locale").needs == {"data", "user"}
    assert Expression("1 == 1").needs == frozenset()


@given(st.text(min_size=1), st.sampled_from(["data.secret >= 1", "data.secret.a", "data.secret | abs"]))
def test_no_value_of_the_event_is_in_an_error(secret: str, source: str) -> None:
    with pytest.raises(ExpressionError) as raised:
        Expression(source).test(Scope({"data": {"secret": f"«{secret}»"}}))
    assert f"«{secret}»" not in str(raised.value)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=8,
)
SOURCES = [
    Expression(source)
    for source in (
        "data.a >= 15",
        "data.a.b.c is defined",
        "data.a in data.b",
        "data.a ~ data.b",
        "data.a | length > 2",
        "data.a + data.b",
        "data.a[0]",
        "data.a | sort | first",
        "data.a | int + data.b | float",
        "data.a | sum",
    )
]


@given(st.sampled_from(SOURCES), st.fixed_dictionaries({}, optional={"a": json_values, "b": json_values}))
def test_any_data_gives_an_answer_or_an_expression_error(source: Expression, data: dict[str, object]) -> None:
    """Nothing but ExpressionError ever comes out: any other exception would stop the flow."""
    first = outcome(source, data)
    assert first == outcome(source, data)


def outcome(source: Expression, data: dict[str, object]) -> object:
    try:
        return source.test(Scope({"data": data})), source.text(Scope({"data": data}))
    except ExpressionError as error:
        return str(error)


def test_a_number_beyond_the_largest_float_is_an_error_of_the_expression() -> None:
    """It must not leave the gate as an error of ours: it would stop the flow at the same event for ever."""
    expression = Expression("(data.size | int) < 1e400")
    with pytest.raises(ExpressionError, match="failed on this event"):
        expression.test(Scope({"data": {"size": 5}}))


@pytest.mark.parametrize(
    ("source", "text"),
    [
        ("user.local == 'de'", "`user` has no field `local`: did you mean `user.locale`?"),
        ("user['timezon'] is defined", "`user` has no field `timezon`: did you mean `user.timezone`?"),
        ("user.plan == 'gold'", "`user` has no field `plan`: use id, known, locale, timezone, channels,"),
        ("'sms' in (user.chanels | list)", "did you mean `user.channels`?"),
        ("data.x > 1 and event.times_ms > 1", "did you mean `event.time_ms`?"),
        ("now.weekdays == 'friday'", "did you mean `now.weekday`?"),
    ],
)
def test_a_misspelt_field_of_a_known_variable_is_refused(source: str, text: str) -> None:
    """It would be a dead letter for each event, or with `is defined` silence a notification for ever."""
    with pytest.raises(ExpressionError) as error:
        Expression(source)
    assert text in str(error.value)


@pytest.mark.parametrize("source", ["user.attributes.plan", "user.attributes['a b'].c", "data.user.local"])
def test_free_fields_have_any_name(source: str) -> None:
    assert Expression(source).source == source


@pytest.mark.parametrize(
    ("source", "told"),
    [
        ("data.flight.gate >= 60", "`gate` is missing"),
        ("data.flight.gate.number == 7", "`gate` is missing"),
        ("data.flight[data.key] == 7", "a field it reads is missing"),
    ],
)
def test_a_missing_field_is_named_unless_the_event_chose_its_name(source: str, told: str) -> None:
    with pytest.raises(ExpressionError, match=told):
        Expression(source).test(Scope({"data": {"flight": {}, "key": "secret"}}))

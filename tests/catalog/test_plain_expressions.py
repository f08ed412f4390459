"""Plain expressions: compiled to Python, they give what Jinja2 gives, on any data."""

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tocsin.catalog.expressions import Expression, ExpressionError, Scope
from tocsin.catalog.sandbox import FAILURES

_NAMES = ("a", "b", "items", "keys")
_KEYS = ("data", "data.a", "data.b", "data.items", "data.a.b", "data['keys'].a", "data.b[0]", "event.type")
_CONSTANTS = ("0", "1", "2.5", "'a'", "''", "true", "none", "[1, 'a']", "{'a': 1}")
_leaves = (
    st.none() | st.booleans() | st.integers(-2, 2) | st.floats() | st.sampled_from(["", "a", "items", "1"])
)
_json = st.recursive(
    _leaves,
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.sampled_from(_NAMES), inner, max_size=3),
    max_leaves=8,
)
_objects = st.dictionaries(st.sampled_from(_NAMES), _json, max_size=4)
_variables = st.fixed_dictionaries({}, optional={"data": _objects | _json, "event": st.just({"type": "a"})})
_comparisons = st.sampled_from(["==", "!=", "<", "<=", ">", ">=", "in", "not in"])


def _larger(inner: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    joined = st.tuples(inner, st.sampled_from(["and", "or", "~"]) | _comparisons, inner)
    collected = st.tuples(inner, inner)
    return (
        joined.map(lambda parts: "({} {} {})".format(*parts))
        | inner.map(lambda part: f"(not {part})")
        | collected.map(lambda parts: "[{}, {}]".format(*parts))
        | collected.map(lambda parts: "{{'x': {}, 'y': {}}}".format(*parts))
    )


_defined = st.tuples(st.sampled_from(_KEYS), st.sampled_from(["is defined", "is not defined"])).map(
    "({0[0]} {0[1]})".format
)
_sources = st.recursive(st.sampled_from(_KEYS + _CONSTANTS) | _defined, _larger, max_leaves=5)


@settings(max_examples=150)
@given(_sources, _variables)
def test_the_function_and_jinja2_agree(source: str, variables: dict[str, Any]) -> None:
    plain, slow = Expression(source), Expression(source)
    assert plain.plain is not None, "made of plain parts only"
    slow.plain = None
    for kind in ("test", "text", "moment", "value", "json"):
        assert _outcome(plain, kind, variables) == _outcome(slow, kind, variables), kind


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("data.a", 1),
        ("data['a'] >= 1 and event.type == 'a'", True),
        ("data.a ~ '/' ~ event.type", "1/a"),
        ("data.c is not defined or data.c", True),
        ("1 < data.a + 0 < 3", None),
        ("{'n': data.a, 'all': [data.a, 2]}", {"n": 1, "all": [1, 2]}),
        ("data.a | string", None),
        ("data.a is number", None),
        ("data[event.type]", None),
        ("data.a is defined(1)", None),
    ],
)
def test_which_expressions_are_plain(source: str, expected: object) -> None:
    """The function gives the result by itself; None stands for an expression that is left to Jinja2."""
    found = Expression(source).plain
    assert (found and found({"data": {"a": 1}, "event": {"type": "a"}})) == expected


@pytest.mark.parametrize(
    "source", ["data.text.upper", "data.gone", "data.text.x is defined", "data.text > 1"]
)
def test_what_only_jinja2_can_tell_is_left_to_it(source: str) -> None:
    """A method, or a field that is missing: the function raises, and never guesses."""
    found = Expression(source).plain
    assert found is not None
    with pytest.raises(FAILURES):
        found({"data": {"text": "t"}})


def _outcome(expression: Expression, kind: str, variables: dict[str, Any]) -> str:
    try:
        found = getattr(expression, kind)(Scope(variables))
    except ExpressionError as error:
        return f"error: {error}"
    return repr(found)

"""Finds words of an expression that can never be right: a value that a variable never has, a call of one."""

import difflib
import re
from collections.abc import Iterator, Mapping
from itertools import product
from typing import Any, Final

from jinja2 import nodes

from tocsin.catalog.plain_expressions import path_of

_VALUES: Final[Mapping[tuple[Any, ...], tuple[str, ...]]] = {
    ("now", "weekday"): ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday"),
    ("user", "platforms"): ("ios", "android", "web"),
}
"""The values of the fields that have few."""
_FORMS: Final[Mapping[tuple[Any, ...], tuple[re.Pattern[str], str]]] = {
    ("now", "time"): (re.compile(r"([01]\d|2[0-3]):[0-5]\d"), "08:30"),
    ("now", "date"): (re.compile(r"\d{4}-[01]\d-[0-3]\d"), "2026-05-01"),
}
"""The form of the fields that are texts in order of time, with an example: `'10:00' < '8:30'` is true."""


_LISTS: Final = frozenset({("user", "channels"), ("user", "platforms"), ("user", "apps")})
"""The fields that are lists of texts."""


def word_mistake(parsed: nodes.Expr) -> str:
    """Say what is wrong with the words of an expression, and the cure; empty if nothing is.

    Args:
        parsed: the expression.
    """
    return next(_mistakes(parsed), "")


def _mistakes(parsed: nodes.Expr) -> Iterator[str]:
    for call in _all(parsed, nodes.Call):
        if isinstance(call.node, nodes.Name):
            yield f"`{call.node.name}` is no function: use its fields, or a filter"
    for member in _all(parsed, nodes.Getattr):
        path = path_of(member) or ()
        if path[:2] in _LISTS and len(path) > 2:
            yield _no_list(path[:2], path[2])
    for comparison in _all(parsed, nodes.Compare):
        yield from _list_beside_text(comparison)
        yield from _never_equal([comparison.expr, *(operand.expr for operand in comparison.ops)])


def _list_beside_text(comparison: nodes.Compare) -> Iterator[str]:
    """Find a list that is compared with one text."""
    for operand in comparison.ops:
        sides = (comparison.expr, operand.expr)
        for one, other in (sides, sides[::-1]):
            path = path_of(one) or ()
            value = other.value if isinstance(other, nodes.Const) else None
            if operand.op in ("eq", "ne") and path in _LISTS and isinstance(value, str):
                yield _no_list(path, value)


def _no_list(field: tuple[Any, ...], value: Any) -> str:
    name = ".".join(field)
    return f"`{name}` is a list: write `'{value}' in {name}`"


def _never_equal(sides: list[nodes.Expr]) -> Iterator[str]:
    """Compare a field that has few values with the constants beside it."""
    fields = {path for side in sides if (path := path_of(side)) is not None}
    written = [value for side in sides for value in _constants(side)]
    for field, value in product(fields, written):
        if field in _VALUES and value not in _VALUES[field]:
            yield _no_value(field, value)
        if field in _FORMS and not _FORMS[field][0].fullmatch(str(value)):
            yield f"`{'.'.join(map(str, field))}` is never `{value}`: write it like {_FORMS[field][1]}"


def _no_value(field: tuple[Any, ...], value: Any) -> str:
    known = _VALUES[field]
    close = difflib.get_close_matches(str(value).lower(), known, 1)
    cure = f"did you mean `{close[0]}`?" if close else f"use {', '.join(known[:-1])} or {known[-1]}"
    return f"`{'.'.join(field)}` is never `{value}`: {cure}"


def _constants(side: nodes.Expr) -> Iterator[Any]:
    """Give the constants that a side of a comparison is, or has in its list."""
    for each in side.items if isinstance(side, nodes.List | nodes.Tuple) else [side]:
        value = each.value if isinstance(each, nodes.Const) else ()
        yield from value if isinstance(value, list | tuple) else [value]


def _all(parsed: nodes.Expr, kind: type[Any]) -> Iterator[Any]:
    if isinstance(parsed, kind):
        yield parsed
    yield from parsed.find_all(kind)

"""Compiles plain expressions to Python functions: paths, comparisons, `~`, `is defined`, `and`, `or`, `not`.

Such a function takes a fifth of the time that Jinja2 takes. It returns what Jinja2 would return, or raises
one of `FAILURES`. It raises them also where Jinja2 would find a method, or a missing field does no harm:
then Jinja2 has to evaluate the expression.
"""

import ast
from collections.abc import Callable, Mapping
from typing import Any, Final, TypeAlias

from jinja2 import nodes

Plain: TypeAlias = Callable[[dict[str, Any]], Any]
"""Evaluates an expression from the variables by name."""
_OPERATORS: Final[dict[str, type[ast.cmpop]]] = {
    "eq": ast.Eq,
    "ne": ast.NotEq,
    "gt": ast.Gt,
    "gteq": ast.GtE,
    "lt": ast.Lt,
    "lteq": ast.LtE,
    "in": ast.In,
    "notin": ast.NotIn,
}


class _NotPlainError(Exception):
    """Says that a part of an expression is for Jinja2."""


def python_of(parsed: nodes.Expr) -> str:
    """Write an expression in Python; empty if only Jinja2 can evaluate it."""
    try:
        return ast.unparse(_translated(parsed))
    except (_NotPlainError, RecursionError, ValueError):  # a number of thousands of digits is a ValueError
        return ""


def compiled(python: str) -> Plain | None:
    """Compile what `python_of` wrote; None if that is nothing."""
    if not python:
        return None
    names = {"__builtins__": {}, **HELPERS}
    function: Plain | None = evaluated(f"lambda variables: {python}", names)
    return function


def evaluated(python: str, names: dict[str, Any]) -> Any:
    """Evaluate Python that was written here; None if it is nested too deep."""
    try:
        return eval(python, names)  # noqa: S307 - no text of others: `python_of` writes what it knows
    except (SyntaxError, RecursionError, MemoryError):
        return None


def path_of(parsed: nodes.Expr) -> tuple[str | int, ...] | None:
    """Return the keys of an expression that only names fields of a variable."""
    if isinstance(parsed, nodes.Name):
        return (parsed.name,)
    if not isinstance(parsed, nodes.Getattr | nodes.Getitem):
        return None
    before = path_of(parsed.node)
    if isinstance(parsed, nodes.Getattr):
        key: Any = parsed.attr
    else:
        key = parsed.arg.value if isinstance(parsed.arg, nodes.Const) else None
    return None if before is None or type(key) not in (str, int) else (*before, key)


def _has(found: Any, key: str | int) -> bool:
    if type(found) is not dict:
        raise TypeError
    return key in found


def _joined(*values: Any) -> str:
    return "".join(map(str, values))


HELPERS: Final[Mapping[str, Callable[..., Any]]] = {"has": _has, "joined": _joined}
"""The functions that expressions in Python call."""


def _translated(parsed: nodes.Node) -> ast.expr:
    translate = _TRANSLATIONS.get(type(parsed))
    if translate is None:
        raise _NotPlainError
    return translate(parsed)


def _all(parts: list[Any]) -> list[ast.expr]:
    return [_translated(part) for part in parts]


def _constant(parsed: Any) -> ast.expr:
    if not isinstance(parsed.value, str | int | float | None):
        raise _NotPlainError
    return ast.Constant(parsed.value)


def _fields(parsed: Any) -> ast.expr:
    path = path_of(parsed)
    if path is None:
        raise _NotPlainError
    return _walk(path)


def _walk(path: tuple[str | int, ...]) -> ast.expr:
    found: ast.expr = ast.Name("variables", ast.Load())
    for key in path:
        found = ast.Subscript(found, ast.Constant(key), ast.Load())
    return found


def _compared(parsed: Any) -> ast.expr:
    operators: list[ast.cmpop] = [_OPERATORS[operand.op]() for operand in parsed.ops]
    return ast.Compare(_translated(parsed.expr), operators, _all([one.expr for one in parsed.ops]))


def _both(parsed: Any) -> ast.expr:
    return ast.BoolOp(ast.And(), _all([parsed.left, parsed.right]))


def _either(parsed: Any) -> ast.expr:
    return ast.BoolOp(ast.Or(), _all([parsed.left, parsed.right]))


def _negated(parsed: Any) -> ast.expr:
    return ast.UnaryOp(ast.Not(), _translated(parsed.node))


def _concatenated(parsed: Any) -> ast.expr:
    return ast.Call(ast.Name("joined", ast.Load()), _all(parsed.nodes), [])


def _tested(parsed: Any) -> ast.expr:
    path = path_of(parsed.node)
    arguments = parsed.args or parsed.kwargs or parsed.dyn_args or parsed.dyn_kwargs
    if parsed.name != "defined" or path is None or arguments:
        raise _NotPlainError
    return ast.Call(ast.Name("has", ast.Load()), [_walk(path[:-1]), ast.Constant(path[-1])], [])


def _object(parsed: Any) -> ast.expr:
    keys: list[ast.expr | None] = [_translated(pair.key) for pair in parsed.items]
    return ast.Dict(keys, _all([pair.value for pair in parsed.items]))


def _list(parsed: Any) -> ast.expr:
    return ast.List(_all(parsed.items), ast.Load())


_TRANSLATIONS: Final[dict[type[nodes.Node], Callable[[Any], ast.expr]]] = {
    nodes.And: _both,
    nodes.Compare: _compared,
    nodes.Concat: _concatenated,
    nodes.Const: _constant,
    nodes.Dict: _object,
    nodes.Getattr: _fields,
    nodes.Getitem: _fields,
    nodes.List: _list,
    nodes.Name: _fields,
    nodes.Not: _negated,
    nodes.Or: _either,
    nodes.Test: _tested,
}

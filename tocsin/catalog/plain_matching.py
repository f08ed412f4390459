"""Fuses the plain expressions of a notification into one function that matches an event.

Evaluated one by one, each expression costs two calls beside its own. A notification of which one expression
is for Jinja2 has no such function. Where the function fails on an event, the expressions have to be evaluated
one by one: that finds a value after all, or says what failed.
"""

from collections.abc import Callable, Mapping
from itertools import product
from typing import Any, Final, TypeAlias

import msgspec

from tocsin.catalog.compiled import CompiledChannel, CompiledNotification
from tocsin.catalog.expressions import Expression
from tocsin.catalog.matching import Match
from tocsin.catalog.plain_expressions import HELPERS, evaluated
from tocsin.catalog.sandbox import FAILURES
from tocsin.model.moments import moment_of

Matcher: TypeAlias = Callable[[dict[str, Any]], Match | None]
"""Matches an event from the variables by name; None if the notification's condition does not hold."""
MATCH_FAILURES: Final = (*FAILURES, ValueError, msgspec.MsgspecError)
"""What a matcher raises where an expression fails on an event."""
_CONDITIONAL_MOST: Final = 4
"""Conditional channels for which all choices are made beforehand."""


class _NotPlainError(Exception):
    """Says that an expression is for Jinja2."""


def matcher(notification: CompiledNotification) -> Matcher | None:
    """Fuse the expressions of a notification; None if one of them is for Jinja2."""
    try:
        source, chosen = f"lambda variables: {_source(notification)}", _choices(notification.channels)
    except _NotPlainError:
        return None
    names = {
        **HELPERS,
        "__builtins__": {"str": str, "type": type},
        "Match": Match,
        "chosen": chosen,
        "encode": msgspec.json.encode,
        "moment": moment_of,
        "notification": notification,
        "text": _text,
    }
    function: Matcher | None = evaluated(source, names)
    return function


def _source(notification: CompiledNotification) -> str:
    """Write what makes the match, as Python; keys that are written alike are evaluated once."""
    when, at, digest = notification.when, notification.at, notification.digest
    conditions = [f"not {_plain(one.when)}, " for one in notification.channels if one.when is not None]
    names: dict[Expression, str] = {}
    keys = [_key(one, names) for one in (notification.dedup_key, notification.collapse_key)]
    keys.append(_key(notification.cancel_key, names))
    moment = f"moment({_plain(at.expression)})" if at is not None and at.expression is not None else "None"
    digest_key = "''" if digest is None else _key(digest.key, names)
    item = "b''" if digest is None else f"encode({_plain(digest.items)})"
    fields = ", ".join([f"chosen[{''.join(conditions) or '()'}]", *keys, moment, digest_key, item])
    match = f"Match(notification, {fields})"
    return match if when is None else f"{match} if {_plain(when)} else None"


def _plain(expression: Expression) -> str:
    if not expression.python:
        raise _NotPlainError
    return f"({expression.python})"


def _key(expression: Expression | None, names: dict[Expression, str]) -> str:
    """Write what gives a key: nearly all are texts, which need no call."""
    if expression is None:
        return "''"
    if (name := names.get(expression)) is not None:
        return f"({name} if type({name}) is str else text({name}))"
    name = names[expression] = f"key_{len(names)}"
    return f"({name} if type({name} := {_plain(expression)}) is str else text({name}))"


def _choices(channels: tuple[CompiledChannel, ...]) -> Mapping[tuple[bool, ...], tuple[CompiledChannel, ...]]:
    """Choose the channels beforehand, by which of the conditional ones are left out."""
    conditional = [one.name for one in channels if one.when is not None]
    if len(conditional) > _CONDITIONAL_MOST:
        raise _NotPlainError
    found = {}
    for out in product((False, True), repeat=len(conditional)):
        left_out = {name for name, is_out in zip(conditional, out, strict=True) if is_out}
        found[out] = tuple([one for one in channels if one.name not in left_out])
    return found


def _text(value: object) -> str:
    """Write a key that is a number."""
    if not isinstance(value, str | int | float):
        raise TypeError
    return str(value)

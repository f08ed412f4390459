"""Lists the expressions of a notification, and finds those that do not compile."""

from collections.abc import Iterator
from typing import Literal, NamedTuple

from tocsin.catalog.expressions import Expression, ExpressionError
from tocsin.catalog.files import Document, Problem, Where
from tocsin.catalog.spec import NotificationSpec


class WrittenExpression(NamedTuple):
    """An expression as it is written: its place below the notification, and what it must give."""

    where: Where
    source: str
    gives: Literal["condition", "key", "time", "json"]


def expressions_of(notice: NotificationSpec) -> Iterator[WrittenExpression]:
    """List the expressions of a notification."""
    if notice.on.when is not None:
        yield WrittenExpression(("on", "when"), notice.on.when, "condition")
    for at, use in enumerate(notice.channels):
        if use.when is not None:
            yield WrittenExpression(("channels", at, "when"), use.when, "condition")
    keys = {
        ("collapse_key",): notice.collapse_key,
        ("cancel_key",): notice.cancel_key,
        ("dedup", "key"): notice.dedup.key if notice.dedup else None,
        ("digest", "key"): notice.digest.key if notice.digest else None,
    }
    for where, source in keys.items():
        if source is not None:
            yield WrittenExpression(where, source, "key")
    if notice.at is not None and notice.at.expression is not None:
        yield WrittenExpression(("at", "expression"), notice.at.expression, "time")
    if notice.digest is not None and notice.digest.items is not None:
        yield WrittenExpression(("digest", "items"), notice.digest.items, "json")


def expression_problems(document: Document, name: str, notice: NotificationSpec) -> Iterator[Problem]:
    """Find what is no expression, and names in one that it may not read.

    Args:
        document: the file of the notification.
        name: of the notification.
        notice: the notification.
    """
    for one in expressions_of(notice):
        try:
            Expression(one.source)
        except ExpressionError as error:
            what, _, cure = str(error).partition(": ")
            yield document.problem((name, *one.where), f"`{one.where[-1]}` is wrong: {what}, {cure}")

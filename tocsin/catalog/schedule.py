"""Compiles `at`: the time at which a notification asks to leave, as far as event and user leave it open."""

from collections.abc import Iterator

import msgspec

from tocsin.catalog.expressions import Expression
from tocsin.catalog.files import Document, Problem
from tocsin.catalog.scalars import spelled_duration
from tocsin.catalog.spec import NotificationSpec
from tocsin.catalog.times import At
from tocsin.model.moments import Moment


class CompiledAt(msgspec.Struct, frozen=True, gc=False):
    """A time that is fixed (`moment`), comes each day (`minute`), or is found in an event (`expression`).

    Attributes:
        minute: of the day; -1 for none.
        offset_ms: moves the time of an expression.
        zone: whose clock shows a local time; empty for the user's.
        expires_ms: how long after the time it is too late; 0 for never.
    """

    expression: Expression | None
    moment: Moment | None
    minute: int
    offset_ms: int
    zone: str
    expires_ms: int


def compile_at(at: At, tenant_zone: str) -> CompiledAt:
    """Compile `at`; its expression was checked."""
    return CompiledAt(
        expression=Expression(at.expression) if at.expression is not None else None,
        moment=at.time if isinstance(at.time, Moment) else None,
        minute=at.time if isinstance(at.time, int) else -1,
        offset_ms=at.offset_ms,
        zone={"user": "", "tenant": tenant_zone}.get(at.zone, at.zone),
        expires_ms=at.expires_ms or 0,
    )


def time_problems(document: Document, name: str, notice: NotificationSpec) -> Iterator[Problem]:
    """Find a notification that has always expired before it may leave.

    The `expires` of a digest counts from when it is due, so that it is no contradiction there.
    """
    delay_ms, expires_ms = notice.delay_ms or 0, notice.expires_ms
    collected = notice.digest is not None and notice.digest.only is None
    if expires_ms is not None and expires_ms < delay_ms and not collected:
        text = f"it has expired {spelled_duration(expires_ms)} after the event, so it is never sent:"
        yield document.problem((name, "delay"), f"{text} shorten `delay` or raise `expires`")

"""Finds limits that contradict something: they would never apply, or what they hold could hardly be sent."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Final

from tocsin.catalog.files import Document, Problem, Where
from tocsin.catalog.limit_spec import Limit
from tocsin.catalog.scalars import spelled_duration
from tocsin.catalog.spec import NotificationSpec, TenantSpec


def limit_problems(document: Document, where: Where, limits: Sequence[Limit]) -> Iterator[Problem]:
    """List the limits that another one of the same list makes needless."""
    for at, limit in enumerate(limits):
        stricter = next((other for other in limits if _implies(other, limit)), None)
        if stricter is not None or limit in limits[:at]:
            first = stricter or limit
            text = f"`{limit.spelled}` is never reached, `{first.spelled}` of the same list is: remove it"
            yield document.problem((*where, at), text)


def own_limit_problems(document: Document, name: str, notice: NotificationSpec) -> Iterator[Problem]:
    """List the limits of a notification that it can never meet, and those that hold what then expires."""
    for at, limit in enumerate(notice.limits):
        where = (name, "limits", at)
        if notice.priority == "critical":
            yield document.problem(where, "a critical notification meets no limit, remove it")
        if notice.expires_ms and limit.overflow == "hold" and notice.expires_ms * limit.max < limit.window_ms:
            lasts, slot = spelled_duration(notice.expires_ms), limit.window_ms // limit.max
            text = (
                f"what it holds expires after {lasts}, but it has room only every {spelled_duration(slot)},"
            )
            text += " lengthen `expires` or let it drop"
            yield document.problem(where, text)
    yield from limit_problems(document, (name, "limits"), notice.limits)


def idle_overflow(
    document: Document, name: str, notice: NotificationSpec, tenants: Mapping[str, TenantSpec]
) -> Iterator[Problem]:
    """Find a digest of what overflows, where no limit of the notification or of its tenants lets anything.

    Args:
        document: the file of the notification.
        name: of the notification.
        notice: the notification.
        tenants: those that have it and whose files have no mistakes.
    """
    if notice.digest is None or notice.digest.only is None or not tenants:
        return
    limits = [*notice.limits, *(limit for tenant in tenants.values() for limit in tenant.limits or ())]
    if not any(limit.overflow == "digest" for limit in limits):
        text = (
            "none of its limits has `overflow: digest`, so it collects nothing, add such a limit or a window"
        )
        yield document.problem((name, "digest"), text)


_WITHIN: Final[Mapping[str, str]] = {"minute": "minute", "hour": "minute hour", "day": "minute hour day"} | {
    "week": "minute hour day week",
    "month": "minute hour day month",
}
"""The calendar periods that never reach beyond a period of the kind."""


def _implies(strict: Limit, weak: Limit) -> bool:
    """Whether the strict limit is always reached before the weak one, so that the weak one never is."""
    if (strict.scope, strict.channel) != (weak.scope, weak.channel) or strict == weak:
        return False
    return strict.max <= weak.max and _covers(strict, weak)


def _covers(outer: Limit, inner: Limit) -> bool:
    """Whether each window of one limit lies within a window of the other."""
    if outer.calendar:
        return inner.calendar is not None and inner.calendar in _WITHIN[outer.calendar].split()
    return outer.window_ms >= inner.window_ms

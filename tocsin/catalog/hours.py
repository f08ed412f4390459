"""Finds hours of the day that exclude each other: quiet hours, send windows and windows of channels."""

from collections.abc import Collection, Iterator, Mapping
from typing import Final

from tocsin.catalog.files import Document, Problem
from tocsin.catalog.spec import NotificationSpec, TenantSpec
from tocsin.catalog.times import Span

_DAY_MIN: Final = 1_440
_ALL: Final = frozenset(range(_DAY_MIN))


def minutes_of(span: Span) -> frozenset[int]:
    """List the minutes of the day that a span has; it may pass midnight.

    >>> from tocsin.catalog.times import SendWindow
    >>> sorted(minutes_of(SendWindow(start="23:58", end="00:01")))
    [0, 1438, 1439]
    """
    length = (span.end_min - span.start_min) % _DAY_MIN
    return frozenset((span.start_min + minute) % _DAY_MIN for minute in range(length))


def tenant_hours_problems(document: Document, spec: TenantSpec) -> Iterator[Problem]:
    """Find windows of channels that the tenant's own quiet hours leave nothing of."""
    for channel, window in spec.windows.items():
        if not minutes_of(window) & _waking(spec):
            text = f"the quiet hours leave no time of it, so only critical messages go out by {channel}:"
            yield document.problem(("windows", channel), f"{text} change one of them")


def window_problems(
    document: Document,
    name: str,
    notice: NotificationSpec,
    channels: Collection[str],
    tenants: Mapping[str, TenantSpec],
) -> Iterator[Problem]:
    """Find a send window that a tenant's quiet hours or a window of a channel leave nothing of.

    Args:
        document: the file of the notification.
        name: of the notification.
        notice: the notification.
        channels: all that it uses.
        tenants: those that have it and whose files have no mistakes.
    """
    if notice.send_window is None:
        return
    window, critical = minutes_of(notice.send_window), notice.priority == "critical"
    for tenant, spec in tenants.items():
        for what, open_minutes in _hours(spec, channels, critical=critical):
            if not window & open_minutes:
                text = f"{what} of tenant `{tenant}` leave no time of it, so it never leaves there:"
                problem = document.problem((name, "send_window"), f"{text} change one of them")
                yield problem._replace(tenant=tenant)


def _hours(
    spec: TenantSpec, channels: Collection[str], *, critical: bool
) -> Iterator[tuple[str, frozenset[int]]]:
    """List what bounds the hours of a notification, each with the minutes that it leaves."""
    if not critical:
        yield "the quiet hours", _waking(spec)
    for channel, window in spec.windows.items():
        if channel in channels and not (critical and window.critical == "passes"):
            yield f"the `windows` for {channel}", minutes_of(window)


def _waking(spec: TenantSpec) -> frozenset[int]:
    return _ALL - minutes_of(spec.quiet_hours) if spec.quiet_hours else _ALL

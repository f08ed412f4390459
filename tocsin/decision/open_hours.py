"""When something may leave: after a snooze, outside of the quiet hours, and within each of its windows.

The hours are daily, in the recipient's time zone. What they hold is held once, until the first moment at
which all of them let it pass. So the outcome names that moment from the start.
"""

from collections.abc import Iterable, Sequence
from typing import Final, NamedTuple

from tocsin.catalog.compile import CompiledChannel, CompiledNotification
from tocsin.decision.asking import narrowed
from tocsin.decision.daily_span import clock_time, ends_at, leaves_time
from tocsin.decision.evaluation import Evaluation
from tocsin.decision.recipient import Recipient
from tocsin.decision.subjects import EventSubject
from tocsin.decision.verdict import Detail, Hold
from tocsin.model.statuses import Reason

# Hours that leave some time of a day end within it, save on the days on which the clock is changed.
_WAITS_MAX: Final = 64


class Closed(NamedTuple):
    """Daily hours in which nothing leaves: the quiet hours, or the time outside of a window.

    Attributes:
        start: minute of the day.
        end: minute of the day.
        window: whether they are the time outside of a window, which is open from `end` to `start`.
    """

    start: int
    end: int
    window: bool = False


class Opening(NamedTuple):
    """The moment at which something may leave, and the hours that it waits for until then, in order."""

    at_ms: int
    waits: tuple[Closed, ...] = ()


def closed_hours(
    recipient: Recipient, notification: CompiledNotification, channel: CompiledChannel | None
) -> list[Closed]:
    """List the hours that hold a notification, or a channel of it."""
    windows = (notification.send_window, channel.window if channel is not None else None)
    found = [Closed(*recipient.quiet_hours)] if recipient.quiet_hours and not notification.critical else []
    return found + [Closed(window[1], window[0], window=True) for window in windows if window is not None]


def first_open(zone: str, closed: Sequence[Closed], from_ms: int) -> Opening:
    """Find the first moment from `from_ms` on that is in none of these hours.

    Hours that leave no time of a day are not waited for.

    >>> first_open("UTC", [Closed(22 * 60, 9 * 60), Closed(21 * 60, 8 * 60, True)], 21 * 3_600_000).at_ms
    118800000
    """
    found = Opening(from_ms)
    if not _has_time(closed):
        return found
    while len(found.waits) < _WAITS_MAX:
        ends_ms, last = max(
            ((ends_at(zone, one.start, one.end, found.at_ms), one) for one in closed), key=_end
        )
        if not ends_ms:
            break
        found = Opening(ends_ms, (*found.waits, last))
    return found


def opens_at(
    recipient: Recipient,
    notification: CompiledNotification,
    channels: Iterable[CompiledChannel],
    from_ms: int,
) -> Opening:
    """Find when the first of these channels may be used; their windows count where each of them has one.

    A channel on which the recipient has no contact point does not count, nor one that has no time left.
    """
    reached = {point.channel for point in recipient.contact_points}
    used = [one for one in channels if one.name in reached]
    if used and all(one.window is not None for one in used):
        closed = [closed_hours(recipient, notification, one) for one in used]
        found = [first_open(recipient.timezone, hours, from_ms) for hours in closed if _has_time(hours)]
        if found:
            return min(found, key=_at)
    return first_open(recipient.timezone, closed_hours(recipient, notification, None), from_ms)


def hold_until_open(evaluation: Evaluation) -> Hold:
    """Hold until a snooze, the quiet hours and the windows all let it pass.

    The reason names the one that ends last. The detail has the others that it waits for, too.
    """
    recipient, notification, now_ms = evaluation.recipient, evaluation.notification, evaluation.now_ms
    wakes_ms = 0 if ignores_snooze(notification) else recipient.snoozed_until_ms
    opening = opens_at(recipient, notification, _channels(evaluation), max(now_ms, wakes_ms))
    if not opening.waits:
        return Hold(opening.at_ms, Reason.SNOOZED)
    detail = _told(opening.waits, recipient.timezone)
    if wakes_ms > now_ms:
        detail["snoozed_until_ms"] = wakes_ms
    reason = Reason.SEND_WINDOW if opening.waits[-1].window else Reason.QUIET_HOURS
    return Hold(opening.at_ms, reason, detail=detail)


def ignores_snooze(notification: CompiledNotification) -> bool:
    """Tell whether a snooze does not hold a notification: it passes, or is dropped."""
    return notification.critical or notification.required or notification.snooze_drops


def span(minutes: tuple[int, int], zone: str) -> Detail:
    """Write the hours that a decision rests on, for its outcome."""
    start, end = minutes
    return {"window_start": clock_time(start), "window_end": clock_time(end), "zone": zone}


def quiet_span(quiet: tuple[int, int]) -> Detail:
    """Write the quiet hours beside other hours, for an outcome."""
    start, end = quiet
    return {"quiet_start": clock_time(start), "quiet_end": clock_time(end)}


def _told(waits: Sequence[Closed], zone: str) -> Detail:
    """Write the hours that end last, and others that were waited for."""
    last = waits[-1]
    found = span((last.end, last.start) if last.window else (last.start, last.end), zone)
    for one in waits:
        if one.window and not last.window:
            found |= {"send_start": clock_time(one.end), "send_end": clock_time(one.start)}
        elif last.window and not one.window:
            found |= quiet_span((one.start, one.end))
    return found


def _channels(evaluation: Evaluation) -> Sequence[CompiledChannel]:
    """Return the channel that is decided, or those of the notification that its event asks for."""
    if evaluation.channel is not None:
        return (evaluation.channel,)
    subject = evaluation.subject
    assert isinstance(subject, EventSubject), "a returned message has a channel"
    asked = subject.event.asked
    return narrowed(subject.match.channels, asked.channels if asked is not None else ())


def _has_time(closed: Sequence[Closed]) -> bool:
    quiet = next(((one.start, one.end) for one in closed if not one.window), None)
    windows = ((one.end, one.start) for one in closed if one.window)
    return bool(closed) and leaves_time(quiet, *windows)


def _end(found: tuple[int, Closed]) -> int:
    return found[0]


def _at(opening: Opening) -> int:
    return opening.at_ms

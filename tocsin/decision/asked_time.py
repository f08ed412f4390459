"""The time that `at` of the catalog asks for, for one event and recipient."""

import msgspec

from tocsin.catalog.schedule import CompiledAt
from tocsin.decision.local_time import first_moment, next_clock_time
from tocsin.model.moments import Moment


class AskedTime(msgspec.Struct, frozen=True, gc=False):
    """When a notification is to leave, and after which time it is too late; 0 for never."""

    at_ms: int
    expires_ms: int

    def narrowed(self, not_before_ms: int, expires_ms: int) -> tuple[int, int]:
        """Return the later start and the earlier end of two; an end of 0 is none."""
        at_ms, own_ms = self.at_ms, self.expires_ms
        if own_ms and (not expires_ms or own_ms < expires_ms):
            expires_ms = own_ms
        return at_ms if at_ms > not_before_ms else not_before_ms, expires_ms


def asked_time(at: CompiledAt, found: Moment | None, event_ms: int, user_zone: str) -> AskedTime:
    """Return the time that is asked for.

    Args:
        at: the schedule of the notification.
        found: the time that its expression found in the event; None without an expression.
        event_ms: the time of the event; a time of day is the next one from then on.
        user_zone: the time zone of the recipient.
    """
    at_ms = _asked_ms(at, found or at.moment, event_ms, at.zone or user_zone)
    return AskedTime(at_ms, at_ms + at.expires_ms if at.expires_ms else 0)


def goes_by_own_clock(at: CompiledAt, found: Moment | None) -> bool:
    """Tell whether a time is one of the recipient's own clock, and no moment for everybody."""
    moment = found or at.moment
    return not at.zone and (moment is None or moment.local)


def _asked_ms(at: CompiledAt, moment: Moment | None, event_ms: int, zone: str) -> int:
    if moment is None:
        return next_clock_time(zone, at.minute, event_ms)
    return (first_moment(zone, moment.at_ms) if moment.local else moment.at_ms) + at.offset_ms

"""Clock times: when a user's clock next shows a time of day, on any day or on some days of the week.

Where the clock leaps over the time, it is the moment of the leap; where the time comes twice, the first one.
A day that the zone skips has no such time: the next day has it, as no weekday is skipped for a week.
"""

from collections.abc import Collection
from functools import lru_cache
from typing import Final

from tocsin.decision.daily_span import DAY_MS, MINUTE_MS, offset_ms
from tocsin.decision.local_time import first_moment

# 1 January 1970 was a Thursday, and Monday is day 0.
_FIRST_WEEKDAY: Final = 3


def next_at(zone: str, minute: int, weekdays: Collection[int], after_ms: int) -> int:
    """Return the next moment after `after_ms` at which the clock shows a minute of the day.

    Args:
        zone: of the clock.
        minute: of the day.
        weekdays: the days that count, Monday is 0; empty for every day.
        after_ms: UTC.

    >>> next_at("Europe/Berlin", 8 * 60, (), 1_769_851_800_000) - 1_769_851_800_000 == 21.5 * 3_600_000
    True
    """
    today = (after_ms + offset_ms(zone, after_ms)) // DAY_MS
    days = [today + ahead for ahead in range(9)]
    wanted = [day for day in days if not weekdays or (day + _FIRST_WEEKDAY) % 7 in weekdays]
    return next(at_ms for day in wanted if (at_ms := moment_of(zone, day, minute)) > after_ms)


@lru_cache(maxsize=4_096)
def moment_of(zone: str, day: int, minute: int) -> int:
    """Return the first moment at which the clock shows a minute of a day, given in days since 1970."""
    at_ms = first_moment(zone, day * DAY_MS + minute * MINUTE_MS)
    shown = (at_ms + offset_ms(zone, at_ms)) // DAY_MS
    return at_ms if shown == day else first_moment(zone, shown * DAY_MS + minute * MINUTE_MS)

"""Calendar periods in a time zone: when the minute, hour, day, week or month around a moment starts and ends.

A day, week or month ends at the first moment of a later date on the local clock. So a day has 23, 24 or 25
hours where the clock changes, and where a zone skips a date, the day before ends at the leap. A week starts
on Monday. Minutes and hours keep their length: an hour that comes twice is two hours.
"""

from collections.abc import Callable, Mapping
from datetime import date
from functools import lru_cache
from typing import Final

from tocsin.catalog.caps import PERIODS_MS
from tocsin.decision.daily_span import QUARTER_MS, offset_ms
from tocsin.model.rfc3339 import LATEST_MS

_MINUTE_MS, _HOUR_MS, _DAY_MS = 60_000, 3_600_000, 86_400_000
_EPOCH_DAY = date(1970, 1, 1).toordinal()
_LAST_DAY = date(9999, 11, 30).toordinal() - _EPOCH_DAY
# Clocks are at most 14 h ahead of UTC and 12 h behind it.
_AHEAD_MS, _BEHIND_MS = 15 * _HOUR_MS, 13 * _HOUR_MS


def period(unit: str, zone: str, at_ms: int) -> tuple[int, int]:
    """Return the start and the end (ms) of the period of a zone's calendar that contains a moment.

    Args:
        unit: minute, hour, day, week or month.
        zone: IANA name; an unknown one counts as UTC.
        at_ms: the moment. The start is not after it, the end is.
    """
    if unit in ("minute", "hour"):
        length_ms = PERIODS_MS[unit]
        start_ms = at_ms - (at_ms + offset_ms(zone, at_ms)) % length_ms
        return start_ms, start_ms + length_ms
    return _of_quarter(unit, zone, at_ms // QUARTER_MS) or _search_both(unit, zone, at_ms)


@lru_cache(maxsize=16_384)
def _of_quarter(unit: str, zone: str, quarter: int) -> tuple[int, int] | None:
    """Return the period of all moments of a quarter of an hour; None if it has no such period."""
    first = _search_both(unit, zone, quarter * QUARTER_MS)
    return first if first == _search_both(unit, zone, (quarter + 1) * QUARTER_MS - 1) else None


def _search_both(unit: str, zone: str, at_ms: int) -> tuple[int, int]:
    number = _number(unit, zone, at_ms)
    start_ms, end_ms = _first(unit, zone, number), _first(unit, zone, number + 1)
    # Where the clock goes back over midnight, the moment may lie before a start that came already.
    return min(start_ms, at_ms), end_ms if end_ms > at_ms else _search(unit, zone, number + 1, at_ms)


def _number(unit: str, zone: str, at_ms: int) -> int:
    return _NUMBERS[unit](min((at_ms + offset_ms(zone, at_ms)) // _DAY_MS, _LAST_DAY))


def _month(day: int) -> int:
    found = date.fromordinal(day + _EPOCH_DAY)
    return found.year * 12 + found.month - 1


_NUMBERS: Final[Mapping[str, Callable[[int], int]]] = {
    "day": lambda day: day,
    "week": lambda day: (day + 3) // 7,
    "month": _month,
}
"""Number of the period that a day (since 1970) belongs to."""
_FIRST_DAYS: Final[Mapping[str, Callable[[int], int]]] = {
    "day": lambda day: day,
    "week": lambda week: week * 7 - 3,
    "month": lambda month: date(month // 12, month % 12 + 1, 1).toordinal() - _EPOCH_DAY,
}


def _first(unit: str, zone: str, number: int) -> int:
    """Return the first moment at which the local clock shows a period, or a later one if it is skipped."""
    local_ms = min(_FIRST_DAYS[unit](number) * _DAY_MS, LATEST_MS)
    at_ms = local_ms - offset_ms(zone, local_ms - _AHEAD_MS)
    before_ms = offset_ms(zone, at_ms - _MINUTE_MS)
    if offset_ms(zone, at_ms) == before_ms == local_ms - at_ms:
        return at_ms
    return _search(unit, zone, number, local_ms - _AHEAD_MS)


def _search(unit: str, zone: str, number: int, after_ms: int) -> int:
    """Search the first minute after a moment at which a period has begun; there is one within 28 hours."""
    low = after_ms // _MINUTE_MS
    high = low + (_AHEAD_MS + _BEHIND_MS) // _MINUTE_MS
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if _number(unit, zone, middle * _MINUTE_MS) >= number else (middle, high)
    return high * _MINUTE_MS

"""Daily spans in a time zone: whether a moment lies in one, and when it ends. Right at changes of the clock.

A span ends at the first moment at which the local clock shows a time outside of it. Where the clock leaps
over the end, the span ends at the leap. Where an hour comes twice, a span within it comes twice, too.
"""

from datetime import UTC, datetime
from functools import lru_cache

from tocsin.model.rfc3339 import LATEST_MS
from tocsin.model.zones import zone as find_zone

MINUTE_MS = 60_000
DAY_MS = 86_400_000
_DAY_MIN = 1_440
# Offsets are cached by the quarter of an hour: time zones change on these (checked at both ends).
QUARTER_MS = 15 * MINUTE_MS
# In all zones since 1970 the offset from UTC is a multiple of ten seconds.
_STEP_MS = 10_000


def _offset_ms(name: str, at_ms: int) -> int:
    offset = datetime.fromtimestamp(min(at_ms, LATEST_MS) / 1000, find_zone(name) or UTC).utcoffset()
    assert offset is not None, "an aware datetime has an offset"
    return int(offset.total_seconds() * 1000)


@lru_cache(maxsize=16_384)
def _quarter_offset_ms(name: str, quarter: int) -> int | None:
    first = _offset_ms(name, quarter * QUARTER_MS)
    last = _offset_ms(name, (quarter + 1) * QUARTER_MS - 1)
    return first if first == last else None


def offset_ms(zone: str, at_ms: int) -> int:
    """Offset of a zone's clock from UTC; an unknown zone counts as UTC."""
    cached = _quarter_offset_ms(zone, at_ms // QUARTER_MS)
    return _offset_ms(zone, at_ms) if cached is None else cached


def local_minute(zone: str, at_ms: int) -> int:
    """Minute of the day on a zone's clock."""
    return (at_ms + offset_ms(zone, at_ms)) // MINUTE_MS % _DAY_MIN


def clock_time(minute: int) -> str:
    """Write a minute of the day as HH:MM."""
    return f"{minute // 60:02}:{minute % 60:02}"


def within(start_min: int, end_min: int, minute: int) -> bool:
    """Whether a minute lies in a span; it may pass midnight, and is empty if start equals end."""
    if start_min <= end_min:
        return start_min <= minute < end_min
    return minute >= start_min or minute < end_min


@lru_cache(maxsize=4_096)
def leaves_time(quiet: tuple[int, int] | None, *windows: tuple[int, int]) -> bool:
    """Tell whether some minute of the day lies in every window and outside of the quiet hours.

    What is left begins where a window opens or the quiet hours end.

    Args:
        quiet: start and end, in minutes of the day; None for none.
        windows: starts and ends; none of them is empty.
    """
    begins = [start for start, _ in windows] + ([quiet[1]] if quiet else [])
    return any(
        all(within(*window, minute) for window in windows) and not (quiet and within(*quiet, minute))
        for minute in begins
    )


def ends_at(zone: str, start_min: int, end_min: int, now_ms: int) -> int:
    """When the span around `now_ms` ends, in ms; 0 if it is not within the span."""
    return _ends_at(zone, start_min, end_min, now_ms // _STEP_MS)


@lru_cache(maxsize=16_384)
def _ends_at(zone: str, start_min: int, end_min: int, step: int) -> int:
    """Find the end once for all moments of ten seconds: a clock shows one minute in them."""
    now_ms = step * _STEP_MS
    if start_min == end_min or not within(start_min, end_min, local_minute(zone, now_ms)):
        return 0
    at_ms = now_ms - now_ms % MINUTE_MS
    while within(start_min, end_min, local_minute(zone, at_ms)):
        ahead_ms = (end_min - local_minute(zone, at_ms)) % _DAY_MIN * MINUTE_MS
        at_ms = first_of_offset(zone, at_ms, at_ms + ahead_ms)
    return at_ms


def first_of_offset(zone: str, from_ms: int, to_ms: int) -> int:
    """Return `to_ms`, or the first minute after `from_ms` whose offset differs, if one lies between.

    Both are full minutes.
    """
    before = offset_ms(zone, from_ms)
    if offset_ms(zone, to_ms) == before:
        return to_ms
    low, high = from_ms, to_ms
    while high - low > MINUTE_MS:
        middle = (low + high) // 2 // MINUTE_MS * MINUTE_MS
        low, high = (middle, high) if offset_ms(zone, middle) == before else (low, middle)
    return high

"""Local clock times as moments: right where a clock is changed.

A local time that a clock leaps over is the first moment after the leap. One that it shows twice is the first.
"""

from datetime import UTC, datetime, timedelta

from tocsin.decision.daily_span import DAY_MS, MINUTE_MS, first_of_offset, offset_ms
from tocsin.model.rfc3339 import LATEST_MS
from tocsin.model.zones import zone as find_zone

_EPOCH = datetime(1970, 1, 1)  # noqa: DTZ001  # a local time
_MS = timedelta(milliseconds=1)


def first_moment(zone: str, local_ms: int) -> int:
    """Return the first moment at which a zone's clock shows a local time, or a later one if it never does.

    Args:
        zone: an IANA name; an unknown one counts as UTC.
        local_ms: the local time as ms since 1970, as if the clock were that of UTC.

    >>> first_moment("Europe/Berlin", 1_711_852_200_000)  # 02:30 on 31 March 2024, a Sunday without that hour
    1711846800000
    """
    first = _with_fold(zone, local_ms, 0)
    if first + offset_ms(zone, first) == local_ms:
        return first
    before = _with_fold(zone, local_ms, 1)
    return first_of_offset(zone, before - before % MINUTE_MS, first - first % MINUTE_MS)


def next_clock_time(zone: str, minute: int, from_ms: int) -> int:
    """Return the first moment from `from_ms` on that is a minute of the day on a zone's clock."""
    day = (from_ms + offset_ms(zone, from_ms)) // DAY_MS * DAY_MS
    while (found := first_moment(zone, day + minute * MINUTE_MS)) < from_ms:
        day += DAY_MS
    return found


def _with_fold(zone: str, local_ms: int, fold: int) -> int:
    """Take the offset before a change of the clock (0) or after it (1)."""
    local = _EPOCH + min(local_ms, LATEST_MS) * _MS
    offset = local.replace(fold=fold, tzinfo=find_zone(zone) or UTC).utcoffset()
    assert offset is not None, "an aware datetime has an offset"
    return local_ms - offset // _MS

"""Moments as people write them: an exact time, or the time that a local clock shows."""

import re
from datetime import UTC, datetime
from typing import Final, NamedTuple

from tocsin.model.rfc3339 import LATEST_MS, rfc3339_ms

EARLIEST_MS: Final = 100_000_000_000
"""3 March 1973. A smaller number is a time in seconds."""
CURE: Final = (
    "write RFC 3339 such as 2026-01-31T09:30:00Z, a local time such as 2026-01-31T09:30,"
    " or milliseconds since 1970"
)
_LOCAL = re.compile(r"\d{4}-\d\d-\d\d[Tt ]\d\d:\d\d(:\d\d(\.\d{1,9})?)?", re.ASCII)


class Moment(NamedTuple):
    """A time in ms since 1970: of UTC, or (`local`) as if the clock of UTC showed the local time."""

    at_ms: int
    local: bool = False


def moment_of(value: object) -> Moment:
    """Read RFC 3339, a local time (the same without an offset), or milliseconds since 1970.

    Raises:
        ValueError: it is none of them. The text says why, and does not show the value.

    >>> moment_of("2026-01-31T09:30Z") == moment_of(1_769_851_800_000)
    True
    >>> moment_of("2026-01-31 09:30").local
    True
    """
    if type(value) is int and EARLIEST_MS <= value <= LATEST_MS:  # most are
        return Moment(value)
    if isinstance(value, str):
        return _bounded(_of_text(value.strip()))
    if isinstance(value, int | float) and not isinstance(value, bool):
        return _of_number(value)
    msg = f"not a time: {CURE}"
    raise ValueError(msg)


def _of_text(text: str) -> Moment:
    try:
        if not _LOCAL.fullmatch(text):
            return Moment(rfc3339_ms(text))
        local = datetime.fromisoformat(text).replace(tzinfo=UTC)
    except ValueError as error:
        msg = f"not a time: {CURE}"
        raise ValueError(msg) from error
    return Moment(int(local.timestamp()) * 1000 + local.microsecond // 1000, local=True)


def _of_number(number: float) -> Moment:
    if 0 <= number < EARLIEST_MS:
        msg = "a time in seconds: write milliseconds since 1970"
        raise ValueError(msg)
    return _bounded(Moment(int(min(number, LATEST_MS + 1))))


def _bounded(moment: Moment) -> Moment:
    if not 0 <= moment.at_ms <= LATEST_MS:
        msg = "a time out of range: write one from 1970 to 9999"
        raise ValueError(msg)
    return moment

"""Describes compiled limits: caps, and the counters that caps read."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

import msgspec

PERIODS_MS: Final[Mapping[str, int]] = MappingProxyType(
    {
        "minute": 60_000,
        "hour": 3_600_000,
        "day": 25 * 3_600_000,
        "week": (7 * 24 + 1) * 3_600_000,
        "month": (31 * 24 + 1) * 3_600_000,
    }
)
"""The greatest length of each calendar period: a day on which the clock goes back has 25 hours."""


class Cap(msgspec.Struct, frozen=True, gc=False):
    """At most `max` on `counter` in any `window_ms`, or in each period of the user's calendar.

    Attributes:
        counter: whose admissions it counts.
        max: the largest number.
        window_ms: length of the rolling window; of a calendar period the greatest length.
        overflow: `drop`, `hold` or `digest`.
        period: minute, hour, day, week or month; empty for a rolling window.
    """

    counter: str
    max: int
    window_ms: int
    overflow: str = "drop"
    period: str = ""


class Counter(msgspec.Struct, frozen=True, gc=False):
    """A counter of a rolling window keeps the last `keep` times of `window_ms`, as its largest cap needs.

    One of a calendar period keeps a number; then `period` is not empty and `keep` says nothing.
    """

    name: str
    keep: int
    window_ms: int
    period: str = ""

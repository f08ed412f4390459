"""The clocks of the flow: wall time for signatures and positions, steady time for waits."""

import time
from typing import Final


def wall_ms() -> int:
    """Read the wall clock, ms since 1970."""
    return time.time_ns() // 1_000_000


_AHEAD_MS: Final = wall_ms() - time.monotonic_ns() // 1_000_000


def steady_ms() -> int:
    """Return the wall time at the start of the process and the time since: no step of the clock moves it."""
    return _AHEAD_MS + time.monotonic_ns() // 1_000_000

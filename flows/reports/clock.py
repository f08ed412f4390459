"""The wall clock of the flow: signatures and positions in time need it."""

import time


def wall_ms() -> int:
    """Read it, ms since 1970."""
    return time.time_ns() // 1_000_000

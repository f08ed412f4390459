"""Waiting for a condition instead of a time: a slow machine waits longer, and proves as much."""

import asyncio
import time
from collections.abc import Callable

PATIENCE_S = 60.0
"""Far longer than any condition takes on a loaded machine; only a failing test waits for all of it."""


def until(reached: Callable[[], object], what: str = "it", within_s: float = PATIENCE_S) -> None:
    """Wait until a condition holds."""
    end = time.monotonic() + within_s
    while not reached():
        assert time.monotonic() < end, f"{what} did not happen within {within_s:.0f} s"
        time.sleep(0.005)


async def soon(reached: Callable[[], object], what: str = "it", within_s: float = PATIENCE_S) -> None:
    """Wait until a condition holds, while the loop goes on."""
    end = time.monotonic() + within_s
    while not reached():
        assert time.monotonic() < end, f"{what} did not happen within {within_s:.0f} s"
        await asyncio.sleep(0.005)

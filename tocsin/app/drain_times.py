"""Estimates when nothing will wait any more, from how it changed over the last minute."""

import math
import threading
from collections import deque
from collections.abc import Hashable

SPAN_S = 60.0
"""How far rates look back: long enough for several scrapes, short enough to follow a load."""
_SHORTEST_S = 1.0  # commits and answers come in bursts: a rate over less says nothing


class DrainTimes:
    """Keeps samples of counts and of what waits, from one look at the metrics to the next.

    Any thread may use it.

    >>> drains = DrainTimes()
    >>> drains.by_shrinking("events", waiting=100, now_s=10), drains.by_shrinking("events", 80, now_s=20)
    (None, 40.0)
    """

    def __init__(self) -> None:
        self._samples: dict[Hashable, deque[tuple[float, float]]] = {}
        self._in_use = threading.Lock()

    def by_shrinking(self, name: Hashable, waiting: float, now_s: float) -> float | None:
        """Return the seconds until nothing waits, if it goes on shrinking as it does.

        Returns:
            0 if nothing waits, infinity while it does not shrink, None at the first look.
        """
        return _drain_s(waiting, self._per_s(("waiting", name), -waiting, now_s))

    def by_finishing(self, name: Hashable, waiting: float, finished: float, now_s: float) -> float | None:
        """Return the seconds until what waits now is finished, at the rate of the last minute.

        Args:
            name: whose.
            waiting: how many wait now.
            finished: how many were finished since the start.
            now_s: a monotonic clock.

        Returns:
            As `by_shrinking`; infinity while nothing is finished.
        """
        return _drain_s(waiting, self._per_s(("finished", name), finished, now_s))

    def _per_s(self, name: Hashable, value: float, now_s: float) -> float | None:
        """Note a sample, and return how fast the value grew since the oldest one; None without one."""
        with self._in_use:
            samples = self._samples.setdefault(name, deque())
            while len(samples) > 1 and samples[1][0] <= now_s - SPAN_S:
                samples.popleft()
            if not samples or now_s - samples[-1][0] >= _SHORTEST_S:
                samples.append((now_s, value))
            first_s, first = samples[0]
        return (value - first) / (now_s - first_s) if now_s - first_s >= _SHORTEST_S else None


def _drain_s(waiting: float, per_s: float | None) -> float | None:
    if not waiting:
        return 0.0
    if per_s is None:
        return None
    return waiting / per_s if per_s > 0 else math.inf

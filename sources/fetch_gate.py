"""Pauses all partitions of a topic at once, and resumes them one by one."""

from collections import deque
from collections.abc import Iterable


class FetchGate:
    """Knows which partitions of one topic are fetched (open) and which are paused (closed).

    librdkafka throws away what it has fetched of a partition when that is paused. So a topic that is held
    back is fetched one partition at a time, in turn. More open only if one does not fill the topic's queue.

    Args:
        partitions: partitions of the topic.
        closed: whether all begin closed, as those of topics that get spare time only.
        interval_s: time between two openings: one or two fetches, so that each can fill the queue.
    """

    def __init__(self, partitions: Iterable[int], *, closed: bool, interval_s: float = 0.025) -> None:
        self._open: deque[int] = deque()
        self._closed: deque[int] = deque()
        self._interval_s = interval_s
        self._next_s = 0.0
        (self._closed if closed else self._open).extend(partitions)

    @property
    def closed(self) -> frozenset[int]:
        """Return the partitions that are not fetched now."""
        return frozenset(self._closed)

    def close(self) -> list[int]:
        """Close all; return those that were open. The one opened last is the last to be opened again."""
        closing = list(self._open)
        self._closed.extend(closing)
        self._open.clear()
        return closing

    def open_next(self, now_s: float) -> list[int]:
        """Open one more partition if the interval has passed; return it in a list, or an empty list."""
        if not self._closed or now_s < self._next_s:
            return []
        self._next_s = now_s + self._interval_s
        partition = self._closed.popleft()
        self._open.append(partition)
        return [partition]

    def remove(self, partition: int) -> None:
        """Take a partition out for good."""
        for side in (self._open, self._closed):
            if partition in side:
                side.remove(partition)

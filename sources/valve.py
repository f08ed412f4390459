"""Which partitions of a topic are read: all at once closed, one by one opened."""

from collections import deque
from collections.abc import Iterable


class Valve:
    """The partitions of one topic, open or closed.

    What librdkafka has fetched of a partition is thrown away when it is paused, so a topic that is held back
    is read one partition at a time, in turn; only if that does not fill its queue are more opened.

    Args:
        partitions: of the topic.
        closed: begin closed; for topics that only get spare time.
        interval_s: time between two openings: a fetch or two, so that each can fill the queue.
    """

    def __init__(self, partitions: Iterable[int], *, closed: bool, interval_s: float = 0.025) -> None:
        self._open: deque[int] = deque()
        self._closed: deque[int] = deque()
        self._interval_s = interval_s
        self._next_s = 0.0
        (self._closed if closed else self._open).extend(partitions)

    @property
    def closed(self) -> frozenset[int]:
        """Partitions that are not read now."""
        return frozenset(self._closed)

    def close(self) -> list[int]:
        """Close all; return those that were open. The one opened last is the last to be opened again."""
        closing = list(self._open)
        self._closed.extend(closing)
        self._open.clear()
        return closing

    def open_next(self, now_s: float) -> list[int]:
        """Open one more, if the one before had its time; return it."""
        if not self._closed or now_s < self._next_s:
            return []
        self._next_s = now_s + self._interval_s
        partition = self._closed.popleft()
        self._open.append(partition)
        return [partition]

    def remove(self, partition: int) -> None:
        """Take a partition out for good."""
        for line in (self._open, self._closed):
            if partition in line:
                line.remove(partition)

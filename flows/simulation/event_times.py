"""Tells how far the events' own time had come when Kafka had a record, under the stream clock."""

from bisect import bisect_right
from typing import Final

_MOST: Final = 100_000


class EventTimes:
    """The greatest event time of a partition by Kafka's time.

    >>> times = EventTimes()
    >>> times.note(10, 700); times.note(20, 600); times.note(30, 900)
    >>> times.by(25), times.by(30), times.by(5)
    (700, 900, 0)
    """

    def __init__(self) -> None:
        self._read_ms: list[int] = []
        self._time_ms: list[int] = []

    def note(self, read_ms: int, time_ms: int) -> None:
        """Take an event; one topic's come in Kafka's order."""
        if not self._read_ms or read_ms >= self._read_ms[-1]:
            greatest = max(time_ms, self._time_ms[-1] if self._time_ms else 0)
            self._read_ms.append(read_ms)
            self._time_ms.append(greatest)
        if len(self._read_ms) > _MOST:
            del self._read_ms[: _MOST // 2], self._time_ms[: _MOST // 2]

    def by(self, read_ms: int) -> int:
        """Return the greatest time of the events that Kafka had by then; 0 if it had none."""
        at = bisect_right(self._read_ms, read_ms)
        return self._time_ms[at - 1] if at else 0

"""Time between records: until when timers may fire (law 2)."""

from collections.abc import Callable
from datetime import datetime
from typing import Protocol


class _Clocks(Protocol):
    def stable(self, partition: int) -> int: ...


class _Shard(Protocol):
    @property
    def in_gap(self) -> bool: ...


class FlowTiming:
    """Tells until when timers may fire between records.

    That is the wall clock if every gate input of the partition is read to its end, else the partition's time
    at the end of the last durable epoch. Under the stream clock it is always the latter: no timer may fire
    before events that are still queued.

    Args:
        shard: tells whether an epoch has ended and is not durable yet.
        clocks: times of the partitions.
        caught_up: tells whether a partition is read to its end.
        utc_now: the wall clock.
        stream: whether only the events' own time counts.
    """

    def __init__(
        self,
        shard: _Shard,
        clocks: _Clocks,
        caught_up: Callable[[int], bool],
        utc_now: Callable[[], datetime],
        *,
        stream: bool,
    ) -> None:
        self._shard = shard
        self._clocks = clocks
        self._caught_up = caught_up
        self._stream = stream
        self.utc_now = utc_now

    def fire_until(self, partition: int) -> int:
        """Return the time (ms since 1970 UTC) until which timers of a partition may fire without a record."""
        if self._stream or not self._caught_up(partition):
            return self._clocks.stable(partition)
        return int(self.utc_now().timestamp() * 1000)

    def in_gap(self) -> bool:
        """Tell whether an epoch has ended and is not durable yet."""
        return self._shard.in_gap

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
    """Timers fire by the time of the last durable epoch, or by the wall where a partition is read to its end.

    Under the stream clock only the former holds: a lane may not run ahead of events that are still queued.
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
        """Timers due by this time (ms) may fire although no record came."""
        if self._stream or not self._caught_up(partition):
            return self._clocks.stable(partition)
        return int(self.utc_now().timestamp() * 1000)

    def in_gap(self) -> bool:
        """Whether an epoch has ended and is not durable yet."""
        return self._shard.in_gap

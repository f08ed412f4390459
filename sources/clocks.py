"""The time of each partition: monotone, moved by what is decoded, restored on resume."""


class PartitionClocks:
    """One plain object shared by source, decode and lanes of a process; milliseconds since 1970.

    A clock never runs backwards, not over a restart either: the source keeps `state()` with its offsets.
    """

    def __init__(self) -> None:
        self._now: dict[int, int] = {}
        self._closing: dict[int, int] = {}
        self._stable: dict[int, int] = {}

    def advance(self, partition: int, ms: int) -> int:
        """Move a partition's time forward to `ms`, never back; return it."""
        now = self._now.get(partition, 0)
        if ms > now:
            self._now[partition] = ms
            return ms
        return now

    def now(self, partition: int) -> int:
        """Return a partition's time, 0 before its first record."""
        return self._now.get(partition, 0)

    def stable(self, partition: int) -> int:
        """Return its time as of the last durable epoch: what a crash cannot take back."""
        return self._stable.get(partition, 0)

    def closing(self) -> dict[int, int]:
        """Remember the present times as those of the epoch that ends, and return them for the snapshot."""
        self._closing = dict(self._now)
        return self._closing

    def durable(self) -> None:
        """The epoch that ended is durable, and so are its times."""
        self._stable = self._closing

    def restore(self, times: dict[int, int]) -> None:
        """Take over the times of a resume state; they are durable."""
        for partition, ms in times.items():
            self.advance(partition, ms)
        self._stable = dict(self._now)

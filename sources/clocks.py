"""Keeps the clocks of partitions: monotone, moved by decoded records, restored on resume."""


class PartitionClocks:
    """Keeps the time of each partition in ms since 1970 UTC, shared by source, decoder and gate of a process.

    A clock never runs backwards, not even over a restart: the source stores the times with its offsets.
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
        """Return a partition's time at the end of the last durable epoch; a crash cannot take it back."""
        return self._stable.get(partition, 0)

    def closing(self) -> dict[int, int]:
        """Keep the present times as those of the ending epoch, and return them for the snapshot."""
        self._closing = dict(self._now)
        return self._closing

    def durable(self) -> None:
        """Note that the ended epoch is durable: its times are stable now."""
        self._stable = self._closing

    def restore(self, times: dict[int, int]) -> None:
        """Take over the times of a resume state, as stable ones."""
        for partition, ms in times.items():
            self.advance(partition, ms)
        self._stable = dict(self._now)

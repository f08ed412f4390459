"""How far an endpoint is in each partition of the outcomes: everything before its position is finished."""

from collections.abc import Mapping


class Progress:
    """Counts offsets that are taken and finished.

    The position of a partition is the first offset that is not finished. After a crash reports are posted
    again from there: at least once.

    >>> progress = Progress({0: 5})
    >>> progress.take(0, 5); progress.take(0, 6); progress.finish(0, 6)
    >>> progress.position(0), progress.next(0)
    (5, 7)
    >>> progress.finish(0, 5); progress.position(0)
    7
    """

    def __init__(self, positions: Mapping[int, int]) -> None:
        self._next = dict(positions)
        self._open: dict[int, dict[int, None]] = {partition: {} for partition in positions}

    def next(self, partition: int) -> int:
        """Return the next offset to read."""
        return self._next[partition]

    def take(self, partition: int, offset: int) -> None:
        """Note that an offset was read, and a report of it waits."""
        self._next[partition] = offset + 1
        self._open[partition][offset] = None

    def skip(self, partition: int, offset: int) -> None:
        """Note that there is nothing to report up to an offset, itself included."""
        self._next[partition] = max(self._next[partition], offset + 1)

    def finish(self, partition: int, offset: int) -> None:
        """Note that a report is done."""
        del self._open[partition][offset]

    def position(self, partition: int) -> int:
        """Return the first offset that is not finished: offsets are taken in order, so it is the oldest."""
        return next(iter(self._open[partition]), self._next[partition])

    def positions(self) -> dict[int, int]:
        """Return the position of each partition."""
        return {partition: self.position(partition) for partition in self._next}

    @property
    def waiting(self) -> int:
        """Count the reports that wait."""
        return sum(map(len, self._open.values()))

"""Tracks the position up to which all records of a topic are finished; they finish in any order."""

from collections import deque


class _PendingOffsets:
    """Offsets of one topic partition that were read and are not finished, in order."""

    __slots__ = ("finished", "next", "reads")

    def __init__(self) -> None:
        self.reads: deque[int] = deque()
        self.finished: set[int] = set()
        self.next = -1


class AckTracker:
    """Tracks the offset below which every record that was read is also finished.

    That offset goes into the snapshot. After a crash every unfinished record is read again, so none is lost;
    only records finished out of order come twice. Each call costs amortised O(1). Not thread-safe.

    >>> acks = AckTracker()
    >>> for offset in (7, 8, 9): acks.read("outcomes", 0, offset)
    >>> acks.done("outcomes", 0, 8); acks.low("outcomes", 0)
    7
    >>> acks.done("outcomes", 0, 7); acks.low("outcomes", 0)
    9
    """

    def __init__(self) -> None:
        self._pending: dict[tuple[str, int], _PendingOffsets] = {}

    def read(self, topic: str, partition: int, offset: int) -> None:
        """Note that a record was handed out.

        Raises:
            ValueError: the offset is below one that was read before.
        """
        pending = self._pending.get((topic, partition))
        if pending is None:
            pending = self._pending[topic, partition] = _PendingOffsets()
        if offset < pending.next:
            msg = f"{topic}/{partition}: offset {offset} was read after {pending.next - 1}"
            raise ValueError(msg)
        pending.reads.append(offset)
        pending.next = offset + 1

    def done(self, topic: str, partition: int, offset: int) -> None:
        """Note that a record is finished; noting it twice changes nothing.

        Raises:
            ValueError: the record was never read here, so its reader would not finish it.
        """
        pending = self._pending.get((topic, partition))
        if pending is None or offset >= pending.next:
            msg = f"{topic}/{partition}: offset {offset} is finished but was never read"
            raise ValueError(msg)
        reads, finished = pending.reads, pending.finished
        if not reads or offset < reads[0]:
            return
        finished.add(offset)
        while reads and reads[0] in finished:
            finished.remove(reads.popleft())

    def low(self, topic: str, partition: int) -> int | None:
        """Return the oldest unfinished offset, else the next to read; None if no record was read."""
        pending = self._pending.get((topic, partition))
        if pending is None:
            return None
        return pending.reads[0] if pending.reads else pending.next

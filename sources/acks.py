"""Low-water marks for inputs that are finished later than they are read, and in any order."""

from collections import deque


class _Line:
    """Outstanding offsets of one topic partition, in the order they were read."""

    __slots__ = ("finished", "next", "reads")

    def __init__(self) -> None:
        self.reads: deque[int] = deque()
        self.finished: set[int] = set()
        self.next = -1


class AckTracker:
    """Knows the offset below which every record that was read is also finished.

    That offset goes into the snapshot: what is not finished at a crash is read again, so nothing is lost
    and only what was finished out of order comes twice. O(1) per call, amortised; one thread.

    >>> acks = AckTracker()
    >>> for offset in (7, 8, 9): acks.read("outcomes", 0, offset)
    >>> acks.done("outcomes", 0, 8); acks.low("outcomes", 0)
    7
    >>> acks.done("outcomes", 0, 7); acks.low("outcomes", 0)
    9
    """

    def __init__(self) -> None:
        self._lines: dict[tuple[str, int], _Line] = {}

    def read(self, topic: str, partition: int, offset: int) -> None:
        """Note that a record is handed out; offsets of a partition must grow."""
        line = self._lines.get((topic, partition))
        if line is None:
            line = self._lines[topic, partition] = _Line()
        if offset < line.next:
            msg = f"{topic}/{partition}: offset {offset} was read after {line.next - 1}"
            raise ValueError(msg)
        line.reads.append(offset)
        line.next = offset + 1

    def done(self, topic: str, partition: int, offset: int) -> None:
        """Note that a record is finished; a second time changes nothing.

        Raises:
            ValueError: it was never read here: finishing it would hide that someone else must.
        """
        line = self._lines.get((topic, partition))
        if line is None or offset >= line.next:
            msg = f"{topic}/{partition}: offset {offset} is finished but was never read"
            raise ValueError(msg)
        reads, finished = line.reads, line.finished
        if not reads or offset < reads[0]:
            return
        finished.add(offset)
        while reads and reads[0] in finished:
            finished.remove(reads.popleft())

    def low(self, topic: str, partition: int) -> int | None:
        """Return the oldest unfinished offset, else the next to read; None if nothing was read."""
        line = self._lines.get((topic, partition))
        if line is None:
            return None
        return line.reads[0] if line.reads else line.next

    def outstanding(self, topic: str) -> int:
        """Count what is read and not finished, counting records finished out of order as outstanding."""
        return sum(len(line.reads) for (name, _), line in self._lines.items() if name == topic)

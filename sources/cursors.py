"""Keeps the position of reading in one topic partition."""


class PartitionCursor:
    """Tracks one topic partition: what is handed out, what has arrived, where the partition ends.

    Attributes:
        position: next offset to hand out; `OFFSET_BEGINNING` (-2) before the first record.
        arrived: last offset that librdkafka delivered, -1 for none.
        end: end of the partition when librdkafka last reached it, -1 if it never did.
    """

    __slots__ = ("arrived", "end", "position")

    def __init__(self, start: int) -> None:
        self.position = start
        self.arrived = -1
        self.end = -1

    def at_end(self) -> bool:
        """Tell whether every record up to the last known end is handed out."""
        return self.end > self.arrived and (self.arrived < 0 or self.position > self.arrived)

    def peek(self) -> int:
        """Return the next offset to read. At the end that is the end itself, which may follow a hole.

        Changes nothing, so another thread may call it.
        """
        return max(self.end, self.position) if self.at_end() else self.position

    def next(self) -> int:
        """Return the next offset to read, and never a lower one after that."""
        self.position = self.peek()
        return self.position

    def forget_end(self) -> None:
        """Forget the known end: the partition is paused for now and may grow."""
        self.next()
        self.end = -1

"""Where the reading of one topic partition is."""


class Line:
    """One topic partition.

    Attributes:
        position: next offset to hand out; BEGINNING (-2) before the first record.
        arrived: last offset that librdkafka gave us, -1 for none.
        end: where the partition ended when librdkafka last reached its end, -1 if it never did.
    """

    __slots__ = ("arrived", "end", "position")

    def __init__(self, start: int) -> None:
        self.position = start
        self.arrived = -1
        self.end = -1

    def at_end(self) -> bool:
        """Tell whether all that is there, as far as known, is handed out."""
        return self.end > self.arrived and (self.arrived < 0 or self.position > self.arrived)

    def peek(self) -> int:
        """Return the next offset to read; at the end that is the end itself, which may follow a hole.

        Changes nothing, so another thread may ask.
        """
        return max(self.end, self.position) if self.at_end() else self.position

    def next(self) -> int:
        """Return the next offset to read, and never a lower one after that."""
        self.position = self.peek()
        return self.position

    def forget_end(self) -> None:
        """Stop relying on the end: the partition is not read for now, and may grow."""
        self.next()
        self.end = -1

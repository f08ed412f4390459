"""The range of an audit, and its windows: each event belongs to one, and so does all that came of it.

An event's window is that of its time in Kafka. Windows of one partition follow one another by offset: an
event whose time is earlier than that of one before it belongs to the window of that one. So the origin alone
tells the window of an outcome, however late it comes.
"""

from bisect import bisect_right
from typing import Final

NEVER: Final = 2**62


class Windows:
    """Assigns origins to windows, which are named by their start in ms.

    Args:
        since_ms: start of the range.
        until_ms: its end, which is not part of it.
        size_ms: length of a window; 0 for one window that is the whole range.
    """

    def __init__(self, since_ms: int = 0, until_ms: int = NEVER, size_ms: int = 0) -> None:
        self.since_ms = since_ms
        self.until_ms = until_ms
        self.size_ms = size_ms
        self._firsts: dict[str, tuple[list[int], list[int | None]]] = {}

    @property
    def is_whole(self) -> bool:
        """Tell whether the range has neither start nor end."""
        return not self.since_ms and self.until_ms == NEVER

    def at(self, ms: int) -> int | None:
        """Return the window of a time; None if it is out of the range."""
        if not (self.since_ms or -NEVER) <= ms < self.until_ms:
            return None
        return ms - (ms - self.since_ms) % self.size_ms if self.size_ms else self.since_ms

    def enter(self, place: str, offset: int, ms: int) -> int | None:
        """Enter an event of a topic's partition, `topic/partition`, in the order of offsets; its window."""
        offsets, found = self._firsts.setdefault(place, ([], []))
        window = self.at(ms)
        if not offsets or _is_later(window, found[-1], ms, self.until_ms):
            offsets.append(offset)
            found.append(window)
        return found[-1]

    def of(self, origin: str, ms: int) -> int | None:
        """Return the window of what came of an origin; by its own time where no such event was entered.

        >>> windows = Windows(size_ms=10)
        >>> windows.enter("events/0", 5, 21), windows.of("events/0/7", 99), windows.of("gone/0/7", 99)
        (20, 20, 90)
        """
        place, _, offset = origin.rpartition("/")
        known = self._firsts.get(place)
        if known is None or not offset.lstrip("-").isdigit():
            return self.at(ms)
        number = bisect_right(known[0], int(offset)) - 1
        if number >= 0:
            return known[1][number]
        # The event is before the range, or Kafka has deleted it.
        return self.at(ms) if self.is_whole else None


def _is_later(window: int | None, last: int | None, ms: int, until_ms: int) -> bool:
    """Tell whether an event begins another window: a later one, or the time behind the range."""
    if window is None:
        return last is not None and ms >= until_ms
    return last is None or window > last

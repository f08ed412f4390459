"""Whose turn it is among users who wait: urgent ones first, then old and new ones in turns. Pure.

After an outage old messages are many. If the oldest always went first, a new message would wait for all of
them; if the newest did, an old one might wait for ever. So the turns go round: the user who waits longest,
the user who came last, and a user who was served and has more.
"""

from collections import OrderedDict
from enum import Enum
from typing import Generic, TypeVar

T = TypeVar("T")


class Place(Enum):
    """Where a user stands."""

    URGENT = "urgent"
    LAST = "last"
    """Behind those who wait."""
    FIRST = "first"
    """Before those who wait: it had its turn, and could not use it."""
    SERVED = "served"
    """It was served and has more: so a user with a long queue does not count as the newest each time."""


class Turns(Generic[T]):
    """Users who wait, by name. Every call is O(1).

    >>> turns = Turns[int]()
    >>> for number, user in enumerate("abcd"):
    ...     turns.add(user, number, Place.LAST)
    >>> turns.add("u", 9, Place.URGENT)
    >>> [turns.pop() for _ in range(5)]
    [9, 0, 3, 1, 2]
    """

    def __init__(self) -> None:
        self._urgent: OrderedDict[str, T] = OrderedDict()
        self._waiting: OrderedDict[str, T] = OrderedDict()
        self._served: OrderedDict[str, T] = OrderedDict()
        self._turn = 0
        self._newest = True

    def __len__(self) -> int:
        return len(self._urgent) + len(self._waiting) + len(self._served)

    @property
    def urgent(self) -> bool:
        """Whether somebody with something urgent waits."""
        return bool(self._urgent)

    def add(self, user: str, item: T, place: Place) -> None:
        """Let a user wait who does not yet."""
        if place is Place.URGENT:
            self._urgent[user] = item
        elif place is Place.SERVED:
            self._served[user] = item
        else:
            self._waiting[user] = item
            if place is Place.FIRST:
                self._waiting.move_to_end(user, last=False)

    def remove(self, user: str) -> None:
        """Take a user out."""
        for group in (self._urgent, self._waiting, self._served):
            group.pop(user, None)

    def pop(self) -> T:
        """Take the next one out.

        Raises:
            KeyError: nobody waits.
        """
        if self._urgent:
            return self._urgent.popitem(last=False)[1]
        self._turn = (self._turn + 1) % 3
        if self._served and (self._turn == 0 or not self._waiting):
            return self._served.popitem(last=False)[1]
        self._newest = not self._newest
        return self._waiting.popitem(last=self._newest)[1]

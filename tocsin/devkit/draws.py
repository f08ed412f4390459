"""Draws numbers that look random but are the same every time: each is a hash of its purpose."""

from collections.abc import Sequence
from hashlib import blake2b
from typing import TypeVar

T = TypeVar("T")


class Draws:
    """Draws for one thing, named by fields: the same fields give the same draws, on every machine.

    One hash of 512 bits is taken apart in mixed radix, enough for some 40 draws of 4,000 values each.

    >>> Draws(7, "passenger", 1).below(10) == Draws(7, "passenger", 1).below(10)
    True
    """

    __slots__ = ("_bits",)

    def __init__(self, *fields: int | str) -> None:
        name = "\x1f".join(map(str, fields))
        self._bits = int.from_bytes(blake2b(name.encode()).digest(), "big")

    def below(self, bound: int) -> int:
        """Draw from 0 to bound - 1."""
        self._bits, drawn = divmod(self._bits, bound)
        return drawn

    def between(self, low: int, high: int) -> int:
        """Draw from low to high, both included."""
        return low + self.below(high - low + 1)

    def chance(self, percent: float) -> bool:
        """Draw true in so many of a hundred; resolution 0.01."""
        return self.below(10_000) < percent * 100

    def pick(self, values: Sequence[T]) -> T:
        """Draw one of some values."""
        return values[self.below(len(values))]

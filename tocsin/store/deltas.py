"""What one epoch changed in a lane: the row Bytewax stores, and what is applied to the base."""

from collections.abc import Callable
from typing import Any, Generic, NamedTuple, TypeAlias, TypeVar

from tocsin.errors import StateError

FORMAT = 1
"""Format of rows and of the base. A change needs a migration and new golden stores."""

Row: TypeAlias = tuple[Any, ...]
"""A stored row: plain tuples, ints, strs and bytes, so that unpickling needs no code of ours."""

Delta: TypeAlias = Row
"""The row of a lane: its `Changes`."""

Key = TypeVar("Key", str, bytes)
Value = TypeVar("Value")


class Changes(NamedTuple):
    """The changes of one lane that the base may not have yet.

    Values are the very bytes the base will hold; None deletes. Applying a delta twice changes nothing.

    Attributes:
        format: `FORMAT` of the writer.
        lineage: names the base this row belongs to.
        epoch: number of the epoch that the row closes.
        records: (user, value) of each touched user.
        timers: (timer identity, held value) of each touched timer.
        held: timers the lane holds after this epoch.
        floor_ms: no timer of the lane is due earlier.
    """

    format: int
    lineage: str
    epoch: int
    records: tuple[tuple[str, bytes | None], ...] = ()
    timers: tuple[tuple[bytes, bytes | None], ...] = ()
    held: int = 0
    floor_ms: int = 0

    @property
    def empty(self) -> bool:
        """Whether the base would not change."""
        return not self.records and not self.timers


def check_row(row: Row, lineage: str) -> None:
    """Refuse a stored row of a newer format or of another base."""
    if row[0] != FORMAT:
        msg = (
            f"the recovery store holds rows of format {row[0]}, this release reads {FORMAT}: "
            "run the release that wrote it"
        )
        raise StateError(msg)
    if row[1] != lineage:
        msg = (
            "the recovery store belongs to another base: put back the base and the recovery store "
            "of one and the same shard, from one backup"
        )
        raise StateError(msg)


def changes_of(delta: Delta, lineage: str) -> Changes:
    """Read a lane's stored row, or raise `StateError` if it does not belong to the base `lineage`."""
    check_row(delta, lineage)
    return Changes(*delta)


class Unapplied(Generic[Key, Value]):
    """The changes that the base does not have yet, from first touch to confirmation.

    A change is *touched* until the next snapshot, *cut* until an epoch is known to be durable, *in flight*
    until it is applied; only then may it be forgotten. A snapshot carries all that is cut, not only what is
    new: a stored row replaces the one before it, and not every row is followed by news that it is durable.

    Attributes:
        live: newest value of each change; None stands for deleted.
    """

    def __init__(self) -> None:
        self.live: dict[Key, Value | None] = {}
        self._touched: dict[Key, None] = {}
        self._cut: dict[Key, bytes | None] = {}
        self._flight: dict[Key, bytes | None] = {}

    def set(self, key: Key, value: Value | None) -> None:
        """Note the newest value of `key`."""
        self.live[key] = value
        self._touched[key] = None

    def adopt(self, key: Key, value: Value | None, stored: bytes | None) -> None:
        """Take over a change from a stored row: cut, never applied."""
        self.live[key] = value
        self._cut[key] = stored

    def cut(self, encode: Callable[[Value], bytes]) -> tuple[tuple[Key, bytes | None], ...]:
        """Encode what was touched, once, and return all that is cut."""
        live, cut = self.live, self._cut
        for key in self._touched:
            value = live[key]
            cut[key] = None if value is None else encode(value)
        self._touched.clear()
        return tuple(cut.items())

    def take(self) -> None:
        """Put in flight what is cut. What was in flight must be settled."""
        self._flight, self._cut = self._cut, {}

    def settle(self) -> list[tuple[Key, Value | None]]:
        """Forget what was in flight, now that the base has it; return what left."""
        flight, self._flight = self._flight, {}
        return [
            (key, self.live.pop(key)) for key in flight if key not in self._touched and key not in self._cut
        ]

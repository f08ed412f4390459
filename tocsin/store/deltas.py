"""What one epoch changed in a key group: the row Bytewax stores, and what is applied to the base."""

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any, Final, Generic, NamedTuple, TypeAlias, TypeVar

import msgspec

from tocsin.errors import StateError
from tocsin.store.compression import compressed, expanded

FORMAT: Final = 1
"""Format of the base. A change needs a migration and new golden stores."""
ROW_FORMAT: Final = 4
"""Format of large rows of key groups. Format 1 held tuples of changes."""
PLAIN_FORMAT: Final = 3
"""Format of small rows: packed bytes, as they are."""
_READABLE: Final = (1, PLAIN_FORMAT, ROW_FORMAT)
_LARGE: Final = 32_768
"""Bytes from which a row is compressed. Records repeat little: LZ4 leaves half, and takes as long as SQLite
for the other half. Each call clears a table of 16 KB first, which small rows do not pay back."""

Row: TypeAlias = tuple[Any, ...]
"""A stored row: plain tuples, ints, strs and bytes, so that unpickling needs no code of ours."""

Delta: TypeAlias = Row
"""The row of a key group: format, lineage, epoch, and its packed `Changes`."""

Key = TypeVar("Key", str, bytes)


class Changes(NamedTuple):
    """The changes of one key group that the base may not have yet.

    Values are the very bytes the base will hold; None deletes. Applying a delta twice changes nothing.

    Attributes:
        lineage: names the base this row belongs to.
        epoch: number of the epoch that the row closes.
        records: (user, value) of each touched user.
        timers: (timer identity, held value) of each touched timer.
        held: timers the key group holds after this epoch.
        floor_ms: no timer of the key group is due earlier.
        queued: where the base has the row of a timer in order of due times before this epoch: its due bytes,
            or none. Those that are here are applied without a look at what the base has. No stored row holds
            them: one that is applied after a crash looks at each.
    """

    lineage: str
    epoch: int
    records: tuple[tuple[str, bytes | None], ...] = ()
    timers: tuple[tuple[bytes, bytes | None], ...] = ()
    held: int = 0
    floor_ms: int = 0
    queued: Mapping[bytes, bytes] = MappingProxyType({})

    @property
    def empty(self) -> bool:
        """Whether the base would not change."""
        return not self.records and not self.timers


def check_row(row: Row, lineage: str, readable: Sequence[int]) -> None:
    """Refuse a stored row of a format that is not `readable`, or of another base."""
    if row[0] not in readable:
        msg = (
            f"the recovery store holds rows of format {row[0]}, this release reads {max(readable)}: "
            "run the release that wrote it"
        )
        raise StateError(msg)
    if row[1] != lineage:
        msg = (
            "the recovery store belongs to another base: put back the base and the recovery store "
            "of one and the same shard, from one backup"
        )
        raise StateError(msg)


_Packed: TypeAlias = tuple[
    tuple[tuple[str, bytes | None], ...], tuple[tuple[bytes, bytes | None], ...], int, int
]
_pack = msgspec.msgpack.Encoder().encode
_unpack = msgspec.msgpack.Decoder(_Packed).decode


def row_of(changes: Changes) -> Delta:
    """Build the row of a key group. Packed bytes are pickled in no time, and two tuples a user are not."""
    packed = _pack((changes.records, changes.timers, changes.held, changes.floor_ms))
    if len(packed) < _LARGE:
        return (PLAIN_FORMAT, changes.lineage, changes.epoch, packed)
    return (ROW_FORMAT, changes.lineage, changes.epoch, compressed(packed))


def changes_of(delta: Delta, lineage: str) -> Changes:
    """Read a key group's stored row, or raise `StateError` if it does not belong to the base `lineage`."""
    check_row(delta, lineage, _READABLE)
    number, _, epoch, *stored = delta
    if number != 1:
        stored = list(_unpack(stored[0] if number < ROW_FORMAT else expanded(stored[0])))
    return Changes(lineage, epoch, *stored)


class Missing:
    """Stands for "not changed", where None stands for "deleted"."""


MISSING = Missing()


class Unapplied(Generic[Key]):
    """The changes that the base does not have yet, encoded, from first touch to confirmation.

    A change is *touched* until the next snapshot, *snapshotted* until its epoch is known to be durable, and
    *in flight* until it is applied. Only then is it forgotten. A stored row replaces the one before it, and
    an epoch may close without the news that it is durable. So a row holds all that was snapshotted since,
    not only what is new. Each state is a dict of its own: an epoch moves on without a look at its changes.
    """

    def __init__(self) -> None:
        self._touched: dict[Key, bytes | None] = {}
        self._snapshotted: dict[Key, bytes | None] = {}
        self._in_flight: dict[Key, bytes | None] = {}

    def set(self, key: Key, value: bytes | None) -> None:
        """Note the newest value of `key`; None deletes it."""
        self._touched[key] = value

    def adopt(self, key: Key, value: bytes | None) -> None:
        """Take over a change from a stored row: snapshotted, never applied."""
        self._snapshotted[key] = value

    def get(self, key: Key) -> bytes | Missing | None:
        """Return the newest value of `key`, None if it is deleted, `MISSING` if it is not changed."""
        for changes in (self._touched, self._snapshotted, self._in_flight):
            if key in changes:
                return changes[key]
        return MISSING

    def newest(self) -> dict[Key, bytes | None]:
        """Return every change with its newest value."""
        return {**self._in_flight, **self._snapshotted, **self._touched}

    def within(self, start: Key, end: Key) -> dict[Key, bytes | None]:
        """Return the changes from `start` to before `end` with their newest values."""
        found: dict[Key, bytes | None] = {}
        for changes in (self._in_flight, self._snapshotted, self._touched):
            found.update({key: value for key, value in changes.items() if start <= key < end})
        return found

    def snapshot(self) -> tuple[tuple[Key, bytes | None], ...]:
        """Return all changes that a stored row must hold."""
        if self._snapshotted:
            self._snapshotted.update(self._touched)
        else:
            self._snapshotted = self._touched
        self._touched = {}
        return tuple(self._snapshotted.items())

    def take(self) -> None:
        """Put in flight what is snapshotted. What was in flight must be settled."""
        self._in_flight, self._snapshotted = self._snapshotted, {}

    def settle(self) -> None:
        """Forget what was in flight: the base has it."""
        self._in_flight = {}


class UnappliedTimers(Unapplied[bytes]):
    """The changes of timers, and of which of them it is known what the base has."""

    def __init__(self) -> None:
        super().__init__()
        self._queued: dict[bytes, bytes] = {}
        self._snapshotted_queued: dict[bytes, bytes] = {}

    def set_new(self, identity: bytes, value: bytes) -> bool:
        """Note a timer that the base does not have; False if there is a change of it on its way there."""
        if identity in self._touched or identity in self._snapshotted or identity in self._in_flight:
            return False
        self._touched[identity] = value
        self._queued[identity] = b""
        return True

    def set_unqueued(self, identity: bytes, value: bytes | None) -> None:
        """Note the newest value of what has no row in order of due times, in the base or on its way there."""
        self._touched[identity] = value
        self._queued[identity] = b""

    def drop_queued(self, identity: bytes, due: bytes) -> None:
        """Drop a timer that the base has at these due bytes; no change of it may be on its way."""
        self._touched[identity] = None
        self._queued[identity] = due

    def snapshot(self) -> tuple[tuple[bytes, bytes | None], ...]:
        """Return all changes that a stored row must hold."""
        self._snapshotted_queued |= self._queued
        self._queued = {}
        return super().snapshot()

    def queued(self) -> dict[bytes, bytes]:
        """Return what is known of the base for the snapshotted changes: due bytes, or none without a row."""
        return self._snapshotted_queued

    def take(self) -> None:
        """Put in flight what is snapshotted."""
        self._snapshotted_queued = {}
        super().take()

"""Timers of one key group: only the near ones in memory, the others in the base in due order."""

import heapq
from typing import NamedTuple

from tocsin.errors import StateError
from tocsin.store.base import Base
from tocsin.store.deltas import Missing, UnappliedTimers
from tocsin.store.keys import (
    DUE_BYTES,
    NEVER,
    VERSION,
    GroupKeys,
    due_bytes,
    due_of,
    kept_identity,
    kept_value,
    opened,
    split_identity,
    timer_identity,
)

NEAR = 256
"""Timers of a key group read at once. At most twice as many are in memory, at some 300 B each."""

_END = b"\xff" * (DUE_BYTES + 1)
"""Behind every timer."""


class Timer(NamedTuple):
    """A timer that is due. `payload` is what was held."""

    due_ms: int
    user: str
    timer_id: str
    payload: bytes


class NearTimers:
    """All timers up to a horizon, in due order; those behind it are elsewhere.

    An entry is the timer's due bytes and identity, so that byte order is due order, as in the base. Entries
    that were cancelled stay in the heap until they surface; `_due` says which are alive.
    """

    def __init__(self, horizon: bytes, size: int) -> None:
        self.horizon = horizon
        self._size = size
        self._heap: list[bytes] = []
        self._due: dict[bytes, bytes] = {}

    def __len__(self) -> int:
        """Count the entries in memory, cancelled ones included."""
        return len(self._heap)

    def add(self, due: bytes, identity: bytes) -> None:
        """Take a timer, unless it is behind the horizon."""
        entry = due + identity
        if entry > self.horizon:
            self._due.pop(identity, None)
            return
        self._due[identity] = due
        heapq.heappush(self._heap, entry)
        if len(self._heap) > 2 * self._size:
            self._trim()

    def discard(self, identity: bytes) -> None:
        """Forget a timer, if it is here."""
        self._due.pop(identity, None)

    def head(self) -> bytes | None:
        """Show the earliest entry."""
        heap, due = self._heap, self._due
        while heap:
            entry = heap[0]
            if due.get(entry[DUE_BYTES:]) == entry[:DUE_BYTES]:
                return entry
            heapq.heappop(heap)
        return None

    def _trim(self) -> None:
        """Keep the earliest; the horizon moves down to the last one kept."""
        alive = sorted(due + identity for identity, due in self._due.items())
        if len(alive) > self._size:
            self.horizon = alive[self._size - 1]
        self._heap = alive[: self._size]
        self._due = {entry[DUE_BYTES:]: entry[:DUE_BYTES] for entry in self._heap}


class GroupTimers:
    """Holds, cancels and hands out a key group's timers, seeing changes that the base does not have yet.

    Args:
        base: where the others are.
        keys: of the key group.
        held: how many timers the key group holds.
        floor_ms: none is due earlier; the first read starts there, behind the tombstones of fired ones.
        near: how many to read at once.
    """

    def __init__(self, base: Base, keys: GroupKeys, held: int, floor_ms: int, near: int = NEAR) -> None:
        self._base = base
        self._keys = keys
        self.held = held
        self._size = near
        self._near = NearTimers(due_bytes(floor_ms) if held else _END, near)
        self.changes = UnappliedTimers()

    @property
    def in_memory(self) -> int:
        """How many timers are in memory; the others are in the base."""
        return len(self._near)

    def hold(self, user: str, timer_id: str, due_ms: int, payload: bytes, *, is_new: bool = False) -> None:
        """Set a timer; one of the same user and id is replaced, whenever it was due.

        Where the caller knows that there is none (`is_new`), the base is not read: a read takes 4 µs.
        """
        identity = timer_identity(user, timer_id)
        due = due_bytes(due_ms)
        value = VERSION + due + payload
        if is_new and self.changes.set_new(identity, value):
            self.held += 1
        else:
            self.held += self._value(identity) is None
            self.changes.set(identity, value)
        self._near.add(due, identity)

    def release(self, user: str, timer_id: str, due_ms: int) -> None:
        """Cancel the timer that is due at `due_ms`; one moved elsewhere meanwhile stays."""
        identity = timer_identity(user, timer_id)
        value = self._value(identity)
        if value is not None and due_of(value) == due_bytes(due_ms):
            self._drop(identity)

    def pop_due(self, now_ms: int) -> Timer | None:
        """Hand out the earliest timer due at `now_ms` or before, and drop it."""
        entry = self._head()
        if entry is None or entry[:DUE_BYTES] > due_bytes(now_ms):
            return None
        identity = entry[DUE_BYTES:]
        value = self._take(identity)
        if value is None:
            msg = (
                "a timer stands in the base without what it holds: restore the state directory from a backup"
            )
            raise StateError(msg)
        user, timer_id = split_identity(identity)
        return Timer(int.from_bytes(entry[:DUE_BYTES], "big"), user, timer_id, opened(value)[DUE_BYTES:])

    def pop(self, user: str, timer_id: str, due_ms: int) -> bytes | None:
        """Hand out what the timer that is due at `due_ms` holds, and drop it; None if there is none."""
        identity = timer_identity(user, timer_id)
        value = self._value(identity)
        if value is None or due_of(value) != due_bytes(due_ms):
            return None
        self._drop(identity)
        return opened(value)[DUE_BYTES:]

    def keep(self, user: str, timer_id: str, number: int, payload: bytes) -> None:
        """Keep something beside a timer. It is no timer: it is not counted, and never due."""
        self.changes.set_unqueued(kept_identity(user, timer_id, number), kept_value(payload))

    def take_kept(self, user: str, timer_id: str) -> list[bytes]:
        """Hand out what is kept beside a timer, in order from number 0 on, and drop it."""
        taken: list[bytes] = []
        while (value := self._value(identity := kept_identity(user, timer_id, len(taken)))) is not None:
            self.changes.set_unqueued(identity, None)
            taken.append(opened(value)[DUE_BYTES:])
        return taken

    def kept(self, user: str, timer_id: str, number: int) -> bytes | None:
        """Read one thing that is kept beside a timer; it stays."""
        value = self._value(kept_identity(user, timer_id, number))
        return None if value is None else opened(value)[DUE_BYTES:]

    def drop_kept(self, user: str, timer_id: str, number: int) -> None:
        """Drop one thing that is kept beside a timer."""
        self.changes.set_unqueued(kept_identity(user, timer_id, number), None)

    def next_due(self) -> int | None:
        """Tell when the earliest timer is due."""
        entry = self._head()
        return None if entry is None else int.from_bytes(entry[:DUE_BYTES], "big")

    def floor_ms(self) -> int:
        """Give a time before which nothing is due, without reading."""
        entry = self._near.head() or self._near.horizon
        return 0 if entry == _END else int.from_bytes(entry[:DUE_BYTES], "big")

    def _value(self, identity: bytes) -> bytes | None:
        value = self.changes.get(identity)
        return self._base.get(self._keys.held + identity) if isinstance(value, Missing) else value

    def _take(self, identity: bytes) -> bytes | None:
        """Read a timer and drop it. Applying that reads nothing where the base has just been read here."""
        value = self.changes.get(identity)
        if not isinstance(value, Missing):
            if value is not None:
                self._drop(identity)
            return value
        value = self._base.get(self._keys.held + identity)
        if value is not None:
            self.held -= 1
            self.changes.drop_queued(identity, due_of(value))
            self._near.discard(identity)
        return value

    def _drop(self, identity: bytes) -> None:
        self.held -= 1
        self.changes.set(identity, None)
        self._near.discard(identity)

    def _head(self) -> bytes | None:
        while (entry := self._near.head()) is None and self._near.horizon != _END:
            self._read_on()
        return entry

    def _read_on(self) -> None:
        """Move the horizon on by up to `near` timers of the base, as the unapplied changes leave them."""
        start = self._near.horizon
        found = self._base.timers_after(self._keys, start, self._size)
        near = NearTimers(found[-1] if len(found) == self._size else _END, self._size)
        changed = self.changes.newest()
        for entry in found:
            if entry[DUE_BYTES:] not in changed:
                near.add(entry[:DUE_BYTES], entry[DUE_BYTES:])
        for identity, value in changed.items():
            if value is not None and (due := due_of(value)) != NEVER and due + identity > start:
                near.add(due, identity)
        self._near = near

"""One lane: its users' records and timers, read through a cache, changed once per epoch."""

from collections import OrderedDict
from collections.abc import Iterator
from itertools import islice
from typing import Generic, Protocol, TypeVar

from tocsin.store.base import Base
from tocsin.store.deltas import FORMAT, Changes, Delta, Unapplied
from tocsin.store.epochs import EpochLog
from tocsin.store.keys import VERSION, lane_keys, opened
from tocsin.store.timers import LaneTimers, Timer

R = TypeVar("R")


class Codec(Protocol[R]):
    """Turns a record into bytes and back; the bytes carry the codec's own version, if it needs one."""

    def encode(self, record: R) -> bytes:
        """Encode one record."""
        ...

    def decode(self, data: bytes) -> R:
        """Decode one record."""
        ...


class Cache(Generic[R]):
    """The least recently used give way. Holds only records that the base has, so any may go."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._records: OrderedDict[str, R] = OrderedDict()

    def __len__(self) -> int:
        return len(self._records)

    def get(self, user: str) -> R | None:
        """Look up, and count as used."""
        record = self._records.get(user)
        if record is not None:
            self._records.move_to_end(user)
        return record

    def put(self, user: str, record: R) -> None:
        """Take in one record."""
        self._records[user] = record
        if len(self._records) > self._limit:
            self._records.popitem(last=False)

    def pop(self, user: str) -> None:
        """Forget one record."""
        self._records.pop(user, None)


class Lane(Generic[R]):
    """The state of the users whose key hashes to this lane. Made by `Shard.lane`.

    What is read is what was written last, whether or not it reached the base. After a crash it is what was
    written by the end of the last durable epoch. All methods belong to the worker's thread.
    """

    def __init__(
        self, key: str, *, base: Base, log: EpochLog, codec: Codec[R], cache: int, resume: Changes | None
    ) -> None:
        self.key = key
        self._base = base
        self._log = log
        self._codec = codec
        self._keys = lane_keys(key)
        self._cache: Cache[R] = Cache(cache)
        self._records: Unapplied[str, R] = Unapplied()
        held, floor_ms = (resume.held, resume.floor_ms) if resume else base.status(self._keys)
        self._timers = LaneTimers(base, self._keys, held, floor_ms)
        self._swept = ""
        if resume:
            self._adopt(resume)

    def _adopt(self, delta: Changes) -> None:
        """Take over a durable epoch that the base may lack: it goes into the next row and batch again."""
        for user, value in delta.records:
            record = None if value is None else self._codec.decode(opened(value))
            self._records.adopt(user, record, value)
        for identity, held in delta.timers:
            self._timers.changes.adopt(identity, held, held)
        self._cut = delta
        self._log.enlist(self)

    def get(self, user: str) -> R | None:
        """Read a user's record, or None. What is changed in place must be `put`."""
        live = self._records.live
        if user in live:
            return live[user]
        record = self._cache.get(user)
        if record is None:
            record = self._read(user)
            if record is not None:
                self._cache.put(user, record)
        return record

    def put(self, user: str, record: R | None) -> None:
        """Write a user's record; None erases it. The epoch's delta carries it."""
        self._cache.pop(user)
        self._records.set(user, record)

    def hold(self, user: str, timer_id: str, due_ms: int, payload: bytes) -> None:
        """Set a timer; the same (user, timer_id) is replaced, whenever it was due."""
        self._timers.hold(user, timer_id, due_ms, payload)

    def release(self, user: str, timer_id: str, due_ms: int) -> None:
        """Cancel a timer that is due at `due_ms`; one that has fired or moved is left alone."""
        self._timers.release(user, timer_id, due_ms)

    def pop_due(self, now_ms: int) -> Timer | None:
        """Hand out and drop the earliest timer due at `now_ms` or before.

        Never twice in a history that becomes durable. Fired after this lane's snapshot, it belongs to the
        next epoch, as do the records it leads to.
        """
        return self._timers.pop_due(now_ms)

    def pop(self, user: str, timer_id: str, due_ms: int) -> bytes | None:
        """Hand out and drop one timer out of turn, as `pop_due` does; None if none is due at `due_ms`."""
        return self._timers.pop(user, timer_id, due_ms)

    def next_due(self) -> int | None:
        """Tell when the earliest timer is due (ms), or None."""
        return self._timers.next_due()

    def held(self) -> int:
        """Count the timers."""
        return self._timers.held

    def sweep(self, limit: int) -> Iterator[tuple[str, R]]:
        """Iterate over the next `limit` users of the base, in key order, starting again after the last.

        For expiring what nobody touches: `put` while iterating is allowed.
        """
        start = self._keys.record + self._swept.encode() + (b"\0" if self._swept else b"")
        rows = list(islice(self._base.scan(start, self._keys.after_records), limit))
        users = [key[len(self._keys.record) :].decode() for key, _ in rows]
        self._swept = users[-1] if len(users) == limit else ""
        for user, (_, value) in zip(users, rows, strict=True):
            live = self._records.live
            record = live[user] if user in live else self._cache.get(user) or self._decode(value)
            if record is not None:
                yield user, record

    def snapshot(self) -> Delta:
        """Give Bytewax the row of the closing epoch: all changes the base may lack, each encoded once.

        Raises `StateError` outside the end of an epoch, where a row could replace the only copy of another.
        """
        self._log.expect_gap()
        self._cut = Changes(
            format=FORMAT,
            lineage=self._base.meta.lineage,
            epoch=self._log.number,
            records=self._records.cut(self._encode),
            timers=self._timers.changes.cut(bytes),
            held=self._timers.held,
            floor_ms=self._timers.floor_ms(),
        )
        self._log.enlist(self)
        return tuple(self._cut)

    def take(self) -> Changes:
        """Hand over what was snapshotted: its epoch is durable."""
        self._records.take()
        self._timers.changes.take()
        return self._cut

    def settle(self) -> None:
        """Learn that the base has what was taken: it may leave memory now."""
        for user, record in self._records.settle():
            if record is not None:
                self._cache.put(user, record)
        self._timers.changes.settle()

    def _read(self, user: str) -> R | None:
        value = self._base.get(self._keys.record + user.encode())
        return None if value is None else self._decode(value)

    def _decode(self, value: bytes) -> R:
        return self._codec.decode(opened(value))

    def _encode(self, record: R) -> bytes:
        return VERSION + self._codec.encode(record)

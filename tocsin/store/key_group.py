"""One key group: its users' records and timers, read through a cache, changed once per epoch."""

from collections.abc import Container, Iterator
from itertools import islice
from typing import Generic, Protocol, TypeVar

from tocsin.store.base import Base
from tocsin.store.deltas import Changes, Delta, Missing, Unapplied, row_of
from tocsin.store.epochs import EpochLog
from tocsin.store.keys import VERSION, group_keys, opened
from tocsin.store.timers import GroupTimers, Timer

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
    """Decoded records, so many at most; those read first give way first, some at a time."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._records: dict[str, R] = {}
        self.get = self._records.get

    def __len__(self) -> int:
        return len(self._records)

    def put(self, user: str, record: R) -> None:
        """Take in one record."""
        records = self._records
        records[user] = record
        if len(records) > self._limit:
            for oldest in list(islice(records, 1 + self._limit // 16)):
                del records[oldest]

    def pop(self, user: str) -> None:
        """Forget one record."""
        self._records.pop(user, None)


class KeyGroup(Generic[R]):
    """The state of the users whose key hashes to this key group. Made by `Shard.key_group`.

    What is read is what was written last, whether or not it reached the base. After a crash it is what was
    written by the end of the last durable epoch. All methods belong to the worker's thread.

    A record is encoded when it is put, so that the end of an epoch costs nothing a record. Until the base has
    it, its bytes stay among the changes, and so the cache may give up any record at any time.
    """

    def __init__(
        self, key: str, *, base: Base, log: EpochLog, codec: Codec[R], cache: int, resume: Changes | None
    ) -> None:
        self.key = key
        self._base = base
        self._log = log
        self._codec = codec
        self._keys = group_keys(key)
        self._cache: Cache[R] = Cache(cache)
        self._records: Unapplied[str] = Unapplied()
        held, floor_ms = (resume.held, resume.floor_ms) if resume else base.status(self._keys)
        self._timers = GroupTimers(base, self._keys, held, floor_ms)
        self._swept = ""
        if resume:
            self._adopt(resume)

    def _adopt(self, delta: Changes) -> None:
        """Take over a durable epoch that the base may lack: it goes into the next row and batch again."""
        for user, value in delta.records:
            self._records.adopt(user, value)
        for identity, held in delta.timers:
            self._timers.changes.adopt(identity, held)
        self._snapshotted = delta
        self._log.enlist(self)

    def get(self, user: str) -> R | None:
        """Read a user's record, or None. What is changed in place must be `put`."""
        record = self._cache.get(user)
        if record is None:
            value = self._value(user)
            if value is not None:
                record = self._codec.decode(opened(value))
                self._cache.put(user, record)
        return record

    def put(self, user: str, record: R | None) -> None:
        """Write a user's record as it is now; None erases it. The epoch's delta carries it.

        A record that is changed after it was put must be put again.
        """
        if record is None:
            self._cache.pop(user)
            self._records.set(user, None)
        else:
            if self._cache.get(user) is not record:
                self._cache.put(user, record)
            self._records.set(user, VERSION + self._codec.encode(record))

    def hold(self, user: str, timer_id: str, due_ms: int, payload: bytes, *, is_new: bool = False) -> None:
        """Set a timer; the same (user, timer_id) is replaced, whenever it was due.

        Args:
            user: whose.
            timer_id: names it among the user's.
            due_ms: when it is due.
            payload: what `pop_due` gives with it.
            is_new: the caller knows that no timer of this user and id is set. Then setting it reads nothing.
        """
        self._timers.hold(user, timer_id, due_ms, payload, is_new=is_new)

    def release(self, user: str, timer_id: str, due_ms: int) -> None:
        """Cancel a timer that is due at `due_ms`; one that has fired or moved is left alone."""
        self._timers.release(user, timer_id, due_ms)

    def pop_due(self, now_ms: int) -> Timer | None:
        """Hand out and drop the earliest timer due at `now_ms` or before.

        No timer fires twice in a history that becomes durable. If it fires after this key group's snapshot,
        it belongs to the next epoch, as do the records it leads to.
        """
        return self._timers.pop_due(now_ms)

    def pop(self, user: str, timer_id: str, due_ms: int) -> bytes | None:
        """Hand out and drop one timer out of turn, as `pop_due` does; None if none is due at `due_ms`."""
        return self._timers.pop(user, timer_id, due_ms)

    def keep(self, user: str, timer_id: str, number: int, payload: bytes) -> None:
        """Keep something beside a timer, at no more cost however much is kept there already.

        Numbers begin at 0 and have no gaps. A timer that fires or is released leaves what is kept beside it:
        `take_kept` drops it.
        """
        self._timers.keep(user, timer_id, number, payload)

    def take_kept(self, user: str, timer_id: str) -> list[bytes]:
        """Hand out what is kept beside a timer, in order, and drop it."""
        return self._timers.take_kept(user, timer_id)

    def kept(self, user: str, timer_id: str, number: int) -> bytes | None:
        """Read one thing that is kept beside a timer; it stays. The timer need not be there."""
        return self._timers.kept(user, timer_id, number)

    def drop_kept(self, user: str, timer_id: str, number: int) -> None:
        """Drop one thing that is kept beside a timer; the numbers of the others stay."""
        self._timers.drop_kept(user, timer_id, number)

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
        for user in users:
            record = self._cache.get(user)
            if record is None and (value := self._value(user)) is not None:
                record = self._codec.decode(opened(value))
            if record is not None:
                yield user, record

    def scan(self, start: str, end: str, limit: int) -> list[tuple[str, R]]:
        """Read up to `limit` records from `start` to before `end`, in key order, as they were written last.

        Costs a look at each change that the base does not have yet. Both ends must be of ASCII, or keys of
        records: the base orders keys by their UTF-8 bytes, which is the order of their characters.
        """
        changed = self._records.within(start, end)
        rows = self._base.scan(self._keys.record + start.encode(), self._keys.record + end.encode())
        found = [(key, value) for key, value in changed.items() if value is not None]
        found += islice(self._unchanged(rows, changed), limit)
        return [(key, self._codec.decode(opened(value))) for key, value in sorted(found)[:limit]]

    def _unchanged(
        self, rows: Iterator[tuple[bytes, bytes]], changed: Container[str]
    ) -> Iterator[tuple[str, bytes]]:
        cut = len(self._keys.record)
        for row, value in rows:
            if (key := row[cut:].decode()) not in changed:
                yield key, value

    def snapshot(self) -> Delta:
        """Give Bytewax the row of the closing epoch: all changes the base may lack.

        Raises `StateError` outside the end of an epoch, where a row could replace the only copy of another.
        """
        self._log.expect_gap()
        self._snapshotted = Changes(
            lineage=self._base.meta.lineage,
            epoch=self._log.number,
            records=self._records.snapshot(),
            timers=self._timers.changes.snapshot(),
            held=self._timers.held,
            floor_ms=self._timers.floor_ms(),
            queued=self._timers.changes.queued(),
        )
        self._log.enlist(self)
        return row_of(self._snapshotted)

    def take(self) -> Changes:
        """Hand over what was snapshotted: its epoch is durable."""
        self._records.take()
        self._timers.changes.take()
        return self._snapshotted

    def settle(self) -> None:
        """Learn that the base has what was taken: its bytes may leave memory now."""
        self._records.settle()
        self._timers.changes.settle()

    def _value(self, user: str) -> bytes | None:
        """Read the newest bytes of a user: among the changes, else in the base."""
        value = self._records.get(user)
        return self._base.get(self._keys.record + user.encode()) if isinstance(value, Missing) else value

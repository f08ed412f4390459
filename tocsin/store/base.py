"""The base: every record and timer of a shard as of its last applied epoch, in RocksDB."""

from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path

import msgspec
from rocksdict import DbClosedError, Rdict, ReadOptions, WriteBatch

from tocsin.errors import StateError
from tocsin.store.deltas import Changes
from tocsin.store.identity import Identity, Meta, check_identity, decode_meta, encode_meta, merged
from tocsin.store.keys import DUE_BYTES, META, NEVER, VERSION, GroupKeys, due_of, group_keys, opened
from tocsin.store.rocks import options, rocks_error, rocks_errors, synced

_IN_MEMORY = {
    "write_buffers": "rocksdb.size-all-mem-tables",
    "block_cache": "rocksdb.block-cache-usage",
    "indexes": "rocksdb.estimate-table-readers-mem",
}
"""Parts of the base in memory, and the property of RocksDB that measures each."""


class Base:
    """One open base. A batch is atomic and on disk when `apply` returns.

    Reads may run in another thread than `apply`; they see a batch whole or not at all.
    """

    def __init__(self, path: Path, identity: Identity) -> None:
        with rocks_errors("opened"):
            self._db = Rdict(str(path), options())
        self._is_refused = False
        try:
            self.meta = self._adopt(identity)
        except StateError:
            self._db.close()
            raise
        self._synced = synced()

    def _adopt(self, identity: Identity) -> Meta:
        with rocks_errors("read"):
            stored = self._db.get(META)
        if stored is None:
            msg = "the base has no record of its own: put back base and recovery store from one backup"
            raise StateError(msg)
        meta = decode_meta(stored)
        check_identity(meta.identity, identity)
        return msgspec.structs.replace(meta, identity=merged(meta.identity, identity))

    @staticmethod
    def create(path: Path, identity: Identity) -> None:
        """Make an empty base at `path`, which must not exist."""
        with rocks_errors("created"):
            db = Rdict(str(path), options(create=True))
            lineage = (path / "IDENTITY").read_text().strip()
            db.put(META, encode_meta(Meta(lineage=lineage, identity=identity)), synced())
            db.close()

    def get(self, key: bytes) -> bytes | None:
        """Read one value, version byte included."""
        try:
            value: bytes | None = self._db.get(key)
        except Exception as error:  # what rocksdict raises; a context manager would cost a quarter of a get
            raise rocks_error(error, "read") from error
        return value

    def scan(self, start: bytes, end: bytes) -> Iterator[tuple[bytes, bytes]]:
        """Iterate over keys and values in [start, end), as they were at the first step.

        Unlike `Rdict.items`, which ends quietly at a damaged block, it raises.
        """
        bounds = ReadOptions()
        bounds.set_iterate_upper_bound(end)
        with rocks_errors("read"):
            rows = self._db.iter(bounds)
            rows.seek(start)
            while rows.valid():
                yield rows.key(), rows.value()
                rows.next()
            rows.status()

    def timers_after(self, keys: GroupKeys, entry: bytes, limit: int) -> list[bytes]:
        """List up to `limit` timers of a key group after `entry`, as due bytes and identity, in order."""
        rows = self.scan(keys.timer + entry + b"\0", keys.after_timers)
        return [key[len(keys.timer) :] for key, _ in islice(rows, limit)]

    def apply(self, epoch: int, published: int, deltas: Sequence[tuple[str, Changes]]) -> None:
        """Write the deltas of `epoch` in one synced batch, with the meta record.

        Idempotent. Raises `StateError` (full disk and the like) with nothing written.
        """
        meta = msgspec.structs.replace(self.meta, applied=epoch, published=published)
        self._is_refused = True
        with rocks_errors("written"):
            batch = WriteBatch(raw_mode=True)
            for key_group, delta in deltas:
                self._add(batch, group_keys(key_group), delta)
            batch.put(META, encode_meta(meta))
            self._db.write(batch, self._synced)
        self._is_refused = False
        self.meta = meta

    def _add(self, batch: WriteBatch, keys: GroupKeys, delta: Changes) -> None:
        for user, value in delta.records:
            key = keys.record + user.encode()
            batch.delete(key) if value is None else batch.put(key, value)
        queued = delta.queued
        for identity, held in delta.timers:
            due = queued.get(identity)
            if due is None:
                self._unqueue(batch, keys, identity)
            elif due:
                batch.delete(keys.timer + due + identity)
            self._add_timer(batch, keys, identity, held)
        status = delta.held.to_bytes(DUE_BYTES, "big") + delta.floor_ms.to_bytes(DUE_BYTES, "big")
        batch.put(keys.status, VERSION + status)

    def _unqueue(self, batch: WriteBatch, keys: GroupKeys, identity: bytes) -> None:
        before = self._db.get(keys.held + identity)
        if before is not None and due_of(before) != NEVER:
            batch.delete(keys.timer + due_of(before) + identity)

    def _add_timer(self, batch: WriteBatch, keys: GroupKeys, identity: bytes, held: bytes | None) -> None:
        if held is None:
            batch.delete(keys.held + identity)
            return
        batch.put(keys.held + identity, held)
        if (due := due_of(held)) != NEVER:
            batch.put(keys.timer + due + identity, VERSION)

    def status(self, keys: GroupKeys) -> tuple[int, int]:
        """Read how many timers a key group holds, and its floor."""
        stored = self.get(keys.status)
        if stored is None:
            return 0, 0
        value = opened(stored)
        return int.from_bytes(value[:DUE_BYTES], "big"), int.from_bytes(value[DUE_BYTES:], "big")

    def memory(self) -> dict[str, int]:
        """Measure what the base keeps in memory: bytes by part, nothing once closed. From any thread."""
        try:
            return {part: self._db.property_int_value(name) or 0 for part, name in _IN_MEMORY.items()}
        except DbClosedError:
            return {}

    def close(self) -> None:
        """Flush and give back the lock. After a refused write, that one's error is told, and none of this."""
        try:
            self._db.close()
        except Exception as error:  # what rocksdict raises
            if not self._is_refused:
                raise rocks_error(error, "closed") from error

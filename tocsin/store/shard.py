"""The exact store of one process: key groups, epochs and outbox over one base.

How it works, and what happens at a crash in each place: `docs/exact-store.md`.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Generic, TypeVar

from tocsin.errors import StateError
from tocsin.store.base import Base
from tocsin.store.deltas import Delta, Row, changes_of
from tocsin.store.directory import base_dir, prepare, recovery_dir
from tocsin.store.epochs import EpochLog, Publisher
from tocsin.store.identity import Identity
from tocsin.store.key_group import Codec, KeyGroup
from tocsin.store.keys import parse_key_group
from tocsin.store.outbox import AS_THEY_ARE, Form, Outbox

R = TypeVar("R")
V = TypeVar("V")
_CACHED_ROWS = 64


class _Plain:
    """A codec of bytes."""

    def encode(self, record: bytes) -> bytes:
        return record

    def decode(self, data: bytes) -> bytes:
        return data


_PLAIN = _Plain()


class Shard(Generic[R]):
    """Decisions that are made once: a record that a crash could take back is never published.

    After a crash at any moment the key groups are as they were at the end of the last durable epoch. Exactly
    the records of durable epochs were or will be published; the last one's perhaps twice, with equal bytes.

    All methods belong to the worker's thread. One process at a time may open a directory.
    """

    def __init__(
        self,
        path: Path,
        base: Base,
        *,
        identity: Identity,
        codec: Codec[R],
        cache_users: int,
        publish: Publisher,
        form: Form,
        patience_s: float,
    ) -> None:
        self.recovery_dir = recovery_dir(path)
        self._base = base
        self._identity = identity
        self._codec = codec
        self._cache_share = max(1, cache_users // identity.own_key_groups)
        self._lineage = base.meta.lineage
        self._outbox = Outbox(self._lineage, base.meta.published, form)
        self._log = EpochLog(base, self._outbox, publish, patience_s=patience_s)
        self._key_groups: dict[str, KeyGroup[Any]] = {}
        self._store_epoch: int | None = None
        self._newest_row = 0

    @classmethod
    def open(
        cls,
        path: Path,
        *,
        identity: Identity,
        codec: Codec[R],
        cache_users: int,
        publish: Publisher,
        form: Form = AS_THEY_ARE,
        patience_s: float = 30.0,
    ) -> "Shard[R]":
        """Open the directory of a shard, or make it on a first start.

        Args:
            path: directory of this shard alone; holds `base/` and `recovery/`.
            identity: whose state it must be.
            codec: of the records.
            cache_users: records kept decoded in memory, shared evenly by the key groups.
            publish: publishes records once they are durable.
            form: of the records in the recovery store.
            patience_s: how long one epoch may take to be applied and acknowledged.

        Raises:
            StateError: it is foreign, damaged, incomplete, of another layout or in use; it names the cure.
        """
        prepare(path, identity)
        return cls(
            path,
            Base(base_dir(path), identity),
            identity=identity,
            codec=codec,
            cache_users=cache_users,
            publish=publish,
            form=form,
            patience_s=patience_s,
        )

    @property
    def in_gap(self) -> bool:
        """Tell whether the source is between its snapshot and its next batch. A step woken then waits.

        A change made in the gap is safe all the same. Key groups and outbox each end an epoch at their own
        snapshot, so it belongs to the next epoch in both.
        """
        return self._log.in_gap

    def memory(self) -> dict[str, int]:
        """Measure what the base keeps in memory: bytes by part. From any thread."""
        return self._base.memory()

    def resume(self, epoch: int | None) -> None:
        """Check base against store. The source calls it with the number it stored, None on a first start.

        Raises:
            StateError: the base is not of the store's epoch or the one before: one of them is older than the
                other, or lost.
        """
        applied, store = self._base.meta.applied, epoch or 0
        if store not in (applied, applied + 1):
            lost = "the recovery store" if store < applied else "the base"
            msg = (
                f"the base is at epoch {applied}, the recovery store at {store}: {lost} was lost or put back "
                "from an older backup; put back both from one backup, or remove both to start anew"
            )
            raise StateError(msg)
        self._store_epoch = store
        self._check_row_epoch(self._newest_row)

    def key_group(self, key: str, resume: Delta | None = None) -> KeyGroup[R]:
        """Build key group `"<partition>.<key_group>"`, with the row Bytewax stored for it, if any.

        A row that the base already has is of no more use; the row of an epoch that it may lack is taken over.

        Raises:
            StateError: the key group is not this shard's, or the row does not belong to the base.
        """
        return self._open(key, resume, self._codec, self._cache_share)

    def rows(self, key: str, resume: Delta | None = None) -> KeyGroup[bytes]:
        """Build the key group of a partition's rows (`tocsin.store.keys.rows_key`), as `key_group` does.

        Its records are bytes; no user is among them.
        """
        return self._open(key, resume, _PLAIN, _CACHED_ROWS)

    def _open(self, key: str, resume: Delta | None, codec: Codec[V], cache: int) -> KeyGroup[V]:
        if key in self._key_groups:
            return self._key_groups[key]
        if not self._identity.owns(*parse_key_group(key)):
            msg = (
                f"key group {key} belongs to another shard: a flow must read its own partitions and no others"
            )
            raise StateError(msg)
        delta = changes_of(resume, self._lineage) if resume else None
        if delta:
            self._check_row_epoch(delta.epoch)
        lacking = delta if delta and delta.epoch > self._base.meta.applied else None
        made = KeyGroup(key, base=self._base, log=self._log, codec=codec, cache=cache, resume=lacking)
        self._key_groups[key] = made
        return made

    def closing(self) -> int:
        """Close an epoch; the source calls it in `snapshot()` and stores the number returned.

        Raises:
            StateError: the epoch before could not be applied (full disk), or `resume` was not called.
            SinkError: the epoch before could not be published.
        """
        if self._store_epoch is None:
            msg = "the source must call resume() with the epoch it stored before it closes one"
            raise StateError(msg)
        return self._log.closing()

    def durable(self) -> None:
        """Publish and apply the epoch that closed last; the source calls it first in `next_batch()`."""
        self._log.durable()

    def collect(self, records: Sequence[Any]) -> None:
        """Take records to be published once their epoch is durable; the sink calls it in `write_batch()`."""
        self._outbox.collect(records)

    def outbox_snapshot(self) -> Row:
        """Give the sink the row it returns from `snapshot()`."""
        self._log.expect_gap()
        return self._outbox.snapshot(self._log.number)

    def outbox_resume(self, stored: Row | None) -> None:
        """Take over the row the sink stored; its records are published again with the next epoch."""
        if stored is not None:
            self._check_row_epoch(self._outbox.adopt(stored))

    def finish(self) -> None:
        """Publish and apply the last epoch, after the flow came to its end without an error.

        Such an end proves that epoch durable, but no further batch is asked for.
        """
        self._log.durable()
        self._log.confirm()

    def close(self) -> None:
        """Give back the directory. Loses nothing, publishes nothing."""
        self._log.close()
        self._base.close()

    def _check_row_epoch(self, epoch: int) -> None:
        """Refuse a row newer than the store's own epoch; called in whichever order Bytewax builds."""
        self._newest_row = max(self._newest_row, epoch)
        newest = self._base.meta.applied + 1 if self._store_epoch is None else self._store_epoch
        if self._newest_row > newest:
            msg = (
                f"the recovery store holds a row of epoch {self._newest_row}, the base is at "
                f"{self._base.meta.applied}: put back both from one backup, or remove both to start anew"
            )
            raise StateError(msg)

"""Plays Bytewax around a shard: calls it in the engine's order, stores its rows, and dies on request.

The order is the one that `test_engine.py` pins on the engine itself.
"""

import os
import pickle
import shutil
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from rocksdict import Rdict

from tocsin.store import Codec, Identity, KeyGroup, Shard
from tocsin.store.base import Base
from tocsin.store.directory import base_dir, prepare
from tocsin.store.outbox import AS_THEY_ARE
from tocsin.store.rocks import options

IDENTITY = Identity(cluster="c1", topics={"events": "t1"}, partitions=2, key_groups=2)
KEY_GROUPS = ("0.0", "0.1", "1.0", "1.1")
CACHED = 3


class Text:
    """A codec of strings."""

    def encode(self, record: str) -> bytes:
        return record.encode()

    def decode(self, data: bytes) -> str:
        return data.decode()


@dataclass
class World:
    """What others see: survives every crash.

    Only the first `leaves` records leave the process; the others are in its buffers when it dies.
    """

    published: list[Any] = field(default_factory=list)
    leaves: int | None = None

    def publish(self, records: Sequence[Any]) -> None:
        self.published += records[: self.leaves]

    def confirm(self, timeout_s: float) -> None:
        assert timeout_s > 0


@dataclass
class Store:
    """Bytewax's recovery store: the newest row of each step and key, replaced by whole epochs."""

    epoch: int | None = None
    rows: dict[str, bytes] = field(default_factory=dict)
    outbox: bytes | None = None


def overwrite(base: Path, key: bytes, value: bytes | None) -> None:
    """Change one row of a closed base, as damage or another release would; None removes it."""
    db = Rdict(str(base), options())
    if value is None:
        del db[key]
    else:
        db[key] = value
    db.close()


class Rig:
    """One process after another on one directory. The shard is built from its parts: tests see its base."""

    def __init__(
        self,
        path: Path,
        *,
        world: World | None = None,
        store: Store | None = None,
        codec: Codec[str] | None = None,
    ) -> None:
        self.path = path
        self.world = world or World()
        self.store = store or Store()
        self.codec = codec or Text()
        self._awoken: dict[str, None] = {}
        self._sink_awoken = False
        self.base: Base
        self.shard: Shard[str]
        self.start()

    def _open(self) -> Shard[str]:
        prepare(self.path, IDENTITY)
        self.base = Base(base_dir(self.path), IDENTITY)
        return Shard(
            self.path,
            self.base,
            identity=IDENTITY,
            codec=self.codec,
            cache_users=CACHED * len(KEY_GROUPS),
            publish=self.world,
            form=AS_THEY_ARE,
            patience_s=30.0,
        )

    def start(self, *, key_groups_first: bool = False) -> None:
        """Start a process on what the last one left."""
        self._awoken, self._sink_awoken = {}, False
        self.world.leaves = None
        self.shard = self._open()
        if not key_groups_first:
            self.shard.resume(self.store.epoch)
        for key, row in self.store.rows.items():
            self.shard.key_group(key, pickle.loads(row))
        if self.store.outbox is not None:
            self.shard.outbox_resume(pickle.loads(self.store.outbox))
        if key_groups_first:
            self.shard.resume(self.store.epoch)
        self.shard.durable()

    def restart(self, *, key_groups_first: bool = False) -> None:
        """Die here and now, and start again."""
        self.shard.close()
        self.start(key_groups_first=key_groups_first)

    def key_group(self, key: str = "0.0") -> KeyGroup[str]:
        """Wake a key group; one never stored is built now."""
        self._awoken[key] = None
        return self.shard.key_group(key)

    def emit(self, records: Iterable[Any]) -> None:
        """Send records to the sink."""
        self._sink_awoken = True
        self.shard.collect(list(records))

    def snapshots(self) -> Store:
        """Close the epoch as the engine does: source, awoken key groups, awoken sink."""
        closed = Store(self.shard.closing(), dict(self.store.rows), self.store.outbox)
        for key in self._awoken:
            closed.rows[key] = pickle.dumps(self.shard.key_group(key).snapshot())
        if self._sink_awoken:
            closed.outbox = pickle.dumps(self.shard.outbox_snapshot())
        self._awoken, self._sink_awoken = {}, False
        return closed

    def commit(self) -> None:
        """Close the epoch and make it durable; nobody is told yet."""
        self.store = self.snapshots()

    def epoch(self) -> None:
        """Let one epoch pass."""
        self.commit()
        self.shard.durable()

    def settled(self) -> None:
        """Let epochs pass until the last one's work is done and remembered."""
        for _ in range(3):
            self.epoch()

    def backup(self) -> Path:
        """Copy the base as it is on disk: again, if compaction moved its files meanwhile."""
        copy = self.path / "backup"
        while True:
            shutil.rmtree(copy, ignore_errors=True)
            with suppress(shutil.Error, FileNotFoundError):
                before = self._files()
                shutil.copytree(self.path / "base", copy)
                if self._files() == before:
                    return copy

    def _files(self) -> dict[str, int]:
        """Names and sizes of what matters; RocksDB's own log may grow."""
        with os.scandir(self.path / "base") as entries:
            return {entry.name: entry.stat().st_size for entry in entries if not entry.name.startswith("LOG")}

    def roll_back(self, copy: Path) -> None:
        """Lose what the base wrote since `copy`, as a power failure would."""
        shutil.rmtree(self.path / "base")
        copy.rename(self.path / "base")

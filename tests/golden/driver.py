"""The product behind a recorded run: the only module of these tests that imports it.

A `Machine` is one shard without Kafka: the real decode step, the real gate logic of each key group, the real
timing, and the exact store in a folder. It calls them in the order of the engine, which
`tests/store/test_engine.py` pins. Where a refactoring moves or renames code, only this module changes.
"""

import pickle
import tarfile
from collections import Counter
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
import pytest

from flows.timing import FlowTiming
from operators.decode import Decoder
from operators.decode_parts import DecodePolicy
from operators.fan_out import FanOutLogic
from operators.fan_out_parts import EpochQuota, FanOutParts, FanOutTally
from operators.gate import GateLogic
from operators.gate_parts import GateParts, GroupBatch
from sources.clocks import PartitionClocks
from sources.partitioner import partition_of
from tests.golden.wire import Epoch, Line, Outputs, Published, Record, Reload, Restart, Settings
from tocsin.catalog.loader import load
from tocsin.decision import receipts
from tocsin.decision.fan_out import FanOutPolicy
from tocsin.decision.gate import Gate
from tocsin.decision.policy import GatePolicy
from tocsin.decision.user_state import RecordCodec, UserRecord
from tocsin.devkit.demo_data import DemoData, DemoRecord, with_faults
from tocsin.devkit.demo_events import flight_events, offer_events
from tocsin.devkit.flights import chosen_days, read_flights
from tocsin.formats.cloudevents import EventLimits
from tocsin.model import statuses, topics
from tocsin.model.raw import OutRecord, RawRecord, VersionNote, packed, unpacked, unpacked_1
from tocsin.store import Identity, Shard
from tocsin.store.keys import ROWS_GROUP, parse_key_group
from tocsin.store.outbox import Form

CATALOGS = Path(__file__).parent / "catalogs"
STATUSES = frozenset(map(str, statuses.Status))
REASONS = frozenset(map(str, statuses.Reason)) - {""}
INPUT_TOPICS = topics.GATE_INPUTS
home_of = partition_of
_BATCH = 50
# So few that most users are read from RocksDB again.
_CACHED_USERS = 24
# 0.1.0 forgot an event once its window had passed since its arrival, however late a copy could come.
_LATE_MS = 0


def receipts_as_recorded(monkeypatch: pytest.MonkeyPatch) -> None:
    """Handle receipts as the recorded release did: it only logged that a user unsubscribes."""
    kinds = dict(receipts.RECEIPTS)
    kinds["unsubscribed"] = kinds["unsubscribed"]._replace(opts_out=False)
    monkeypatch.setattr(receipts, "RECEIPTS", kinds)


class Stored(NamedTuple):
    """What Bytewax's recovery store would hold of a process: rows of its steps, as of one epoch."""

    epoch: int
    rows: dict[str, Any]
    outbox: Any
    clocks: dict[int, int]


class _Everyone:
    """Takes published records and keeps them."""

    def __init__(self) -> None:
        self.records: list[Published] = []

    def publish(self, records: Sequence[OutRecord | VersionNote]) -> None:
        self.records += map(_published, records)

    def confirm(self, timeout_s: float) -> None:
        """Acknowledge all: nothing is in between."""


class _Errors:
    """Counts records that could not be decoded; it never pauses a partition."""

    def decoded(self, topic: str, partition: int, count: int) -> None:
        """Take note of records; the run reads on whatever comes."""

    def failed(self, topic: str, partition: int) -> None:
        """Take note of one record; the run reads on whatever comes."""


class Machine:
    """One process after another over one folder.

    Args:
        folder: where the store is, or shall be.
        settings: of the run.
        stored: what the process before left, if any.
        wall_ms: what the wall clock shows at first.
        quota: of the fan-out.
    """

    def __init__(
        self,
        folder: Path,
        settings: Settings,
        stored: Stored | None = None,
        wall_ms: int = 0,
        quota: EpochQuota | None = None,
    ) -> None:
        self._quota = quota or EpochQuota(lambda: False)
        self._folder = folder
        self._settings = settings
        self._policy = GatePolicy(
            late_ms=_LATE_MS,
            partitions=settings.partitions,
            key_groups=settings.key_groups,
            stream_clock=settings.stream_clock,
            **settings.bounds,
        )
        self._gate = self._load(settings.catalog)
        self._everyone = _Everyone()
        self._wall_ms = wall_ms
        self._batch: list[RawRecord] = []
        self.restarts: list[int] = []
        self.start(stored)

    @property
    def published(self) -> list[Published]:
        """All that was published so far."""
        return self._everyone.records

    @property
    def outputs(self) -> Outputs:
        """All that was published so far, with the places of the restarts."""
        return Outputs(self.published, self.restarts)

    def start(self, stored: Stored | None) -> None:
        """Start a process on what the last one left."""
        settings = self._settings
        self._shard: Shard[UserRecord] = Shard.open(
            self._folder,
            identity=Identity(
                cluster="golden", topics={}, partitions=settings.partitions, key_groups=settings.key_groups
            ),
            codec=RecordCodec(),
            cache_users=_CACHED_USERS,
            publish=self._everyone,
            form=Form(packed, unpacked, unpacked_1),
        )
        self._clocks = PartitionClocks()
        self._shard.resume(stored.epoch if stored else None)
        timing = FlowTiming(
            self._shard, self._clocks, lambda _: True, self._now, stream=settings.stream_clock
        )
        self._parts = GateParts(self._shard.key_group, lambda: self._gate, timing, Counter())
        self._fan_out = FanOutParts(
            self._shard.rows,
            lambda: self._gate,
            FanOutPolicy(settings.partitions, *[self._policy.dedup_window_ms] * 2),
            timing,
            self._quota,
            FanOutTally(),
            Counter(),
        )
        self._decode = _decoder(settings, self._clocks, lambda: self._wall_ms)
        self._groups = {key: self._logic(key, row) for key, row in (stored.rows if stored else {}).items()}
        if stored is not None:
            self._clocks.restore(stored.clocks)
            self._shard.outbox_resume(stored.outbox)
        self._shard.durable()

    def kept(self, key_group: str, user: str, name: str) -> bytes | None:
        """Read what the store keeps beside a user's record."""
        return self._shard.key_group(key_group).kept(user, name, 0)

    def stop(self) -> Stored:
        """Store an epoch, and end the process before the epoch is published."""
        self._flush()
        stored = self._close_epoch()
        self._shard.close()
        self.restarts.append(len(self.published))
        return stored

    def finish(self) -> Outputs:
        """End in order: everything is published."""
        self._flush()
        self._close_epoch()
        self._shard.finish()
        self._shard.close()
        return self.outputs

    def play(self, line: Line) -> None:
        """Let one line of the inputs happen."""
        if isinstance(line, Record):
            self._batch.append(RawRecord(*line))
            if len(self._batch) == _BATCH:
                self._flush()
        elif isinstance(line, Epoch):
            self._epoch(line.wall_ms)
        elif isinstance(line, Reload):
            self._flush()
            self._gate = self._load(line.catalog)
        else:
            assert isinstance(line, Restart)
            self.start(self.stop())

    def _load(self, catalog: str) -> Gate:
        return Gate(load(CATALOGS / catalog), self._policy)

    def _now(self) -> datetime:
        return datetime.fromtimestamp(self._wall_ms / 1000, UTC)

    def _flush(self) -> None:
        """Decode what was read and give it to the gate and the outbox, as the flow's steps do."""
        records, self._batch = self._batch, []
        for routed in self._decode(records):
            if routed.step in ("gate", "fan_out"):
                assert isinstance(routed.bundle, GroupBatch)
                group = self._groups.get(routed.key) or self._logic(routed.key, None)
                self._groups[routed.key] = group
                self._collect(group.on_batch([routed.bundle]))
            else:
                self._shard.collect(routed.bundle)

    def _logic(self, key: str, row: Any) -> Any:
        if parse_key_group(key)[1] == ROWS_GROUP:
            return FanOutLogic(row, self._fan_out)
        return GateLogic(row, self._parts)

    def _collect(self, result: tuple[list[list[Any]], bool]) -> bool:
        lists, _ = result
        for records in lists:
            self._shard.collect(records)
        return bool(lists)

    def _epoch(self, wall_ms: int) -> None:
        """Close an epoch, make it durable, then fire the timers that are due without a record."""
        self._flush()
        self._close_epoch()
        self._clocks.durable()
        self._shard.durable()
        self._wall_ms = max(self._wall_ms, wall_ms)
        for _, group in sorted(self._groups.items()):
            while self._collect(group.on_notify()):
                continue

    def _close_epoch(self) -> Stored:
        epoch = self._shard.closing()
        clocks = dict(self._clocks.closing())
        rows = {key: group.snapshot() for key, group in self._groups.items()}
        return Stored(epoch, rows, self._shard.outbox_snapshot(), clocks)


def _decoder(settings: Settings, clocks: PartitionClocks, wall_ms: Any) -> Decoder:
    limits = EventLimits(
        settings.max_record_bytes, settings.max_past_s, settings.max_future_s, not settings.stream_clock
    )
    policy = DecodePolicy(settings.partitions, settings.key_groups, limits, settings.stream_clock)
    if settings.stream_clock:
        return Decoder(policy, clocks, _Errors())
    return Decoder(policy, clocks, _Errors(), wall_ms)


def _published(record: OutRecord | VersionNote) -> Published:
    if isinstance(record, VersionNote):
        return Published("versions", 0, record.user_key.encode(), str(record.version).encode())
    return Published(*msgspec.structs.astuple(record))


def write_store(path: Path, folder: Path, stored: Stored) -> None:
    """Archive the store of an ended process, with the rows that Bytewax would have."""
    (folder / "rows").write_bytes(pickle.dumps(tuple(stored)))
    for log in (folder / "base").glob("LOG*"):
        log.unlink()
    with tarfile.open(path, "w:xz") as archive:
        archive.add(folder, arcname="shard")


def read_store(path: Path, folder: Path) -> tuple[Path, Stored]:
    """Unpack a store that `write_store` archived; gives its folder and the rows."""
    with tarfile.open(path) as archive:
        archive.extraction_filter = getattr(tarfile, "data_filter", None)  # Python 3.11.4 and later
        archive.extractall(folder)
    shard = folder / "shard"
    rows = shard / "rows"
    stored = Stored(*pickle.loads(rows.read_bytes()))
    rows.unlink()
    return shard, stored


class Demo:
    """Some of the demo's days: all profiles and offers, and every so-many-th flight."""

    def __init__(self, days: int, passengers: int, every: int, seed: int) -> None:
        self._data = DemoData(chosen_days(days), passengers, seed)
        self._days, self._every, self._seed = chosen_days(days), every, seed

    def profiles(self) -> list[DemoRecord]:
        """Make the records of the profiles topic."""
        return list(self._data.profiles())

    def events(self) -> Iterator[DemoRecord]:
        """Make the records of the events topic, with the demo's duplicates and broken ones."""
        passengers, seed = self._data.passengers, self._seed
        flights = flight_events(islice(read_flights(self._days), 0, None, self._every), passengers, seed)
        timed = sorted([*flights, *offer_events(self._days, passengers, seed)], key=lambda one: one.time_ms)
        return with_faults(timed, seed, self._data.published)

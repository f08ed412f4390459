"""Shards with the real decoder, the fan-out and the exact store, around a log that stands for Kafka.

A shard may die between any two steps of an epoch. It then starts again on what its recovery store has.
"""

import pickle
from collections import Counter, defaultdict
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

from operators.decode import Decoder
from operators.decode_parts import DecodePolicy
from operators.fan_out import FanOutLogic
from operators.fan_out_parts import EpochQuota, FanOutParts, FanOutTally
from operators.gate_parts import GroupBatch
from sources.clocks import PartitionClocks
from sources.partitioner import partition_of
from tests.golden.driver import CATALOGS
from tocsin.catalog.loader import load
from tocsin.decision.fan_out import FanOutPolicy
from tocsin.decision.gate import Gate
from tocsin.decision.policy import GatePolicy
from tocsin.decision.user_state import RecordCodec, UserRecord
from tocsin.formats.cloudevents import EventLimits
from tocsin.formats.subscriptions import subscription_key
from tocsin.model import topics
from tocsin.model.outcome import Outcome
from tocsin.model.raw import OutRecord, RawRecord, packed, unpacked, unpacked_1
from tocsin.store import Identity, Shard
from tocsin.store.keys import rows_key
from tocsin.store.outbox import Form

NOON = 1_780_000_000_000
READS = (topics.SUBSCRIPTIONS, topics.EVENTS, topics.BULK)
POINTS = ("open", "closed", "stored", "published")
GATE = Gate(load(CATALOGS / "rules"), GatePolicy())
DAY = 86_400_000


class Log:
    """What Kafka would hold; offsets are places in lists."""

    def __init__(self, partitions: int) -> None:
        self.partitions = partitions
        self.records: dict[tuple[str, int], list[OutRecord]] = defaultdict(list)
        self.written = 0

    def publish(self, records: Sequence[OutRecord]) -> None:
        self.written += len(records)
        for record in records:
            self.records[record.topic, record.partition].append(record)

    def confirm(self, timeout_s: float) -> None:
        """All is acknowledged."""

    def write(self, topic: str, key: bytes, value: object, partition: int | None = None) -> None:
        place = partition_of(key, self.partitions) if partition is None else partition
        data = None if value is None else msgspec.json.encode(value)
        self.publish([OutRecord(topic, place, key, data)])

    def read(self, topic: str, partition: int, offset: int, most: int) -> list[RawRecord]:
        found = self.records[topic, partition][offset : offset + most]
        return [
            RawRecord(topic, partition, offset + at, NOON + offset + at, one.key, one.value, one.headers)
            for at, one in enumerate(found)
        ]


class Stored(NamedTuple):
    """The recovery store of one shard, as of one epoch."""

    epoch: int
    rows: bytes
    outbox: Any
    offsets: dict[tuple[str, int], int]


class Limit:
    """Counts records that could not be decoded; it never pauses a partition."""

    def __init__(self) -> None:
        self.bad = 0

    def decoded(self, topic: str, partition: int, count: int) -> None:
        """Take note of records."""

    def failed(self, topic: str, partition: int) -> None:
        self.bad += 1


class Timing:
    """Time that stands still; `gap` is set by hand."""

    gap = False

    def fire_until(self, partition: int) -> int:
        return NOON

    def in_gap(self) -> bool:
        return self.gap

    def utc_now(self) -> datetime:
        return datetime.fromtimestamp(NOON / 1000, UTC)


class Process:
    """One start of one shard."""

    def __init__(self, folder: Path, number: int, shards: int, log: Log, stored: Stored | None) -> None:
        self._log, self._own = log, range(number, log.partitions, shards)
        identity = Identity(
            cluster="c", topics={}, partitions=log.partitions, key_groups=2, shard=number, shards=shards
        )
        self.shard: Shard[UserRecord] = Shard.open(
            folder, identity=identity, codec=RecordCodec(), cache_users=10, publish=log,
            form=Form(packed, unpacked, unpacked_1),
        )  # fmt: skip
        self.timing, self.tally, self.limit = Timing(), FanOutTally(), Limit()
        self.parts = FanOutParts(
            self.shard.rows,
            lambda: GATE,
            FanOutPolicy(log.partitions, DAY, 2 * DAY),
            self.timing,
            EpochQuota(lambda: False, a_turn=3, an_epoch=7),
            self.tally,
            Counter(),
        )
        self.offsets = dict(stored.offsets) if stored else {}
        limits = EventLimits(262_144, 7 * 86_400, 3_600, check_time=False)
        self._decode = Decoder(DecodePolicy(log.partitions, 2, limits), PartitionClocks(), self.limit)
        self.shard.resume(stored.epoch if stored else None)
        rows = pickle.loads(stored.rows) if stored else {}
        self.logics = {key: FanOutLogic(row, self.parts) for key, row in rows.items()}
        if stored is not None:
            self.shard.outbox_resume(stored.outbox)
        self.shard.durable()
        self._wake()

    def _wake(self) -> None:
        self._route(self._decode.wake(iter(self._own)))

    def _route(self, routed: Sequence[Any]) -> None:
        for one in routed:
            if one.step == "fan_out":
                assert isinstance(one.bundle, GroupBatch)
                logic = self.logics.setdefault(one.key, FanOutLogic(None, self.parts))
                self._collect(logic.on_batch([one.bundle]))
            elif one.step == "outbox":
                self.shard.collect(one.bundle)

    def _collect(self, result: tuple[list[list[OutRecord]], bool]) -> None:
        for records in result[0]:
            self.shard.collect(records)

    def read(self, most: int) -> bool:
        """Read and fan out for one epoch; return whether there was anything to do."""
        found = False
        for topic in READS:
            for partition in self._own:
                offset = self.offsets.get((topic, partition), 0)
                records = self._log.read(topic, partition, offset, most)
                self.offsets[topic, partition] = offset + len(records)
                self._route(self._decode(records))
                found |= bool(records)
        for logic in self.logics.values():
            self._collect(logic.on_notify())
        return found or self.open()

    def open(self) -> bool:
        return any(logic.notify_at() is not None for logic in self.logics.values())

    def close_epoch(self) -> Stored:
        epoch = self.shard.closing()
        self.timing.gap = True
        for logic in self.logics.values():
            assert logic.on_notify() == ([], False), "nothing is emitted in the gap"
        rows = pickle.dumps({key: logic.snapshot() for key, logic in self.logics.items()})
        self.timing.gap = False
        return Stored(epoch, rows, self.shard.outbox_snapshot(), dict(self.offsets))


class Fleet:
    """All shards; each epoch of one of them may end in its death.

    Args:
        folder: for their state.
        shards: how many.
        partitions: of every topic.
    """

    def __init__(self, folder: Path, shards: int = 1, partitions: int = 2) -> None:
        self.log = Log(partitions)
        self._folder = folder
        self._stored: list[Stored | None] = [None] * shards
        self.processes = [self._start(number) for number in range(shards)]
        self.epochs = 0

    def _start(self, number: int) -> Process:
        folder, stored = self._folder / str(number), self._stored[number]
        return Process(folder, number, len(self._stored), self.log, stored)

    def subscribe(self, user: str, topic: str = "t", *, on: bool = True) -> None:
        self.log.write(topics.SUBSCRIPTIONS, subscription_key("lab", topic, user), {} if on else None)

    def event(
        self,
        number: int,
        topic: str = "t",
        stream: str = topics.EVENTS,
        partition: int | None = None,
        **more: Any,
    ) -> None:
        value = {"specversion": "1.0", "id": f"e{number}", "source": "/s", "type": "alarm", "tenant": "lab"}
        value |= {"tocsintopic": topic, "data": {"n": number}} | more
        self.log.write(stream, f"lab/{topic}".encode(), value, partition)

    def epoch(self, number: int = 0) -> None:
        """Run one epoch of one shard."""
        self._epoch(number, "", 50)

    def settle(self, deaths: dict[int, str] | None = None, most: int = 50) -> int:
        """Run until nothing is left to do; return how many epochs that took, of all shards.

        Args:
            deaths: by number of the epoch, the point at which its shard dies.
            most: records that an epoch reads of a partition.
        """
        before, busy = self.epochs, True
        while busy:
            written = self.log.written
            busy = False
            for number in range(len(self.processes)):
                busy |= self._epoch(number, (deaths or {}).get(self.epochs - before, ""), most)
                self.epochs += 1
            busy |= self.log.written > written
        return self.epochs - before

    def _epoch(self, number: int, death: str, most: int) -> bool:
        process = self.processes[number]
        busy = process.read(most)
        if death != "open":
            closed = process.close_epoch()
            if death != "closed":
                self._stored[number] = closed
                if death != "stored":
                    process.shard.durable()
        if death:
            process.shard.close()
            self.processes[number] = self._start(number)
        return busy or bool(death)

    def close(self) -> None:
        for process in self.processes:
            process.shard.finish()
            process.shard.close()

    def addressed(self, stream: str = topics.EVENTS) -> list[tuple[str, str, bytes]]:
        """List event, user and bytes of what subscribers got, in the order of each partition."""
        found = []
        for partition in range(self.log.partitions):
            for record in self.log.records[stream, partition]:
                value = msgspec.json.decode(record.value or b"")
                if "tocsinfanout" in value:
                    found.append((value["id"], value["subject"], record.value or b""))
        return found

    def outcomes(self) -> list[Outcome]:
        """List the outcomes without copies."""
        decode, found = msgspec.json.Decoder(Outcome).decode, {}
        for partition in range(self.log.partitions):
            for record in self.log.records[topics.OUTCOMES, partition]:
                outcome = decode(record.value or b"")
                found[outcome.outcome_id] = outcome
        return list(found.values())

    def rows(self) -> list[str]:
        """List the rows that are left beside subscriptions, of all partitions."""
        found = []
        for number, process in enumerate(self.processes):
            for partition in range(number, self.log.partitions, len(self.processes)):
                group = process.shard.rows(rows_key(partition))
                found += [key for key, _ in group.scan("", "\x7f", 1_000) if key[0] not in "sn"]
        return found

"""A fleet without Kafka: shards with the real decode step, gate and store over topics in memory.

Each shard may die at any moment of an epoch and start again. A dict stands for Bytewax's recovery store,
lists stand for the topics. What is published goes back into the topics, so orders reach every shard.
"""

from collections import Counter, defaultdict
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

from flows.timing import FlowTiming
from operators.decode import Decoder
from operators.decode_parts import DecodePolicy
from operators.fan_out import FanOutLogic
from operators.fan_out_parts import EpochQuota, FanOutParts, FanOutTally
from operators.gate import GateLogic
from operators.gate_parts import GateParts, GroupBatch
from operators.pace import UNPACED, Pace
from sources.clocks import PartitionClocks
from sources.partitioner import partition_of
from tests.decision.gate_world import SMALL
from tocsin.catalog.loader import load, load_apart
from tocsin.decision.fan_out import FanOutPolicy
from tocsin.decision.gate import Gate
from tocsin.decision.policy import GatePolicy
from tocsin.decision.user_state import RecordCodec, UserRecord
from tocsin.formats.cloudevents import EventLimits
from tocsin.formats.subscriptions import subscription_key
from tocsin.formats.user_lists import ListPart, closing_records, slice_records
from tocsin.model import topics
from tocsin.model.outcome import Outcome
from tocsin.model.raw import OutRecord, RawRecord, VersionNote, packed, unpacked, unpacked_1
from tocsin.store import Identity, Shard
from tocsin.store.keys import ROWS_GROUP
from tocsin.store.outbox import Form

MANY = SMALL.parent / "many"
CATALOG = load(MANY)
START_MS = 1_780_000_000_000
PARTITIONS, KEY_GROUPS = 2, 2
DAY_MS = 86_400_000
READS = (
    topics.PROFILES, topics.SUBSCRIPTIONS, topics.RECEIPTS, topics.RETRIES, topics.EVENTS, topics.BULK,
)  # fmt: skip
_NOTHING: dict[Any, Any] = {}
_outcome = msgspec.json.Decoder(Outcome).decode


class Recovery(NamedTuple):
    """What the recovery store holds of a shard: as of one epoch."""

    epoch: int | None = None
    rows: dict[str, Any] = _NOTHING
    outbox: Any = None
    clocks: dict[int, int] = _NOTHING
    positions: dict[tuple[str, int], int] = _NOTHING


class Topics:
    """The topics, and the wall clock that stamps their records."""

    def __init__(self) -> None:
        self.now_ms = START_MS
        self.logs: defaultdict[tuple[str, int], list[RawRecord]] = defaultdict(list)

    def append(self, record: OutRecord) -> None:
        """Write one record."""
        log = self.logs[record.topic, record.partition]
        topic, partition, key, value, headers = msgspec.structs.astuple(record)
        log.append(RawRecord(topic, partition, len(log), self.now_ms, key, value, headers))

    def publish(self, records: Sequence[OutRecord | VersionNote]) -> None:
        """Write what a shard publishes."""
        for record in records:
            if isinstance(record, OutRecord):
                self.append(record)

    def read(self, topic: str) -> list[RawRecord]:
        """Return all records of a topic."""
        return [record for (name, _), log in self.logs.items() if name == topic for record in log]


class _Errors:
    def decoded(self, topic: str, partition: int, count: int) -> None:
        """Take note of records."""

    def failed(self, topic: str, partition: int) -> None:
        """Take note of a record that could not be decoded."""


class _Publisher:
    """Publishes what a shard has made durable, and remembers the last of it."""

    def __init__(self, log: Topics) -> None:
        self._log = log
        self.last: list[OutRecord | VersionNote] = []

    def publish(self, records: Sequence[OutRecord | VersionNote]) -> None:
        self.last = list(records)
        self._log.publish(records)

    def confirm(self, timeout_s: float) -> None:
        """Acknowledge all."""


class Member:
    """One shard of the fleet, and its recovery store."""

    def __init__(self, fleet: "Fleet", folder: Path, number: int) -> None:
        self._fleet = fleet
        self._folder = folder
        self._number = number
        self._stored = Recovery()
        self._publisher = _Publisher(fleet.topics)
        self.start()

    def start(self) -> None:
        """Start a process on what the last one left."""
        fleet, stored = self._fleet, self._stored
        self._shard: Shard[UserRecord] = Shard.open(
            self._folder,
            identity=Identity(
                cluster="c", topics={}, partitions=PARTITIONS, key_groups=KEY_GROUPS,
                shard=self._number, shards=fleet.shards,
            ),
            codec=RecordCodec(), cache_users=16, publish=self._publisher,
            form=Form(packed, unpacked, unpacked_1),
        )  # fmt: skip
        self._clocks = PartitionClocks()
        self._shard.resume(stored.epoch)
        timing = FlowTiming(self._shard, self._clocks, lambda _: True, fleet.utc_now, stream=fleet.stream)
        self._parts = GateParts(
            self._shard.key_group, lambda: fleet.gate, timing, Counter(), broadcast_pace=fleet.pace
        )
        self._topics = FanOutParts(
            self._shard.rows, lambda: fleet.gate, FanOutPolicy(PARTITIONS, DAY_MS, 2 * DAY_MS), timing,
            EpochQuota(lambda: False, a_turn=3, an_epoch=7), FanOutTally(), Counter(),
        )  # fmt: skip
        limits = EventLimits(100_000, 7 * 86_400, 3_600, not fleet.stream)
        policy = DecodePolicy(PARTITIONS, KEY_GROUPS, limits, fleet.stream)
        self._decode = Decoder(policy, self._clocks, _Errors())
        self._groups = {key: self._logic(key, row) for key, row in stored.rows.items()}
        self._positions = Counter(stored.positions)
        self._clocks.restore(dict(stored.clocks))
        if stored.outbox is not None:
            self._shard.outbox_resume(stored.outbox)
        self._shard.durable()
        self._give(self._decode.wake(iter(self._owned())))

    def _logic(self, key: str, row: Any = None) -> GateLogic | FanOutLogic:
        """Build what decides a key group, or fans out the topics of a partition."""
        if key.endswith(f".{ROWS_GROUP}"):
            return FanOutLogic(row, self._topics)
        return GateLogic(row, self._parts)

    def _owned(self) -> list[int]:
        return list(range(self._number, PARTITIONS, self._fleet.shards))

    def read(self) -> bool:
        """Read all that is new; return whether there was anything."""
        found = False
        for topic in READS:
            for partition in self._owned():
                place = topic, partition
                records = self._fleet.topics.logs[place][self._positions[place] :]
                self._positions[place] += len(records)
                if records:
                    found = True
                    self._give(self._decode(records))
        return found

    def _give(self, routed: list[Any]) -> None:
        for one in routed:
            if not isinstance(one.bundle, GroupBatch):
                self._shard.collect(one.bundle)
                continue
            group = self._groups.get(one.key) or self._logic(one.key)
            self._groups[one.key] = group
            self._collect(group.on_batch([one.bundle]))

    def _collect(self, result: tuple[list[list[Any]], bool]) -> bool:
        for records in result[0]:
            self._shard.collect(records)
        return bool(result[0])

    def notify(self) -> bool:
        """Wake every key group once; return whether one had something to do."""
        woken = [self._collect(group.on_notify()) for _, group in sorted(self._groups.items())]
        return any(woken)

    def close_epoch(self) -> None:
        """Store an epoch; it is not published yet."""
        epoch = self._shard.closing()
        clocks = dict(self._clocks.closing())
        rows = {key: group.snapshot() for key, group in self._groups.items()}
        outbox = self._shard.outbox_snapshot()
        self._stored = Recovery(epoch, rows, outbox, clocks, dict(self._positions))

    def publish(self) -> None:
        """Publish the epoch that was stored last."""
        self._clocks.durable()
        self._shard.durable()

    def kill(self) -> None:
        """Die and start again: what was not stored never was."""
        self._shard.close()
        self.start()

    def copy_last(self) -> None:
        """Publish the last epoch again, as a process does that died before it knew that it was published."""
        self._fleet.topics.publish(self._publisher.last)

    def rows_of_lists(self) -> int:
        """Count records of lists, and rows beside them."""
        found = 0
        for key in (key for key, logic in self._groups.items() if isinstance(logic, GateLogic)):
            group = self._shard.key_group(key)
            lists = [name for name, _ in group.scan("default/\x04", "default/\x05", 100)]
            kept = (group.kept(name, "l", number) for name in lists for number in range(100))
            found += len(lists) + sum(one is not None for one in kept)
        return found

    def stop(self) -> None:
        """Close the store."""
        self._shard.close()


class Fleet:
    """Shards over topics in memory.

    Args:
        folder: of their state.
        shards: how many there are.
        stream: whether only events move the time.
        catalog: what is in force.
    """

    def __init__(self, folder: Path, shards: int = 1, *, stream: bool = False, catalog: Path = MANY) -> None:
        self.topics = Topics()
        self.shards = shards
        self.stream = stream
        self.pace: Pace = UNPACED
        self.reload(catalog)
        self.members = [Member(self, folder / str(number), number) for number in range(shards)]

    def reload(self, catalog: Path) -> None:
        """Put a catalog in force."""
        policy = GatePolicy(partitions=PARTITIONS, key_groups=KEY_GROUPS, stream_clock=self.stream)
        self.gate = Gate(CATALOG if catalog == MANY else load_apart(catalog), policy)

    def utc_now(self) -> datetime:
        """Return the wall clock."""
        return datetime.fromtimestamp(self.topics.now_ms / 1000, UTC)

    def write(self, topic: str, key: str, value: object, partition: int | None = None) -> None:
        """Write a record as a producer does."""
        place = partition_of(key.encode(), PARTITIONS) if partition is None else partition
        data = None if value is None else msgspec.json.encode(value)
        self.topics.append(OutRecord(topic, place, key.encode(), data))

    def profile(self, user: str, tenant: str = "default", **fields: Any) -> None:
        """Write a profile."""
        self.write(topics.PROFILES, f"{tenant}/{user}", {"email": f"{user}@mail.example"} | fields)

    def erase(self, user: str) -> None:
        """Write the tombstone of a profile."""
        self.write(topics.PROFILES, f"default/{user}", None)

    def event(self, kind: str, event_id: str, topic: str = topics.BULK, **fields: Any) -> None:
        """Write an event; without a subject it has no user."""
        whole = {"specversion": "1.0", "id": event_id, "source": "/s", "type": kind, "data": {}} | fields
        self.write(topic, event_id, whole)

    def broadcast(self, event_id: str, segment: str = "*", kind: str = "newsletter", **fields: Any) -> None:
        """Write a broadcast."""
        self.event(kind, event_id, tocsinsegment=segment, **fields)

    def subscribe(self, user: str, topic: str = "t") -> None:
        """Write that a user subscribes to a topic."""
        self.write(topics.SUBSCRIPTIONS, subscription_key("default", topic, user).decode(), {})

    def control(self, broadcast: str, action: str, event_id: str = "") -> None:
        """Write an event that controls a broadcast."""
        name = event_id or f"{action}-{broadcast}"
        self.event("tocsin.broadcast", name, topics.EVENTS, data={"id": broadcast, "action": action})

    def users(
        self,
        broadcast: str,
        users: list[str],
        number: int = 0,
        *,
        last: bool = True,
        source: str = "/s",
    ) -> None:
        """Upload a slice of the list of a broadcast."""
        for record in slice_records(
            ListPart("default", source, broadcast, 0, number, last), users, PARTITIONS, partition_of
        ):
            self.topics.append(record)

    def close_list(self, broadcast: str, source: str = "/s") -> None:
        """Write that the list of a broadcast is complete, and start it, as the gateway does."""
        for record in closing_records(ListPart("default", source, broadcast), PARTITIONS):
            self.topics.append(record)
        self.control(broadcast, "start")

    def rows_of_lists(self) -> int:
        """Count what the key groups keep of lists of broadcasts."""
        return sum(member.rows_of_lists() for member in self.members)

    def step(self, ms: int = 50) -> bool:
        """Let every shard read, wake and end an epoch; then time passes. Return whether anything happened."""
        found = False
        for member in self.members:
            found |= member.read()
            found |= member.notify()
            member.close_epoch()
            member.publish()
        self.topics.now_ms += ms
        return found

    def settle(self, ms: int = 250, most: int = 400) -> None:
        """Let time pass until nothing has happened for a while."""
        quiet = 0
        for _ in range(most):
            quiet = 0 if self.step(ms) else quiet + 1
            if quiet > 600 // ms + 2:
                return
        raise AssertionError("the fleet does not come to rest")

    def run(self, steps: int, ms: int = 50, then: Callable[[], None] | None = None) -> None:
        """Let some time pass."""
        for _ in range(steps):
            self.step(ms)
            if then is not None:
                then()

    def outcomes(self, **fields: Any) -> list[Outcome]:
        """Return the outcomes that have these fields, copies once."""
        found = [
            msgspec.json.decode(one.value or b"", type=Outcome) for one in self.topics.read(topics.OUTCOMES)
        ]
        return [
            one
            for one in {one.outcome_id: one for one in found}.values()
            if all(getattr(one, name) == value for name, value in fields.items())
        ]

    def reached(self, event_id: str) -> list[str]:
        """Return the users that have an e-mail of an event, each as often as there are messages."""
        found = self.outcomes(event_id=event_id, status="admitted", channel="email")
        return sorted(one.user for one in found)

    def stop(self) -> None:
        """Close the stores."""
        for member in self.members:
            member.stop()

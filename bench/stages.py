"""Where a decision's time goes, without Kafka: `python -m bench.stages [--json] [--users N] [--events N]`.

One shard in this process decides the workload of `bench.peers`: the real decode step, gate, exact store and
outbox, called in the engine's order. Each epoch's rows are pickled as Bytewax does, and its changes applied
to RocksDB. Printed are CPU microseconds an event by stage; `thread` is the store's own thread. Kafka's
client, Bytewax and SQLite are left out.
"""

import argparse
import json
import pickle
import tempfile
import time
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from bench.peers import workload
from bench.reference import loop_ms
from flows.memory import collect_seldom, keep_freed_memory
from flows.timing import FlowTiming
from operators.decode import Decoder
from operators.decode_parts import DecodePolicy
from operators.gate import GateLogic
from operators.gate_parts import GateParts
from sources.clocks import PartitionClocks
from sources.partitioner import partition_of
from tocsin.catalog.loader import load
from tocsin.decision.gate import Gate
from tocsin.decision.policy import GatePolicy
from tocsin.decision.user_state import RecordCodec, UserRecord
from tocsin.formats.cloudevents import EventLimits
from tocsin.model import topics
from tocsin.model.raw import OutRecord, RawRecord, packed, unpacked, unpacked_1
from tocsin.store import Identity, Shard
from tocsin.store.outbox import Form

CATALOG = Path(__file__).parent / "peers" / "catalogs" / "job"
PARTITIONS, GROUPS, BATCH = 8, 8, 100


class Everyone:
    """Takes what is published, and counts it."""

    def __init__(self) -> None:
        self.records: Counter[str] = Counter()
        self.octets = 0

    def publish(self, records: Sequence[Any]) -> None:
        for record in records:
            if isinstance(record, OutRecord):
                self.records[record.topic] += 1
                self.octets += len(record.value or b"")

    def confirm(self, timeout_s: float) -> None:
        """Nothing is in between."""


class Errors:
    """Decodes everything."""

    def decoded(self, topic: str, partition: int, count: int) -> None:
        """Nothing to watch."""

    def failed(self, topic: str, partition: int) -> None:
        raise AssertionError(topic)


class Machine:
    """One shard, its key groups, and the CPU that each stage took."""

    def __init__(self, folder: Path, cache_users: int, everyone: Everyone | None = None) -> None:
        self.everyone = everyone or Everyone()
        self.cpu_s: defaultdict[str, float] = defaultdict(float)
        self.shard: Shard[UserRecord] = Shard.open(
            folder / "shard",
            identity=Identity(cluster="bench", topics={}, partitions=PARTITIONS, key_groups=GROUPS),
            codec=RecordCodec(),
            cache_users=cache_users,
            publish=self.everyone,
            form=Form(packed, unpacked, unpacked_1),
        )
        self.shard.resume(None)
        self.clocks = PartitionClocks()
        gate = Gate(load(CATALOG), GatePolicy())
        timing = FlowTiming(self.shard, self.clocks, lambda _: False, lambda: datetime.now(UTC), stream=False)
        self.parts = GateParts(self.shard.key_group, lambda: gate, timing, Counter())
        policy = DecodePolicy(PARTITIONS, GROUPS, EventLimits(262_144, 1 << 40, 1 << 40, True))
        self.decode = Decoder(policy, self.clocks, Errors())
        self.groups: dict[str, GateLogic] = {}
        self.close_ms: list[float] = []

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        begin = time.thread_time()
        yield
        self.cpu_s[name] += time.thread_time() - begin

    def read(self, records: list[RawRecord]) -> None:
        with self.stage("decode"):
            routed = self.decode(records)
        with self.stage("gate"):
            out: list[Any] = [one.bundle for one in routed if one.step == "outbox"]
            routed = [one for one in routed if one.step == "gate"]
            for one in routed:
                bundle: Any = one.bundle
                out += self._group(one.key).on_batch([bundle])[0]
        with self.stage("wake"):
            for one in routed:
                self._group(one.key).notify_at()
        with self.stage("collect"):
            for each in out:
                self.shard.collect(each)

    def epoch(self) -> None:
        begin = time.perf_counter()
        with self.stage("confirm"):
            self.shard.closing()
            self.clocks.closing()
        with self.stage("snapshot"):
            rows = [group.snapshot() for group in self.groups.values()]
        with self.stage("outbox row"):
            rows.append(self.shard.outbox_snapshot())
        with self.stage("pickle"):
            for row in rows:
                pickle.dumps(row)
        with self.stage("durable"):
            self.clocks.durable()
            self.shard.durable()
        self.close_ms.append((time.perf_counter() - begin) * 1000)

    def _group(self, key: str) -> GateLogic:
        if key not in self.groups:
            self.groups[key] = GateLogic(None, self.parts)
        return self.groups[key]


def records(topic: str, written: Iterator[tuple[str, int, bytes]]) -> Iterator[list[RawRecord]]:
    """Make batches of one partition each, as the source gives them."""
    batches: defaultdict[int, list[RawRecord]] = defaultdict(list)
    for number, (user, at_ms, value) in enumerate(written):
        key = f"{workload.TENANT}/{user}".encode()
        partition = partition_of(key, PARTITIONS)
        batches[partition].append(RawRecord(topic, partition, number, at_ms, key, value, ()))
        if len(batches[partition]) == BATCH:
            yield batches.pop(partition)
    yield from batches.values()


def measure(options: argparse.Namespace, folder: Path) -> dict[str, Any]:
    """Load the profiles, decide the events, and tell what each stage took."""
    machine = Machine(folder, options.cache_users)
    start_ms = 1_750_000_000_000
    known = (
        (user, start_ms - 1, json.dumps(profile).encode())
        for user, profile in workload.profiles(options.users)
    )
    for at, batch in enumerate(records(topics.PROFILES, known)):
        machine.read(batch)
        if at % 50 == 49:
            machine.epoch()
    machine.epoch()
    batches = list(records(topics.EVENTS, iter(workload.events(options.events, options.users, start_ms))))
    machine.epoch()
    machine.cpu_s.clear()
    machine.close_ms.clear()
    machine.everyone.records.clear()
    machine.everyone.octets = 0
    collect_seldom()  # as a shard does
    keep_freed_memory()
    process_s, wall_s = time.process_time(), time.perf_counter()
    for at, batch in enumerate(batches):
        machine.read(batch)
        if at % (options.epoch_events // BATCH) == 0:
            machine.epoch()
    machine.epoch()
    machine.epoch()
    process_s, wall_s = time.process_time() - process_s, time.perf_counter() - wall_s
    machine.shard.close()
    per = 1e6 / options.events
    stages = {name: round(taken * per, 2) for name, taken in machine.cpu_s.items()}
    found = machine.everyone.records
    return {
        "cpu_us_per_event": round(process_s * per, 1),
        "stages_us": {**stages, "thread": round((process_s - sum(machine.cpu_s.values())) * per, 2)},
        "records_per_event": round(sum(found.values()) / options.events, 2),
        "bytes_per_event": round(machine.everyone.octets / options.events),
        "outcomes_per_event": round(found[topics.OUTCOMES] / options.events, 2),
        "epoch_close_ms_max": round(max(machine.close_ms), 1),
        "decided": dict(
            sorted((f"{s}{' ' + r if r else ''}", n) for (s, _, r), n in _totals(machine).items())
        ),
        "reference_loop_ms": loop_ms(),
    }


def _totals(machine: Machine) -> Counter[tuple[str, str, str]]:
    found: Counter[tuple[str, str, str]] = Counter()
    for (status, _, reason), number in machine.parts.tally.items():
        found[status, "", reason] += number
    return found


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench.stages", description=__doc__)
    parser.add_argument("--users", type=int, default=100_000)
    parser.add_argument("--events", type=int, default=200_000)
    parser.add_argument("--epoch-events", type=int, default=3_000, help="events an epoch")
    parser.add_argument("--cache-users", type=int, default=100_000)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="tocsin-bench-") as folder:
        print(json.dumps(measure(options, Path(folder)), indent=None if options.json else 2))


if __name__ == "__main__":
    main()

"""Where a decision's time goes, without Kafka: `python -m bench.stages [--json] [--catalog job|plain|full]`.

One shard in this process decides the workload of `bench.peers`, or with `--catalog plain` and `full` the
honest mix of `bench.decide`: the real decode step, gate, exact store and outbox, called in the engine's
order. Each epoch's rows are pickled as Bytewax does, and its changes applied to RocksDB. Printed are CPU
microseconds an event by stage; `thread` is the store's own thread. Kafka's client, Bytewax and SQLite are
left out.
"""

import argparse
import json
import pickle
import tempfile
import time
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path
from typing import Any

from bench.peers import workload
from bench.reference import loop_ms
from bench.stage_loads import JOB, LOADS
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

CATALOG = JOB
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

    def __init__(
        self, folder: Path, cache_users: int, everyone: Everyone | None = None, catalog: Path = CATALOG
    ) -> None:
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
        gate = Gate(load(catalog), GatePolicy())
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


def records(
    topic: str, written: Iterator[tuple[str, int, bytes]], tenant: str = workload.TENANT
) -> Iterator[list[RawRecord]]:
    """Make batches of one partition each, as the source gives them."""
    batches: defaultdict[int, list[RawRecord]] = defaultdict(list)
    for number, (user, at_ms, value) in enumerate(written):
        key = f"{tenant}/{user}".encode()
        partition = partition_of(key, PARTITIONS)
        batches[partition].append(RawRecord(topic, partition, number, at_ms, key, value, ()))
        if len(batches[partition]) == BATCH:
            yield batches.pop(partition)
    yield from batches.values()


def measure(options: argparse.Namespace, folder: Path) -> dict[str, Any]:
    """Load the profiles, decide the events, and tell what each stage took."""
    job = LOADS[options.catalog](options, folder)
    machine = Machine(folder, options.cache_users, catalog=job.catalog)
    _decide(machine, records(topics.PROFILES, job.profiles, job.tenant), 50)
    _decide(machine, records(topics.EVENTS, islice(job.events, options.warmup), job.tenant), 50)
    batches = list(records(topics.EVENTS, job.events, job.tenant))
    machine.cpu_s.clear()
    machine.parts.tally.clear()
    machine.close_ms.clear()
    machine.everyone.records.clear()
    machine.everyone.octets = 0
    collect_seldom()  # as a shard does
    keep_freed_memory()
    process_s, wall_s = time.process_time(), time.perf_counter()
    _decide(machine, batches, options.epoch_events // BATCH)
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


def _decide(machine: Machine, batches: Iterable[list[RawRecord]], batches_an_epoch: int) -> None:
    for at, batch in enumerate(batches, 1):
        machine.read(batch)
        if at % batches_an_epoch == 0:
            machine.epoch()
    machine.epoch()


def _totals(machine: Machine) -> Counter[tuple[str, str, str]]:
    found: Counter[tuple[str, str, str]] = Counter()
    for (status, _, reason), number in machine.parts.tally.items():
        found[status, "", reason] += number
    return found


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench.stages", description=__doc__)
    parser.add_argument("--catalog", choices=LOADS, default="job", help="what is decided")
    parser.add_argument("--users", type=int, default=100_000)
    parser.add_argument("--warmup", type=int, default=0, help="events that are decided before")
    parser.add_argument("--events", type=int, default=200_000)
    parser.add_argument("--epoch-events", type=int, default=3_000, help="events an epoch")
    parser.add_argument("--cache-users", type=int, default=100_000)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="tocsin-bench-") as folder:
        print(json.dumps(measure(options, Path(folder)), indent=None if options.json else 2))


if __name__ == "__main__":
    main()

"""What a topic's format and a forwarding cost: `python -m bench.sources [--json] [--users N] [--events N]`.

The workload of `bench.peers` is decided as CloudEvents, as JSON of a declared topic, as rows of Debezium's
outbox, and as CloudEvents of which none lies on its user's partition. The formats take turns. Printed are CPU
microseconds an event of the decode step and of all (decode, gate, exact store, outbox), the best of the
rounds, and the throughput beside CloudEvents. Kafka's client, Bytewax and SQLite are left out: a forwarding
also writes and reads one record more.
"""

import argparse
import json
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from bench.peers import workload
from bench.reference import loop_ms
from bench.stages import BATCH, GROUPS, PARTITIONS, Errors, Everyone, Machine
from flows.memory import collect_seldom
from operators.decode import Decoder
from operators.decode_parts import DecodePolicy
from sources.partitioner import partition_of
from tocsin.catalog.sources import SourceSpec
from tocsin.formats.cloudevents import EventLimits
from tocsin.formats.declared import readers
from tocsin.model import topics
from tocsin.model.raw import OutRecord, RawRecord

LIMITS = EventLimits(262_144, 1 << 40, 1 << 40, check_time=True)
START_MS = 1_750_000_000_000
EPOCH_BATCHES = 30
SPECS = {
    "mapped": SourceSpec(
        format="mapped",
        tenant_from="value.tenant",
        id="value.meta.id",
        type_from="value.meta.kind",
        source_from="value.meta.source",
        user="value.who",
        time="value.at",
        data="value.body",
    ),
    "debezium": SourceSpec(
        format="debezium", tenant_from="headers.tenant", user="headers.user", source_from="headers.source"
    ),
}
Row = tuple[str, bytes, tuple[tuple[str, bytes], ...]]


def as_cloudevent(value: bytes) -> Row:
    return topics.EVENTS, value, ()


def as_json(value: bytes) -> Row:
    event = json.loads(value)
    meta = {"id": event["id"], "kind": event["type"], "source": event["source"]}
    shape = {"meta": meta, "who": event["subject"], "at": event["time"], "tenant": event["tenant"]}
    return topics.declared("mapped"), json.dumps(shape | {"body": event["data"]}).encode(), ()


def as_row(value: bytes) -> Row:
    event = json.loads(value)
    named = {"id": "id", "eventType": "type", "tenant": "tenant", "user": "subject", "source": "source"}
    headers = tuple((header, event[field].encode()) for header, field in named.items())
    return topics.declared("debezium"), json.dumps(event["data"]).encode(), headers


FORMATS: dict[str, tuple[Callable[[bytes], Row], int]] = {
    "cloudevents": (as_cloudevent, 0),
    "mapped": (as_json, 0),
    "debezium": (as_row, 0),
    "forwarded": (as_cloudevent, 1),
}


class Forwards(Everyone):
    """Keeps the events that are forwarded, for their user's partition to read."""

    def __init__(self) -> None:
        super().__init__()
        self.events: list[OutRecord] = []

    def publish(self, records: Sequence[Any]) -> None:
        super().publish(records)
        self.events += [record for record in records if getattr(record, "topic", "") == topics.EVENTS]

    def take(self) -> list[RawRecord]:
        found, self.events = self.events, []
        return [
            RawRecord(one.topic, one.partition, number, START_MS, one.key, one.value, one.headers)
            for number, one in enumerate(found)
        ]


def batches(raws: Iterator[RawRecord]) -> Iterator[list[RawRecord]]:
    """Make batches of one partition each, as the source gives them."""
    kept: defaultdict[int, list[RawRecord]] = defaultdict(list)
    for raw in raws:
        kept[raw.partition].append(raw)
        if len(kept[raw.partition]) == BATCH:
            yield kept.pop(raw.partition)
    yield from kept.values()


def written(users: int, events: int, form: Callable[[bytes], Row], away: int) -> Iterator[RawRecord]:
    """Write the workload in a format, `away` partitions from home."""
    for number, one in enumerate(workload.events(events, users, START_MS)):
        key = f"{workload.TENANT}/{one.user}".encode()
        topic, value, headers = form(one.value)
        partition = (partition_of(key, PARTITIONS) + away) % PARTITIONS
        yield RawRecord(topic, partition, number, one.at_ms, key, value, headers)


def decide(options: argparse.Namespace, folder: Path, name: str) -> dict[str, float]:
    """Decide the workload in one format; CPU microseconds an event."""
    form, away = FORMATS[name]
    machine = Machine(folder, options.users)
    forwards = Forwards()
    machine.everyone.publish = forwards.publish  # type: ignore[method-assign]  # the shard keeps the object
    policy = DecodePolicy(PARTITIONS, GROUPS, LIMITS)
    machine.decode = Decoder(policy, machine.clocks, Errors(), declared=readers(SPECS, LIMITS))
    known = (
        RawRecord(topics.PROFILES, partition_of(key, PARTITIONS), at, START_MS - 1, key, value, ())
        for at, (user, profile) in enumerate(workload.profiles(options.users))
        for key, value in [(f"{workload.TENANT}/{user}".encode(), json.dumps(profile).encode())]
    )
    for at, batch in enumerate(batches(known)):
        machine.read(batch)
        if at % EPOCH_BATCHES == 0:
            machine.epoch()
    load = list(batches(written(options.users, options.events, form, away)))
    machine.epoch()
    machine.cpu_s.clear()
    collect_seldom()
    begin_s = time.process_time()
    for at, batch in enumerate(load):
        machine.read(batch)
        if at % EPOCH_BATCHES == 0:
            end_epoch(machine, forwards)
    for _ in range(3):
        end_epoch(machine, forwards)
    taken_s = time.process_time() - begin_s
    machine.shard.close()
    per = 1e6 / options.events
    return {"decode_us": machine.cpu_s["decode"] * per, "all_us": taken_s * per}


def end_epoch(machine: Machine, forwards: Forwards) -> None:
    """End an epoch, and read what it forwarded."""
    machine.epoch()
    for batch in batches(iter(forwards.take())):
        machine.read(batch)


def measure(options: argparse.Namespace) -> dict[str, Any]:
    """Let the formats take turns, and compare the best of each."""
    best: dict[str, dict[str, float]] = {}
    for _ in range(options.rounds):
        for name in FORMATS:
            with tempfile.TemporaryDirectory(prefix="tocsin-bench-") as folder:
                found = decide(options, Path(folder), name)
            best[name] = min(best.get(name, found), found, key=lambda each: each["all_us"])
    base = best["cloudevents"]["all_us"]
    return {
        name: {
            **{figure: round(us, 2) for figure, us in found.items()},
            "throughput_beside_cloudevents": round(base / found["all_us"], 2),
        }
        for name, found in best.items()
    } | {"reference_loop_ms": loop_ms()}


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench.sources", description=__doc__)
    parser.add_argument("--users", type=int, default=20_000)
    parser.add_argument("--events", type=int, default=60_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    print(json.dumps(measure(options), indent=None if options.json else 2))


if __name__ == "__main__":
    main()

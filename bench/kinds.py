"""What each kind of event costs with the plain and the full catalog: `python -m bench.kinds [--json]`.

The honest mix of `bench.decide`, through the real gate and exact store as in `bench.stages`, one event a
call. Printed are for each kind its share of the mix, and for each catalog the mean CPU microseconds of one
in the gate (decide, encode record, outcomes and messages, set timers) without the slowest two in a hundred,
the records for Kafka and their bytes. Decode, rows of the recovery store and RocksDB are left out.
"""

import argparse
import json
import tempfile
import time
from collections import defaultdict
from collections.abc import Iterable
from itertools import islice
from pathlib import Path
from typing import Any

from bench.reference import loop_ms
from bench.stage_loads import LOADS
from bench.stages import Machine, records
from flows.memory import collect_seldom, keep_freed_memory
from operators.gate_parts import GroupBatch
from tocsin.model import topics
from tocsin.model.event import Event
from tocsin.model.raw import OutRecord, RawRecord
from tocsin.model.statuses import Reason

_EPOCH_BATCHES = 30
_KEPT = 0.98  # of the times: what the machine interrupted is none of Tocsin's
_IS_DUPLICATE = f'"reason":"{Reason.DUPLICATE.value}"'.encode()


class Kind:
    """The times of one kind of event, and what it led to."""

    def __init__(self) -> None:
        self.times_ns: list[int] = []
        self.records = self.octets = 0

    def add(self, taken_ns: int, out: list[OutRecord]) -> None:
        """Count one event."""
        self.times_ns.append(taken_ns)
        self.records += len(out)
        self.octets += sum(len(record.value or b"") for record in out)

    def figures(self) -> dict[str, float]:
        """Tell the means of an event."""
        number = len(self.times_ns)
        usual = sorted(self.times_ns)[: max(1, int(number * _KEPT))]
        return {
            "us": round(sum(usual) / len(usual) / 1000, 1),
            "records": round(self.records / number, 2),
            "bytes": round(self.octets / number),
        }


class TimedMachine(Machine):
    """Decides one event a call, and times each."""

    def __init__(self, folder: Path, cache_users: int, catalog: Path) -> None:
        super().__init__(folder, cache_users, catalog=catalog)
        self.kinds: defaultdict[str, Kind] = defaultdict(Kind)

    def read(self, batch: list[RawRecord]) -> None:
        """Decide a batch."""
        for one in self.decode(batch):
            assert isinstance(one.bundle, GroupBatch), "all records are on the partition of their user"
            for entry in one.bundle.inputs:
                begin = time.thread_time_ns()
                found = self._group(one.key).on_batch([GroupBatch(one.key, [entry])])[0]
                taken_ns = time.thread_time_ns() - begin
                out: list[Any] = found[0] if found else []
                self.shard.collect(out)
                if isinstance(entry.item, Event):
                    self.kinds[_kind_of(entry.item, out)].add(taken_ns, out)


def _kind_of(event: Event, out: list[OutRecord]) -> str:
    is_duplicate = len(out) == 1 and _IS_DUPLICATE in (out[0].value or b"")
    return "a duplicate" if is_duplicate else event.type


def measure(options: argparse.Namespace, catalog: str, folder: Path) -> dict[str, dict[str, float]]:
    """Decide the mix with one catalog, and tell what each kind took."""
    job = LOADS[catalog](argparse.Namespace(**{**vars(options), "catalog": catalog}), folder)
    machine = TimedMachine(folder, options.users, job.catalog)
    collect_seldom()  # as a shard does
    keep_freed_memory()
    _decide(machine, records(topics.PROFILES, job.profiles, job.tenant))
    _decide(machine, records(topics.EVENTS, islice(job.events, options.warmup), job.tenant))
    machine.kinds.clear()
    _decide(machine, records(topics.EVENTS, job.events, job.tenant))
    machine.shard.close()
    return {
        name: {"share": round(len(kind.times_ns) / options.events, 3), **kind.figures()}
        for name, kind in sorted(machine.kinds.items())
    }


def _decide(machine: Machine, batches: Iterable[list[RawRecord]]) -> None:
    for at, batch in enumerate(batches, 1):
        machine.read(batch)
        if at % _EPOCH_BATCHES == 0:
            machine.epoch()
    machine.epoch()


def report(options: argparse.Namespace) -> dict[str, Any]:
    """Measure both catalogs in turns, and set the best times of each kind side by side."""
    best: dict[str, dict[str, Any]] = {}
    for catalog in ("plain", "full") * options.rounds:
        with tempfile.TemporaryDirectory(prefix="tocsin-bench-") as folder:
            for name, found in measure(options, catalog, Path(folder)).items():
                known = best.setdefault(name, {"share": found.pop("share")})
                if catalog not in known or found["us"] < known[catalog]["us"]:
                    known[catalog] = found
    for kind in best.values():
        kind["full_vs_plain"] = round(kind["plain"]["us"] / kind["full"]["us"], 2)
    return best


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench.kinds", description=__doc__)
    parser.add_argument("--users", type=int, default=20_000)
    parser.add_argument("--warmup", type=int, default=20_000, help="events that are decided before")
    parser.add_argument("--events", type=int, default=30_000)
    parser.add_argument("--rounds", type=int, default=2, help="turns of both catalogs; the best counts")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    found = {"kinds": report(options), "reference_loop_ms": loop_ms()}
    print(json.dumps(found, indent=None if options.json else 2))


if __name__ == "__main__":
    main()

"""Recorded runs of `tests.golden` as a history: what a shard read, and the outcomes that it wrote."""

from collections import defaultdict
from collections.abc import Iterable, Iterator
from functools import cache
from pathlib import Path
from typing import Any

import msgspec

from flows.simulation.machine import Bounds
from flows.simulation.request import Place, Request
from sources.history import Bounds as Offsets
from sources.history import manifest_of, record
from tests.decision.gate_world import SMALL
from tests.golden import wire
from tests.golden.driver import CATALOGS, Machine
from tocsin.decision.policy import GatePolicy
from tocsin.formats.cloudevents import EventLimits
from tocsin.model import topics
from tocsin.model.raw import RawRecord

EVERYTHING = 1 << 60


class MemoryHistory:
    """A history of records in memory."""

    def __init__(self, records: Iterable[RawRecord]) -> None:
        self._records: defaultdict[tuple[str, int], list[RawRecord]] = defaultdict(list)
        for each in records:
            self._records[each.topic, each.partition].append(each)

    @property
    def bounds(self) -> Offsets:
        found: dict[str, dict[int, tuple[int, int]]] = {}
        for (topic, partition), records in self._records.items():
            found.setdefault(topic, {})[partition] = (records[0].offset, records[-1].offset + 1)
        return found

    def read(self, topic: str, partition: int, since_ms: int = 0) -> Iterator[list[RawRecord]]:
        records = [each for each in self._records[topic, partition] if each.timestamp_ms >= since_ms]
        for first in range(0, len(records), 700):
            yield records[first : first + 700]

    def close(self) -> None:
        """Keep the records: there is nothing to close."""

    def write(self, folder: Path, clock: str, partitions: int) -> Path:
        """Write it as `tocsin simulate --record` does."""
        for _ in record(self, folder, manifest_of(self, partitions, clock)):
            continue
        return folder


def history(folder: Path, settings: wire.Settings, lines: Iterable[wire.Line]) -> MemoryHistory:
    """Let a shard decide a run, and give what its topics hold afterwards."""
    machine = Machine(folder, settings)
    topic = Outcomes()
    inputs: list[RawRecord] = []
    for line in lines:
        machine.play(line)
        if isinstance(line, wire.Record):
            inputs.append(RawRecord(*line))
            topic.now_ms = max(topic.now_ms, line.at_ms)
        elif isinstance(line, wire.Epoch) and not settings.stream_clock:
            topic.now_ms = max(topic.now_ms, line.wall_ms)
        topic.take(machine.published)
    topic.take(machine.finish().records)
    return MemoryHistory([*inputs, *topic.records])


class Outcomes:
    """The topic of outcomes, written as soon as an epoch is durable."""

    def __init__(self) -> None:
        self.now_ms = 0
        self.records: list[RawRecord] = []
        self._seen = 0
        self._offsets: defaultdict[int, int] = defaultdict(int)

    def take(self, published: list[wire.Published]) -> None:
        """Write the outcomes that were published since the last call."""
        for one in published[self._seen :]:
            if one.topic == topics.OUTCOMES:
                self._write(one)
        self._seen = len(published)

    def _write(self, one: wire.Published) -> None:
        offset = self._offsets[one.partition]
        self._offsets[one.partition] += 1
        place = (topics.OUTCOMES, one.partition, offset, self.now_ms + 1)
        self.records.append(RawRecord(*place, one.key, one.value, ()))


@cache
def run(name: str) -> tuple[wire.Settings, list[wire.Line]]:
    """Read the inputs of a recorded run; its catalog never changes here."""
    settings, lines = wire.read_inputs(wire.RUNS / name / "inputs.jsonl.xz")
    kept: list[wire.Line] = [line for line in lines if not isinstance(line, wire.Reload)]
    return settings, list(_stamped(kept[: len(kept) * 3 // 10])) if settings.stream_clock else kept


def _stamped(lines: Iterable[wire.Line]) -> Iterator[wire.Line]:
    """Give records the times at which a broker gets them that takes one a millisecond.

    Recorded runs have the events' own times, which no shard under the stream clock sees.
    """
    now_ms = 1_790_000_000_000
    for line in lines:
        if isinstance(line, wire.Record):
            now_ms += 1
            if line.topic == topics.RETRIES:
                line = line._replace(value=_moved(line.value or b"", now_ms - line.at_ms))
            line = line._replace(at_ms=now_ms)
        yield line


def _moved(retry: bytes, by_ms: int) -> bytes:
    fields = msgspec.json.decode(retry)
    return msgspec.json.encode(fields | {"due_ms": fields["due_ms"] + by_ms})


def bounds(settings: wire.Settings) -> Bounds:
    """Read a run as its shard did."""
    policy = GatePolicy(
        late_ms=0,
        partitions=settings.partitions,
        key_groups=settings.key_groups,
        stream_clock=settings.stream_clock,
        **settings.bounds,
    )
    limits = EventLimits(
        settings.max_record_bytes, settings.max_past_s, settings.max_future_s, not settings.stream_clock
    )
    return Bounds(settings.partitions, settings.key_groups, policy, limits, epoch_ms=100)


def request(folder: Path, settings: wire.Settings, catalog: Path | None = None, **more: Any) -> Request:
    """Ask for a simulation of a history in a folder."""
    present = CATALOGS / settings.catalog
    fields: dict[str, Any] = {"since_ms": 0, "until_ms": EVERYTHING} | more
    return Request(Place(folder), bounds(settings), catalog or present, present, **fields)


def changed(folder: Path, before: str, after: str) -> Path:
    """Copy the small catalog with another text in its files."""
    for file in SMALL.rglob("*"):
        if file.is_file():
            copy = folder / file.relative_to(SMALL)
            copy.parent.mkdir(parents=True, exist_ok=True)
            copy.write_text(file.read_text().replace(before, after))
    return folder

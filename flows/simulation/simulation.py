"""Simulates: every partition of a history is played, and its results are added."""

import tempfile
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import ProcessPoolExecutor
from contextlib import ExitStack, closing
from datetime import UTC, datetime
from multiprocessing import get_context
from pathlib import Path
from typing import NamedTuple

from flows.decoding import open_registry
from flows.memory import collect_seldom
from flows.simulation.comparison import Comparison, Scope
from flows.simulation.decided import Decided
from flows.simulation.machine import Bounds, Machine, decoder
from flows.simulation.pending import PLACES
from flows.simulation.player import Player, Side, Stream
from flows.simulation.profiles import Profiles
from flows.simulation.report import Part, Report, added, changes, part_of, percentiles
from flows.simulation.warm_up import notes
from sources.history import FolderHistory, History, KafkaHistory
from tocsin.app.settings import Settings
from tocsin.catalog.loader import Catalog, load
from tocsin.formats.declared import readers
from tocsin.formats.marks import Marks
from tocsin.model import topics
from tocsin.model.raw import RawRecord

ENDLESS_MS = 1 << 60
_LATE_MS = 86_400_000
_STILL_MOVING_MS = 10_000
"""What was decided so shortly before the end of history may be written and not read yet."""


class Place(NamedTuple):
    """Where history is: a folder, or Kafka."""

    folder: Path | None = None
    kafka: str = ""
    prefix: str = ""
    options: Mapping[str, str] = {}

    def open(self, names: Iterable[str]) -> History:
        """Open the history of some topics."""
        if self.folder is not None:
            return FolderHistory(self.folder)
        return KafkaHistory(self.kafka, self.prefix, self.options, names)


class Request(NamedTuple):
    """What to simulate.

    Attributes:
        place: where history is.
        bounds: as of the recorded process.
        catalog: folder of the new catalog; `present` of the one in force.
        since_ms: first moment that counts.
        until_ms: the moment after the last one.
        warm_up_ms: how far before that reading begins.
        tenant: the tenant; empty for all.
        is_replayed: compare with history as the present catalog decides it, instead of what happened.
        secret: opens the marks in receipts; empty where it is not known.
        settings: name the schema registry, for declared topics that need one.
    """

    place: Place
    bounds: Bounds
    catalog: Path
    present: Path
    since_ms: int
    until_ms: int = ENDLESS_MS
    warm_up_ms: int = 0
    tenant: str = ""
    is_replayed: bool = False
    secret: bytes = b""
    settings: Settings | None = None

    @property
    def start_ms(self) -> int:
        """Return the Kafka time to read from; under the stream clock that is the beginning."""
        return 0 if self.bounds.stream_clock else max(0, self.since_ms - self.warm_up_ms)

    @property
    def stop_ms(self) -> int:
        """Return the Kafka time behind which nothing is of the range any more."""
        return ENDLESS_MS if self.bounds.stream_clock else self.until_ms + _LATE_MS

    def names(self, catalog: Catalog) -> tuple[str, ...]:
        """List the topics that are read."""
        declared = [topics.declared(topic) for topic in catalog.sources]
        return (*topics.GATE_INPUTS, *declared, topics.OUTCOMES)


Note = Callable[[int], None]


class Catalogs(NamedTuple):
    """Both catalogs, loaded."""

    new: Catalog
    present: Catalog


def simulate(request: Request, note: Note = lambda _: None, workers: int = 1) -> Report:
    """Play all partitions and compare.

    Args:
        request: what to simulate.
        note: takes the number of records read, again and again.
        workers: processes that share the partitions.

    Raises:
        CatalogError: a catalog has mistakes.
        SourceError: history cannot be read.
        SinkError: Kafka does not answer.
    """
    began_s = time.monotonic()
    catalogs = Catalogs(load(request.catalog), load(request.present))
    history = request.place.open(request.names(catalogs.present))
    if workers > 1:
        result = added(_in_processes(request, workers, note))
    else:
        result = added(_played(request, range(request.bounds.partitions), note, catalogs, history))
    return _report(request, catalogs, history, result, time.monotonic() - began_s)


def _in_processes(request: Request, workers: int, note: Note) -> Iterator[Part]:
    context = get_context("spawn")
    with ProcessPoolExecutor(workers, mp_context=context) as pool:
        jobs = [pool.submit(_alone, request, partition) for partition in range(request.bounds.partitions)]
        for job in jobs:
            read, part = job.result()
            note(read)
            yield part


def _alone(request: Request, partition: int) -> tuple[int, Part]:
    """Play one partition in another process."""
    catalogs = Catalogs(load(request.catalog), load(request.present))
    collect_seldom()  # as a shard does
    read: list[int] = []
    history = request.place.open(request.names(catalogs.present))
    [part] = _played(request, [partition], read.append, catalogs, history)
    return sum(read), part


def _played(
    request: Request, partitions: Iterable[int], note: Note, catalogs: Catalogs, history: History
) -> Iterator[Part]:
    for partition in partitions:
        with tempfile.TemporaryDirectory(prefix="tocsin-simulate-") as folder:
            yield play(request, catalogs, history, partition, Path(folder), note)


def play(
    request: Request, catalogs: Catalogs, history: History, partition: int, folder: Path, note: Note
) -> Part:
    """Play one partition in a folder."""
    comparison = Comparison(Scope(request.since_ms, request.until_ms, request.tenant))
    with ExitStack() as stack:
        sides = [Side(_machine(folder / "new", catalogs.new, request, stack), comparison.after, False)]
        if request.is_replayed:
            machine = _machine(folder / "present", catalogs.present, request, stack)
            sides.insert(0, Side(machine, comparison.before, True))
        player = _player(request, catalogs, comparison, tuple(sides), stack)
        outcomes = _outcomes(request, history, partition, note)
        profiles = Profiles(history.read(topics.PROFILES, partition), request.start_ms)
        player.play(_streams(request, history, partition, profiles, note), outcomes)
    comparison.finish(_settled(request, player.latest_ms))
    part = part_of(comparison)
    part.ordered, part.timed, part.dropped = player.ordered, player.timed, player.dropped
    part.stand_ins = profiles.stand_ins
    part.inputs, part.rewritten = player.ordered + player.timed, dict(player.rewritten)
    return part


def _machine(folder: Path, catalog: Catalog, request: Request, stack: ExitStack) -> Machine:
    machine = Machine(folder, catalog, request.bounds)
    stack.enter_context(closing(machine))
    return machine


def _player(
    request: Request, catalogs: Catalogs, comparison: Comparison, sides: tuple[Side, ...], stack: ExitStack
) -> Player:
    sources = catalogs.present.sources
    registry = open_registry(request.settings, sources) if request.settings is not None else None
    if registry is not None:
        stack.callback(registry.close)
    declared = readers(sources, request.bounds.limits, registry.decode if registry is not None else None)
    marks = Marks(request.secret) if request.secret else None
    decode = decoder(request.bounds, marks, declared)
    return Player(request.bounds, decode, sides, comparison, request.until_ms)


def _settled(request: Request, latest_ms: int) -> Callable[[Decided], bool]:
    """Tell whether history can have decided something: under the wall clock its end may be on its way."""
    last_ms = ENDLESS_MS if request.bounds.stream_clock else latest_ms - _STILL_MOVING_MS
    return lambda decided: request.until_ms < ENDLESS_MS or decided.at_ms <= last_ms


def _streams(
    request: Request, history: History, partition: int, profiles: Profiles, note: Note
) -> dict[str, Stream]:
    found: dict[str, Stream] = {}
    ranked = sorted(set(history.bounds) - {topics.OUTCOMES}, key=lambda name: PLACES.get(name, len(PLACES)))
    for topic in ranked:
        since_ms = 0 if topic in topics.READ_FIRST else request.start_ms
        batches = history.read(topic, partition, since_ms)
        found[topic] = Stream(profiles.read() if topic == topics.PROFILES else batches, request.stop_ms, note)
    return found


def _outcomes(request: Request, history: History, partition: int, note: Note) -> Iterator[RawRecord] | None:
    """Read the recorded outcomes; None where there are none."""
    first, end = history.bounds.get(topics.OUTCOMES, {}).get(partition, (0, 0))
    return (
        _flat(history.read(topics.OUTCOMES, partition, request.start_ms), request, note)
        if end > first
        else None
    )


def _flat(batches: Iterator[list[RawRecord]], request: Request, note: Note) -> Iterator[RawRecord]:
    for batch in batches:
        note(len(batch))
        if batch[0].timestamp_ms >= request.stop_ms:
            return
        yield from batch


def _report(request: Request, catalogs: Catalogs, history: History, result: Part, seconds: float) -> Report:
    return Report(
        catalog=catalogs.new.version,
        present=catalogs.present.version,
        baseline="replayed" if request.is_replayed else "actual",
        tenant=request.tenant,
        since=moment(request.since_ms),
        until=moment(request.until_ms),
        warm_up_s=request.warm_up_ms // 1_000,
        notes=notes(
            history.bounds,
            request.warm_up_ms,
            stream=request.bounds.stream_clock,
            is_replayed=request.is_replayed,
            stand_ins=result.stand_ins,
        ),
        partitions=request.bounds.partitions,
        seconds=round(seconds, 1),
        result=result,
        changes=changes(result),
        users_before=percentiles(result, 0),
        users_after=percentiles(result, 1),
    )


def moment(at_ms: int) -> str:
    """Write a moment of a range; empty where there is no bound."""
    if not 0 < at_ms < ENDLESS_MS:
        return ""
    return datetime.fromtimestamp(at_ms / 1_000, UTC).isoformat(timespec="seconds").replace("+00:00", "Z")

"""Plays one partition of a history under both catalogs, and sums up how their decisions compare."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

from flows.decoding import open_registry
from flows.simulation.comparison import Comparison, Scope
from flows.simulation.decided import Decided
from flows.simulation.machine import Machine, decoder
from flows.simulation.pending import PLACES
from flows.simulation.player import Player, Side
from flows.simulation.profiles import Profiles
from flows.simulation.reading import Stream
from flows.simulation.report import Part, part_of
from flows.simulation.request import ENDLESS_MS, Catalogs, Request
from sources.history import History
from tocsin.catalog.loader import Catalog
from tocsin.formats.declared import readers
from tocsin.formats.marks import Marks
from tocsin.model import topics
from tocsin.model.raw import RawRecord

_STILL_MOVING_MS: Final = 10_000
"""What was decided so shortly before the end of history may be written and not read yet."""

Note = Callable[[int], None]
"""Takes the number of records that were read since it was called last."""


def play(
    request: Request,
    catalogs: Catalogs,
    history: History,
    partition: int,
    note: Note,
    within: Path | None = None,
) -> Part:
    """Play one partition.

    Args:
        request: what to simulate.
        catalogs: of the request.
        history: of the request.
        partition: which one.
        note: takes how many records were read.
        within: holds the folder for its state, which is removed; that for temporary files unless given.
    """
    with TemporaryDirectory(prefix="tocsin-simulate-", dir=within) as folder:
        return _play(request, catalogs, history, partition, note, Path(folder))


def _play(
    request: Request, catalogs: Catalogs, history: History, partition: int, note: Note, folder: Path
) -> Part:
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

"""Simulates: every partition of a history is played, and its results are added."""

import time
from contextlib import closing

from flows.simulation.partition import Note, play
from flows.simulation.report import Part, Report, added, changes, percentiles
from flows.simulation.request import Catalogs, Request, moment
from flows.simulation.warm_up import notes
from flows.simulation.workers import largest_first, play_shared
from sources.history import History


def simulate(request: Request, note: Note = lambda _: None, workers: int = 1) -> Report:
    """Play all partitions and compare. The result is the same with any number of processes.

    Args:
        request: what to simulate.
        note: takes the number of records read, again and again.
        workers: processes that share the partitions; with 1 this process plays them all.

    Raises:
        CatalogError: a catalog has mistakes.
        SourceError: history cannot be read.
        SinkError: Kafka does not answer.
    """
    began_s = time.monotonic()
    catalogs = Catalogs.of(request)
    with closing(request.place.open(request.names(catalogs.present))) as history:
        parts = _parts(request, catalogs, history, note, workers)
        result = added(parts[partition] for partition in sorted(parts))
        return _report(request, catalogs, history, result, time.monotonic() - began_s)


def _parts(
    request: Request, catalogs: Catalogs, history: History, note: Note, workers: int
) -> dict[int, Part]:
    partitions = largest_first(history.bounds, request.bounds.partitions)
    workers = min(workers, len(partitions))
    if workers > 1:
        return play_shared(request, history.bounds, partitions, workers, note)
    return {partition: play(request, catalogs, history, partition, note) for partition in partitions}


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

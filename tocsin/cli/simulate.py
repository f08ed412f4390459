"""`tocsin simulate`: what another catalog would have decided, compared with what happened."""

import os
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Annotated

import msgspec
import typer
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table
from rich.text import Text

from flows.assembly import gate_policy
from flows.memory import collect_seldom
from flows.simulation.machine import Bounds
from flows.simulation.page import page
from flows.simulation.report import Change, Percentiles, Report, UserChange, chosen
from flows.simulation.request import ENDLESS_MS, Place, Request
from flows.simulation.simulation import simulate
from flows.simulation.warm_up import longest_ms
from flows.simulation.workers import worthwhile
from sources.history import FolderHistory, KafkaHistory, manifest_of, record
from tocsin.app.settings import Settings
from tocsin.catalog.loader import check as check_catalog
from tocsin.catalog.loader import load
from tocsin.catalog.sources import declared_topics
from tocsin.cli.output import REFUSED, check_names, complain, console, errors, fail, print_json, print_table
from tocsin.cli.times import Since, Until, empty_range, moment_ms
from tocsin.errors import SettingsError, SourceError
from tocsin.formats.cloudevents import EventLimits
from tocsin.model import topics

_BASELINES = ("actual", "replayed")
_SHOWN = 15
_SHOWN_USERS = 5
_EXAMPLES = 5
_STOPPED = 130
_Note = Callable[[int], None]


def simulate_history(
    *,
    catalog: Annotated[Path | None, typer.Option(help="folder of the new catalog")] = None,
    since: Since = "",
    until: Until = "",
    tenant: Annotated[str, typer.Option(help="only this tenant; all unless given")] = "",
    baseline: Annotated[
        str, typer.Option(help="compare with the `actual` outcomes, or with history `replayed` as it is now")
    ] = "actual",
    history: Annotated[
        Path | None, typer.Option("--from", help="folder that --record wrote, instead of Kafka")
    ] = None,
    record_to: Annotated[
        Path | None, typer.Option("--record", help="write the history to this folder, and decide nothing")
    ] = None,
    warm_up: Annotated[
        str,
        typer.Option(help="how far before --since to read; the longest window of the catalogs unless given"),
    ] = "",
    html: Annotated[Path | None, typer.Option(help="write the report as one HTML file, with plots")] = None,
    workers: Annotated[
        int | None,
        typer.Option(
            min=1,
            help="processes that share the partitions; unless given, one for each core, and only one for a"
            " short history",
        ),
    ] = None,
    json: Annotated[bool, typer.Option("--json", help="print one JSON object")] = False,
) -> None:
    """Decide history again by another catalog, without side effects, and compare."""
    check_names("baseline", [baseline], _BASELINES)
    settings = Settings()
    now_ms = time.time_ns() // 1_000_000
    with _stoppable():
        if record_to is not None:
            _record(settings, record_to, _moment("since", since, now_ms) if since else 0)
            return
        if catalog is None:
            fail("--catalog: name the folder of the new catalog (or --record FOLDER)", code=2)
        _check(catalog)
        _check_present(settings.catalog)
        request = _request(settings, catalog, history)._replace(
            since_ms=_moment("since", since, now_ms) if since else 0,
            until_ms=_moment("until", until, now_ms) if until else ENDLESS_MS,
            tenant=tenant,
            is_replayed=baseline == "replayed",
        )
        if request.since_ms >= request.until_ms:
            fail(empty_range(until), code=2)
        request = request._replace(warm_up_ms=_warm_up(request, warm_up))
        report = _simulated(request, workers)
    if not report.compared:
        fail(_nothing(request), code=1)
    if html is not None:
        html.write_text(page(report))
    if json:
        print_json(msgspec.to_builtins(report))
    else:
        show(report)


@contextmanager
def _stoppable() -> Iterator[None]:
    """End without a traceback on Ctrl-C and SIGTERM; temporary folders are removed on the way."""
    before = signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        yield
    except KeyboardInterrupt:
        complain("stopped: nothing was written")
        raise typer.Exit(_STOPPED) from None
    finally:
        signal.signal(signal.SIGTERM, before)


def _check(catalog: Path) -> None:
    """End with what `tocsin check` says of a catalog with mistakes; its templates are not rendered."""
    if not catalog.is_dir():
        fail(f"--catalog {catalog}: there is no such folder; name that of the new catalog", code=2)
    problems = [str(problem) for problem in check_catalog(catalog)]
    for problem in problems:
        complain(problem)
    if problems:
        fail(f"the catalog {catalog} has mistakes: `tocsin check --catalog {catalog}` names them", REFUSED)


def _check_present(catalog: Path) -> None:
    """End if the catalog that decides today is not there."""
    if not catalog.is_dir():
        cure = "set it to the catalog in force, with which --catalog is compared"
        fail(f"TOCSIN_CATALOG: there is no folder {catalog}; {cure}", REFUSED)


def _request(settings: Settings, catalog: Path, folder: Path | None) -> Request:
    manifest = FolderHistory(folder).manifest if folder is not None else None
    clock = manifest.clock if manifest is not None else settings.clock
    partitions = manifest.partitions if manifest is not None else settings.partitions
    stream = clock == "stream"
    policy = msgspec.structs.replace(gate_policy(settings), partitions=partitions, stream_clock=stream)
    limits = EventLimits(settings.max_record_bytes, settings.max_past_s, settings.max_future_s, not stream)
    bounds = Bounds(partitions, settings.key_groups, policy, limits, settings.epoch_ms)
    place = Place(folder, settings.kafka, settings.topic_prefix, dict(settings.kafka_options))
    return Request(place, bounds, catalog, settings.catalog, 0, secret=_secret(settings), settings=settings)


def _secret(settings: Settings) -> bytes:
    """Return the secret that opens marks in receipts; empty where it is not set."""
    try:
        return settings.secret_bytes()
    except SettingsError:
        return b""


def _moment(option: str, text: str, now_ms: int) -> int:
    try:
        return moment_ms(text, now_ms)
    except ValueError as error:
        fail(f"--{option} {text!r}: {error}", code=2)


def _warm_up(request: Request, text: str) -> int:
    """Return how far before the range to read, in ms."""
    if text:
        return -_moment("warm-up", text, 0)
    return longest_ms((load(request.catalog), load(request.present)), request.bounds.policy)


def _simulated(request: Request, workers: int | None) -> Report:
    with closing(request.place.open(request.names(load(request.present)))) as history:
        total = sum(end - first for places in history.bounds.values() for first, end in places.values())
    collect_seldom()
    with _bar("simulating", total) as note:
        return simulate(request, note, workers or worthwhile(total, _cores()))


def _cores() -> int:
    """Count the cores that this process may use."""
    own = getattr(os, "sched_getaffinity", None)  # only Linux has it
    return len(own(0)) if own is not None else os.cpu_count() or 1


@contextmanager
def _bar(what: str, total: int) -> Iterator[_Note]:
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=errors, transient=True, disable=not errors.is_terminal) as progress:
        task = progress.add_task(what, total=total)
        yield lambda count: progress.advance(task, count)


def _nothing(request: Request) -> str:
    where = str(request.place.folder) if request.place.folder else "the topics"
    return f"{where} have no decision in this range: look at --since, --until and --tenant"


def _record(settings: Settings, folder: Path, since_ms: int) -> None:
    """Write the history of Kafka to a folder."""
    if folder.exists() and any(folder.iterdir()):
        fail(f"--record {folder}: not empty; name a new folder", code=2)
    declared = [topics.declared(topic) for topic in declared_topics(settings.catalog)]
    names = (*topics.GATE_INPUTS, *declared, topics.OUTCOMES)
    history = KafkaHistory(settings.kafka, settings.topic_prefix, settings.kafka_options, names)
    with closing(history):
        _write(history, folder, since_ms, settings)


def _write(history: KafkaHistory, folder: Path, since_ms: int, settings: Settings) -> None:
    total = sum(end - first for places in history.bounds.values() for first, end in places.values())
    if not history.bounds.get(topics.EVENTS):
        msg = f"{settings.topic_prefix}{topics.EVENTS}: no such topic; is TOCSIN_TOPIC_PREFIX right?"
        raise SourceError(msg)
    written = 0
    manifest = manifest_of(history, settings.partitions, settings.clock)
    with _bar("recording", total) as note:
        for count in record(history, folder, manifest, since_ms):
            note(count)
            written += count
    errors.print(
        f"[green]✓[/green] {written:,} records in {folder}; it holds addresses, so keep it like a backup"
    )


def show(report: Report) -> None:
    """Print a report for a person."""
    result = report.result
    span = " to ".join(filter(None, (report.since or "the first record", report.until or "the last")))
    heading = f"[bold]{result.inputs:,}[/bold] records of {span}, decided by catalog {report.catalog}"
    console.print(heading, soft_wrap=True)
    compared = {"actual": "what happened", "replayed": f"catalog {report.present}"}[report.baseline]
    if not result.differing:
        console.print(f"[green]✓[/green] {result.equal:,} decisions compared with {compared}: no difference")
    else:
        console.print(f"{report.compared:,} decisions compared with {compared}: {result.differing:,} differ")
        print_table(_changes(report.changes))
        print_table(_users(report))
        if report.result.most_affected:
            print_table(_most_affected(report.result.most_affected))
        _examples(report)
    for note in report.notes:
        console.print(Text.assemble(("!", "yellow"), f" {note}"), soft_wrap=True)


def _changes(changes: list[Change]) -> Table:
    table = Table(title="Decisions, the greatest changes first", title_justify="left")
    for name in ("notification", "channel", "status", "reason"):
        table.add_column(name)
    for name in ("before", "after", "change"):
        table.add_column(name, justify="right")
    for each in [each for each in changes if each.more][:_SHOWN]:
        table.add_row(
            each.notification or "-",
            each.channel,
            each.status,
            each.reason,
            f"{each.before:,}",
            f"{each.after:,}",
            f"{each.more:+,}",
        )
    return table


def _users(report: Report) -> Table:
    table = Table(title="Notifications a user gets", title_justify="left")
    table.add_column("")
    for name in ("p50", "p90", "p99", "most", "users", "in all"):
        table.add_column(name, justify="right")
    for name, found in (("before", report.users_before), ("after", report.users_after)):
        table.add_row(name, *[f"{value:,}" for value in _figures(found)])
    return table


def _most_affected(users: list[UserChange]) -> Table:
    table = Table(title="Users most affected", title_justify="left")
    table.add_column("user")
    for name in ("before", "after", "change"):
        table.add_column(name, justify="right")
    for each in users[:_SHOWN_USERS]:
        table.add_row(
            Text(each.user), f"{each.before:,}", f"{each.after:,}", f"{each.after - each.before:+,}"
        )
    return table


def _figures(found: Percentiles | None) -> tuple[int, ...]:
    assert found is not None, "a report has percentiles"
    return found.p50, found.p90, found.p99, found.most, found.users, found.notifications


def _examples(report: Report) -> None:
    for each in chosen(report.result, _EXAMPLES):
        channel = "" if each.channel == "*" else f" {each.channel}"
        about = f"{each.notification or each.event_type}{channel} for {each.user} ({each.event_id})"
        console.print(Text(f"{about}: {each.before} → {each.after}"), soft_wrap=True)
        console.print(Text(f"    before: {each.was}"), style="dim", soft_wrap=True)
        console.print(Text(f"    after:  {each.becomes}"), style="dim", soft_wrap=True)

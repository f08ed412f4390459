"""`tocsin balance`: law 1 over what the topics and ClickHouse hold."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any, Final

import msgspec
import typer
from rich.progress import Progress, SpinnerColumn, TextColumn
from rich.table import Table
from rich.text import Text

from dashboards import store
from tocsin.app.audit_result import Fault, Reconciliation
from tocsin.app.audit_windows import NEVER, Windows
from tocsin.app.settings import Settings
from tocsin.cli import audit_reading
from tocsin.cli.audit_reading import Plan
from tocsin.cli.balance_watch import Schedule, watch
from tocsin.cli.output import FAULT, console, errors, fail, print_json, print_table
from tocsin.cli.times import Since, Until, span_s, time_range
from tocsin.model.explanations import moment


def stored_rows(url: str) -> int:
    """Count the outcomes that ClickHouse holds, without copies."""
    with store.connect(url) as client:
        return int(client.query("SELECT count() FROM outcomes FINAL").result_rows[0][0])


def draw(settings: Settings, *, clickhouse: bool = True) -> Reconciliation:
    """Audit everything that the topics hold."""
    return audit_reading.draw(settings, Plan(Windows(), clickhouse))


Span = Annotated[str, typer.Option(help="count events by windows of this length, like 1h or 1d")]


def balance(
    *,
    since: Since = "",
    until: Until = "",
    window: Span = "",
    list_file: Annotated[
        Path | None,
        typer.Option("--list", help="file for every missing or doubled item, a JSON object a line"),
    ] = None,
    spill: Annotated[
        Path | None, typer.Option(help="folder for temporary files: some 180 bytes a record read")
    ] = None,
    json: Annotated[bool, typer.Option("--json", help="print one JSON object")] = False,
    clickhouse: Annotated[bool, typer.Option(help="compare with what ClickHouse holds")] = True,
    watched: Annotated[
        bool, typer.Option("--watch", help="audit again and again, and serve the result as metrics")
    ] = False,
    every: Annotated[str, typer.Option(help="with --watch: from one audit's start to the next one's")] = "5m",
    metrics_port: Annotated[int, typer.Option(help="with --watch: port of /metrics", min=0)] = 9464,
) -> None:
    """Audit all events: read = finished + held + in flight, nothing missing, nothing doubled."""
    settings, size_ms = Settings(), 1_000 * _span("window", window)
    if watched:
        schedule = Schedule(since or "1h", _span("every", every), metrics_port)
        watch(settings, schedule, Plan(Windows(), clickhouse, spill))
        return
    span = time_range(since, until)
    windows = Windows(span.get("from_ms", 0), span.get("to_ms", NEVER), size_ms)
    with _listed(list_file) as on_fault, _progress() as say:
        drawn = audit_reading.draw(settings, Plan(windows, clickhouse, spill), say, on_fault)
    if json:
        print_json({**msgspec.to_builtins(drawn), "balance_error": drawn.error})
    else:
        show(drawn, by_window=bool(window))
    if drawn.error:
        raise typer.Exit(FAULT)


def _span(option: str, text: str) -> int:
    if not text:
        return 0
    try:
        return span_s(text)
    except ValueError as error:
        fail(f"--{option} {text!r}: {error}", code=2)


@contextmanager
def _listed(path: Path | None) -> Iterator[Any]:
    """Give what takes each fault: a file that lists them, or nothing."""
    if path is None:
        yield lambda fault: None
        return
    with path.open("wb") as file:

        def write(fault: Fault) -> None:
            file.write(msgspec.json.encode(msgspec.structs.asdict(fault)) + b"\n")

        yield write


@contextmanager
def _progress() -> Iterator[audit_reading.Say]:
    """Show what is read and how many records that are."""
    columns = (SpinnerColumn(), TextColumn("{task.description}"), TextColumn("{task.completed:,.0f} records"))
    with Progress(*columns, console=errors, transient=True, disable=not errors.is_terminal) as bar:
        task = bar.add_task("reading events", total=None)

        def say(what: str, count: int) -> None:
            bar.update(task, description=what, advance=count)

        yield say


_LABELS: Final = {"settled": "finished", "in_flight": "in flight"}
_STATES: Final = ("events", "settled", "held", "in_flight", "unread")


def show(drawn: Reconciliation, *, by_window: bool = False) -> None:
    """Print the audit for a person; with `by_window` its windows too, be it one."""
    console.print(_counts(drawn))
    if by_window:
        print_table(_windows(drawn))
    if drawn.unjudged:
        console.print(
            "not judged: events and messages without an outcome. Kafka may have deleted it; "
            "run again without --no-clickhouse",
            soft_wrap=True,
        )
    if drawn.error:
        _show_faults(drawn)
    else:
        judged = ", of what is judged" if drawn.unjudged else ""
        twice = "no final outcome" if drawn.resent else "nothing"
        console.print(f"[green]✓[/green] balanced: nothing lost, {twice} twice{judged}")
    for notice in drawn.notices():
        console.print(Text.assemble(("!", "yellow"), f" {notice}"), soft_wrap=True)


def _counts(drawn: Reconciliation) -> Table:
    table = Table(title="Audit", title_justify="left", show_header=False)
    table.add_column(justify="left")
    table.add_column(justify="right")
    for name in _STATES:
        table.add_row(_LABELS.get(name, name), f"{getattr(drawn, name):,}")
    extra = {
        "waiting for ClickHouse": drawn.waiting,
        "outcomes only ClickHouse has": drawn.recalled,
        "not judged": drawn.unjudged,
        "sent again after unknown": len(drawn.resent),
        "undecodable, passed over": drawn.undecodable,
    }
    for name, count in extra.items():
        if count:
            table.add_row(name, f"{count:,}")
    for status, count in sorted(drawn.statuses.items()):
        table.add_row(Text.assemble(("outcomes", "dim"), f" {status}"), f"{count:,}")
    return table


def _windows(drawn: Reconciliation) -> Table:
    table = Table(title="Events by window", title_justify="left")
    table.add_column("from")
    for name in (*_STATES, "faults"):
        table.add_column(_LABELS.get(name, name), justify="right")
    for window in drawn.windows:
        numbers = [f"{getattr(window, name):,}" for name in _STATES]
        faults = Text(f"{window.faults:,}", style="red" if window.faults else "")
        table.add_row(moment(window.since_ms), *numbers, faults)
    return table


def _show_faults(drawn: Reconciliation) -> None:
    for sentence in drawn.sentences():
        console.print(Text.assemble(("✗", "red"), f" {sentence}"), soft_wrap=True)
    table = Table(title="The first of each kind", title_justify="left")
    for name in ("kind", "id", "what", "record"):
        table.add_column(name, overflow="fold")
    for fault in drawn.faults:
        table.add_row(*map(Text, (fault.kind, fault.id, fault.what, fault.where)))
    print_table(table)
    if drawn.error > len(drawn.faults):
        console.print("--list FILE writes them all; `tocsin why ID` tells the story of one")
    else:
        console.print("`tocsin why ID` tells the story of one")

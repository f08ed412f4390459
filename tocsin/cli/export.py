"""`tocsin export`: a table or a named query of ClickHouse as a file of Parquet or CSV."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Annotated

import typer
from clickhouse_connect.driver.client import Client
from rich import filesize
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

from dashboards import store
from dashboards.export import Selection, count, export, select
from dashboards.export_file import STDOUT, Form, form_of, whole_file
from dashboards.queries import after_newest_ms
from tocsin.app.settings import Settings
from tocsin.cli.output import console, errors, fail, print_json
from tocsin.cli.query import JsonFlag
from tocsin.cli.times import Since, Until, time_range

_COLUMNS = (
    TextColumn("{task.description}"),
    BarColumn(),
    TextColumn("{task.completed:,} of {task.total:,} rows, {task.fields[size]}"),
    TimeElapsedColumn(),
)


def export_rows(
    what: Annotated[str, typer.Argument(metavar="TABLE|QUERY", help="a table, or a query of `tocsin query`")],
    *,
    to: Annotated[
        str, typer.Option(metavar="FILE", help="FILE.parquet, .csv, .csv.gz or .csv.zst; - for CSV on stdout")
    ],
    since: Since = "",
    until: Until = "",
    tenant: Annotated[str, typer.Option(help="only this tenant; all unless given")] = "",
    notification: Annotated[str, typer.Option(help="only this notification of the catalog")] = "",
    channel: Annotated[str, typer.Option(help="only this channel")] = "",
    force: Annotated[bool, typer.Option("--force", help="replace the file if it exists")] = False,
    json: JsonFlag = False,
) -> None:
    """Write a table or a named query of ClickHouse to a file, each row once; the file is whole or absent."""
    form = form_of(to)
    if json and to == STDOUT:
        fail("--json and --to - would both write to stdout; name a file", code=2)
    moments, settings = time_range(since, until), Settings()
    with store.connect(settings.clickhouse) as client, _target(to, force=force) as file:
        if settings.clock == "stream":
            moments = time_range(since, until, after_newest_ms(client))
        chosen = {"tenant": tenant, "notification": notification, "channel": channel, **moments}
        selection = select(client, what, chosen)
        rows = _shown(client, selection, form, file)
    done = {"what": what, "to": to, "format": form.kind, "rows": rows}
    if json:
        print_json({**done, "bytes": Path(to).stat().st_size})
    else:
        (errors if to == STDOUT else console).print(f"[green]✓[/green] {rows:,} rows of {what} to {to}")


@contextmanager
def _target(to: str, *, force: bool) -> Iterator[IO[bytes]]:
    if to != STDOUT:
        with whole_file(Path(to), force=force) as file:
            yield file
        return
    if sys.stdout.isatty():
        fail("--to - writes to a terminal; redirect stdout, or name a file", code=2)
    yield sys.stdout.buffer
    sys.stdout.buffer.flush()


def _shown(client: Client, selection: Selection, form: Form, file: IO[bytes]) -> int:
    """Export, with a progress bar on a terminal; its end is the number of rows there were at the start."""
    if not errors.is_terminal:
        return export(client, selection, form, file, lambda _rows, _written: None)
    total = count(client, selection)
    with Progress(*_COLUMNS, console=errors, transient=True) as progress:
        task = progress.add_task(selection.name, total=total, size="")

        def show(rows: int, written: int) -> None:
            progress.update(task, completed=rows, size=filesize.decimal(written))

        return export(client, selection, form, file, show)

"""`tocsin query`: named queries of ClickHouse."""

from collections.abc import Sequence
from datetime import datetime
from typing import Annotated, Any

import typer
from rich.table import Table
from rich.text import Text

from dashboards import queries, store
from tocsin.app.settings import Settings
from tocsin.cli.narrow import blocks, column_widths, fit
from tocsin.cli.output import console, fail, print_json, print_table
from tocsin.cli.times import Since, Until, time_range

JsonFlag = Annotated[bool, typer.Option("--json", help="print JSON")]
TenantFlag = Annotated[str, typer.Option(help="tenant")]


def query(
    name: Annotated[str, typer.Argument(help="name of a query; without a name, all queries are listed")] = "",
    *,
    tenant: Annotated[str, typer.Option(help="tenant; '' for all")] = "default",
    since: Since = "",
    until: Until = "",
    notification: Annotated[str, typer.Option(help="only this notification of the catalog")] = "",
    channel: Annotated[str, typer.Option(help="only this channel")] = "",
    notification_id: Annotated[
        str, typer.Option(help="for the query timeline: the notification's id, 32 hex digits")
    ] = "",
    json: JsonFlag = False,
) -> None:
    """Run a prepared query on the outcomes in ClickHouse."""
    if not name:
        _list_queries()
        return
    asked = queries.find(name)
    filters = {"notification": notification, "channel": channel, "notification_id": notification_id}
    if name == "timeline" and not notification_id:
        fail("query timeline needs --notification-id ID; `tocsin why SUBJECT` names it", code=2)
    for option in [key for key, value in filters.items() if value and key not in asked.parameters]:
        fail(f"query {name} has no filter --{option.replace('_', '-')}", code=2)
    moments, settings = time_range(since, until), Settings()
    with store.connect(settings.clickhouse) as client:
        if settings.clock == "stream":
            moments = time_range(since, until, queries.after_newest_ms(client))
        rows = queries.run(client, name, {"tenant": tenant, **filters, **moments})
    if json:
        print_json(rows)
    else:
        print_table(as_table(rows, f"{asked.title}: {asked.text}"))


def _list_queries() -> None:
    width = max(len(one.name) for one in queries.queries())
    for one in queries.queries():
        console.print(f"[bold]{one.name:{width}}[/bold] {one.title}: {one.text}", soft_wrap=True)


def print_rows(rows: Sequence[dict[str, Any]], title: str, nothing: str) -> None:
    """Print a table of rows, or a sentence where there is none; no id is broken on a narrow terminal."""
    if not rows:
        console.print(nothing, soft_wrap=True, markup=False)
        return
    names, cells = list(rows[0]), [[_cell(value) for value in row.values()] for row in rows]
    if not console.is_terminal:
        print_table(as_table(rows, title))
    elif widths := column_widths(names, cells, console.width):
        print_table(fit(as_table(rows, title), widths))
    else:
        console.print(title, style="italic", soft_wrap=True, markup=False)
        for line in blocks(names, cells, console.width):
            console.print(line, soft_wrap=True)


def as_table(rows: Sequence[dict[str, Any]], title: str) -> Table:
    """Lay rows out; numbers to the right, long text on several lines."""
    table = Table(title=title, title_justify="left")
    for name in rows[0] if rows else ["nothing"]:
        right = bool(rows) and isinstance(rows[0][name], int | float)
        table.add_column(name, justify="right" if right else "left", overflow="fold")
    for row in rows:
        table.add_row(*[Text(_cell(value)) for value in row.values()])
    return table


def _cell(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, datetime):  # ClickHouse's are of UTC
        ms = value.microsecond // 1_000
        return f"{value:%Y-%m-%d %H:%M:%S}{f'.{ms:03}' if ms else ''} UTC"
    if isinstance(value, bool) or not isinstance(value, int | float):
        return str(value)
    return f"{value:,.1f}" if isinstance(value, float) else f"{value:,}"

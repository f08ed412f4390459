"""`tocsin query`, `tocsin why`, `tocsin migrate`: questions to ClickHouse."""

import json as jsonlib
from collections.abc import Sequence
from typing import Annotated, Any

import typer
from clickhouse_connect.driver.client import Client
from rich.table import Table
from rich.text import Text

from dashboards import queries, store
from tocsin.app.settings import Settings
from tocsin.cli.output import FAULT, console, fail, print_json, print_table
from tocsin.cli.times import Since, Until, time_range
from tocsin.cli.waiting import ask_failing, moment, open_rows, waits_for
from tocsin.model.explanations import explain as explained
from tocsin.model.statuses import Status

JsonFlag = Annotated[bool, typer.Option("--json", help="print JSON")]
TenantFlag = Annotated[str, typer.Option(help="tenant")]


def migrate() -> None:
    """Create or update the ClickHouse schema."""
    applied = store.migrate(Settings().clickhouse)
    for name in applied:
        console.print(f"[green]✓[/green] {name}")
    if not applied:
        console.print("the schema is up to date")


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
    """Run a named query of dashboards/queries."""
    if not name:
        _list_queries()
        return
    asked = queries.find(name)
    filters = {"notification": notification, "channel": channel, "notification_id": notification_id}
    if name == "timeline" and not notification_id:
        fail("query timeline needs --notification-id ID; `tocsin why SUBJECT --json` names it", code=2)
    for option in [key for key, value in filters.items() if value and key not in asked.parameters]:
        fail(f"query {name} has no filter --{option.replace('_', '-')}", code=2)
    bound = {"tenant": tenant, **filters, **time_range(since, until)}
    with store.connect(Settings().clickhouse) as client:
        rows = queries.run(client, name, bound)
    if json:
        print_json(rows)
    else:
        print_table(as_table(rows, f"{asked.title}: {asked.text}"))


def _list_queries() -> None:
    for one in queries.queries():
        console.print(f"[bold]{one.name:20}[/bold] {one.title}: {one.text}", soft_wrap=True)


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
    if isinstance(value, bool) or not isinstance(value, int | float):
        return str(value)
    return f"{value:,.1f}" if isinstance(value, float) else f"{value:,}"


_WHY = """
SELECT at, status, reason, rule, notification, channel, provider, code, attempt, detail, event_type, event_id,
       origin, notification_id, message_id, target, latency_ms, catalog_version, variant
FROM outcomes FINAL
WHERE tenant = {tenant:String}
  AND ({user:String} = '' OR user = {user:String})
  AND ({id:String} = '' OR {id:String} IN (notification_id, message_id, event_id, origin)
    OR (status = 'merged' AND {id:String} = JSONExtractString(detail, 'into')))
ORDER BY received_ms DESC, user != '', at_ms, attempt, status
LIMIT {limit:UInt32}
"""


def why(
    subject: Annotated[
        str, typer.Argument(help="a notification, message or event id, or an origin topic/partition/offset")
    ] = "",
    *,
    user: Annotated[str, typer.Option(help="show all outcomes of this user")] = "",
    tenant: TenantFlag = "default",
    limit: Annotated[int, typer.Option(min=1, help="largest number of outcomes shown")] = 50,
    json: JsonFlag = False,
) -> None:
    """Say what became of a notification and why: the rule, the counter and the window."""
    if not subject and not user:
        fail("name a notification, a message, an event or an origin; or a user by --user", code=2)
    bound = {"tenant": tenant, "user": user, "id": subject, "limit": limit}
    with store.connect(Settings().clickhouse) as client:
        rows = ask_why(client, bound)
        _add_waits(client, tenant, rows)
    if json:
        print_json(rows)
    elif not rows:
        fail(
            f"ClickHouse has no outcome of {subject or user} for tenant {tenant}; the id of a notification or"
            " message has 32 hex digits, an origin is topic/partition/offset",
            FAULT,
        )
    else:
        for row in rows:
            explain(row)


def ask_why(client: Client, bound: dict[str, Any]) -> list[dict[str, Any]]:
    """Fetch the outcomes of a subject, newest event first."""
    result = client.query(_WHY, parameters=bound)
    return [dict(zip(result.column_names, row, strict=True)) for row in result.result_rows]


def _add_waits(client: Client, tenant: str, rows: Sequence[dict[str, Any]]) -> None:
    """Add what it waits for to the last outcome of each message without an end."""
    waiting = open_rows(rows)
    failing = ask_failing(client, tenant, waiting)
    for row in waiting:
        row["waits"] = waits_for(row, failing)


_COLOURS = {
    "sent": "green",
    "delivered": "green",
    "suppressed": "yellow",
    "held": "cyan",
    "dead": "red",
    "retrying": "magenta",
}


_LONGEST_MS = 100_000_000_000
"""Numbers of ms below are durations; 3 March 1973 as a time."""


def _number(name: str, value: Any) -> str:
    if not name.endswith("_ms") or not isinstance(value, int) or value < _LONGEST_MS:
        return f"{name} {value}"
    return f"{name.removesuffix('_ms').replace('_', ' ')} {moment(value)}"


def explain(row: dict[str, Any]) -> None:
    """Print one outcome as a sentence and the numbers it rested on; its values letter by letter."""
    colour = _COLOURS.get(row["status"], "blue")
    what = row["notification"] or row["event_type"] or row["origin"]
    where = "" if row["channel"] == "*" else f" by {row['channel']}"
    by = f" through {row['provider']}" if row["provider"] else ""
    target = f" (target {row['target']})" if row["target"] else ""
    arm = f" (variant {row['variant']})" if row.get("variant") else ""
    status = (f"{row['status']:10}", colour)
    console.print(
        Text.assemble(f"{row['at']:%Y-%m-%d %H:%M:%S}  ", status, f" {what}{where}{by}{target}{arm}"),
        soft_wrap=True,
    )
    detail = jsonlib.loads(row["detail"] or "{}")
    # A receipt may carry a word of its provider's own, which has no sentence.
    sentence = explained(row["reason"], detail)
    if row["reason"] or sentence:
        why_not = ": ".join(part for part in (row["reason"], sentence) if part)
        console.print(Text(f"{'':21}{why_not}"), soft_wrap=True)
    if row["status"] == Status.MERGED and "into" in detail:
        into = f"`tocsin why {detail['into']}` says what became of it"
        console.print(Text(f"{'':21}{into}"), soft_wrap=True)
    if row.get("rule"):
        version = f", catalog {row['catalog_version']}" if row.get("catalog_version") else ""
        console.print(Text(f"{'':21}rule {row['rule']}{version}", style="dim"), soft_wrap=True)
    if row.get("waits"):
        console.print(Text(f"{'':21}{row['waits']}", style="bold"), soft_wrap=True)
    if detail:
        numbers = ", ".join(_number(key, value) for key, value in detail.items())
        console.print(Text(f"{'':21}{numbers}", style="dim"), soft_wrap=True)

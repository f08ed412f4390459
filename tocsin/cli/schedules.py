"""`tocsin schedules`: what is planned by the catalog, and what is held or was cancelled by the outcomes."""

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import Annotated, Any

import typer
from clickhouse_connect.driver.client import Client

from dashboards import store
from tocsin.app.settings import Settings
from tocsin.catalog.loader import load
from tocsin.catalog.schedules import CompiledSchedule
from tocsin.cli.output import print_json
from tocsin.cli.query import JsonFlag, print_rows
from tocsin.decision.recurring import first_after
from tocsin.model.explanations import moment

Row = dict[str, Any]
# A hold of the whole notification is over once the notification has an outcome of another status.
_HELD = """
WITH decided AS
(
    SELECT notification_id FROM outcomes
    WHERE ({tenant:String} = '' OR tenant = {tenant:String}) AND status != 'held' AND notification_id != ''
),
held AS
(
    SELECT tenant, user, notification_id, message_id, channel,
        argMax((status, reason, detail, notification, event_id), (at_ms, attempt, status != 'held')) AS last
    FROM outcomes
    WHERE ({tenant:String} = '' OR tenant = {tenant:String}) AND ({user:String} = '' OR user = {user:String})
        AND notification_id != '' AND user != ''
    GROUP BY tenant, user, notification_id, message_id, channel
    HAVING last.1 = 'held'
)
SELECT tenant, user, last.4 AS notification, channel, last.5 AS event, last.2 AS reason,
    JSONExtractInt(last.3, 'due_ms') AS due_ms
FROM held
WHERE channel != '*' OR message_id != '' OR notification_id NOT IN decided
ORDER BY due_ms, tenant, user
LIMIT {limit:UInt32}
"""
_CANCELLED = """
SELECT tenant, user, notification, channel, event_id AS event, reason, at_ms
FROM outcomes FINAL
WHERE ({tenant:String} = '' OR tenant = {tenant:String}) AND ({user:String} = '' OR user = {user:String})
    AND status = 'cancelled' AND NOT JSONHas(detail, 'key_group')
ORDER BY at_ms DESC, tenant, user
LIMIT {limit:UInt32}
"""

_NOTHING = {
    "planned": "Nothing is planned: the catalog has no such schedule.",
    "held": "Nothing is held.",
    "cancelled": "Nothing was cancelled.",
}


def schedules(
    *,
    tenant: Annotated[str, typer.Option(help="of this tenant; by default of all")] = "",
    user: Annotated[str, typer.Option(help="held for this user, or cancelled")] = "",
    limit: Annotated[int, typer.Option(min=1, help="largest number of rows of each list")] = 100,
    json: JsonFlag = False,
) -> None:
    """List what is planned, held and cancelled, with times."""
    settings = Settings()
    tenants = load(settings.catalog).tenants
    known = [
        one for name, found in tenants.items() if tenant in {"", name} for one in found.schedules.values()
    ]
    lists = {"planned": planned(known, int(datetime.now(UTC).timestamp() * 1000))}
    bound = {"tenant": tenant, "user": user, "limit": limit}
    with store.connect(settings.clickhouse) as client:
        lists["held"] = [_timed(row, "due_ms", "due") for row in ask(client, _HELD, bound)]
        lists["cancelled"] = [_timed(row, "at_ms", "at") for row in ask(client, _CANCELLED, bound)]
    if json:
        print_json(lists)
        return
    for name, rows in lists.items():
        print_rows(rows, name.capitalize(), _NOTHING[name])


def planned(known: Iterable[CompiledSchedule], now_ms: int) -> list[Row]:
    """List the next occurrence of each schedule, the earliest first; one that is paused has none."""
    rows = [_planned(schedule, now_ms) for schedule in known]
    return sorted(rows, key=lambda row: (row["next"] or "~", row["tenant"], row["schedule"]))


def _planned(schedule: CompiledSchedule, now_ms: int) -> Row:
    following = first_after(schedule, now_ms) if schedule.is_active else None
    due = "" if following is None else moment(following.due_ms)
    if following is not None and schedule.is_local:
        due = f"{following.name.replace('T', ' ')} of each user's clock"
    return {
        "tenant": schedule.tenant,
        "schedule": schedule.name,
        "cron": schedule.cron,
        "zone": schedule.zone,
        "for": schedule.topic or schedule.segment,
        "type": schedule.type,
        "next": due,
        "state": "planned" if due else "paused" if not schedule.is_active else "over",
    }


def ask(client: Client, sql: str, bound: Mapping[str, Any]) -> list[Row]:
    """Run a query; its rows by name."""
    return list(client.query(sql, parameters=dict(bound)).named_results())


def _timed(row: Mapping[str, Any], field: str, name: str) -> Row:
    """Write the time of a row as a person reads it."""
    others = {key: value for key, value in row.items() if key != field}
    return {**others, name: moment(row[field]) if row[field] else ""}

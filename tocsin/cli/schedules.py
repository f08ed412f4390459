"""`tocsin schedules`: what is planned by the catalog, and what is held or was cancelled by the outcomes."""

from collections.abc import Collection, Iterable, Mapping
from datetime import UTC, datetime
from typing import Annotated, Any

import typer
from clickhouse_connect.driver.client import Client

from dashboards import store
from tocsin.app.settings import Settings
from tocsin.catalog.catalog import Catalog
from tocsin.catalog.loader import load_apart
from tocsin.catalog.schedules import EVERYONE, CompiledSchedule
from tocsin.cli.output import complain, print_json
from tocsin.cli.query import JsonFlag, print_rows
from tocsin.decision.recurring import first_after
from tocsin.model.explanations import moment

Row = dict[str, Any]
# Open holds are found as in the query `waiting_rows`: by parts of notifications, and by messages whose state
# is held. Then only rows of these holds are read. A hold of the whole notification is over once it has an
# outcome of another status, or is held channel by channel.
_HELD = r"""
WITH parts AS
(
    SELECT tenant, id, channel, max(h.hold) AS hold,
        hold != '' AND max(h.decided) = 0 AND max(h.message) = 0 AS is_open
    FROM hold_parts AS h
    PREWHERE id IN
    (
        SELECT id FROM hold_parts
        WHERE hold != '' AND ({tenant:String} = '' OR tenant = {tenant:String})
    )
    WHERE ({tenant:String} = '' OR tenant = {tenant:String})
    GROUP BY tenant, id, channel
),
maybe AS
(
    SELECT tenant, subject
    FROM latest
    PREWHERE message_stage = 1
    WHERE ({tenant:String} = '' OR tenant = {tenant:String})
),
open AS
(
    SELECT tenant, id AS key, one.1 AS channel, toInt64OrZero(substring(one.2, 1, 15)) AS at_ms
    FROM
    (
        SELECT
            tenant, id,
            arrayFilter(
                p -> p.1 != '*' OR countIf(channel != '*') = 0,
                groupArrayIf((toString(channel), hold), is_open)
            ) AS left
        FROM parts
        GROUP BY tenant, id
    )
    ARRAY JOIN left AS one
    UNION ALL
    SELECT tenant, cityHash64(subject) AS key, toString(max(l.channel)) AS channel,
        toInt64OrZero(substring(max(l.state), 2, 15)) AS at_ms
    FROM latest AS l
    WHERE (tenant, subject) IN (SELECT tenant, subject FROM maybe)
    GROUP BY tenant, subject
    HAVING startsWith(max(l.state), '1') AND splitByChar('\t', max(l.state))[2] = 'held'
)
SELECT
    tenant, user, notification, channel, event_id AS event, reason,
    JSONExtractInt(detail, 'due_ms') AS due_ms
FROM outcomes
PREWHERE status = 'held'
WHERE (tenant, cityHash64(if(message_id != '', message_id, notification_id)), channel, at_ms) IN
        (SELECT tenant, key, channel, at_ms FROM open)
    AND ({user:String} = '' OR user = {user:String}) AND notification_id != '' AND user != ''
ORDER BY due_ms, tenant, user
LIMIT 1 BY tenant, if(message_id != '', message_id, notification_id), channel
LIMIT {limit:UInt32}
"""
_CANCELLED = """
SELECT tenant, user, notification, channel, event_id AS event, reason, at_ms
FROM outcomes
PREWHERE status = 'cancelled'
WHERE ({tenant:String} = '' OR tenant = {tenant:String}) AND ({user:String} = '' OR user = {user:String})
    AND NOT JSONHas(detail, 'key_group')
ORDER BY at_ms DESC, tenant, user
LIMIT 1 BY outcome_id
LIMIT {limit:UInt32}
"""

_NOTHING = {"held": "Nothing is held.", "cancelled": "Nothing was cancelled."}


def schedules(
    *,
    tenant: Annotated[str, typer.Option(help="of this tenant; by default of all")] = "",
    user: Annotated[str, typer.Option(help="held for this user, or cancelled")] = "",
    limit: Annotated[int, typer.Option(min=1, help="largest number of rows of each list")] = 100,
    json: JsonFlag = False,
) -> None:
    """List what is planned, held and cancelled, with times."""
    settings = Settings()
    catalog = load_apart(settings.catalog)
    for name in sorted(catalog.faults):
        complain(
            f"the files of tenant {name} have mistakes, so its schedules are not listed: run `tocsin check`"
        )
    known = [
        one
        for name, found in catalog.tenants.items()
        if tenant in {"", name}
        for one in found.schedules.values()
    ]
    inactive = {name for name, found in catalog.tenants.items() if found.spec.status == "inactive"}
    lists = {"planned": planned(known, int(datetime.now(UTC).timestamp() * 1000), inactive)}
    bound = {"tenant": tenant, "user": user, "limit": limit}
    with store.connect(settings.clickhouse) as client:
        lists["held"] = [_timed(row, "due_ms", "due") for row in ask(client, _HELD, bound)]
        lists["cancelled"] = [_timed(row, "at_ms", "at") for row in ask(client, _CANCELLED, bound)]
    if json:
        print_json(lists)
        return
    nothing = {"planned": nothing_planned(catalog, tenant)} | _NOTHING
    for name, rows in lists.items():
        print_rows(rows, name.capitalize(), nothing[name])


def nothing_planned(catalog: Catalog, tenant: str) -> str:
    """Say why no schedule is listed, and what helps.

    Args:
        catalog: the catalog in force.
        tenant: the one that was asked for; empty for all.
    """
    having = sorted(name for name, found in catalog.tenants.items() if found.schedules)
    if tenant and tenant not in {*catalog.tenants, *catalog.faults}:
        return f"Nothing is planned: the catalog has no tenant {tenant}. It has {_named(catalog.tenants)}."
    if having:
        return f"Nothing is planned: tenant {tenant} has no schedule. Ask --tenant {_named(having)}."
    return "Nothing is planned: the catalog has no schedule. They are files of its folder schedules/."


def _named(names: Collection[str]) -> str:
    *others, last = sorted(names)
    return f"{', '.join(others)} or {last}" if others else last


def planned(known: Iterable[CompiledSchedule], now_ms: int, inactive: Collection[str] = ()) -> list[Row]:
    """List the next occurrence of each schedule, the earliest first; one that is paused has none.

    Args:
        known: the schedules.
        now_ms: the time from which on.
        inactive: the tenants for which nothing is raised.
    """
    rows = [
        _planned(schedule, now_ms, "tenant inactive" if schedule.tenant in inactive else "paused")
        for schedule in known
    ]
    return sorted(rows, key=lambda row: (row["next"] or "~", row["tenant"], row["schedule"]))


def _planned(schedule: CompiledSchedule, now_ms: int, pause: str) -> Row:
    following = first_after(schedule, now_ms) if schedule.is_active else None
    due = "" if following is None else moment(following.due_ms)
    if following is not None and schedule.is_local:
        due = f"{following.name.replace('T', ' ')} of each user's clock"
    return {
        "tenant": schedule.tenant,
        "schedule": schedule.name,
        "cron": schedule.cron,
        "zone": schedule.zone,
        "for": schedule.topic or ("everyone" if schedule.segment == EVERYONE else schedule.segment),
        "type": schedule.type,
        "next": due,
        "state": "planned" if due else pause if not schedule.is_active else "over",
    }


def ask(client: Client, sql: str, bound: Mapping[str, Any]) -> list[Row]:
    """Run a query; its rows by name."""
    return list(client.query(sql, parameters=dict(bound)).named_results())


def _timed(row: Mapping[str, Any], field: str, name: str) -> Row:
    """Write the time of a row as a person reads it."""
    others = {key: value for key, value in row.items() if key != field}
    return {**others, name: moment(row[field]) if row[field] else ""}

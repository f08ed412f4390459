"""Reads the outcomes that stories are told from, and what these lead to."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

from clickhouse_connect.driver.client import Client

from dashboards.store import ask
from dashboards.story_search import Sought, range_of
from dashboards.telling import Row, linked
from tocsin.model.statuses import Status

_ROWS_MAX: Final = 5_000
COLUMNS: Final = """
outcome_id, status, tenant, user, notification_id, message_id, event_id, event_source, event_type,
event_time_ms, origin, notification, category, channel, target, platform, reason, detail, priority,
catalog_version, variant, locale, provider, provider_message_id, code, attempt, generation, at_ms,
received_ms, latency_ms, provider_ms, rule, replay, replay_of
"""
_ROWS: Final = f"""
SELECT {COLUMNS}
FROM outcomes
WHERE tenant = {{tenant:String}} AND :condition
ORDER BY at_ms
LIMIT 1 BY outcome_id
LIMIT {{rows:UInt32}}
"""  # noqa: S608  # conditions are constants; values are bound
# Rows are sorted by hour and notification, so few are read. Those of an event alone have no notification.
_OF_STORIES: Final = """
(hour, notification_id) IN
(
    WITH {ids:Array(String)} AS ids
    SELECT hour, if(story != '', story, ids[indexOf(arrayMap(x -> cityHash64(x), ids), id)])
    FROM outcome_hours
    WHERE tenant = {tenant:String} AND id IN (SELECT cityHash64(arrayJoin({names:Array(String)})))
)
"""
_OF_EVENTS: Final = """
AND (notification_id != '' OR (origin IN {origins:Array(String)} AND user IN {users:Array(String)}))
"""
_NAMELESS: Final = """
hour IN {hours:Array(DateTime('UTC'))} AND at_ms BETWEEN {from_ms:Int64} AND {to_ms:Int64}
AND notification_id = '' AND origin = '' AND user IN {users:Array(String)}
"""
_OF_OTHERS: Final = """
hour IN
(
    SELECT hour
    FROM outcome_hours
    WHERE tenant = {tenant:String} AND id IN (SELECT cityHash64(arrayJoin({names:Array(String)})))
)
AND
(
    notification_id IN {names:Array(String)}
    OR origin IN {names:Array(String)}
    OR (status = 'merged' AND JSONExtractString(detail, 'into') IN {names:Array(String)})
)
"""
_LETTERS: Final = """
SELECT origin, user, stage, reason, error, bytes, dead_partition, dead_offset, last_ms
FROM dead_letters
WHERE origin IN {origins:Array(String)}
    OR (tenant = {tenant:String} AND last_ms IN {times:Array(Int64)} AND user IN {users:Array(String)})
ORDER BY last_ms
LIMIT {rows:UInt32}
"""


def outcomes_of(client: Client, tenant: str, sought: Sought) -> list[Row]:
    """Read all outcomes of notifications, those of their events alone, and what was merged into them."""
    rows = [*_of_stories(client, tenant, sought, sought.origins)]
    late = {row["origin"] for row in rows if row["notification_id"]} & sought.other_origins
    if late:
        rows += _of_stories(client, tenant, sought._replace(notifications=frozenset()), late)
    if sought.nameless_hours:
        bound = {"users": sorted(sought.users), **range_of(sought.nameless_hours)}
        rows += _rows(client, tenant, _NAMELESS, bound)
    return rows


def _of_stories(client: Client, tenant: str, sought: Sought, origins: Iterable[str]) -> Sequence[Row]:
    ids, known = sorted(sought.notifications), sorted(origins)
    bound = {"ids": ids, "origins": known, "names": [*ids, *known], "users": sorted(sought.users)}
    condition = f"{_OF_STORIES}{_OF_EVENTS if known else ''}"  # it reads two columns more
    return _rows(client, tenant, condition, bound) if bound["names"] else []


def others_of(client: Client, tenant: str, rows: Sequence[Row]) -> dict[str, list[Row]]:
    """Read the outcomes of what the details of these outcomes name, by that name."""
    names = sorted({subject for row in rows for _, subject in linked(row)})
    others: dict[str, list[Row]] = {}
    for row in _rows(client, tenant, _OF_OTHERS, {"names": names}) if names else ():
        for name in {row["notification_id"], row["origin"]} & set(names):
            others.setdefault(name, []).append(row)
    return others


def letters_of(client: Client, tenant: str, rows: Iterable[Row]) -> Sequence[Row]:
    """Read the dead letters that these outcomes may be about."""
    dead = [row for row in rows if row["status"] == Status.DEAD]
    if not dead:
        return []
    bound = {"tenant": tenant, "origins": sorted({row["origin"] for row in dead}), "rows": _ROWS_MAX}
    times, users = sorted({row["at_ms"] for row in dead}), sorted({row["user"] for row in dead} - {""})
    return ask(client, _LETTERS, bound | {"times": times, "users": users})


def _rows(client: Client, tenant: str, condition: str, bound: Mapping[str, Any]) -> Sequence[Row]:
    text = _ROWS.replace(":condition", f"({condition})")
    return ask(client, text, {"tenant": tenant, "rows": _ROWS_MAX, **bound})

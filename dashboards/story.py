"""Stories: what became of a notification and why, found by whatever a person names.

`find` asks ClickHouse, `tell` writes a story from the outcomes. The command `tocsin why` prints stories, and
the pages of the dashboard show them.

Each lookup reads by one index only: ClickHouse uses no index for conditions that are joined by `OR`.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

from clickhouse_connect.driver.client import Client

from dashboards.story_parts import Story
from dashboards.telling import Row, linked, tell
from dashboards.waits import ask_failing, open_rows

__all__ = ["LIMIT", "Story", "find", "kinds_of", "tell"]
LIMIT: Final = 20
_ROWS_MAX: Final = 5_000
_HEX_ID: Final = re.compile(r"[0-9a-f]{32}")
_ORIGIN: Final = re.compile(r"[^/]+/\d+/-?\d+")
COLUMNS: Final = """
outcome_id, status, tenant, user, notification_id, message_id, event_id, event_source, event_type,
event_time_ms, origin, notification, category, channel, target, platform, reason, detail, priority,
catalog_version, variant, provider, provider_message_id, code, attempt, generation, at_ms,
received_ms, latency_ms, provider_ms, rule, replay, replay_of
"""
KINDS: Final[Mapping[str, str]] = {
    "notification": "notification_id = {subject:String}",
    "message": "message_id = {subject:String}",
    "origin": "origin = {subject:String}",
    "event": "event_id = {subject:String}",
    "user": "user = {subject:String}",
}
"""What a subject may be, the most exact first, and by which column it is found."""
_PLACES = """
(SELECT '{kind}' AS kind, notification_id, origin, user, max(at_ms) AS last_ms
FROM outcomes
WHERE tenant = {{tenant:String}} AND {condition}
GROUP BY notification_id, origin, user
ORDER BY user != '', last_ms DESC
LIMIT {{limit:UInt32}})
"""
_TENANTS = "SELECT DISTINCT tenant FROM outcomes WHERE {condition} ORDER BY tenant"
_BY_NOTIFICATION = "notification_id IN {ids:Array(String)}"
_BY_EVENT = "notification_id = '' AND origin IN {origins:Array(String)} AND user IN {users:Array(String)}"
_ROWS = "(SELECT {columns} FROM outcomes WHERE tenant = {{tenant:String}} AND {condition})"
_EACH = "SELECT * FROM ({parts}) ORDER BY at_ms LIMIT 1 BY outcome_id LIMIT {{rows:UInt32}}"
_ITEMS = """status = 'merged' AND user IN {users:Array(String)}
AND JSONExtractString(detail, 'into') IN {ids:Array(String)}"""


def kinds_of(subject: str) -> tuple[str, ...]:
    """Say what a subject may be, by its form.

    >>> kinds_of("events/0/7"), kinds_of("ann")
    (('origin', 'event', 'user'), ('event', 'user'))
    """
    if _HEX_ID.fullmatch(subject):
        return ("notification", "message", "event", "user")
    return ("origin", "event", "user") if _ORIGIN.fullmatch(subject) else ("event", "user")


def find(
    client: Client,
    subject: str,
    tenant: str = "default",
    *,
    kind: str = "",
    limit: int = LIMIT,
    zone: str = "",
) -> list[Story]:
    """Tell the stories of a notification, message, event, origin or user: of no user first, then the newest.

    Args:
        client: of ClickHouse.
        subject: what is asked about, found by whatever it is.
        tenant: whose it is.
        kind: one of `KINDS`, where that is known; empty to find out.
        limit: the largest number of stories.
        zone: the time zone to tell times in; empty for the one that the outcomes name, or UTC.
    """
    places = _places(client, subject, tenant, (kind,) if kind else kinds_of(subject), limit)
    if not places:
        return []
    groups = _grouped(_rows(client, tenant, places), places)
    others, items = _others(client, tenant, groups)
    failing = ask_failing(client, tenant, [row for rows in groups.values() for row in open_rows(rows)])
    stories = [
        tell(rows, others | {"items": items.get(name, [])}, failing, zone) for name, rows in groups.items()
    ]
    return sorted(stories, key=lambda story: (story.user != "", -story.last_ms))[:limit]


def tenants_of(client: Client, subject: str) -> list[str]:
    """Name the tenants that have outcomes of a subject; it reads the whole table."""
    condition = " OR ".join(KINDS[kind] for kind in kinds_of(subject))
    rows = _ask(client, _TENANTS.format(condition=condition), {"subject": subject})
    return [row["tenant"] for row in rows]


def _places(
    client: Client, subject: str, tenant: str, kinds: Sequence[str], limit: int
) -> list[Mapping[str, Any]]:
    """Find the notifications and events of a subject; of the most exact kind that knows it."""
    parts = [_PLACES.format(kind=kind, condition=KINDS[kind]) for kind in kinds]
    found = _ask(client, " UNION ALL ".join(parts), {"tenant": tenant, "subject": subject, "limit": limit})
    first = next((kind for kind in kinds if any(place["kind"] == kind for place in found)), "")
    return [place for place in found if place["kind"] == first]


def _rows(client: Client, tenant: str, places: Sequence[Mapping[str, Any]]) -> list[Row]:
    """Fetch all outcomes of these notifications, and those of their events that are about no notification."""
    bound = {
        "tenant": tenant,
        "ids": sorted({place["notification_id"] for place in places} - {""}),
        "origins": sorted({place["origin"] for place in places} - {""}),
        "users": sorted({place["user"] for place in places}),
        "rows": _ROWS_MAX,
    }
    return _union(client, (_BY_NOTIFICATION, _BY_EVENT), bound)


def _union(client: Client, conditions: Iterable[str], bound: Mapping[str, Any]) -> list[Row]:
    parts = [_ROWS.format(columns=COLUMNS, condition=condition) for condition in conditions]
    return _ask(client, _EACH.format(parts=" UNION ALL ".join(parts)), bound)


def _grouped(rows: Sequence[Row], places: Sequence[Mapping[str, Any]]) -> dict[str, list[Row]]:
    """Group outcomes into stories: one a notification; what is about the event alone goes to each of them."""
    groups: dict[str, list[Row]] = {}
    for row in rows:
        if row["notification_id"]:
            groups.setdefault(row["notification_id"], []).append(row)
    for row in rows:
        if row["notification_id"]:
            continue
        of_event = [name for name, own in groups.items() if row["origin"] and _is_of(row, own)]
        for name in of_event or [row["origin"] or row["user"]]:
            groups.setdefault(name, []).append(row)
    return groups


def _is_of(row: Row, own: Sequence[Row]) -> bool:
    """Tell whether an outcome of an event belongs into the story of one of its notifications."""
    first = own[0]
    return bool(first["notification_id"]) and (row["origin"], row["user"]) == (first["origin"], first["user"])


def _others(
    client: Client, tenant: str, groups: Mapping[str, Sequence[Row]]
) -> tuple[dict[str, list[Row]], dict[str, list[Row]]]:
    """Fetch the outcomes of the stories that these lead to; and what was merged into each of them."""
    rows = [row for own in groups.values() for row in own]
    names = sorted({subject for row in rows for _, subject in linked(row)})
    bound = {"tenant": tenant, "ids": names, "origins": names, "rows": _ROWS_MAX}
    found = _union(client, (_BY_NOTIFICATION, "origin IN {origins:Array(String)}"), bound) if names else []
    others: dict[str, list[Row]] = {}
    for row in found:
        for name in {row["notification_id"], row["origin"]} & set(names):
            others.setdefault(name, []).append(row)
    return others, _items(client, tenant, groups)


def _items(client: Client, tenant: str, groups: Mapping[str, Sequence[Row]]) -> dict[str, list[Row]]:
    """Fetch what was merged into these notifications."""
    users = sorted({row["user"] for own in groups.values() for row in own if row["notification_id"]})
    if not users:
        return {}
    bound = {"tenant": tenant, "ids": sorted(groups), "users": users, "rows": _ROWS_MAX}
    items: dict[str, list[Row]] = {}
    for row in _union(client, (_ITEMS,), bound):
        into = next(subject for relation, subject in linked(row) if relation in ("digest", "collapsed_into"))
        items.setdefault(into, []).append(row)
    return items


def _ask(client: Client, text: str, bound: Mapping[str, Any]) -> list[Row]:
    result = client.query(text, parameters=dict(bound))
    return [dict(zip(result.column_names, row, strict=True)) for row in result.result_rows]

"""Stories: what became of a notification and why, found by whatever a person names.

`find` asks ClickHouse, `tell` writes a story from the outcomes. The command `tocsin why` prints stories, and
the pages of the dashboard show them.

The table `outcome_hours` tells in which hours an id has outcomes, so that a question reads these hours alone,
however many rows there are.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

from clickhouse_connect.driver.client import Client

from dashboards.story_parts import Story
from dashboards.telling import Row, linked, tell
from dashboards.waits import ask_failing, open_rows
from tocsin.model.statuses import Status

__all__ = ["KINDS", "LIMIT", "Story", "find", "kinds_of", "tell", "tenants_of"]
LIMIT: Final = 20
_ROWS_MAX: Final = 5_000
_HEX_ID: Final = re.compile(r"[0-9a-f]{32}")
_ORIGIN: Final = re.compile(r"[^/]+/\d+/-?\d+")
COLUMNS: Final = """
outcome_id, status, tenant, user, notification_id, message_id, event_id, event_source, event_type,
event_time_ms, origin, notification, category, channel, target, platform, reason, detail, priority,
catalog_version, variant, locale, provider, provider_message_id, code, attempt, generation, at_ms,
received_ms, latency_ms, provider_ms, rule, replay, replay_of
"""
KINDS: Final[Mapping[str, str]] = {
    "notification": "notification_id",
    "message": "message_id",
    "origin": "origin",
    "event": "event_id",
    "user": "user",
}
"""What a subject may be, the most exact first, and by which column it is found."""
_HOURS: Final = """
SELECT DISTINCT toUnixTimestamp(hour) AS hour_s
FROM outcome_hours
WHERE tenant = {tenant:String} AND id IN (SELECT cityHash64(arrayJoin({names:Array(String)})))
ORDER BY hour_s DESC
"""
# Partitions are chosen by at_ms, and rows in them by the hour.
_IN_HOURS: Final = """
tenant = {tenant:String} AND hour IN {hours:Array(DateTime('UTC'))}
AND at_ms BETWEEN {from_ms:Int64} AND {to_ms:Int64}
"""
_PLACES: Final = f"""
SELECT notification_id, max(origin) AS event_origin, user, max(at_ms) AS last_ms, :flags
FROM outcomes
WHERE {_IN_HOURS} AND (:conditions)
GROUP BY notification_id, user, if(notification_id = '', origin, '')
ORDER BY user != '', last_ms DESC
LIMIT {{limit:UInt32}} BY :kinds
"""  # noqa: S608  # the columns are those of `KINDS`; values are bound
_ROWS: Final = f"""
SELECT {COLUMNS}
FROM outcomes
WHERE {_IN_HOURS} AND
(
    notification_id IN {{ids:Array(String)}}
    OR (origin IN {{origins:Array(String)}} AND (notification_id = '' OR {{whole:Bool}})
        AND (user IN {{users:Array(String)}} OR {{whole:Bool}}))
    OR (status = 'merged' AND JSONExtractString(detail, 'into') IN {{ids:Array(String)}})
)
ORDER BY at_ms
LIMIT 1 BY outcome_id
LIMIT {{rows:UInt32}}
"""  # noqa: S608  # the columns are constants; values are bound
_HOURS_AT_ONCE: Final = 24
"""A question reads the newest hours of a subject first, and more only if they have too few stories."""
_WIDER: Final = 8
_LETTERS: Final = """
SELECT origin, user, stage, reason, error, bytes, dead_partition, dead_offset, last_ms
FROM dead_letters
WHERE origin IN {origins:Array(String)}
    OR (tenant = {tenant:String} AND last_ms IN {times:Array(Int64)} AND user IN {users:Array(String)})
ORDER BY last_ms
LIMIT {rows:UInt32}
"""
_TENANTS: Final = """
SELECT DISTINCT tenant FROM outcome_hours WHERE id = cityHash64({subject:String}) ORDER BY tenant
"""


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
    places, hours = _places(client, subject, tenant, (kind,) if kind else kinds_of(subject), limit)
    if not places:
        return []
    wanted = {place["notification_id"] for place in places} - {""}
    rows = _rows(client, tenant, wanted, places, hours)
    own = [row for row in rows if row["notification_id"] in wanted or not row["notification_id"]]
    items = _by_target(row for row in rows if row["status"] == Status.MERGED)
    groups = _grouped(own)
    others, letters = _others(client, tenant, own), _letters(client, tenant, own)
    failing = ask_failing(client, tenant, [row for rows in groups.values() for row in open_rows(rows)])
    stories = [
        tell(rows, others | {"items": items.get(name, [])}, failing, zone, letters)
        for name, rows in groups.items()
    ]
    return sorted(stories, key=lambda story: (story.user != "", -story.last_ms))[:limit]


def tenants_of(client: Client, subject: str) -> list[str]:
    """Name the tenants that have outcomes of a subject."""
    return [row["tenant"] for row in _ask(client, _TENANTS, {"subject": subject})]


def _places(
    client: Client, subject: str, tenant: str, kinds: Sequence[str], limit: int
) -> tuple[list[Row], list[int]]:
    """Find the notifications and events of a subject, of the most exact kind there is; the hours read."""
    parts = {
        ":flags": ", ".join(f"max({KINDS[kind]} = {{subject:String}}) AS is_{kind}" for kind in kinds),
        ":conditions": " OR ".join(f"{KINDS[kind]} = {{subject:String}}" for kind in kinds),
        ":kinds": ", ".join(f"is_{kind}" for kind in kinds),
    }
    text = _PLACES
    for name, part in parts.items():
        text = text.replace(name, part)
    hours, count = _hours(client, tenant, [subject]), _HOURS_AT_ONCE
    while hours:
        bound = {"tenant": tenant, "subject": subject, "limit": 2 * limit, **_range(hours[:count])}
        found = _ask(client, text, bound)
        first = next((kind for kind in kinds if any(place[f"is_{kind}"] for place in found)), "")
        places = _of_stories([place for place in found if place.get(f"is_{first}")])
        if len(places) >= limit or count >= len(hours):
            return places[:limit], hours[:count]
        count *= _WIDER
    return [], []


def _of_stories(places: Sequence[Row]) -> list[Row]:
    """Leave out what is about an event as a whole, where the story of a notification of it tells that."""
    told = {(place["event_origin"], place["user"]) for place in places if place["notification_id"]}
    return [
        place
        for place in places
        if place["notification_id"] or (place["event_origin"], place["user"]) not in told
    ]


def _hours(client: Client, tenant: str, names: Sequence[str]) -> list[int]:
    """List the hours, in seconds since 1970, in which names have decisions, the newest first."""
    return [row["hour_s"] for row in _ask(client, _HOURS, {"tenant": tenant, "names": list(names)})]


def _range(hours: Sequence[int]) -> dict[str, Any]:
    """Bind hours and the time that they span."""
    return {"hours": list(hours), "from_ms": min(hours) * 1_000, "to_ms": (max(hours) + 3_600) * 1_000 - 1}


def _rows(
    client: Client, tenant: str, wanted: set[str], places: Sequence[Row], hours: Sequence[int]
) -> list[Row]:
    """Fetch all outcomes of notifications, those of their events alone, and what was merged into them."""
    origins = {place["event_origin"] for place in places} - {""}
    alone = any(not place["notification_id"] and not place["event_origin"] for place in places)
    read = {*_hours(client, tenant, sorted(wanted | origins)), *(hours if alone else ())}
    bound = {
        "tenant": tenant,
        "ids": sorted(wanted),
        "origins": [*sorted(origins), *([""] if alone else [])],
        "users": sorted({place["user"] for place in places}),
        "whole": False,
        "rows": _ROWS_MAX,
    }
    return _ask(client, _ROWS, bound | _range(sorted(read)))


def _others(client: Client, tenant: str, rows: Iterable[Row]) -> dict[str, list[Row]]:
    """Fetch the outcomes of what the details name, by that name."""
    names = sorted({subject for row in rows for _, subject in linked(row)})
    if not names:
        return {}
    hours = _hours(client, tenant, names)
    if not hours:
        return {}
    bound = {"tenant": tenant, "ids": names, "origins": names, "users": [""], "whole": True}
    others: dict[str, list[Row]] = {}
    for row in _ask(client, _ROWS, bound | {"rows": _ROWS_MAX} | _range(hours)):
        for name in {row["notification_id"], row["origin"]} & set(names):
            others.setdefault(name, []).append(row)
    return others


def _letters(client: Client, tenant: str, rows: Iterable[Row]) -> list[Row]:
    """Fetch the dead letters that these outcomes may be about."""
    dead = [row for row in rows if row["status"] == Status.DEAD]
    if not dead:
        return []
    bound = {"tenant": tenant, "origins": sorted({row["origin"] for row in dead}), "rows": _ROWS_MAX}
    times, users = sorted({row["at_ms"] for row in dead}), sorted({row["user"] for row in dead} - {""})
    return _ask(client, _LETTERS, bound | {"times": times, "users": users})


def _by_target(rows: Iterable[Row]) -> dict[str, list[Row]]:
    """Group what was merged by the notification that it was merged into."""
    items: dict[str, list[Row]] = {}
    for row in rows:
        for relation, subject in linked(row):
            if relation in ("digest", "collapsed_into"):
                items.setdefault(subject, []).append(row)
    return items


def _grouped(rows: Sequence[Row]) -> dict[str, list[Row]]:
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


def _ask(client: Client, text: str, bound: Mapping[str, Any]) -> list[Row]:
    result = client.query(text, parameters=dict(bound))
    return [dict(zip(result.column_names, row, strict=True)) for row in result.result_rows]

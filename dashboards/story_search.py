"""Finds the notifications and events that a subject names, by the hours in which they have outcomes.

The table `outcome_hours` names the notifications of a user. Of any other name it tells the hours alone: these
are read, the newest first, until there are enough stories.
"""

import re
from collections.abc import Mapping, Sequence
from typing import Any, Final, NamedTuple

from clickhouse_connect.driver.client import Client

from dashboards.store import ask
from dashboards.telling import Row

__all__ = ["KINDS", "Sought", "kinds_of", "search"]
KINDS: Final[Mapping[str, str]] = {
    "notification": "notification_id",
    "message": "message_id",
    "origin": "origin",
    "event": "event_id",
    "user": "user",
}
"""What a subject may be, the most exact first, and by which column it is found."""
_HEX_ID: Final = re.compile(r"[0-9a-f]{32}")
_ORIGIN: Final = re.compile(r"[^/]+/\d+/-?\d+")
# An entry without a story is of an exact name, all others are of a user. The story of outcomes without
# notification and event is the user.
_ENTRIES: Final = """
SELECT
    story,
    groupUniqArrayIf(toUnixTimestamp(hour), story IN ('', {subject:String})) AS hours,
    toUnixTimestamp(max(outcome_hours.hour)) AS last_s
FROM outcome_hours
WHERE tenant = {tenant:String} AND id = cityHash64({subject:String})
GROUP BY story
ORDER BY story != '', last_s DESC, story
LIMIT {most:UInt32}
"""
_PLACES: Final = """
SELECT notification_id, max(origin) AS event_origin, user, max(at_ms) AS last_ms, :flags
FROM outcomes
WHERE tenant = {tenant:String} AND hour IN {hours:Array(DateTime('UTC'))}
    AND at_ms BETWEEN {from_ms:Int64} AND {to_ms:Int64} AND (:conditions)
GROUP BY notification_id, user, if(notification_id = '', origin, '')
ORDER BY user != '', last_ms DESC
LIMIT {limit:UInt32} BY :kinds
"""
_HOURS_AT_ONCE: Final = 4
"""A question reads the newest hours of a subject first, and more only if they have too few stories."""
_MOST_AT_ONCE: Final = 512
_ENTRIES_A_STORY: Final = 50
_STORIES_TOO_MANY: Final = 5
"""An hour of a user with so many times the stories that are wanted is read by time, not by its stories."""


class Sought(NamedTuple):
    """Names the stories of a subject.

    Attributes:
        notifications: their ids.
        origins: of events whose outcomes before any notification belong to the stories.
        users: whose they are.
        nameless_hours: hours, in seconds since 1970, of outcomes without notification and event.
        other_origins: of events of the user that may turn out to belong to the notifications.
    """

    notifications: frozenset[str]
    origins: frozenset[str]
    users: frozenset[str]
    nameless_hours: tuple[int, ...] = ()
    other_origins: frozenset[str] = frozenset()


def kinds_of(subject: str) -> tuple[str, ...]:
    """Say what a subject may be, by its form.

    >>> kinds_of("events/0/7"), kinds_of("ann")
    (('origin', 'event', 'user'), ('event', 'user'))
    """
    if _HEX_ID.fullmatch(subject):
        return ("notification", "message", "event", "user")
    return ("origin", "event", "user") if _ORIGIN.fullmatch(subject) else ("event", "user")


def search(client: Client, subject: str, tenant: str, kinds: Sequence[str], limit: int) -> Sought | None:
    """Find the newest notifications and events of a subject, of the most exact kind there is.

    Args:
        client: of ClickHouse.
        subject: the name.
        tenant: whose it is.
        kinds: what it may be: some of `KINDS`, the most exact first.
        limit: how many stories are wanted; a few more may be named.
    """
    asked = {"tenant": tenant, "subject": subject, "most": _ENTRIES_A_STORY * limit}
    entries = ask(client, _ENTRIES, asked)
    exact = [kind for kind in kinds if kind != "user"]
    hours = sorted((hour for entry in entries if not entry["story"] for hour in entry["hours"]), reverse=True)
    found = _by_hours(client, asked, exact, hours, limit) if exact and hours else None
    if found is not None or "user" not in kinds:
        return found
    return _of_user(client, asked, [entry for entry in entries if entry["story"]], limit)


def _of_user(client: Client, asked: Row, entries: Sequence[Row], limit: int) -> Sought | None:
    """Choose the newest entries of a user, each hour whole."""
    if not entries:
        return None
    last_s = _last_hour(entries, limit)
    chosen = {entry["story"] for entry in entries if entry["last_s"] >= last_s}
    if len(chosen) > _STORIES_TOO_MANY * limit:
        hours = sorted({entry["last_s"] for entry in entries if entry["last_s"] >= last_s}, reverse=True)
        return _by_hours(client, asked, ["user"], hours, limit)
    user = str(asked["subject"])
    nameless = [entry["hours"] for entry in entries if entry["story"] == user and user in chosen]
    origins = {entry["story"] for entry in entries if "/" in entry["story"]} - {user}
    return Sought(
        notifications=frozenset(chosen - origins - {user}),
        origins=frozenset(chosen & origins),
        users=frozenset({user}),
        nameless_hours=tuple(nameless[0]) if nameless else (),
        other_origins=frozenset(origins - chosen),
    )


def _last_hour(entries: Sequence[Row], limit: int) -> int:
    """Say from which hour on stories are read.

    An event alone is no story if a notification of it tells it, which is as new or newer. So twice as many
    events as stories are enough.
    """
    notifications = events = 0
    for entry in entries:
        is_event = "/" in entry["story"]
        notifications, events = notifications + (not is_event), events + is_event
        if notifications >= limit or events >= 2 * limit:
            return int(entry["last_s"])
    return 0


def _by_hours(
    client: Client, asked: Row, kinds: Sequence[str], hours: Sequence[int], limit: int
) -> Sought | None:
    """Read hours, the newest first, for the notifications and events of a subject."""
    text = _places_text(kinds)
    found: dict[tuple[str, ...], Row] = {}
    places: list[Row] = []
    read, count = 0, _HOURS_AT_ONCE
    while read < len(hours) and len(places) < limit:
        bound = {"tenant": asked["tenant"], "subject": asked["subject"], "limit": 2 * limit}
        for place in ask(client, text, bound | range_of(hours[read : read + count])):
            name = (
                place["notification_id"],
                place["user"],
                place["notification_id"] or place["event_origin"],
            )
            found[name] = _joined(place, found.get(name))
        read += count
        first = next((kind for kind in kinds if any(place[f"is_{kind}"] for place in found.values())), "")
        places = _of_stories([place for place in found.values() if place.get(f"is_{first}")])
        count = _more(len(places), read, limit)
    newest = sorted(places, key=lambda place: (place["user"] != "", -place["last_ms"]))[:limit]
    return _sought(newest, hours[:read]) if newest else None


def _sought(places: Sequence[Row], hours: Sequence[int]) -> Sought:
    nameless = any(not place["notification_id"] and not place["event_origin"] for place in places)
    return Sought(
        notifications=frozenset(place["notification_id"] for place in places) - {""},
        origins=frozenset(place["event_origin"] for place in places) - {""},
        users=frozenset(place["user"] for place in places),
        nameless_hours=tuple(hours) if nameless else (),
    )


def _places_text(kinds: Sequence[str]) -> str:
    """Write the question for places of a subject that may be of these kinds."""
    parts = {
        ":flags": ", ".join(f"max({KINDS[kind]} = {{subject:String}}) AS is_{kind}" for kind in kinds),
        ":conditions": " OR ".join(f"{KINDS[kind]} = {{subject:String}}" for kind in kinds),
        ":kinds": ", ".join(f"is_{kind}" for kind in kinds),
    }
    text = _PLACES
    for name, part in parts.items():
        text = text.replace(name, part)
    return text


def _joined(place: Row, known: Row | None) -> Row:
    """Join what newer and older hours know of one notification or event."""
    return place if known is None else {name: max(value, known[name]) for name, value in place.items()}


def _more(found: int, read: int, limit: int) -> int:
    """Say how many hours to read next: a quarter more than the stories that lack need by those found."""
    wanted = 2 * read if not found else 1 + 5 * (limit - found) * read // (4 * found)
    return max(1, min(_MOST_AT_ONCE, wanted))


def _of_stories(places: Sequence[Row]) -> list[Row]:
    """Leave out what is about an event as a whole, where the story of a notification of it tells that."""
    told = {(place["event_origin"], place["user"]) for place in places if place["notification_id"]}
    return [
        place
        for place in places
        if place["notification_id"] or (place["event_origin"], place["user"]) not in told
    ]


def range_of(hours: Sequence[int]) -> dict[str, Any]:
    """Bind hours and the time that they span."""
    return {"hours": list(hours), "from_ms": min(hours) * 1_000, "to_ms": (max(hours) + 3_600) * 1_000 - 1}

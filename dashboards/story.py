"""Stories: what became of a notification and why, found by whatever a person names.

`find` asks ClickHouse, `tell` writes a story from the outcomes. The command `tocsin why` prints stories, and
the pages of the dashboard show them.
"""

from collections.abc import Iterable, Sequence
from typing import Final

from clickhouse_connect.driver.client import Client

from dashboards.store import ask
from dashboards.story_outcomes import letters_of, others_of, outcomes_of
from dashboards.story_parts import Story
from dashboards.story_search import KINDS, kinds_of, search
from dashboards.telling import Row, linked, tell
from dashboards.waits import ask_failing, open_rows
from tocsin.model.statuses import Status

__all__ = ["KINDS", "LIMIT", "Story", "find", "kinds_of", "tell", "tenants_of"]
LIMIT: Final = 20
_TENANTS: Final = """
SELECT DISTINCT tenant FROM outcome_hours WHERE id = cityHash64({subject:String}) ORDER BY tenant
"""


def find(
    client: Client,
    subject: str,
    tenant: str = "default",
    *,
    kind: str = "",
    kinds: Sequence[str] = (),
    limit: int = LIMIT,
    zone: str = "",
) -> list[Story]:
    """Tell the stories of a notification, message, event, origin or user: of no user first, then the newest.

    Args:
        client: of ClickHouse.
        subject: what is asked about, found by whatever it is.
        tenant: whose it is.
        kind: one of `KINDS`, where that is known; empty to find out.
        kinds: in place of `kind`, some of `KINDS`, the most exact first.
        limit: the largest number of stories.
        zone: the time zone to tell times in; empty for the one that the outcomes name, or UTC.
    """
    wanted_kinds = kinds or ((kind,) if kind else kinds_of(subject))
    sought = search(client, subject, tenant, wanted_kinds, limit)
    if sought is None:
        return []
    rows = outcomes_of(client, tenant, sought)
    own = [
        row for row in rows if row["notification_id"] in sought.notifications or not row["notification_id"]
    ]
    items = _by_target(row for row in rows if row["status"] == Status.MERGED)
    groups = {name: rows for name, rows in _grouped(own).items() if _is_about(rows, sought.users)}
    others, letters = others_of(client, tenant, own), letters_of(client, tenant, own)
    failing = ask_failing(client, tenant, [row for rows in groups.values() for row in open_rows(rows)])
    stories = [
        tell(rows, others | {"items": items.get(name, [])}, failing, zone, letters)
        for name, rows in groups.items()
    ]
    return sorted(stories, key=lambda story: (story.user != "", -story.last_ms))[:limit]


def tenants_of(client: Client, subject: str) -> list[str]:
    """Name the tenants that have outcomes of a subject."""
    return [row["tenant"] for row in ask(client, _TENANTS, {"subject": subject})]


def _is_about(rows: Iterable[Row], users: frozenset[str]) -> bool:
    """Tell whether a story is about one of these users."""
    return any(row["user"] in users for row in rows)


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

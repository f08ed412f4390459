"""The page of a story: what it needs to draw what `dashboards.story` tells. Pure, but for `look_up`."""

from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple
from urllib.parse import quote, urlencode

from clickhouse_connect.driver.client import Client

from dashboards import story
from dashboards.story_parts import Story
from dashboards.web.problem import Problem

MOST = 20
LONGEST = 512
_LONGEST_MS = 100_000_000_000
"""Numbers of ms below are durations; 3 March 1973 as a time."""
TONES: Mapping[str, str] = {
    **dict.fromkeys(("sent", "delivered", "opened", "clicked", "read", "admitted", "finished"), "good"),
    **dict.fromkeys(("suppressed", "cancelled", "expired", "retrying", "unsubscribed"), "warn"),
    **dict.fromkeys(("dead", "bounced", "complained"), "bad"),
    **dict.fromkeys(("held", "merged", "waiting"), "calm"),
}
"""How good what a status says is; others have no tone."""


class Asked(NamedTuple):
    """Which story is asked for; an empty tenant: of whichever has it."""

    subject: str
    tenant: str = "default"
    kind: str = ""


class Found(NamedTuple):
    """The stories of a subject; where there is none, the tenants that have one."""

    asked: Asked
    stories: list[Story]
    elsewhere: list[str]


def read(subject: str, given: Iterable[tuple[str, str]]) -> Asked:
    """Read which story an address asks for.

    Raises:
        Problem: a parameter is unknown, appears twice or has a value that cannot be; its field is named.
    """
    named: dict[str, str] = {}
    for name, value in given:
        if name not in ("tenant", "kind"):
            raise Problem(400, "there is no parameter of this name here; there are: kind, tenant", name)
        if name in named:
            raise Problem(400, "appears twice; give it once", name)
        named[name] = checked(value, name)
    kind = named.get("kind", "")
    if kind and kind not in story.KINDS:
        raise Problem(400, f"must be one of {', '.join(story.KINDS)}", "kind")
    tenant = named.get("tenant") or "default"
    return Asked(checked(subject, "subject"), "" if tenant == "*" else tenant, kind)


def checked(text: str, field: str) -> str:
    """Return a text that can be an id.

    Raises:
        Problem: it is too long, or has characters that no id has.
    """
    if len(text) > LONGEST or not text.isprintable():
        raise Problem(400, f"must be at most {LONGEST} printable characters", field)
    return text


def look_up(client: Client, asked: Asked) -> Found:
    """Find the stories of a subject. If its tenant has none, say which tenants do."""
    if asked.tenant:
        stories = story.find(client, asked.subject, asked.tenant, kind=asked.kind, limit=MOST)
        return Found(asked, stories, [] if stories else story.tenants_of(client, asked.subject))
    tenants = story.tenants_of(client, asked.subject)
    if len(tenants) != 1:
        return Found(asked, [], tenants)
    found = asked._replace(tenant=tenants[0])
    return Found(found, story.find(client, asked.subject, tenants[0], kind=asked.kind, limit=MOST), [])


def address(subject: str, tenant: str, kind: str = "") -> str:
    """Write the address of a story's page.

    >>> address("events/0/7", "default"), address("ann", "acme", "user")
    ('/story/events%2F0%2F7', '/story/ann?tenant=acme&kind=user')
    """
    more = urlencode({"tenant": tenant or "*"} if tenant != "default" else {})
    kinds = urlencode({"kind": kind} if kind else {})
    query = "&".join(part for part in (more, kinds) if part)
    return f"/story/{quote(subject, safe='')}{'?' if query else ''}{query}"


def facts(told: Story) -> list[tuple[str, str, str]]:
    """List the names of a story: label, value, and the address of the value's own story or empty."""
    named = (
        ("Notification", told.notification, ""),
        ("Notification id", told.subject if told.notification else "", "notification"),
        ("User", told.user, "user"),
        ("Event", told.event_id, "event"),
        ("Event type", told.event_type, ""),
        ("Source", told.event_source, ""),
        ("Origin", told.origin, "origin"),
        ("Category", told.category, ""),
        ("Priority", told.priority, ""),
        ("Variant", told.variant, ""),
        ("Tenant", told.tenant, ""),
    )
    return [
        (label, value, address(value, told.tenant, kind) if kind else "")
        for label, value, kind in named
        if value
    ]


def numbers(found: Mapping[str, Any]) -> list[tuple[str, Any, str]]:
    """List what a decision rested on: name, value, and its kind `time`, `ms` or `text`."""
    return [
        (name.removesuffix("_ms").replace("_", " "), value, _kind(name, value))
        for name, value in found.items()
    ]


def _kind(name: str, value: Any) -> str:
    if not name.endswith("_ms") or not isinstance(value, int) or isinstance(value, bool):
        return "text"
    return "time" if value >= _LONGEST_MS else "ms"

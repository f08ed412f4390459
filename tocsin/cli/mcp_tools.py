"""What the tools of `tocsin mcp` answer: small, structured, and without an address or a text of a message."""

import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Final, Literal, TypeVar

import msgspec
from clickhouse_connect.driver.client import Client

from dashboards import queries, store
from dashboards.story import Story, find
from tocsin.app.settings import Settings
from tocsin.catalog.loader import load_apart
from tocsin.cli.status import as_json, look
from tocsin.cli.times import moment_ms
from tocsin.errors import PreviewError, SettingsError, SinkError, SourceError, TocsinError
from tocsin.model.zones import resolve
from tocsin.render.catalog_search import MOST, search
from tocsin.render.preview import Previewer

T = TypeVar("T")
STORIES: Final = 5
STEPS: Final = 40
ROWS: Final = 50
SUBJECT: Final = 512
Kind = Literal["", "notification", "message", "event", "origin", "user"]


class Refusal(Exception):
    """A tool cannot answer; the text says why and the cure."""


class Tools:
    """The answers, of one tenant or of all.

    Args:
        settings: of the process.
        tenant: the only tenant that is read; empty for all.
    """

    def __init__(self, settings: Settings, tenant: str = "") -> None:
        self._settings = settings
        self._tenant = tenant

    def of(self, tenant: str) -> str:
        """Return the tenant to read: the only one, or the one that is named (`default` if none is).

        Raises:
            Refusal: another one is named than the only one.
        """
        if self._tenant and tenant not in ("", self._tenant):
            msg = f"this server reads tenant {self._tenant} alone"
            raise Refusal(msg)
        return self._tenant or tenant or "default"

    def why(self, subject: str, kind: Kind = "", tenant: str = "", zone: str = "") -> dict[str, Any]:
        """Tell what became of a notification, message, event, origin or user, and why."""
        if not 0 < len(subject.strip()) <= SUBJECT:
            msg = "subject: name the id of a notification, message or event, an origin, or a user"
            raise Refusal(msg)
        if zone and not resolve(zone):
            msg = "zone: name one of IANA, like Europe/Vienna"
            raise Refusal(msg)
        owner = self.of(tenant)
        stories = self._ask(
            lambda client: find(client, subject.strip(), owner, kind=kind, limit=STORIES, zone=resolve(zone))
        )
        return {"tenant": owner, "stories": [_story(each) for each in stories]}

    def failures(
        self, since: str = "1d", notification: str = "", channel: str = "", tenant: str = ""
    ) -> dict[str, Any]:
        """List what failed since a time, by provider, channel, reason and code."""
        filters = {"notification": notification, "channel": channel}
        return self._query("failures", since, tenant, filters)

    def balance(self, since: str = "1d", tenant: str = "") -> dict[str, Any]:
        """Count final outcomes since a time by status and reason; `doubled` must be 0 (law 1)."""
        return self._query("balance", since, tenant, {"notification": "", "channel": ""})

    def status(self, over_s: float = 2.0) -> dict[str, Any]:
        """Show what waits in each topic, how fast it shrinks, and what accounts of providers do.

        Tenants share topics and accounts, so a server of one tenant does not show them.
        """
        if self._tenant:
            msg = f"this server reads tenant {self._tenant} alone, and topics and accounts are of all tenants"
            raise Refusal(msg)
        if not 0.5 <= over_s <= 30:
            msg = "over_s: a number of seconds from 0.5 to 30"
            raise Refusal(msg)
        try:
            return as_json(look(self._settings, over_s, ()))
        except (SinkError, SourceError, SettingsError) as error:
            raise Refusal(str(error)) from None

    def search_catalog(self, word: str, kind: str = "", tenant: str = "") -> dict[str, Any]:
        """Find notifications, categories, event types, templates, and where fields of `data` are used."""
        owner = self.of(tenant)
        try:
            folder: Path = self._settings.catalog
            hits = search(Previewer(folder, load_apart(folder)), owner, word, kind)
        except PreviewError as error:
            raise Refusal(error.cure if not self._tenant else "the tenant has no catalog") from None
        except TocsinError:
            msg = "the catalog has mistakes: `tocsin check` names them"
            raise Refusal(msg) from None
        return {"tenant": owner, "hits": msgspec.to_builtins(hits), "more": len(hits) == MOST}

    def _query(self, name: str, since: str, tenant: str, filters: dict[str, str]) -> dict[str, Any]:
        owner, now_ms = self.of(tenant), time.time_ns() // 1_000_000
        _since(since, now_ms)
        asked = queries.find(name)
        known = {key: value for key, value in filters.items() if key in asked.parameters}

        def run(client: Client) -> list[queries.Row]:
            is_played = self._settings.clock == "stream"
            end_ms = (queries.after_newest_ms(client) if is_played else None) or now_ms
            return queries.run(client, name, {"tenant": owner, **known, "from_ms": _since(since, end_ms)})

        rows = self._ask(run)
        return {"tenant": owner, "since": since, "rows": rows[:ROWS], "more": len(rows) > ROWS}

    def _ask(self, ask: Callable[[Client], T]) -> T:
        """Ask ClickHouse.

        Raises:
            Refusal: it is away, or refuses.
        """
        try:
            with store.connect(self._settings.clickhouse) as client:
                return ask(client)
        except store.AWAY as error:
            raise Refusal(store.explain_failure(error)) from None
        except (SinkError, SettingsError) as error:
            raise Refusal(str(error)) from None


def _since(text: str, now_ms: int) -> int:
    """Return the moment that a tool is asked from; how long ago counts back from `now_ms`.

    Raises:
        Refusal: the text is no moment.
    """
    try:
        return moment_ms(text, now_ms)
    except ValueError:
        msg = "since: a time like 2026-01-31T09:30:00Z, a day, or how long ago: 30m, 12h, 7d"
        raise Refusal(msg) from None


def _story(story: Story) -> dict[str, Any]:
    """Keep what explains a story: its head, its last steps, what it waits for, where it leads."""
    steps: Sequence[Any] = story.steps[-STEPS:]
    return {
        "subject": story.subject,
        "heading": story.heading,
        "state": story.state,
        "user": story.user,
        "notification": story.notification,
        "event_id": story.event_id,
        "event_type": story.event_type,
        "steps": [
            {
                "at": step.at,
                "status": step.status or step.kind,
                "channel": step.channel,
                "reason": step.reason,
                "rule": step.rule,
                "sentence": step.sentence,
            }
            for step in steps
        ],
        "steps_left_out": len(story.steps) - len(steps),
        "waits": [wait.sentence for wait in story.waits],
        "links": [{"relation": link.relation, "subject": link.subject} for link in story.links[:STEPS]],
    }

"""`tocsin why` of a message that waits: for a time, for an account that fails, or for its turn."""

import json
from typing import Any

import pytest

from dashboards import migrate, store
from sinks.clickhouse_store import ClickHouseLines
from tocsin.cli.main import build
from tocsin.formats.codec import encode
from tocsin.model.outcome import Outcome

pytestmark = pytest.mark.integration
HOUR_MS = 3_600_000
NOW_MS = 1_700_000_000_000  # 2023-11-14 22:13:20


def name_of(user: str) -> str:
    """Name the notification of a user as ids are: 32 hex digits."""
    return user.encode().hex().zfill(32)


def outcome(user: str, status: str, at_ms: int, /, *, attempt: int = 0, **more: Any) -> Outcome:
    fields: dict[str, Any] = {
        "tenant": "default",
        "user": more.pop("user", user),
        "notification_id": name_of(user),
        "message_id": f"m-{user}",
        "notification": "flight_delayed",
        "channel": "sms",
        "origin": f"events/0/{at_ms % 1_000}",
        "at_ms": at_ms,
    } | more
    return Outcome(outcome_id=f"{user}-{status}-{at_ms}", status=status, attempt=attempt, **fields)


def failed(user: str, at_ms: int, provider: str = "twilio") -> Outcome:
    return outcome(user, "retrying", at_ms, reason="transient", provider=provider, code="503", attempt=1)


def taken(user: str, at_ms: int) -> Outcome:
    return outcome(user, "sent", at_ms, provider="twilio", attempt=1)


class Why:
    def __init__(self, url: str, patch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
        self._url = url
        self._capsys = capsys
        patch.setenv("TOCSIN_CLICKHOUSE", url)
        migrate.migrate(url)

    def log(self, *outcomes: Outcome) -> None:
        lines = b"\n".join(map(encode, outcomes))
        ClickHouseLines(lambda: store.connect(self._url)).insert(lines)

    def ask(self, *words: str) -> str:
        command = ("why", *words)
        build(command)(command, standalone_mode=False)
        return self._capsys.readouterr().out


@pytest.fixture
def why(clickhouse_db: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Why:
    return Why(clickhouse_db, monkeypatch, capsys)


def test_a_message_behind_an_account_that_fails_names_it_its_code_and_since_when(why: Why) -> None:
    why.log(taken("old", NOW_MS - 1), failed("bob", NOW_MS), failed("eve", NOW_MS + 500))
    why.log(outcome("ann", "admitted", NOW_MS + 1_000))
    said = why.ask("--user", "ann")
    assert "waits for account twilio (503), which fails since 2023-11-14 22:13:20 UTC" in said
    assert "it is probed until it answers" in said


def test_an_account_that_took_a_message_since_is_not_named(why: Why) -> None:
    why.log(failed("bob", NOW_MS), failed("eve", NOW_MS + 500), taken("joe", NOW_MS + 900))
    why.log(outcome("ann", "admitted", NOW_MS + 1_000))
    assert "waits for its turn in sms" in why.ask("--user", "ann")


def test_one_recipient_s_failures_are_not_the_account_s(why: Why) -> None:
    why.log(taken("old", NOW_MS - 1), failed("bob", NOW_MS), failed("bob", NOW_MS + 500))
    why.log(outcome("ann", "admitted", NOW_MS + 1_000))
    assert "account" not in why.ask("--user", "ann")


def test_a_held_message_says_until_when(why: Why) -> None:
    held: dict[str, Any] = {"reason": "retry_later", "detail": {"due_ms": NOW_MS + HOUR_MS}}
    why.log(outcome("ann", "admitted", NOW_MS), outcome("ann", "held", NOW_MS + 1, **held))
    said = why.ask("--user", "ann")
    assert "waits until 2023-11-14 23:13:20 UTC" in said


def test_what_has_its_end_waits_for_nothing(why: Why) -> None:
    why.log(outcome("ann", "admitted", NOW_MS), failed("ann", NOW_MS + 1), taken("ann", NOW_MS + 2))
    assert "waits" not in why.ask("--user", "ann")


def test_a_hold_before_routing_is_over_once_there_are_messages(why: Why) -> None:
    early = outcome("ann", "held", NOW_MS, message_id="", channel="*", detail={"due_ms": NOW_MS + 5})
    why.log(early)
    assert "waits until" in why.ask("--user", "ann")
    why.log(outcome("ann", "admitted", NOW_MS + 6))
    said = why.ask("--user", "ann")
    assert "waits until" not in said
    assert "waits for its turn" in said


def test_an_item_names_its_digest_and_a_digest_its_items(why: Why) -> None:
    """A digest is a notification of its own: an item leads there, and from there back to all items."""
    whole: dict[str, Any] = {"message_id": "", "channel": "*", "user": "ann"}
    into: dict[str, Any] = {"detail": {"into": name_of("digest"), "item": 1}}
    why.log(outcome("digest", "held", NOW_MS, reason="digest", detail={"due_ms": NOW_MS + HOUR_MS}, **whole))
    why.log(outcome("item", "merged", NOW_MS, **into, **whole), outcome("other", "merged", NOW_MS, **whole))
    said = why.ask(name_of("item"))
    assert f"It was collected in the digest {name_of('digest')} as item 1: held so far." in said
    assert f"`tocsin why {name_of('digest')}`" in said
    said = why.ask(name_of("digest"))
    assert ("  held " in said, said.count("Item 1: notification")) == (True, 1)
    why.log(outcome("digest", "sent", NOW_MS + HOUR_MS, provider="twilio", user="ann"))
    assert "as item 1: sent by sms at 2023-11-14 23:13:20 UTC." in why.ask(name_of("item"))


def test_programs_read_it_too(why: Why) -> None:
    why.log(outcome("ann", "admitted", NOW_MS))
    (story,) = json.loads(why.ask("--user", "ann", "--json"))["stories"]
    assert (story["state"], story["subject"]) == ("waiting", name_of("ann"))
    assert [wait["sentence"] for wait in story["waits"]] == ["waits for its turn in sms"]

"""A story is found by whatever a person names, and by nothing else, in ClickHouse itself."""

from collections.abc import Iterator
from typing import Any

import pytest
from clickhouse_connect.driver.client import Client

from dashboards import migrate, store
from dashboards.story import find, tenants_of
from sinks.clickhouse_store import ClickHouseLines
from tocsin.cli.main import build
from tocsin.formats.codec import encode
from tocsin.model import ids
from tocsin.model.outcome import Outcome

pytestmark = pytest.mark.integration
NOW = 1_790_000_000_000
HOUR = 3_600_000


def outcome(number: int, status: str, *, at: int = 0, message: bool = False, **more: Any) -> Outcome:
    fields: dict[str, Any] = {
        "tenant": "default",
        "user": "ann",
        "notification_id": ids.digest("n", str(number)),
        "message_id": ids.digest("m", str(number)) if message else "",
        "notification": "delayed",
        "event_id": f"order-{number}",
        "event_type": "order.late",
        "origin": f"events/0/{number}",
        "channel": "sms" if message else "*",
        "at_ms": NOW - number * HOUR + at,
    } | more
    return Outcome(outcome_id=ids.digest(str(number), status, str(at)), status=status, **fields)


def life(number: int) -> list[Outcome]:
    """One notification: admitted, sent, delivered two hours later."""
    delivered = outcome(number, "delivered", at=2 * HOUR, message=True, event_id="", origin="")
    admitted = outcome(number, "admitted", message=True)
    return [admitted, outcome(number, "sent", at=900, message=True, provider="twilio"), delivered]


def busy() -> list[Outcome]:
    """Twelve notifications of one hour."""
    start = NOW - NOW % HOUR
    return [outcome(100 + n, "suppressed", user="bob", at_ms=start + n * 1_000) for n in range(12)]


def held_long() -> list[Outcome]:
    """Events that waited for a profile before they were notifications; the newest first in waited longest."""
    early: dict[str, Any] = {"notification_id": "", "notification": "", "reason": "awaiting_profile"}
    waited = [outcome(200, "held", at=-90 * HOUR, user="cat", **early)]
    waited += [outcome(200 + n, "held", at=-HOUR, user="cat", **early) for n in range(1, 8)]
    return waited + [outcome(200 + n, "suppressed", user="cat") for n in range(8)]


def digested() -> list[Outcome]:
    """A digest and the items of it, hours apart."""
    into = {"into": ids.digest("n", "300")}
    items = [outcome(300 + n, "merged", user="dan", detail=into) for n in (1, 3, 5)]
    return [outcome(300, "admitted", user="dan", message=True), *items]


def nameless() -> Outcome:
    """A receipt that lets a user be reached again; it is of no notification and no event."""
    fields: dict[str, Any] = {"notification_id": "", "notification": "", "event_id": "", "origin": ""}
    return outcome(400, "unblocked", user="eve", **fields)


@pytest.fixture(scope="module")
def url(clickhouse_module_db: str) -> str:
    migrate.migrate(clickhouse_module_db)
    rows = [one for number in range(60) for one in life(number)]
    rows.append(outcome(0, "held", at=-5, notification_id="", notification="", reason="awaiting_profile"))
    rows.append(outcome(70, "suppressed", reason="opted_out", user="order-1", tenant="acme"))
    broken: dict[str, Any] = {
        "notification_id": "",
        "notification": "",
        "user": "",
        "event_id": "",
        "reason": "bad_json",
    }
    rows += [*busy(), *held_long(), *digested(), nameless()]
    rows.append(outcome(80, "dead", detail={"error": "value: not JSON"}, **broken))
    bad = broken | {"event_id": "order-81", "user": "bea", "event_type": "order.late", "reason": "bad_field"}
    rows.append(outcome(81, "dead", detail={"error": "time: not RFC 3339"}, **bad))
    ClickHouseLines(lambda: store.connect(clickhouse_module_db)).insert(b"\n".join(map(encode, rows)))
    columns = ("letter_id", "tenant", "origin", "stage", "bytes", "dead_partition", "dead_offset", "last_ms")
    letter = ("l", "default", "events/0/80", "decode", 512, 3, 17, NOW)
    with store.connect(clickhouse_module_db) as client:
        client.insert("dead_letters", [letter], column_names=columns)
    return clickhouse_module_db


@pytest.fixture(scope="module")
def client(url: str) -> Iterator[Client]:
    with store.connect(url) as found:
        yield found


NAMES = [ids.digest("n", "0"), ids.digest("m", "0"), "order-0", "events/0/0"]


@pytest.mark.parametrize("name", NAMES, ids=["notification", "message", "event", "origin"])
def test_one_story_by_each_of_its_names(client: Client, name: str) -> None:
    (story,) = find(client, name)
    assert [(step.kind, step.status) for step in story.steps] == [
        ("event", ""), ("decision", "held"), ("decision", "admitted"), ("attempt", "sent"),
        ("receipt", "delivered"),
    ]  # fmt: skip
    assert (story.subject, story.state, story.waits) == (ids.digest("n", "0"), "delivered", ())


def test_a_user_s_newest_stories_come_first_and_all_if_asked_for(client: Client) -> None:
    newest = [story.event_id for story in find(client, "ann", limit=3)]
    assert newest == ["order-0", "order-1", "order-2"]
    assert len(find(client, "ann", limit=100)) == 60, "behind the newest hours, too"


def test_of_a_busy_hour_the_newest_stories_are_told(client: Client) -> None:
    for limit in (1, 2, 3):
        told = [story.event_id for story in find(client, "bob", limit=limit)]
        assert told == [f"order-{111 - n}" for n in range(limit)]


def test_what_an_event_waited_for_long_before_is_told_with_its_notification(client: Client) -> None:
    (newest,) = find(client, "cat", limit=1)
    assert [step.status for step in newest.steps] == ["", "held", "suppressed"]
    assert (newest.event_id, newest.steps[1].at_ms) == ("order-200", NOW - 290 * HOUR)
    assert [len(story.steps) for story in find(client, "cat")] == [3] * 8, (
        "no event is a story beside its own"
    )


def test_a_digest_of_a_user_names_items_of_other_hours(client: Client) -> None:
    (story,) = find(client, "dan", limit=1)
    assert sorted(link.subject for link in story.links) == sorted(
        ids.digest("n", str(n)) for n in (301, 303, 305)
    )
    assert find(client, story.subject, kind="user") == [], "its items are stories of dan"


def test_what_is_about_no_event_is_a_story_of_its_user(client: Client) -> None:
    (story,) = find(client, "eve")
    assert (story.subject, story.state) == ("eve", "unblocked")


def test_a_user_of_the_same_name_as_an_event_is_asked_for_by_kind(client: Client) -> None:
    assert find(client, "order-1", "acme", kind="user")[0].state == "suppressed"
    assert find(client, "order-1")[0].state == "delivered"
    assert find(client, "order-1", kind="user") == []


def test_a_dead_letter_says_where_its_bytes_are(client: Client) -> None:
    (story,) = find(client, "events/0/80")
    assert story.dead is not None
    assert (story.dead.place, story.dead.stage, story.dead.size) == ("dead/3/17", "decode", 512)
    assert story.dead.error == "value: not JSON"
    assert "(512 bytes)" in story.dead.sentence
    assert story.dead.replay == "tocsin replay dead --id events/0/80"


@pytest.mark.parametrize("name", ["order-81", "bea", "events/0/81"])
def test_an_event_that_could_not_be_decoded_is_found_by_each_of_its_names(client: Client, name: str) -> None:
    (story,) = find(client, name)
    assert story.heading == "order.late for bea: dead (bad_field)"
    assert story.steps[0].sentence.startswith("order.late order-81 came in as events/0/81")
    assert story.dead is not None
    assert story.dead.replay == "tocsin replay dead --id events/0/81"


def test_what_nobody_knows_is_said_with_a_cure(
    url: str, client: Client, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert find(client, "nobody") == find(client, "f" * 32) == []
    assert tenants_of(client, "order-70") == ["acme"]
    monkeypatch.setenv("TOCSIN_CLICKHOUSE", url)
    for name, said in (
        ("order-70", "add --tenant acme"),
        ("nobody", "`tocsin balance` counts them"),
        ("nobody", "replay dead --stage decode"),
    ):
        command = ("why", name)
        assert build(command)(command, standalone_mode=False) == 1
        assert said in capsys.readouterr().err

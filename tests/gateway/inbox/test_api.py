"""The inbox over HTTP: lists, marks, walls, and reports that Kafka has before the answer."""

import time
from pathlib import Path
from typing import Any

import httpx2
import msgspec
import pytest

from tests.gateway.inbox.people import Person, person
from tests.gateway.people.conftest import until, until_ready
from tests.gateway.running import Running, running, settings_for
from tests.providers.valkey import free_port
from tocsin.gateway.gateway import wall_ms
from tocsin.gateway.inbox.service import service_of
from tocsin.gateway.inbox.tokens import SCOPE, InboxUser
from tocsin.gateway.writer import Record, Writer, WriterPolicy
from tocsin.model.outcome import ReceiptEvent

ACTIONS = ("seen", "read", "archive", "unarchive", "delete", "click")


def names(answer: httpx2.Response) -> list[str]:
    assert answer.status_code == 200, answer.text
    return [entry["message_id"] for entry in answer.json()["entries"]]


async def receipts(gateway: Running) -> list[ReceiptEvent]:
    found = await gateway.records("receipts")
    assert all(each.key == b"default/ann" for each in found)
    return [msgspec.json.decode(each.value or b"", type=ReceiptEvent) for each in found]


async def test_a_user_lists_reads_and_archives_and_each_is_reported_once(gateway: Running) -> None:
    ann = await person(gateway)
    await ann.gets("a", "b", "c", url="https://example.org/f")
    listed = (await ann.asks("")).json()
    assert [entry["message_id"] for entry in listed["entries"]] == ["c", "b", "a"]
    assert listed["entries"][0] == {
        "message_id": "c",
        "notification_id": "n-c",
        "notification": "gate_moved",
        "category": "travel",
        "title": "Title c",
        "body": "Body c",
        "url": "https://example.org/f",
        "at_ms": 1_764_000_000_002,
        "expires_ms": 0,
        "seen": False,
        "read": False,
        "archived": False,
    }
    assert (listed["unread"], listed["unseen"], listed["next"]) == (3, 3, None)
    assert (await ann.does("seen", all=True, until_ms=1_764_000_000_001)).json() == {
        "changed": ["a", "b"],
        "unread": 3,
        "unseen": 1,
    }
    for _ in range(2):
        assert (await ann.does("read", ids=["b", "nobody's"])).status_code == 200
    await ann.does("click", ids=["c"])
    await ann.does("archive", ids=["a"])
    assert names(await ann.asks("")) == ["c", "b"]
    assert names(await ann.asks("", state="archived")) == ["a"]
    await ann.does("unarchive", all=True)
    deleted = await ann.client.delete("/v1/inbox/entries/b", headers=ann.headers)
    assert deleted.json() == {"changed": ["b"], "unread": 0, "unseen": 0}
    assert names(await ann.asks("")) == ["c", "a"]
    assert (await ann.asks("/counts")).json() == {"unread": 0, "unseen": 0}
    written = await receipts(gateway)
    assert sorted((each.kind, each.message_id) for each in written) == [
        ("clicked", "c"),
        ("opened", "a"),
        ("opened", "b"),
        ("read", "a"),
        ("read", "b"),
        ("read", "c"),
    ]
    one = next(each for each in written if each.kind == "clicked")
    assert one.at_ms > 1_700_000_000_000
    assert msgspec.structs.replace(one, at_ms=0) == ReceiptEvent(
        tenant="default",
        user="ann",
        kind="clicked",
        message_id="c",
        notification_id="n-c",
        channel="inapp",
        provider="inapp",
        notification="gate_moved",
        category="travel",
    )


async def test_a_list_goes_on_where_it_ended_whatever_comes(gateway: Running) -> None:
    ann = await person(gateway)
    await ann.gets(*"abcdef")
    first = await ann.asks("", limit=2)
    assert names(first) == ["f", "e"]
    await ann.gets("new", at_ms=1_764_000_099_000)
    second = await ann.asks("", limit=2, cursor=first.json()["next"])
    third = await ann.asks("", limit=2, cursor=second.json()["next"])
    assert names(second) + names(third) == ["d", "c", "b", "a"]
    assert third.json()["next"] is None


async def test_lists_of_a_category_or_notification_go_on_too(gateway: Running) -> None:
    ann = await person(gateway)
    for number in range(12):
        await ann.gets(
            f"m{number:02}",
            at_ms=1_764_000_000_000 + number,
            category="offers" if number % 3 else "travel",
            notification="gate_moved" if number % 2 else "landed",
        )
    found: list[str] = []
    cursor = ""
    while cursor is not None:
        answer = await ann.asks("", category="travel", limit=3, cursor=cursor)
        found += names(answer)
        cursor = answer.json()["next"]
    assert found == ["m09", "m06", "m03", "m00"]
    assert names(await ann.asks("", category="travel", notification="landed")) == ["m06", "m00"]
    assert names(await ann.asks("", notification="none")) == []


async def test_a_wrong_question_is_told_its_field(gateway: Running) -> None:
    ann = await person(gateway)
    for field, value in (
        ("limit", "0"),
        ("limit", "101"),
        ("limit", "many"),
        ("state", "lost"),
        ("cursor", "§"),
        ("cursor", "YWJj"),
        ("cursor", "LTE6YQ"),
    ):
        answer = await ann.asks("", **{field: value})
        assert (answer.status_code, answer.json()["errors"][0]["field"]) == (422, field), value


async def test_wrong_marks_are_told_their_field(gateway: Running) -> None:
    ann = await person(gateway)
    wrong: list[tuple[str, dict[str, Any], str]] = [
        ("read", {}, "ids"),
        ("read", {"ids": []}, "ids"),
        ("read", {"ids": ["a"], "all": True}, "ids"),
        ("read", {"ids": ["a"], "until_ms": 5}, "ids"),
        ("read", {"ids": ["x" * 65]}, "ids[0]"),
        ("read", {"ids": ["a"] * 201}, "ids"),
        ("read", {"all": True, "until_ms": -1}, "until_ms"),
        ("read", {"all": True, "tenant": "bank"}, "tenant"),
        ("click", {"all": True}, "all"),
    ]
    for action, marks, field in wrong:
        answer = await ann.does(action, **marks)
        assert (answer.status_code, answer.json()["errors"][0]["field"]) == (422, field), marks
        assert answer.headers["content-type"] == "application/problem+json"


async def everything(who: Person) -> list[httpx2.Response]:
    """Try each endpoint with one token."""
    asked = [await who.asks(path) for path in ("", "/counts")]
    done = [await who.does(action, ids=["a"]) for action in ACTIONS]
    done += [await who.does(action, all=True) for action in ACTIONS if action != "click"]
    return [*asked, *done, await who.client.delete("/v1/inbox/entries/a", headers=who.headers)]


async def test_without_a_token_nothing_is_open(gateway: Running) -> None:
    ann = await person(gateway)
    await ann.gets("a")
    ann.token = "eyJhbGciOiJub25lIn0.e30."
    for answer in (*await everything(ann), await ann.asks("/stream")):
        assert answer.status_code == 401, answer.url
        assert answer.headers["www-authenticate"].startswith("Bearer")
        assert answer.json()["request_id"]
    assert (await ann.inbox.counts(ann.key)).unread == 1


async def test_an_api_key_opens_no_inbox_and_a_user_token_nothing_else(gateway: Running) -> None:
    ann = await person(gateway)
    key = gateway.bearing("default")
    assert (await gateway.client.get("/v1/inbox", headers=key)).status_code == 401
    again = await gateway.client.post("/v1/users/bob/inbox-token", headers=ann.headers)
    assert again.status_code == 401


async def test_the_walls_between_tenants_and_users_hold(gateway: Running) -> None:
    """The same user id at another tenant, and another user of the same tenant, see and change nothing."""
    ann = await person(gateway, "ann", "default")
    await ann.gets("a", "b")
    for user, tenant in (("ann", "acme"), ("bob", "default"), ("default/ann", "acme")):
        other = await person(gateway, user.replace("/", "%2F"), tenant)
        for answer in (await everything(other))[:2]:
            assert answer.status_code == 200, answer.text
            assert '"a"' not in answer.text
        for action in ACTIONS:
            marks: list[dict[str, Any]] = [{"ids": ["a"]}, *([{"all": True}] if action != "click" else [])]
            for each in marks:
                assert (await other.does(action, **each)).json()["changed"] == []
        gone = await other.client.delete("/v1/inbox/entries/a", headers=other.headers)
        assert gone.json()["changed"] == []
    assert (await ann.asks("/counts")).json() == {"unread": 2, "unseen": 2}
    assert await gateway.records("receipts") == []


async def test_making_a_token_needs_the_scope_and_stays_within_the_tenant(gateway: Running) -> None:
    def asked(**more: Any) -> Any:
        return gateway.client.post("/v1/users/ann/inbox-token", **more)

    assert (await asked()).status_code == 401
    assert (await asked(headers=gateway.bearing("acme", "users:read"))).status_code == 403
    headers, now_ms = gateway.bearing("acme", SCOPE), wall_ms()
    gateway.gateway.clock_ms = lambda: now_ms
    good = (await asked(headers=headers, json={"lasts_s": 600})).json()
    user = service_of(gateway.gateway).user(good["token"], now_ms)
    assert (user.key, user.until_ms) == ("acme/ann", good["expires_ms"])
    assert good["expires_ms"] == now_ms - now_ms % 1_000 + 600_000, "its times are whole seconds"
    for wrong in ({"lasts_s": 86_401}, {"lasts_s": 1}, {"tenant": "default"}, {"lasts_s": "x"}):
        assert (await asked(headers=headers, json=wrong)).status_code == 422, wrong
    assert (
        await gateway.client.post(f"/v1/users/{'x' * 513}/inbox-token", headers=headers)
    ).status_code == 422


@pytest.mark.parametrize("by", ["gateway", "topic"])
async def test_a_token_of_a_user_who_was_erased_since_opens_nothing(gateway: Running, by: str) -> None:
    await until_ready(gateway)
    ann, bob = await person(gateway), await person(gateway, "bob")
    path, caller, owner = "/v1/users/ann", gateway.bearing(), b"default/ann"
    assert (await gateway.client.put(path, json={"locale": "en"}, headers=caller)).status_code == 201
    assert (await ann.asks("")).status_code == 200
    if by == "gateway":
        assert (await gateway.client.delete(path, headers=caller)).status_code == 204
    else:
        await gateway.gateway.writer.write(Record("profiles", owner, None))
        await until(lambda: service_of(gateway.gateway).is_erased(opened(gateway, ann)))
    for answer in (await ann.asks(""), await ann.asks("/counts"), await ann.does("read", all=True)):
        assert (answer.status_code, "its user was erased" in answer.json()["detail"]) == (401, True)
    assert (await bob.asks("")).status_code == 200
    gateway.gateway.clock_ms = lambda: wall_ms() + 2_000
    assert (await gateway.client.put(path, json={"locale": "de"}, headers=caller)).status_code == 201
    assert (await ann.asks("")).status_code == 401, "also where somebody has the id again"
    assert (await (await person(gateway)).asks("")).status_code == 200, "who comes after has new tokens"


def opened(gateway: Running, who: Person) -> InboxUser:
    return service_of(gateway.gateway).user(who.token, gateway.gateway.clock_ms())


async def test_the_example_page_and_its_tokens_are_there_only_where_asked_for(gateway: Running) -> None:
    for path in ("/inbox/example", "/inbox/example/users", "/inbox/example/token?user=default/ann"):
        assert (await gateway.client.get(path)).status_code == 404
    component = await gateway.client.get("/inbox/tocsin-inbox.js")
    assert component.headers["access-control-allow-origin"] == "*"
    assert component.headers["content-type"].startswith("text/javascript")


async def test_kafka_away_is_no_2xx_and_the_report_is_sent_by_whoever_comes_next(gateway: Running) -> None:
    """A crash between Redis and Kafka looks the same: the report is owed until some process settles it."""
    ann = await person(gateway)
    await ann.gets("a", "b")
    found = gateway.gateway
    began_ms = wall_ms()
    found.clock_ms = lambda: began_ms  # however long this takes, the gateway itself sweeps nothing
    working = found.writer
    found.writer = Writer(WriterPolicy(f"127.0.0.1:{free_port()}", found.settings.topic_prefix, {}, 0.3))
    found.writer.start()
    refused = await ann.does("read", ids=["a", "b"])
    assert (refused.status_code, refused.headers["retry-after"]) == (503, "2")
    assert (await ann.asks("/counts")).json() == {"unread": 0, "unseen": 0}, (
        "it is done, and will be reported"
    )
    again = await ann.does("read", ids=["a"])
    assert again.status_code == 503, "a repeat promises nothing either"
    await found.writer.close()
    found.writer = working
    assert (await ann.does("read", ids=["a"])).json()["changed"] == []
    assert [each.message_id for each in await receipts(gateway)] == ["a"]
    service = service_of(found)
    assert await service.sweep(age_ms=60_000) == 0, "too young: its own process may still be at it"
    found.clock_ms = wall_ms
    assert await service.sweep(age_ms=0) == 1
    assert await service.sweep(age_ms=0) == 0
    assert sorted(each.message_id for each in await receipts(gateway)) == ["a", "b"]


async def test_redis_away_is_a_503(kafka: str, topic_prefix: str, tmp_path: Path) -> None:
    url = f"redis://127.0.0.1:{free_port()}/0"
    async with running(settings_for(kafka, topic_prefix, url, "", tmp_path)) as away:
        ann = await person(away)
        for answer in (await ann.asks(""), await ann.does("read", ids=["a"])):
            assert (answer.status_code, answer.headers["retry-after"]) == (503, "2")


async def test_a_page_in_a_loop_is_told_to_wait(gateway: Running) -> None:
    ann, bob = await person(gateway), await person(gateway, "bob")
    began_s = time.monotonic()
    statuses = [(await ann.asks("/counts")).status_code for _ in range(75)]
    if time.monotonic() - began_s < 1:
        assert 429 in statuses
    assert statuses[0] == 200
    assert (await bob.asks("/counts")).status_code == 200

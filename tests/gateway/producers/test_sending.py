"""Notifications and events over HTTP: what Kafka gets, what is refused with which words, and the walls."""

import json
from collections.abc import Sequence
from typing import Any

import httpx2
import pytest

from tests.gateway.running import Running
from tocsin.formats.cloudevents import EventLimits, decode_event
from tocsin.gateway.problems import Problem
from tocsin.gateway.producers.items import MOST
from tocsin.gateway.writer import Failure, Placed, Record
from tocsin.model.event import Asked, Event, Recipient
from tocsin.model.ids import notification_id
from tocsin.model.raw import RawRecord

PATH = "/v1/notifications"
LIMITS = EventLimits(1 << 20, 1 << 40, 1 << 40, check_time=False)
CLOUDEVENT = {"specversion": "1.0", "id": "e1", "source": "/shop", "type": "flight.delayed", "subject": "ada"}
STRUCTURED = {"content-type": "application/cloudevents+json"}


def delayed(to: Any = "ada", **fields: Any) -> dict[str, Any]:
    return {"notification": "flight_delayed", "to": to, "data": {"delay_minutes": 72}, **fields}


async def send(gateway: Running, body: Any, **headers: str) -> httpx2.Response:
    return await gateway.client.post(PATH, json=body, headers={**gateway.bearing(), **headers})


async def events(gateway: Running) -> list[tuple[bytes | None, Event]]:
    return [
        (one.key, decode_event(RawRecord("events", one.partition, 0, 0, one.key, one.value, ()), LIMITS))
        for one in await gateway.records("events")
    ]


async def test_one_by_name_with_all_its_words(gateway: Running) -> None:
    words = {
        "send_at": "2030-01-01T09:00:00Z",
        "expires": "2030-01-02T09:00:00Z",
        "channels": ["push", "email"],
        "cancel_key": 7,
    }
    answer = await send(gateway, delayed(**words))
    assert answer.status_code == 202
    ((key, event),) = await events(gateway)
    assert (key, event.user, event.tenant, event.type) == (
        b"default/ada", "ada", "default", "notification.requested",
    )  # fmt: skip
    assert event.asked == Asked("flight_delayed", ("push", "email"), "7")
    assert (event.expires_ms or 0) - (event.send_at_ms or 0) == 86_400_000
    assert json.loads(bytes(event.data)) == {"delay_minutes": 72}
    told = answer.json()
    assert told["event_id"] == event.id
    origin = f"events/{(await gateway.records('events'))[0].partition}/0"
    assert told["origin"] == origin
    assert told["notification_id"] == notification_id(
        "default", event.source, event.id, "ada", "flight_delayed", origin
    )


async def test_by_type_to_each_kind_of_recipient(gateway: Running) -> None:
    inline = {"email": "bob@mail.example", "locale": "de"}
    to: list[Any] = ["ada", {"user": "eve"}, inline, {"topic": "flight/UA 1545"}]
    answer = await send(gateway, {"type": "flight.delayed", "to": to, "data": {"n": 1}})
    assert answer.status_code == 202
    results = answer.json()["results"]
    assert [(one["index"], one["status"], "notification_id" in one) for one in results] == [
        (0, 202, False)
    ] * 4
    found = {event.id: event for _, event in await events(gateway)}
    assert [found[one["event_id"]].user for one in results[:2]] == ["ada", "eve"]
    third, fourth = (found[one["event_id"]] for one in results[2:])
    assert (third.user[:8], third.recipient) == ("contact-", Recipient("bob@mail.example", locale="de"))
    assert (fourth.user, fourth.topic, fourth.asked) == ("", "flight/UA 1545", None)
    assert dict(await events(gateway))[b"default/flight/UA 1545"] == fourth


async def test_a_list_keeps_what_is_right_and_tells_what_is_wrong(gateway: Running) -> None:
    body = [delayed(), delayed(send_at="tomorrow"), {"to": "eve"}, delayed("eve", id="e-7")]
    answer = await send(gateway, body)
    assert answer.status_code == 207
    told = answer.json()
    assert (told["accepted"], told["refused"]) == (2, 2)
    assert [one["status"] for one in told["results"]] == [202, 422, 422, 202]
    second, third = told["results"][1:3]
    assert [one["field"] for one in second["errors"]] == ["[1].send_at"]
    assert "RFC 3339" in second["errors"][0]["cure"]
    assert [one["field"] for one in third["errors"]] == ["[2].notification"]
    assert sorted(event.user for _, event in await events(gateway)) == ["ada", "eve"]
    assert told["results"][3]["event_id"] == "e-7"
    assert "notification_id" not in told["results"][3], "the id may have been used before"


WRONG: list[tuple[Any, str, str]] = [
    (delayed(to={}), "to", "name a user"),
    (delayed(to={"email": "not an address"}), "to", "bare address"),
    (delayed(to={"segment": "all"}), "to.segment", "POST /v1/broadcasts"),
    (delayed(to={"topic": "t", "user": "ada"}), "to.topic", "not both"),
    (delayed(to="a\nb"), "to", "user id"),
    (delayed(to="u" * 600), "to", "512"),
    (delayed(to=[]), "to", "1"),
    (delayed(to=7), "to", "give a text"),
    (delayed(type="flight.delayed"), "notification", "not both"),
    (delayed(notification="flight_delaid"), "notification", "did you mean flight_delayed?"),
    (delayed(notification="boarding"), "notification", "the catalog has airport_report, flight_cancelled"),
    (delayed(data=[1]), "data", "one JSON object"),
    (delayed(data="x"), "data", "one JSON object"),
    (delayed(channels=["no channel"]), "channels", "push,email"),
    (delayed(channels=[]), "channels", "1"),
    (delayed(channels=["emial"]), "channels", "email"),
    (delayed(channels=["email", "emial"]), "channels", "email"),
    (delayed(channels=["voice"]), "channels", "email"),
    (delayed(expires="x"), "expires", "RFC 3339"),
    (delayed(cancel_key=""), "cancel_key", "length"),
    (delayed(colour="red"), "colour", "leave this field away"),
    ({"type": "tocsin.cancel", "to": "ada"}, "type", "DELETE /v1/notifications"),
    ([], "", "1 to 1000"),
    ([delayed()] * (MOST + 1), "", "1 to 1000"),
]


async def test_what_is_wrong_is_refused_with_field_and_cure(refusing: Running) -> None:
    for body, field, cure in WRONG:
        answer = await send(refusing, body)
        problem = answer.json()
        assert (answer.status_code, answer.headers["content-type"]) == (422, "application/problem+json")
        (wrong,) = problem["errors"]
        assert (wrong["field"], cure in wrong["cure"] + problem["detail"]) == (field, True), problem
        assert "not an address" not in answer.text
        assert "flight_delaid" not in answer.text


@pytest.fixture
def refusing(gateway: Running, monkeypatch: pytest.MonkeyPatch) -> Running:
    """A gateway that must not write."""

    async def write_all(_records: Sequence[Record]) -> list[Placed | Failure]:
        pytest.fail("something was written")

    monkeypatch.setattr(gateway.gateway.writer, "write_all", write_all)
    return gateway


async def test_too_large_a_record_and_an_empty_list_of_good_ones(refusing: Running) -> None:
    large = await send(refusing, delayed(data={"text": "x" * 300_000}))
    assert large.status_code == 413
    both = await send(refusing, [delayed(expires="x"), delayed(to={})])
    assert both.status_code == 422
    assert [one["field"] for one in both.json()["errors"]] == ["[0].expires", "[1].to"]


async def test_walls_between_tenants(refusing: Running) -> None:
    foreign = refusing.bearing("shop")
    named = await refusing.client.post(PATH, json=delayed(tenant="default"), headers=foreign)
    listed = await refusing.client.post(PATH, json=[delayed(tenant="default")], headers=foreign)
    event = CLOUDEVENT | {"tenant": "default"}
    structured = await refusing.client.post("/v1/events", json=event, headers={**foreign, **STRUCTURED})
    headers = {f"ce-{name}": value for name, value in event.items()}
    binary = await refusing.client.post("/v1/events", json={}, headers={**foreign, **headers})
    twice = b'{"tenant":"shop",' + json.dumps(event).encode()[1:]
    doubled = await refusing.client.post("/v1/events", content=twice, headers={**foreign, **STRUCTURED})
    every = [named, listed, structured, binary, doubled]
    assert [one.status_code for one in every] == [403] * 5
    own = await refusing.client.post(PATH, json=delayed(), headers=foreign)
    assert own.status_code == 422, "the catalog has no such tenant"


async def test_scopes(refusing: Running) -> None:
    read_only = refusing.bearing("default", "notifications:read", "events:write")
    assert (await refusing.client.post(PATH, json=delayed(), headers=read_only)).status_code == 403
    broadcast = CLOUDEVENT | {"tocsinsegment": "*"}
    del broadcast["subject"]
    control = broadcast | {"type": "tocsin.broadcast"}
    del control["tocsinsegment"]
    for event in (broadcast, control):
        answer = await refusing.client.post("/v1/events", json=event, headers={**read_only, **STRUCTURED})
        assert (answer.status_code, "broadcasts:write" in answer.text) == (403, True)


class TestEvents:
    async def test_structured_keeps_the_bytes_and_adds_the_tenant(self, gateway: Running) -> None:
        body = b' {"specversion":"1.0","id":"e1", "source":"/s","type":"t","subject":"ada","x":1.50}\n'
        answer = await gateway.client.post(
            "/v1/events", content=body, headers={**gateway.bearing(), **STRUCTURED}
        )
        assert (answer.status_code, answer.json()["event_id"]) == (202, "e1")
        (record,) = await gateway.records("events")
        assert record.value == b'{"tenant":"default",' + body.strip()[1:]
        assert record.key == b"default/ada"

    async def test_binary(self, gateway: Running) -> None:
        headers = {
            "ce-specversion": "1.0",
            "ce-id": "e%20%C3%BC",
            "ce-source": "/s",
            "ce-type": "t",
            "ce-subject": "ada",
            "ce-tocsinchannels": "push,email",
            "content-type": "application/json",
        }
        answer = await gateway.client.post(
            "/v1/events", content=b'{"n": 1.0}', headers={**gateway.bearing(), **headers}
        )
        assert answer.status_code == 202
        ((_, event),) = await events(gateway)
        assert (event.id, bytes(event.data), event.asked) == (
            "e \u00fc", b'{"n": 1.0}', Asked("", ("push", "email")),
        )  # fmt: skip

    async def test_a_batch_tells_of_each(self, gateway: Running) -> None:
        batch = [CLOUDEVENT, CLOUDEVENT | {"id": "e2", "time": "2001-01-01T00:00:00Z"}, {"id": 7}]
        headers = {"content-type": "application/cloudevents-batch+json; charset=utf-8"}
        answer = await gateway.client.post("/v1/events", json=batch, headers={**gateway.bearing(), **headers})
        told = answer.json()
        assert (answer.status_code, [one["status"] for one in told["results"]]) == (207, [202, 422, 422])
        assert [one["errors"][0]["field"] for one in told["results"][1:]] == ["[1].time", "[2].id"]
        assert len(await events(gateway)) == 1

    async def test_what_is_wrong(self, refusing: Running) -> None:
        batch = {"content-type": "application/cloudevents-batch+json"}
        wrong: list[tuple[dict[str, str], Any, int, str]] = [
            ({"content-type": "application/json"}, CLOUDEVENT, 415, "application/cloudevents+json"),
            ({"content-type": "text/plain", "ce-id": "1"}, {}, 415, "application/json"),
            (STRUCTURED, [CLOUDEVENT], 422, "object"),
            (
                STRUCTURED,
                CLOUDEVENT | {"tocsinfanout": "events/0/0", "tocsintopic": "t"},
                422,
                "tocsinfanout",
            ),
            (STRUCTURED, CLOUDEVENT | {"type": "tocsin.own"}, 422, "reserved"),
            (STRUCTURED, CLOUDEVENT | {"tocsinnotification": "x"}, 422, "tocsinnotification"),
            (STRUCTURED, {**CLOUDEVENT, "subject": None}, 422, "subject"),
            (STRUCTURED, {}, 422, "specversion"),
            (batch, [], 422, "1 to 1000"),
        ]
        for headers, body, status, word in wrong:
            answer = await refusing.client.post(
                "/v1/events", json=body, headers={**refusing.bearing(), **headers}
            )
            assert (answer.status_code, word in answer.text) == (status, True), answer.text


async def test_kafka_away_is_never_accepted(gateway: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of a list, what Kafka has stays accepted; the rest may be sent again."""

    def fails(count: int) -> None:
        real = type(gateway.gateway.writer).write_all

        async def write_all(records: Sequence[Record]) -> list[Placed | Failure]:
            kept = records[: len(records) - count]
            away = Failure(Problem(503, "away", headers={"retry-after": "2"}), final=False)
            return [*await real(gateway.gateway.writer, kept), *[away] * count]

        monkeypatch.setattr(gateway.gateway.writer, "write_all", write_all)

    fails(1)
    one = await send(gateway, delayed())
    assert (one.status_code, one.headers["retry-after"]) == (503, "2")
    two = await send(gateway, [delayed(), delayed("eve")])
    assert (two.status_code, [each["status"] for each in two.json()["results"]]) == (207, [202, 503])
    fails(2)
    none = await send(gateway, [delayed(), delayed("eve")])
    assert (none.status_code, "retry-after" in none.headers) == (503, True)
    assert len(await events(gateway)) == 1

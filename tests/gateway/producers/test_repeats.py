"""Idempotency keys: the same answer again, another body refused, crashes, and Redis away."""

import asyncio
from collections.abc import Sequence
from typing import Any

import msgspec
import pytest

from tests.gateway.producers.test_sending import CLOUDEVENT, STRUCTURED, delayed, events, send
from tests.gateway.running import Running
from tocsin.catalog.loader import Catalog
from tocsin.gateway.problems import Problem
from tocsin.gateway.producers import repeats
from tocsin.gateway.producers.repeats import KEEP_MS, Kept
from tocsin.gateway.writer import Failure, Placed, Record

KEY = {"idempotency-key": "order-4711"}


async def claims(gateway: Running) -> list[Kept]:
    redis = gateway.gateway.redis
    names = [name async for name in redis.scan_iter("tocsin:gateway:repeat:*")]
    for name in names:
        assert 0 < await redis.pttl(name) <= KEEP_MS
    return [repeats._decode(await redis.get(name)) for name in names]  # type: ignore[arg-type]  # noqa: SLF001


async def test_the_same_key_and_body_get_the_same_answer_and_nothing_is_written_again(
    gateway: Running,
) -> None:
    first = await send(gateway, [delayed(), {"to": "x"}], **KEY)
    again = await send(gateway, [delayed(), {"to": "x"}], **KEY)
    assert (first.status_code, first.content) == (again.status_code, again.content)
    assert again.headers["idempotent-replayed"] == "true"
    assert "idempotent-replayed" not in first.headers
    assert again.headers["content-type"] == "application/json"
    assert len(await events(gateway)) == 1
    quoted = await send(gateway, [delayed(), {"to": "x"}], **{"idempotency-key": '"order-4711"'})
    assert quoted.content == first.content
    (kept,) = await claims(gateway)
    assert b"order-4711" not in msgspec.msgpack.encode(kept)


async def test_the_key_belongs_to_the_body_the_path_and_the_tenant(gateway: Running) -> None:
    await send(gateway, delayed(), **KEY)
    other = await send(gateway, delayed("eve"), **KEY)
    elsewhere = await gateway.client.post(
        "/v1/events", json=CLOUDEVENT, headers={**gateway.bearing(), **STRUCTURED, **KEY}
    )
    assert [one.status_code for one in (other, elsewhere)] == [422, 422]
    assert other.json()["errors"][0]["field"] == "idempotency-key"
    foreign = await gateway.client.post(
        "/v1/notifications", json=delayed(), headers={**gateway.bearing("shop"), **KEY}
    )
    assert "idempotent-replayed" not in foreign.headers
    assert "not in the catalog" in foreign.text
    assert len(await events(gateway)) == 1


async def test_a_refused_request_does_not_use_up_its_key(gateway: Running) -> None:
    assert (await send(gateway, delayed(to={}), **KEY)).status_code == 422
    assert (await send(gateway, delayed(), **KEY)).status_code == 202


async def test_the_answer_stays_where_the_request_would_be_refused_now(
    gateway: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def publish() -> Any:
        headers = {**gateway.bearing(), **STRUCTURED, "idempotency-key": "event-1"}
        return await gateway.client.post("/v1/events", json=CLOUDEVENT, headers=headers)

    first = [await send(gateway, delayed(), **KEY), await publish()]
    assert [one.status_code for one in first] == [202, 202]
    monkeypatch.setattr(gateway.gateway, "catalog", lambda: Catalog("other", {}))
    again = [await send(gateway, delayed(), **KEY), await publish()]
    assert [one.content for one in again] == [one.content for one in first]
    assert {one.headers["idempotent-replayed"] for one in again} == {"true"}
    assert (await send(gateway, delayed("eve"), **KEY)).status_code == 422
    assert len(await events(gateway)) == 2


async def test_in_flight(gateway: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    writer, released = gateway.gateway.writer, asyncio.Event()
    real = writer.write_all

    async def write_all(records: Sequence[Record]) -> list[Placed | Failure]:
        await released.wait()
        return await real(records)

    monkeypatch.setattr(writer, "write_all", write_all)
    first = asyncio.create_task(send(gateway, delayed(), **KEY))
    while not await claims(gateway):
        await asyncio.sleep(0.005)
    second = await send(gateway, delayed(), **KEY)
    assert (second.status_code, second.headers["retry-after"]) == (409, "1")
    released.set()
    assert (await first).status_code == 202
    assert (await send(gateway, delayed(), **KEY)).content == (await first).content


class Crash(BaseException):
    """Stands for the end of the process: nothing after it runs."""


@pytest.mark.parametrize("place", ["before Kafka", "behind Kafka"])
async def test_a_retry_after_a_crash_writes_the_same_event(
    gateway: Running, monkeypatch: pytest.MonkeyPatch, place: str
) -> None:
    """Nothing is kept but the claim. The retry takes it over, and its event ids are those of before."""
    writer, keep = gateway.gateway.writer, repeats._keep  # noqa: SLF001 -- a dead process keeps nothing
    real = writer.write_all

    async def dies(records: Sequence[Record]) -> list[Placed | Failure]:
        if place == "behind Kafka":
            await real(records)
        raise Crash

    async def nothing(*_: Any) -> None:
        return None

    monkeypatch.setattr(writer, "write_all", dies)
    monkeypatch.setattr(repeats, "_keep", nothing)
    with pytest.raises(Crash):
        await send(gateway, [delayed(), delayed("eve")], **KEY)
    monkeypatch.setattr(writer, "write_all", real)
    monkeypatch.setattr(repeats, "_keep", keep)
    assert (await send(gateway, [delayed(), delayed("eve")], **KEY)).status_code == 409
    clock = gateway.gateway.clock_ms
    monkeypatch.setattr(gateway.gateway, "clock_ms", lambda: clock() + repeats.IN_FLIGHT_MS)
    assert (await send(gateway, [delayed("bob")], **KEY)).status_code == 422, "the claim knows its request"
    retried = await send(gateway, [delayed(), delayed("eve")], **KEY)
    assert retried.status_code == 202
    written = await events(gateway)
    assert len(written) == (4 if place == "behind Kafka" else 2)
    assert len({(event.source, event.id) for _, event in written}) == 2
    assert all("notification_id" not in one for one in retried.json()["results"]), "an older record may count"
    assert (await send(gateway, [delayed(), delayed("eve")], **KEY)).content == retried.content


async def test_what_kafka_did_not_take_may_be_sent_again_at_once(
    gateway: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    writer = gateway.gateway.writer
    real = writer.write_all

    async def half(records: Sequence[Record]) -> list[Placed | Failure]:
        away = Failure(Problem(503, "away", headers={"retry-after": "2"}), final=False)
        return [*await real(records[:1]), *[away] * (len(records) - 1)]

    monkeypatch.setattr(writer, "write_all", half)
    body = [delayed(), delayed("eve")]
    assert (await send(gateway, body, **KEY)).status_code == 207
    monkeypatch.setattr(writer, "write_all", real)
    again = await send(gateway, body, **KEY)
    assert (again.status_code, again.json()["accepted"]) == (202, 2)
    assert len({event.id for _, event in await events(gateway)}) == 2


async def test_redis_away(gateway: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    """Sends go on, and the answer says what protects."""
    from tocsin.delivery.redis_client import open_client

    away = open_client("redis://127.0.0.1:1/0", timeout_s=0.2)
    monkeypatch.setattr(gateway.gateway, "redis", away)
    answers = [await send(gateway, delayed(), **KEY) for _ in range(2)]
    assert [(one.status_code, one.headers["idempotency-protection"]) for one in answers] == [
        (202, "event-ids")
    ] * 2
    assert answers[0].json()["event_id"] == answers[1].json()["event_id"]
    assert "idempotency-protection" not in (await send(gateway, delayed())).headers
    await away.aclose()


async def test_a_key_of_another_form(gateway: Running) -> None:
    for key in ("x" * 256, "two words", '"'):
        answer = await send(gateway, delayed(), **{"idempotency-key": key})
        if key != '"':
            assert (answer.status_code, answer.json()["errors"][0]["field"]) == (400, "idempotency-key")

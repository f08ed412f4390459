"""Cancelling: by event id at once, by notification id, by user, for topics; and nobody else's."""

import asyncio
import json
from typing import Any

import httpx2
import pytest

from tests.gateway.producers.test_sending import delayed, events, send
from tests.gateway.running import Running
from tocsin.decision.cancelling import request_of
from tocsin.gateway.producers.sent import Sent, SentIndex
from tocsin.model.event import CANCEL


async def cancel(gateway: Running, subject: str, tenant: str = "default", **query: str) -> httpx2.Response:
    return await gateway.client.delete(
        f"/v1/notifications/{subject}", params=query, headers=gateway.bearing(tenant)
    )


async def cancels(gateway: Running) -> list[tuple[str, Any]]:
    """List who is to be cancelled what; the gate must accept each."""
    found = [event for _, event in await events(gateway) if event.type == CANCEL]
    assert all(request_of(event) for event in found)
    return [(event.user or event.topic, json.loads(bytes(event.data))) for event in found]


async def test_by_event_id_and_by_notification_id_at_once(gateway: Running) -> None:
    sent = (await send(gateway, delayed(send_at="2030-01-01T00:00:00Z"))).json()
    nid = sent["notification_id"]
    for subject in (sent["event_id"], nid):
        answer = await cancel(gateway, subject)
        assert (answer.status_code, answer.json()["notifications"]) == (202, [nid])
        assert "cannot be called back" in answer.json()["note"]
    assert await cancels(gateway) == [("ada", {"notification_id": nid})] * 2
    assert len({event.id for _, event in await events(gateway)}) == 2, "cancelling again is a duplicate"
    (first, second, third) = await gateway.records("events")
    assert first.partition == second.partition == third.partition


async def test_of_a_list_and_of_an_inline_recipient(gateway: Running) -> None:
    body = [delayed(f"user {number}") for number in range(20)]
    body.append(delayed({"email": "bob@mail.example"}))
    results = (await send(gateway, body)).json()["results"]
    for one in (results[7], results[20]):
        answer = await cancel(gateway, one["event_id"])
        assert answer.json()["notifications"] == [one["notification_id"]]
    (seventh, inline) = await cancels(gateway)
    assert (seventh[0], inline[0][:8]) == ("user 7", "contact-")


async def test_by_type_each_notification_that_asks_for_it(gateway: Running) -> None:
    sent = await send(gateway, {"type": "flight.departed", "to": "ada", "id": "departed-1"})
    answer = await cancel(gateway, sent.json()["event_id"])
    assert len(answer.json()["notifications"]) == 2
    assert len(await cancels(gateway)) == 2


async def test_of_a_topic_by_its_cancel_key(gateway: Running) -> None:
    keyed = (await send(gateway, delayed({"topic": "UA1"}, cancel_key="k"))).json()["event_id"]
    plain = (await send(gateway, delayed({"topic": "UA1"}))).json()["event_id"]
    assert (await cancel(gateway, keyed)).status_code == 202
    refused = await cancel(gateway, plain)
    assert (refused.status_code, "cancel_key" in refused.json()["detail"]) == (409, True)
    assert await cancels(gateway) == [("UA1", {"cancel_key": "k"})]
    again = (await send(gateway, delayed({"topic": "UA1"}, cancel_key="k"))).json()["event_id"]
    for subject in (keyed, again):
        assert (await cancel(gateway, subject)).status_code == 202
    ids = [event.id for _, event in await events(gateway) if event.type == CANCEL]
    assert (len(ids), len(set(ids))) == (3, 2), "another event of the key is another order"


async def test_an_id_with_slashes(gateway: Running) -> None:
    sent = await send(gateway, delayed(id="UA/1545 %2F/1"))
    assert sent.status_code == 202
    answer = await cancel(gateway, "UA%2F1545%20%252F%2F1")
    assert (answer.status_code, answer.json()["id"]) == (202, "UA/1545 %2F/1")


async def test_nothing_of_another_tenant(gateway: Running) -> None:
    sent = (await send(gateway, delayed())).json()
    for subject in sent.values():
        answer = await cancel(gateway, subject, "shop")
        assert answer.status_code in {404, 503}
    assert await cancels(gateway) == []
    named = await cancel(gateway, sent["notification_id"], "shop", user="ada")
    assert named.status_code == 202, "with a user it is an order to the key's own tenant"
    assert sorted(one.key or b"" for one in await gateway.records("events")) == [b"default/ada", b"shop/ada"]


async def test_with_a_user_where_nothing_is_known(gateway: Running) -> None:
    nid = "0123456789abcdef" * 2
    unknown = await cancel(gateway, nid)
    assert unknown.status_code == 503, "ClickHouse is away"
    answer = await cancel(gateway, nid, user="ada")
    assert (answer.status_code, await cancels(gateway)) == (202, [("ada", {"notification_id": nid})])


async def test_the_index_keeps_the_first_event_of_an_id(gateway: Running) -> None:
    index = SentIndex(gateway.gateway.redis)
    for user in ("ann", "bob"):
        index.note("t", f"r-{user}", [Sent("given", "/s", "t", user, "events/0/1")])
        await index._write()  # noqa: SLF001 -- what `run` does
    found = await index.find("t", "given")
    assert found is not None
    assert found.user == "ann"
    assert await index.find("u", "given") is None
    assert await index.find("t", "no") is None
    (name, *_) = [name async for name in gateway.gateway.redis.scan_iter("tocsin:gateway:sent:*")]
    assert 0 < await gateway.gateway.redis.ttl(name) <= 600
    assert b"given" not in name


async def test_what_waits_keeps_its_first_event_too_and_is_written_at_the_end(gateway: Running) -> None:
    index = SentIndex(gateway.gateway.redis)
    task = asyncio.create_task(index.run())
    await asyncio.sleep(0)
    for user in ("ann", "bob"):
        index.note("t", f"w-{user}", [Sent("waiting", "/s", "t", user, "events/0/1")])
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    found = await SentIndex(gateway.gateway.redis).find("t", "waiting")
    assert found is not None
    assert found.user == "ann"


@pytest.mark.parametrize("size", [1, 1_000])
async def test_a_request_is_found_whatever_its_size(gateway: Running, size: int) -> None:
    index = SentIndex(gateway.gateway.redis)
    request = f"{size:024d}"
    index.note("t", request, [Sent(f"{request}-{n}", "/s", "t", f"u{n}", "events/0/1") for n in range(size)])
    await index._write()  # noqa: SLF001 -- what `run` does
    found = await index.find("t", f"{request}-{size - 1}")
    assert found is not None
    assert found.user == f"u{size - 1}"


async def test_what_waits_is_written_whole_however_much_it_is(gateway: Running) -> None:
    index = SentIndex(gateway.gateway.redis)
    for number in range(1_100):
        index.note("t", f"m-{number}", [Sent(f"many-{number}", "/s", "t", f"u{number}", "events/0/1")])
    await index._write()  # noqa: SLF001 -- what `run` does
    for number in (0, 499, 500, 1_099):
        found = await index.find("t", f"many-{number}")
        assert found is not None
        assert found.user == f"u{number}"


async def test_what_is_just_being_written_is_found(gateway: Running) -> None:
    redis = gateway.gateway.redis
    index = SentIndex(redis)
    index.note("t", "r", [Sent("being-written", "/s", "t", "ann", "events/0/1")])
    await redis.client_pause(60_000, all=False)
    try:
        writing = asyncio.create_task(index._write())  # noqa: SLF001 -- what `run` does
        await asyncio.sleep(0)
        found = await index.find("t", "being-written")
    finally:
        await redis.client_unpause()
    await writing
    assert found is not None
    assert await index.find("t", "being-written") == found


@pytest.mark.parametrize("subject", ["x" * 600, "a%2Fb", "%00"])
async def test_odd_ids_are_not_found(gateway: Running, subject: str) -> None:
    assert (await cancel(gateway, subject)).status_code in {404, 503}

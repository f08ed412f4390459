"""Live changes over WebSocket and SSE: in order and once, resumed, and ended with a code that tells."""

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from redis.exceptions import RedisError

from tests.gateway.inbox.people import Person, person
from tests.gateway.people.conftest import until_ready
from tests.gateway.running import Running, running, served, settings_for
from tests.providers.valkey import OwnValkey
from tests.waiting import PATIENCE_S
from tocsin.delivery.redis_client import open_client
from tocsin.gateway.inbox import hub as hubs
from tocsin.gateway.inbox.bounds import LivePolicy
from tocsin.gateway.inbox.hub import Hub, Listener, Overflow, Stopped
from tocsin.gateway.inbox.service import service_of
from tocsin.gateway.keys import Key

Socket = aiohttp.ClientWebSocketResponse


@pytest.fixture
async def address(gateway: Running) -> AsyncIterator[str]:
    async with served(gateway.application) as found:
        yield found


@contextlib.asynccontextmanager
async def listening(address: str, who: Person, last: str = "", **more: Any) -> AsyncIterator[Socket]:
    """Open a WebSocket."""
    protocols = ("tocsin.inbox.v1", f"token.{who.token}")
    url = f"{address}/v1/inbox/live?last_event_id={last}"
    async with (
        aiohttp.ClientSession() as session,
        session.ws_connect(url, protocols=protocols, **more) as socket,
    ):
        yield socket


async def heard(socket: Socket, count: int = 1) -> list[dict[str, Any]]:
    """Hear some changes, without heartbeats."""
    found: list[dict[str, Any]] = []
    while len(found) < count:
        change = await asyncio.wait_for(socket.receive_json(), PATIENCE_S)
        found += [change] if change["kind"] != "beat" else []
    return found


async def ended(socket: Socket) -> tuple[int | None, str]:
    """Wait for the end."""
    async with asyncio.timeout(PATIENCE_S):
        while (message := await socket.receive()).type is aiohttp.WSMsgType.TEXT:
            pass
    assert message.type is aiohttp.WSMsgType.CLOSE
    return message.data, str(message.extra)


def kinds(changes: list[dict[str, Any]]) -> list[str]:
    return [change["kind"] for change in changes]


async def test_changes_come_live_to_each_device_of_the_user_only(gateway: Running, address: str) -> None:
    ann, bob = await person(gateway), await person(gateway, "bob")
    namesake = await person(gateway, "ann", "acme")
    async with (
        listening(address, ann) as phone,
        listening(address, ann) as laptop,
        listening(address, bob) as other,
        listening(address, namesake) as stranger,
    ):
        for socket in (phone, laptop, other, stranger):
            [hello] = await heard(socket)
            assert (hello["kind"], hello["unread"]) == ("hello", 0)
            assert socket.protocol == "tocsin.inbox.v1"
        await ann.gets("a")
        done = await ann.does("read", ids=["a"])
        assert done.json()["changed"] == ["a"]
        for socket in (phone, laptop):
            added, read = await heard(socket, 2)
            assert (added["kind"], added["entry"]["title"], added["unread"]) == ("added", "Title a", 1)
            assert (read["kind"], read["message_ids"], read["unread"]) == ("read", ["a"], 0)
        await bob.gets("b")
        await namesake.gets("c")
        assert [(await heard(other))[0]["entry"]["message_id"]] == ["b"]
        assert [(await heard(stranger))[0]["entry"]["message_id"]] == ["c"]
    async with asyncio.timeout(PATIENCE_S):
        while service_of(gateway.gateway).hub.size:
            await asyncio.sleep(0.02)


async def test_who_comes_back_misses_nothing_and_gets_nothing_twice(gateway: Running, address: str) -> None:
    ann = await person(gateway)
    await ann.gets("a")
    last = (await ann.asks("")).json()["last_event_id"]
    await ann.gets("b")
    await ann.does("seen", ids=["b"])
    async with listening(address, ann, last) as socket:
        told = await heard(socket, 3)
        assert kinds(told) == ["added", "seen", "hello"]
        await ann.gets("c")
        assert kinds(await heard(socket)) == ["added"]
    async with listening(address, ann, told[-1]["id"]) as socket:
        assert [each.get("message_ids") for each in await heard(socket, 2)] == [["c"], None]
    async with listening(address, ann, "5-1") as socket:
        [reload] = await heard(socket)
        assert (reload["kind"], reload["unread"], reload["unseen"]) == ("reload", 3, 2)


async def refusal(address: str, who: Person, **more: Any) -> int:
    with pytest.raises(aiohttp.WSServerHandshakeError) as caught:
        async with listening(address, who, **more):
            pass
    return caught.value.status


async def test_without_a_right_no_socket_opens(gateway: Running, address: str) -> None:
    ann = await person(gateway)
    assert await refusal(address, ann, last="§") == 422
    for stranger in ("https://evil.example", "http://[", "null"):
        assert await refusal(address, ann, headers={"origin": stranger}) == 403
    async with aiohttp.ClientSession() as session:
        with pytest.raises(aiohttp.WSServerHandshakeError) as caught:
            await session.ws_connect(f"{address}/v1/inbox/live?token={ann.token}")
        assert caught.value.status == 400
    ann.token = "a.b.c"
    assert await refusal(address, ann) == 401


async def test_a_user_has_a_bounded_number_of_connections(gateway: Running, address: str) -> None:
    service_of(gateway.gateway).bounds = LivePolicy(per_user=2)
    ann, bob = await person(gateway), await person(gateway, "bob")
    async with listening(address, ann) as one, listening(address, ann) as two:
        await heard(one)
        await heard(two)
        assert await refusal(address, ann) == 429
        async with listening(address, bob) as other:
            await heard(other)
    async with listening(address, ann) as again:
        await heard(again)


async def test_the_end_of_a_token_ends_the_connection_with_a_code(gateway: Running, address: str) -> None:
    service_of(gateway.gateway).bounds = LivePolicy(beat_s=0.1)
    ann = await person(gateway)
    async with listening(address, ann) as socket:
        await heard(socket)
        assert (await asyncio.wait_for(socket.receive_json(), PATIENCE_S)) == {"kind": "beat"}
        for key in gateway.gateway.keys.all():
            fields = {name: getattr(key, name) for name in key.__struct_fields__}
            gateway.gateway.keys.add(Key(**{**fields, "revoked_ms": 1}))
        assert await ended(socket) == (4401, "the token is over: fetch a new one")


async def test_a_busy_inbox_does_not_outlive_its_key(gateway: Running, address: str) -> None:
    """There is never a beat of silence here, after which the token was checked."""
    service_of(gateway.gateway).bounds = LivePolicy(beat_s=0.2)
    ann = await person(gateway)
    async with listening(address, ann) as socket:
        await heard(socket)
        for key in gateway.gateway.keys.all():
            fields = {name: getattr(key, name) for name in key.__struct_fields__}
            gateway.gateway.keys.add(Key(**{**fields, "revoked_ms": 1}))
        for number in range(40):
            await ann.gets(str(number))
            await asyncio.sleep(0.02)
        told = 0
        while (message := await socket.receive()).type is aiohttp.WSMsgType.TEXT:
            told += b"added" in message.data.encode()
        assert (message.data, told < 30) == (4401, True)


async def test_an_erasure_ends_the_connections_of_its_user(gateway: Running, address: str) -> None:
    """At once where the inbox had entries, else with the next beat."""
    await until_ready(gateway)
    ann, bob = await person(gateway), await person(gateway, "bob")
    await ann.gets("a")
    async with listening(address, ann) as socket:
        await heard(socket)
        await ann.inbox.erase(ann.key)
        assert kinds(await heard(socket)) == ["erased"]
        assert await ended(socket) == (4401, "the token is over: fetch a new one")
    service_of(gateway.gateway).bounds = LivePolicy(beat_s=0.1)
    async with listening(address, ann) as socket, listening(address, bob) as other:
        await heard(socket)
        await heard(other)
        async with streaming(address, ann) as response:
            await parts(response, 1)
            path, caller = "/v1/users/ann", gateway.bearing()
            put = await gateway.client.put(path, json={"locale": "en"}, headers=caller)
            assert put.status_code == 201
            assert (await gateway.client.delete(path, headers=caller)).status_code == 204
            [end] = await parts(response, 1)
            assert (end["event"], json.loads(end["data"])["code"]) == ("end", 4401)
        async with streaming(address, ann) as response:
            assert response.status == 401
        assert (await ended(socket))[0] == 4401
        assert await refusal(address, ann) == 401
        await bob.gets("b")
        assert kinds(await heard(other)) == ["added"]


async def test_a_client_that_talks_is_shown_out_and_a_stopping_server_says_so(
    gateway: Running, address: str
) -> None:
    ann = await person(gateway)
    async with listening(address, ann) as talker, listening(address, ann) as socket:
        for each in (talker, socket):
            await heard(each)
        for _ in range(101):
            await talker.send_str("hello?")
        assert (await ended(talker))[0] == 1008
        gateway.gateway.stopping.set()
        assert (await ended(socket))[0] == 1012


async def test_a_slow_client_is_dropped_and_costs_nobody_else(gateway: Running, address: str) -> None:
    ann = await person(gateway)
    service = service_of(gateway.gateway)
    slow = Listener(ann.inbox.live_channel(ann.key))
    await service.hub.join(slow)
    async with listening(address, ann) as quick:
        await heard(quick)
        for number in range(70):
            await ann.gets(f"m{number}")
        assert len(await heard(quick, 70)) == 70
    with pytest.raises(Overflow):
        await slow.next(0)


@contextlib.asynccontextmanager
async def streaming(address: str, who: Person) -> AsyncIterator[aiohttp.ClientResponse]:
    """Open a stream of events."""
    async with (
        aiohttp.ClientSession(headers=who.headers) as session,
        session.get(f"{address}/v1/inbox/stream") as response,
    ):
        yield response


async def parts(response: aiohttp.ClientResponse, count: int) -> list[dict[str, str]]:
    """Read some events of a stream."""
    found: list[dict[str, str]] = []
    async with asyncio.timeout(PATIENCE_S):
        while len(found) < count:
            lines: dict[str, str] = {}
            while line := (await response.content.readline()).decode().rstrip("\n"):
                name, _, value = line.partition(": ")
                lines[name] = value
            found += [lines] if "data" in lines else []
    return found


async def test_a_stream_of_events_tells_the_same_and_resumes(gateway: Running, address: str) -> None:
    ann = await person(gateway)
    async with aiohttp.ClientSession(headers=ann.headers) as session:
        async with session.get(f"{address}/v1/inbox/stream") as response:
            assert response.headers["content-type"].startswith("text/event-stream")
            await parts(response, 1)
            await ann.gets("a")
            [added] = await parts(response, 1)
            assert json.loads(added["data"])["id"] == added["id"]
        await ann.does("read", ids=["a"])
        resumed = {"last-event-id": added["id"]}
        async with session.get(f"{address}/v1/inbox/stream", headers=resumed) as response:
            told = [json.loads(each["data"]) for each in await parts(response, 2)]
            assert kinds(told) == ["read", "hello"]
            gateway.gateway.stopping.set()
            [end] = await parts(response, 1)
            assert (end["event"], json.loads(end["data"])["code"]) == ("end", 1012)
            assert await response.content.read() == b""


async def test_when_redis_restarts_nothing_is_missed(
    own_valkey: OwnValkey, kafka: str, topic_prefix: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hubs, "_STEP_S", 0.1)
    settings = settings_for(kafka, topic_prefix, own_valkey.url, "", tmp_path)
    async with running(settings) as gateway, served(gateway.application) as address:
        ann = await person(gateway)
        async with listening(address, ann) as socket:
            await heard(socket)
            await ann.gets("a")
            assert kinds(await heard(socket)) == ["added"]
            own_valkey.kill()
            await asyncio.sleep(0.3)
            await asyncio.to_thread(own_valkey.start)
            await until_it_gets(ann, "b")
            [told] = await heard(socket)
            assert (told["kind"], told["message_ids"]) == ("added", ["b"])


async def until_it_gets(who: Person, name: str) -> None:
    """Put an entry in, again for as long as Redis is away."""
    async with asyncio.timeout(PATIENCE_S):
        while True:
            with contextlib.suppress(RedisError):
                return await who.gets(name)
            await asyncio.sleep(0.05)


async def test_each_confirmation_of_a_subscription_makes_listeners_look_again() -> None:
    """Who leaves and comes back at once hears two: between them, Redis may have told nobody anything."""
    hub = Hub("redis://127.0.0.1:9", "t:idle")
    first, again = Listener("t:1"), Listener("t:1")
    await hub.join(first)
    await hub.leave(first)
    await hub.join(again)
    for _ in ("of the first", "of the second"):
        again.must_look = False
        hub._hand_out({"type": "subscribe", "channel": b"t:1", "data": 1})  # noqa: SLF001 -- as Redis says it
        assert again.must_look
    assert not first.must_look


async def test_one_subscription_serves_all_listeners(redis_db: str) -> None:
    async with Hub(redis_db, "t:idle") as hub, open_client(redis_db) as client:
        listeners = [Listener(f"t:{number % 5}") for number in range(20)]
        await asyncio.gather(*[hub.join(listener) for listener in listeners])
        for listener in listeners:
            while not listener.must_look:
                await listener.next(PATIENCE_S)
            listener.must_look = False
        assert len(await client.pubsub_channels("t:*")) == 6
        await client.publish("t:3", b'{"id":"1-1","kind":"read"}')
        assert [await each.next(PATIENCE_S) for each in listeners if each.channel == "t:3"] == [
            b'{"id":"1-1","kind":"read"}'
        ] * 4
        for listener in listeners:
            await hub.leave(listener)
        async with asyncio.timeout(PATIENCE_S):
            while await client.pubsub_channels("t:*") != [b"t:idle"]:
                await asyncio.sleep(0.02)
        hub.stop()
        await hub.join(listeners[0])
        with pytest.raises(Stopped):
            await listeners[0].next(0)

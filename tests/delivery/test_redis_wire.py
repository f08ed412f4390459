"""The ledger's own connection: each command gets its own reply or fails in time, however it is connected."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import redis
from redis.exceptions import NoScriptError, RedisError, ResponseError
from redis.exceptions import TimeoutError as RedisTimeoutError

from tests.providers.valkey import OwnValkey
from tests.waiting import PATIENCE_S
from tocsin.delivery.redis_wire import RedisWire


@contextlib.asynccontextmanager
async def wire_to(url: str, timeout_s: float = PATIENCE_S) -> AsyncIterator[RedisWire]:
    wire = RedisWire(url, timeout_s=timeout_s)
    try:
        yield wire
    finally:
        wire.close()


async def test_each_command_gets_its_own_reply(redis_db: str) -> None:
    async with wire_to(redis_db) as wire:
        assert [await wire.ask("ECHO", str(number)) for number in range(3)] == [b"0", b"1", b"2"]


async def test_a_reply_that_comes_in_parts_is_put_together(redis_db: str) -> None:
    async with wire_to(redis_db) as wire:
        long = b"x" * (4 << 20)
        assert await wire.ask("ECHO", long) == long


async def test_a_refusal_is_raised_and_leaves_the_connection_open(redis_db: str) -> None:
    async with wire_to(redis_db) as wire:
        number = await wire.ask("CLIENT", "ID")
        with pytest.raises(NoScriptError):
            await wire.ask("EVALSHA", "0" * 40, 0)
        with pytest.raises(ResponseError, match="unknown command"):
            await wire.ask("NOTHING")
        assert await wire.ask("CLIENT", "ID") == number


async def test_a_command_that_is_cancelled_leaves_its_reply_to_nobody(own_valkey: OwnValkey) -> None:
    async with wire_to(own_valkey.url) as wire:
        await wire.ask("ECHO", "warm")
        with own_valkey.client() as client:
            client.client_pause(60_000, all=False)
            first = asyncio.create_task(wire.ask("INCR", "first"))
            await asyncio.sleep(0)
            first.cancel()
            assert isinstance(
                (await asyncio.gather(first, return_exceptions=True))[0], asyncio.CancelledError
            )
            client.client_unpause()
        assert await wire.ask("ECHO", "second") == b"second"


async def test_a_reply_that_comes_too_late_goes_to_nobody(own_valkey: OwnValkey) -> None:
    async with wire_to(own_valkey.url, timeout_s=0.3) as wire:
        await wire.ask("ECHO", "warm")
        with own_valkey.client() as client:
            client.client_pause(60_000, all=False)
            with pytest.raises(RedisTimeoutError):
                await wire.ask("INCR", "first")
            client.client_unpause()
        assert await answered(wire, "ECHO", "second") == b"second"


async def answered(wire: RedisWire, *command: str) -> Any:
    """Ask until a reply comes in time: the machine may be slow."""
    async with asyncio.timeout(PATIENCE_S):
        while True:
            with contextlib.suppress(RedisTimeoutError):
                return await wire.ask(*command)


async def test_it_connects_again_when_redis_is_back(own_valkey: OwnValkey) -> None:
    async with wire_to(own_valkey.url) as wire:
        await wire.ask("ECHO", "first")
        own_valkey.kill()
        with pytest.raises((RedisError, OSError)):
            await wire.ask("ECHO", "nobody")
        with pytest.raises((RedisError, OSError)):
            await wire.ask("ECHO", "nobody yet")
        await asyncio.to_thread(own_valkey.start)
        assert await wire.ask("ECHO", "second") == b"second"


async def test_messages_of_the_server_answer_no_command(redis_db: str) -> None:
    """With RESP3 a server sends what nobody asked for, such as word of a changed key."""
    parameters = "&" if "?" in redis_db else "?"
    async with wire_to(f"{redis_db}{parameters}protocol=3") as wire:
        await wire.ask("CLIENT", "TRACKING", "ON")
        await wire.ask("SET", "watched", "1")
        await wire.ask("GET", "watched")
        with redis.Redis.from_url(redis_db) as client:
            client.set("watched", "2")
        assert await wire.ask("GET", "watched") == b"2"
        assert await wire.ask("ECHO", "own") == b"own"


async def test_it_speaks_over_a_unix_socket(own_valkey: OwnValkey, tmp_path: Path) -> None:
    path = tmp_path / "redis.sock"
    own_valkey.kill()
    await asyncio.to_thread(own_valkey.start, "--unixsocket", str(path))
    async with wire_to(f"unix://{path}") as wire:
        assert await wire.ask("ECHO", "near") == b"near"


async def test_a_wrong_password_is_told(own_valkey: OwnValkey) -> None:
    own_valkey.kill()
    await asyncio.to_thread(own_valkey.start)
    with own_valkey.client() as client:
        client.config_set("requirepass", "right")
    host = own_valkey.url.removeprefix("redis://")
    async with wire_to(f"redis://:wrong@{host}") as wire:
        with pytest.raises(RedisError, match="invalid username-password"):
            await wire.ask("ECHO", "x")
    async with wire_to(f"redis://:right@{host}") as wire:
        assert await wire.ask("ECHO", "x") == b"x"

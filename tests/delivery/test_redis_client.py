"""A client of Redis stops when it is told to."""

import asyncio

import pytest

from tests.waiting import PATIENCE_S
from tocsin.delivery.redis_client import open_client

TURNS = 40


@pytest.mark.parametrize("command", ["single", "pipeline"])
async def test_a_task_that_is_cancelled_ends_whatever_its_command_is_at(redis_db: str, command: str) -> None:
    """`asyncio.wait_for` of Python 3.11 forgets a cancellation that comes when its work is just done."""
    client = open_client(redis_db)

    async def ask() -> None:
        while True:
            if command == "single":
                await client.ping()
                continue
            async with client.pipeline(transaction=False) as pipe:
                pipe.ping()
                pipe.ping()
                await pipe.execute()

    await client.ping()
    survivors = []
    for turns in range(TURNS):
        task = asyncio.create_task(ask())
        for _ in range(turns):
            await asyncio.sleep(0)
        task.cancel()
        await asyncio.wait({task}, timeout=PATIENCE_S)
        if not task.done():
            survivors.append(turns)
            task.cancel()
            break
    await client.aclose()
    assert survivors == []

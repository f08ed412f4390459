"""A gateway whose view of profiles is complete."""

import asyncio
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

from tests.gateway.running import Running, running, settings_for
from tests.waiting import PATIENCE_S
from tocsin.gateway.people.people import changes_of


@pytest.fixture
async def people(kafka: str, topic_prefix: str, redis_db: str, tmp_path: Path) -> AsyncIterator[Running]:
    """Run a gateway over Kafka and Redis that knows its address, and wait until its view is complete."""
    settings = settings_for(kafka, topic_prefix, redis_db, "", tmp_path)
    settings = settings.model_copy(update={"gateway_url": "https://notify.test"})
    async with running(settings, ("profiles", "subscriptions", "receipts", "audit")) as found:
        await until_ready(found)
        yield found


async def until_ready(found: Running) -> None:
    """Wait until the view is complete."""
    view = changes_of(found.gateway).view
    async with asyncio.timeout(PATIENCE_S):
        while not await view.is_ready():
            await asyncio.sleep(0.02)


async def until(condition: Callable[[], object]) -> None:
    """Wait until an asynchronous condition holds."""
    async with asyncio.timeout(PATIENCE_S):
        while not await condition():  # type: ignore[misc]  # a coroutine
            await asyncio.sleep(0.02)

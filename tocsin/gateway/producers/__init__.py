"""Producers: send notifications and events, cancel them, and read what became of them."""

import contextlib
from collections.abc import AsyncIterator

from tocsin.gateway.gateway import Gateway
from tocsin.gateway.producers import cancels, events, notifications, stories
from tocsin.gateway.producers.sent import index_of

ENDPOINTS = (notifications.ENDPOINT, stories.ENDPOINT, cancels.ENDPOINT, events.ENDPOINT)


@contextlib.asynccontextmanager
async def lifespan(gateway: Gateway) -> AsyncIterator[None]:
    """Write behind the requests what was sent to whom."""
    gateway.run(index_of(gateway).run())
    yield

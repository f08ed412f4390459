"""A producer's server that takes reports, slowly or not at all if it is told to."""

import asyncio
import contextlib
import json
from collections import Counter
from collections.abc import AsyncIterator

from aiohttp import web
from standardwebhooks import Webhook

from tests.waiting import PATIENCE_S

SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"


class Receiver:
    """What came, by endpoint (the path)."""

    def __init__(self) -> None:
        self.address = ""
        self.ids: dict[str, list[str]] = {}
        self.documents: list[dict[str, object]] = []
        self.status: dict[str, int] = {}
        self.delay_s: dict[str, float] = {}
        self.in_flight: Counter[str] = Counter()
        self.most: Counter[str] = Counter()
        self.refused: Counter[str] = Counter()

    async def take(self, request: web.Request) -> web.Response:
        """Take one report."""
        name, body = request.path[1:], await request.read()
        self.in_flight[name] += 1
        self.most[name] = max(self.most[name], self.in_flight[name])
        try:
            await asyncio.sleep(self.delay_s.get(name, 0))
        finally:
            self.in_flight[name] -= 1
        Webhook(SECRET).verify(body, dict(request.headers))
        if (status := self.status.get(name, 200)) != 200:
            self.refused[name] += 1
            return web.Response(status=status)
        self.ids.setdefault(name, []).append(request.headers["webhook-id"])
        self.documents.append(json.loads(body))
        return web.Response(status=204)

    def came(self, name: str) -> set[str]:
        """Return the ids that came, each once."""
        return set(self.ids.get(name, []))

    async def until(self, name: str, wanted: set[str], timeout_s: float = PATIENCE_S) -> None:
        """Wait until all of these came."""
        async with asyncio.timeout(timeout_s):
            while not self.came(name) >= wanted:
                await asyncio.sleep(0.02)


@contextlib.asynccontextmanager
async def receiver() -> AsyncIterator[Receiver]:
    """Run one on a free port."""
    found = Receiver()
    app = web.Application()
    app.router.add_post("/{name}", found.take)
    # Else a report whose reporter was gone before its answer would be taken late, beside its repetition.
    runner = web.AppRunner(app, shutdown_timeout=0.05, handler_cancellation=True)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    assert site._server is not None  # noqa: SLF001  # the only one who has the port
    port = site._server.sockets[0].getsockname()[1]  # type: ignore[attr-defined]  # a list, when it listens  # noqa: SLF001
    found.address = f"http://127.0.0.1:{port}"
    try:
        yield found
    finally:
        await runner.cleanup()

"""The pages on a port of this machine, as `tocsin dashboard` serves them, at a moment that stands still."""

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator

import uvicorn

from dashboards.web.app import Dashboard
from tests.dashboards.web.crowd import NOW_MS


@contextlib.asynccontextmanager
async def served(clickhouse: str, token: str = "", shared_s: float = 0) -> AsyncIterator[str]:
    """Serve the pages over a ClickHouse; gives their address. Answers serve others for `shared_s`."""
    app = Dashboard(clickhouse, token=token, clock_ms=lambda: NOW_MS, shared_s=shared_s).application()
    listener = socket.create_server(("127.0.0.1", 0), backlog=128)
    server = uvicorn.Server(
        uvicorn.Config(app, log_level="warning", access_log=False, timeout_graceful_shutdown=1)
    )
    # What it would do with signals is the command's business, not that of a test.
    serving = asyncio.create_task(server._serve(sockets=[listener]))  # noqa: SLF001
    try:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
    finally:
        server.should_exit = True
        await serving

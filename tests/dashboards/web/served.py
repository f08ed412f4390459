"""The pages on a port of this machine, as `tocsin dashboard` serves them, at a moment that stands still."""

import contextlib
from collections.abc import AsyncIterator

import uvicorn

from dashboards.web.app import Dashboard
from tests.dashboards.web.crowd import NOW_MS
from tests.serving import serving


@contextlib.asynccontextmanager
async def served(clickhouse: str, token: str = "", shared_s: float = 0) -> AsyncIterator[str]:
    """Serve the pages over a ClickHouse; gives their address. Answers serve others for `shared_s`."""
    app = Dashboard(clickhouse, token=token, clock_ms=lambda: NOW_MS, shared_s=shared_s).application()
    config = uvicorn.Config(app, log_level="warning", access_log=False, timeout_graceful_shutdown=1)
    async with serving(uvicorn.Server(config)) as port:
        yield f"http://127.0.0.1:{port}"

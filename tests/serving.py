"""Runs an ASGI server beside a test, in its event loop."""

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator

import uvicorn


@contextlib.asynccontextmanager
async def serving(server: uvicorn.Server, port: int = 0) -> AsyncIterator[int]:
    """Run a server on 127.0.0.1 until the context ends; gives its port.

    Args:
        server: of any application. It handles no signals: these are the test's.
        port: to listen on; 0 for a free one.
    """
    with socket.create_server(("127.0.0.1", port), backlog=512) as listener:
        task = asyncio.create_task(server._serve(sockets=[listener]))  # noqa: SLF001 -- `serve` handles signals
        try:
            while not server.started:
                assert not task.done(), "the server does not start"
                await asyncio.sleep(0.005)
            yield listener.getsockname()[1]
        finally:
            server.should_exit = True
            await task

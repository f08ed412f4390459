"""The network between the senders and one provider: passes bytes, and can be cut."""

import asyncio
import contextlib
import threading
from collections.abc import Coroutine
from typing import Any

from tocsin.devkit.processes import free_ports

_CHUNK = 65_536


class Link:
    """Listens on a port of its own and passes connections on to `host:port`.

    While it is cut, its port refuses connections, and all that were open are closed. The port is none that
    the kernel gives to a connection: a sender that looks for it would at times connect to itself.
    """

    def __init__(self, host: str, port: int) -> None:
        self._target = (host, port)
        self._loop = asyncio.new_event_loop()
        self._writers: set[asyncio.StreamWriter] = set()
        self._server: asyncio.Server | None = None
        (self.port,) = free_ports(1)
        self._thread = threading.Thread(target=self._serve, name="link", daemon=True)
        self._thread.start()
        self._run(self._open())

    def _serve(self) -> None:
        self._loop.run_forever()
        self._loop.close()

    def _run(self, work: Coroutine[Any, Any, None]) -> None:
        asyncio.run_coroutine_threadsafe(work, self._loop).result(10)

    def cut(self) -> None:
        """Refuse connections, and close those that are open."""
        self._run(self._close())

    def mend(self) -> None:
        """Accept connections again, on the same port."""
        self._run(self._open())

    def close(self) -> None:
        """End it."""
        self.cut()
        self._run(self._ended())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)

    async def _open(self) -> None:
        self._server = await asyncio.start_server(self._connected, "127.0.0.1", self.port)

    async def _close(self) -> None:
        if self._server is not None:
            self._server.close()
        for writer in list(self._writers):
            writer.transport.abort()

    async def _ended(self) -> None:
        mine = asyncio.current_task()
        await asyncio.gather(*[task for task in asyncio.all_tasks() if task is not mine])

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            theirs, ours = await asyncio.open_connection(*self._target)
        except OSError:
            writer.transport.abort()
            return
        both = {writer, ours}
        self._writers |= both
        try:
            await asyncio.gather(_pass(reader, ours), _pass(theirs, writer))
        finally:
            self._writers -= both
            for each in both:
                each.transport.abort()


async def _pass(source: asyncio.StreamReader, target: asyncio.StreamWriter) -> None:
    """Pass bytes on until either side ends; a reset at one side is a reset at the other."""
    with contextlib.suppress(OSError):
        while data := await source.read(_CHUNK):
            target.write(data)
            await target.drain()
        if not target.is_closing():
            target.close()
        return
    target.transport.abort()

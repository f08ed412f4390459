"""Sends requests over kept connections, each as soon as the last one was answered, and times every one."""

import asyncio
import time
from collections.abc import Callable
from typing import NamedTuple, cast

import psutil

Bodies = Callable[[int], bytes]
"""The body of a request by its number."""


class Target(NamedTuple):
    """Where requests go."""

    port: int
    process: psutil.Process
    headers: str
    path: str = "/v1/notifications"


class Connection(asyncio.Protocol):
    """One connection. It reads no more of an answer than status and length."""

    def __init__(self) -> None:
        self._buffer = b""
        self._answered: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        self._transport: asyncio.Transport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the connection."""
        self._transport = cast("asyncio.Transport", transport)  # uvloop's is of no such class

    async def ask(self, request: bytes) -> int:
        """Send a request; the status of its answer."""
        self._answered = asyncio.get_running_loop().create_future()
        self._transport.write(request)
        return await self._answered

    def data_received(self, data: bytes) -> None:
        """Take a part of an answer."""
        self._buffer += data
        end = self._buffer.find(b"\r\n\r\n")
        if end < 0:
            return
        head = self._buffer[:end].lower()
        _, _, rest = head.partition(b"content-length: ")
        length = int(rest.partition(b"\r\n")[0])
        if len(self._buffer) >= end + 4 + length:
            self._buffer = b""
            self._answered.set_result(int(head[9:12]))

    def connection_lost(self, error: Exception | None) -> None:
        """End what waits for an answer."""
        if not self._answered.done():
            self._answered.set_exception(error or ConnectionError("the server closed the connection"))

    def close(self) -> None:
        """Close the connection."""
        self._transport.close()


class Turn(NamedTuple):
    """What one turn measured.

    Attributes:
        per_s: answers a second.
        waits_ms: how long each took.
        cpu_us: CPU of the server for one answer.
    """

    per_s: float
    waits_ms: list[float]
    cpu_us: float


async def run(target: Target, bodies: Bodies, connections: int, seconds: float, warm_up_s: float) -> Turn:
    """Send for some seconds.

    Raises:
        RuntimeError: an answer was not 202.
    """
    loop = asyncio.get_running_loop()
    opened = [
        (await loop.create_connection(Connection, "127.0.0.1", target.port))[1] for _ in range(connections)
    ]
    begin_s = time.perf_counter() + warm_up_s
    end_s, waits = begin_s + seconds, list[float]()
    numbers = iter(range(1 << 40))
    cpu_s = _cpu_s(target)

    async def work(connection: Connection) -> None:
        while (sent_s := time.perf_counter()) < end_s:
            status = await connection.ask(_request(target, bodies(next(numbers))))
            if status != 202:
                raise RuntimeError(f"an answer had the status {status}")
            done_s = time.perf_counter()
            if begin_s <= done_s <= end_s:
                waits.append((done_s - sent_s) * 1_000)

    try:
        await asyncio.gather(*map(work, opened))
    finally:
        for one in opened:
            one.close()
    return Turn(len(waits) / seconds, waits, (_cpu_s(target) - cpu_s) * 1e6 / max(1, next(numbers)))


def _cpu_s(target: Target) -> float:
    times = target.process.cpu_times()
    return float(times.user + times.system)


def _request(target: Target, body: bytes) -> bytes:
    head = (
        f"POST {target.path} HTTP/1.1\r\nhost: 127.0.0.1\r\ncontent-type: application/json\r\n"
        f"{target.headers}content-length: {len(body)}\r\n\r\n"
    )
    return head.encode() + body

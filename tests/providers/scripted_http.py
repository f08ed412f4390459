"""A real HTTP/1.1 server on 127.0.0.1 whose answers a test writes down beforehand."""

import asyncio
import contextlib
import socket
import ssl
import struct
from collections.abc import Callable, Mapping
from enum import Enum
from typing import NamedTuple, Self

import msgspec

from tocsin.devkit.processes import free_ports


class Request(NamedTuple):
    """What a client sent, as it came."""

    method: str
    path: str
    headers: Mapping[str, str]
    body: bytes

    def json(self) -> dict[str, object]:
        """Parse the body."""
        return msgspec.json.decode(self.body, type=dict[str, object])


class Answer(NamedTuple):
    """One complete answer."""

    status: int = 200
    body: bytes = b""
    headers: tuple[tuple[str, str], ...] = ()
    delay_s: float = 0


class Fault(Enum):
    """What a server can do instead of answering, after it has read the request."""

    CLOSE = "close"
    RESET = "reset"
    HALF_A_HEAD = "half a head"
    HALF_A_BODY = "half a body"
    NO_HTTP = "no http"
    SILENCE = "silence"
    TRICKLE = "a body that never ends"


Step = Answer | Fault
OK = Answer()
Script = Callable[[Request], Step]


def json_answer(status: int, document: object, *headers: tuple[str, str]) -> Answer:
    """Build an answer with a JSON body."""
    return Answer(status, msgspec.json.encode(document), (("Content-Type", "application/json"), *headers))


class ScriptedHttp:
    """Answers by `script`; keeps what it was sent in `requests`. A deaf one accepts and never reads."""

    def __init__(
        self, script: Script | Step = OK, *, tls: ssl.SSLContext | None = None, deaf: bool = False
    ) -> None:
        self.script = script
        self._tls = tls
        self._deaf = deaf
        self.requests: list[Request] = []
        self.connections = 0
        self.url = ""
        self._open: set[asyncio.StreamWriter] = set()
        self._tasks: set[asyncio.Task[None]] = set()

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._accepted, "127.0.0.1", 0, ssl=self._tls)
        host, port = self._server.sockets[0].getsockname()[:2]
        self.url = f"http{'s' if self._tls else ''}://{host}:{port}"
        return self

    async def __aexit__(self, *_: object) -> None:
        self._server.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        for writer in self._open:
            with contextlib.suppress(AttributeError):  # one over TLS that is closed already
                writer.transport.abort()
        await self._server.wait_closed()
        await asyncio.sleep(0)  # lets the aborted connections close

    def _accepted(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if not self._server.is_serving():
            writer.transport.abort()
            return
        self._open.add(writer)
        task = asyncio.ensure_future(self._serve(reader, writer))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        try:
            if self._deaf:
                await asyncio.sleep(60)
            while await self._turn(reader, writer):
                pass
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()  # over TLS this waits for the peer's farewell, which may never come

    async def _turn(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        request = await _read(reader)
        self.requests.append(request)
        step = self.script(request) if callable(self.script) else self.script
        if isinstance(step, Fault):
            await _misbehave(step, writer)
            return False
        await asyncio.sleep(step.delay_s)
        writer.write(_head(step) + step.body)
        await writer.drain()
        return True


async def _read(reader: asyncio.StreamReader) -> Request:
    head = (await reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
    method, path, _ = head[0].split(" ")
    headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in head[1:])}
    return Request(method, path, headers, await reader.readexactly(int(headers.get("content-length", "0"))))


def _head(answer: Answer) -> bytes:
    lines = [f"HTTP/1.1 {answer.status} Scripted", f"Content-Length: {len(answer.body)}"]
    lines += [f"{name}: {value}" for name, value in answer.headers]
    return "\r\n".join([*lines, "", ""]).encode()


async def _misbehave(fault: Fault, writer: asyncio.StreamWriter) -> None:
    match fault:
        case Fault.HALF_A_HEAD:
            writer.write(b"HTTP/1.1 200 OK\r\nConte")
        case Fault.HALF_A_BODY:
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nabc")
        case Fault.NO_HTTP:
            writer.write(b"220 mail.example.com ESMTP\r\n\r\n")
        case Fault.RESET:
            linger = struct.pack("ii", 1, 0)
            writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
        case Fault.SILENCE:
            await asyncio.sleep(60)
        case Fault.TRICKLE:
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n")
            for _ in range(600):
                writer.write(b".")
                await writer.drain()
                await asyncio.sleep(0.1)
        case Fault.CLOSE:
            pass
    await writer.drain()


class Refusing:
    """Ports on which nobody answers: closed, or open with a full queue so that connecting takes for ever."""

    def __init__(self, *, full: bool) -> None:
        self._sockets = [socket.socket()]
        self._sockets[0].bind(("127.0.0.1", free_ports(1)[0]))  # none that a connection is given meanwhile
        self._full = full

    def __enter__(self) -> str:
        address = self._sockets[0].getsockname()
        if self._full:
            self._sockets[0].listen(0)
            self._fill(address)
        else:
            self._sockets.pop().close()
        return f"http://127.0.0.1:{address[1]}"

    def __exit__(self, *_: object) -> None:
        for each in self._sockets:
            each.close()

    def _fill(self, address: tuple[str, int]) -> None:
        for _ in range(4):
            client = socket.socket()
            client.setblocking(False)
            client.connect_ex(address)
            self._sockets.append(client)

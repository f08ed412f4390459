"""A real HTTP/2 server on 127.0.0.1, built with `h2`, with scripted answers and scripted bad manners."""

import asyncio
import ssl
from collections.abc import Callable
from enum import Enum
from typing import Self

from h2.config import H2Configuration
from h2.connection import H2Connection
from h2.errors import ErrorCodes
from h2.events import DataReceived, Event, RequestReceived, StreamEnded
from h2.settings import SettingCodes

from tests.providers.scripted_http import Answer, Request


class H2Fault(Enum):
    """What a server can do to a stream, or to its whole connection, instead of answering."""

    GOAWAY_UNPROCESSED = "goaway that leaves this stream out"
    GOAWAY_AFTER = "answers, then goaway, which the client is to act upon"
    REFUSE = "refused stream"
    RESET = "reset stream"
    CUT = "cut connection"
    SILENCE = "silence"


Step = Answer | H2Fault | tuple[H2Fault, Answer] | asyncio.Future[Answer]
Script = Callable[[Request], Step]


class ScriptedH2:
    """Answers by `script`; `requests` holds what came, `connections` how many were opened."""

    def __init__(
        self, script: Script, *, tls: ssl.SSLContext | None = None, max_streams: int | None = None
    ) -> None:
        self.script = script
        self.requests: list[Request] = []
        self.connections: list[_Connection] = []
        self.most_streams = 0
        self.max_streams = max_streams
        self.url = ""
        self._tls = tls

    async def __aenter__(self) -> Self:
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(lambda: _Connection(self), "127.0.0.1", 0, ssl=self._tls)
        port = self._server.sockets[0].getsockname()[1]
        self.url = f"{'https' if self._tls else 'http'}://127.0.0.1:{port}"
        return self

    async def __aexit__(self, *_: object) -> None:
        self._server.close()
        for connection in self.connections:
            connection.end()
        await self._server.wait_closed()
        await asyncio.sleep(0.01)


class _Connection(asyncio.Protocol):
    def __init__(self, server: ScriptedH2) -> None:
        self._server = server
        self._h2 = H2Connection(H2Configuration(client_side=False, header_encoding="utf-8"))
        self._heads: dict[int, dict[str, str]] = {}
        self._bodies: dict[int, bytes] = {}
        self._gone = False
        self.over = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        self._server.connections.append(self)
        self._h2.initiate_connection()
        if self._server.max_streams is not None:
            self._h2.update_settings({SettingCodes.MAX_CONCURRENT_STREAMS: self._server.max_streams})
        self._flush()

    def connection_lost(self, error: Exception | None) -> None:
        self.over = True

    def data_received(self, data: bytes) -> None:
        if self._gone:
            return
        for event in self._h2.receive_data(data):
            self._on(event)
        self._flush()

    def end(self) -> None:
        self._transport.abort()

    def _on(self, event: Event) -> None:
        if isinstance(event, RequestReceived):
            self._heads[event.stream_id] = {str(name): str(value) for name, value in event.headers}
            self._bodies[event.stream_id] = b""
            self._server.most_streams = max(self._server.most_streams, len(self._heads))
        elif isinstance(event, DataReceived):
            self._bodies[event.stream_id] += event.data
            self._h2.acknowledge_received_data(event.flow_controlled_length, event.stream_id)
        elif isinstance(event, StreamEnded):
            self._take(event.stream_id)

    def _take(self, stream_id: int) -> None:
        head = self._heads[stream_id]
        request = Request(head[":method"], head[":path"], head, self._bodies.pop(stream_id))
        self._server.requests.append(request)
        step = self._server.script(request)
        if isinstance(step, Answer):
            asyncio.get_running_loop().call_later(step.delay_s, self._answer, stream_id, step)
        elif isinstance(step, asyncio.Future):
            step.add_done_callback(lambda given: self._answer(stream_id, given.result()))
        elif isinstance(step, tuple):
            self._answer(stream_id, step[1])
            self._misbehave(step[0], stream_id)
        else:
            self._misbehave(step, stream_id)

    def _answer(self, stream_id: int, answer: Answer) -> None:
        if self._transport.is_closing():
            return
        del self._heads[stream_id]
        headers = [(":status", str(answer.status)), *answer.headers]
        self._h2.send_headers(stream_id, headers, end_stream=not answer.body)
        if answer.body:
            self._h2.send_data(stream_id, answer.body, end_stream=True)
        self._flush()

    def _misbehave(self, fault: H2Fault, stream_id: int) -> None:
        match fault:
            case H2Fault.GOAWAY_UNPROCESSED:
                self._go_away(stream_id - 2)
                self._transport.close()
            case H2Fault.GOAWAY_AFTER:
                self._go_away(stream_id)
            case H2Fault.REFUSE:
                self._h2.reset_stream(stream_id, ErrorCodes.REFUSED_STREAM)
            case H2Fault.RESET:
                self._h2.reset_stream(stream_id, ErrorCodes.INTERNAL_ERROR)
            case H2Fault.CUT:
                self._transport.abort()
            case H2Fault.SILENCE:
                pass

    def _go_away(self, last_stream_id: int) -> None:
        self._h2.close_connection(last_stream_id=max(last_stream_id, 0))
        self._flush()
        self._gone = True

    def _flush(self) -> None:
        if not self._transport.is_closing():
            self._transport.write(self._h2.data_to_send())

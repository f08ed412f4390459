"""Serves HTTP/2 for APNs, which speaks nothing else, over h2; with or without TLS.

An ASGI server such as hypercorn, which uses h2 too, gives an application no way to send GOAWAY after a chosen
answer or to cut a connection: the faults that clients of APNs must stand.
"""

import asyncio
from collections.abc import Callable
from itertools import count
from typing import cast

import h2.config
import h2.connection
import h2.events
import h2.exceptions
from h2.settings import SettingCodes

from tocsin.devkit.sandbox.wire import Handler, Reply, Request

MAX_STREAMS = 1000
_names = count(1)
_GOAWAY = bytes([0, 0, 8, 7, 0, 0, 0, 0, 0])  # length, type, flags, stream (RFC 9113, 4.1 and 6.8)
_NO_ERROR = bytes(4)


class _Stream:
    """One request being read, and the `Exchange` of its answer."""

    def __init__(
        self, connection: "Http2Connection", number: int, headers: list[tuple[bytes, bytes]]
    ) -> None:
        self._connection = connection
        self._number = number
        self._last = False
        self.headers = dict(headers)
        self.body = bytearray()

    def request(self, connection: bytes) -> Request:
        path, _, query = self.headers.pop(b":path", b"").decode("latin-1").partition("?")
        method = self.headers.pop(b":method", b"").decode("latin-1")
        return Request(method, path, query, {**self.headers, b"x-connection": connection}, bytes(self.body))

    def answer(self, reply: Reply) -> None:
        """Send the reply on this stream."""
        self._connection.reply(self._number, reply, last=self._last)

    def drop(self) -> None:
        """Cut the whole connection, as a network failure does."""
        self._connection.drop()

    def leave(self) -> None:
        """Ask the client to go on over a new connection, right after this answer."""
        self._last = True


class Http2Connection(asyncio.Protocol):
    """One client connection; its streams are answered as their answers come."""

    def __init__(
        self, handler: Handler, connections: set["Http2Connection"], forget: Callable[[bytes], None]
    ) -> None:
        config = h2.config.H2Configuration(client_side=False, header_encoding=None)
        self._h2 = h2.connection.H2Connection(config)
        self._handler = handler
        self._connections = connections
        self._forget = forget
        self._name = b"%d" % next(_names)
        self._streams: dict[int, _Stream] = {}
        self._newest = 0
        self._leaving = False
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Say our settings first, as HTTP/2 asks."""
        self._transport = cast("asyncio.Transport", transport)
        self._connections.add(self)
        self._h2.initiate_connection()
        self._h2.update_settings({SettingCodes.MAX_CONCURRENT_STREAMS: MAX_STREAMS})
        self._flush()

    def connection_lost(self, _exc: Exception | None) -> None:
        """Forget the client; late answers go nowhere."""
        self._connections.discard(self)
        self._forget(self._name)
        self._transport = None
        self._streams.clear()

    def data_received(self, data: bytes) -> None:
        """Feed the machine; what is not HTTP/2 ends the connection."""
        try:
            events = self._h2.receive_data(data)
        except h2.exceptions.ProtocolError:
            self._flush()
            self.close()
            return
        for event in events:
            self._on_event(event)
        self._flush()

    def _on_event(self, event: h2.events.Event) -> None:
        if isinstance(event, h2.events.RequestReceived):
            if self._leaving:
                return  # beyond the last stream of GOAWAY: the client sends it again elsewhere
            self._newest = event.stream_id
            headers = event.headers
            self._streams[event.stream_id] = _Stream(self, event.stream_id, headers)
        elif isinstance(event, h2.events.DataReceived):
            self._on_data(event)
        elif isinstance(event, h2.events.StreamEnded):
            if stream := self._streams.get(event.stream_id):
                self._handler(stream.request(self._name), stream)
        elif isinstance(event, h2.events.StreamReset):
            self._streams.pop(event.stream_id, None)
        elif isinstance(event, h2.events.ConnectionTerminated):
            self.close()

    def _on_data(self, event: h2.events.DataReceived) -> None:
        if event.flow_controlled_length:
            self._h2.acknowledge_received_data(event.flow_controlled_length, event.stream_id)
        if stream := self._streams.get(event.stream_id):
            stream.body += event.data

    def reply(self, number: int, reply: Reply, *, last: bool) -> None:
        """Answer one stream, if the client still waits for it; the last one is followed by GOAWAY."""
        if self._streams.pop(number, None) is None:
            return
        headers = [(":status", str(reply.status)), *reply.headers.items()]
        if reply.body:
            headers += [("content-type", reply.content_type), ("content-length", str(len(reply.body)))]
        self._h2.send_headers(number, headers, end_stream=not reply.body)
        if reply.body:
            self._h2.send_data(number, reply.body, end_stream=True)
        self._flush()
        if last:
            self._go_away()
        if self._leaving and not self._streams:
            self.close()

    def _go_away(self) -> None:
        """Tell the client to finish what it has begun and to come back on a new connection.

        The frame is written past the state machine, which would refuse the answers still to come.
        """
        self._leaving = True
        if self._transport is not None:
            self._transport.write(_GOAWAY + self._newest.to_bytes(4, "big") + _NO_ERROR)

    def close(self) -> None:
        """Close after what is written has left."""
        if self._transport is not None:
            self._transport.close()

    def drop(self) -> None:
        """Cut at once."""
        if self._transport is not None:
            self._transport.abort()

    def _flush(self) -> None:
        data = self._h2.data_to_send()
        if data and self._transport is not None:
            self._transport.write(data)

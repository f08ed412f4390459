"""HTTP connections within limits: what is too many, too large or too slow is shed before it costs.

| what | then |
|---|---|
| more connections than TOCSIN_GATEWAY_CONNECTIONS | 503 with Retry-After, closed before anything is read |
| a head (request line and headers) that is not there after ten seconds | closed |
| a head over 32 KiB, or of more than 100 headers | 431, closed |
| no HTTP | 400, closed |

Bodies have limits of their own: `tocsin.gateway.call`.
"""

import asyncio
from collections import Counter
from http import HTTPStatus
from typing import Any

import msgspec
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from tocsin.gateway.direct import offer
from tocsin.gateway.problems import MEDIA_TYPE, ProblemDocument

HEAD_S = 10.0
HEAD_BYTES = 32_768
HEADERS = 100
shed: Counter[str] = Counter()
"""Connections that this process closed, by the reason."""


class _TooLarge(Exception):
    """The head of a request is over its limit."""


class GuardedProtocol(HttpToolsProtocol):
    """Uvicorn's protocol with limits on connections, heads and time."""

    most = 4_096
    head_s = HEAD_S

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Take a connection, unless there are too many."""
        super().connection_made(transport)  # type: ignore[arg-type]  # as its base
        self._head_size = self._head_count = self._fed = 0
        self._awaits_head = self._has_head_come = False
        self._head_timer: asyncio.TimerHandle | None = None
        if len(self.connections) > self.most:
            self._shed("connections", 503, "too many connections: send it again", b"retry-after: 1\r\n")
            return
        self._expect_head()

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget the connection."""
        self._head_came()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Take what came; count it, since the parser keeps a header to itself until its end."""
        is_of_head = self._awaits_head or self.cycle is None or not self.cycle.more_body
        self._has_head_come = False
        super().data_received(data)
        if self._awaits_head:
            # Behind the body of a request, nobody knows how much of this is the next head.
            self._head_goes_on(len(data) if is_of_head and not self._has_head_come else 0)
        elif self._is_idle():
            self._expect_head()

    def on_message_begin(self) -> None:
        """Begin a request: its head must come in time."""
        super().on_message_begin()
        self._head_size = self._head_count = 0
        self._awaits_head = True

    def on_url(self, url: bytes) -> None:
        """Take a part of the request line."""
        self._head_size += len(url)
        if self._head_size > HEAD_BYTES:
            raise _TooLarge
        super().on_url(url)

    def on_header(self, name: bytes, value: bytes) -> None:
        """Take a header."""
        self._head_count += 1
        self._head_size += len(name) + len(value)
        if self._head_size > HEAD_BYTES or self._head_count > HEADERS:
            raise _TooLarge
        super().on_header(name, value)

    def on_headers_complete(self) -> None:
        """Start the request."""
        self._head_came()
        super().on_headers_complete()
        if self.cycle is not None and self.cycle.scope is self.scope:  # else this becomes a WebSocket
            offer(self.cycle)

    def send_400_response(self, msg: str) -> None:
        """Answer what the parser refused; called by the base, whose text is about the parser."""
        if self._is_too_large():
            self._shed("head", 431, f"send at most {HEADERS} headers and {HEAD_BYTES} bytes before the body")
        else:
            self._shed("no_http", 400, "this is no request of HTTP/1.1")

    def _is_too_large(self) -> bool:
        return self._head_size > HEAD_BYTES or self._head_count > HEADERS

    def _is_idle(self) -> bool:
        """Tell whether nothing bounds this connection: after an answer came what begins no request."""
        answered = self.cycle is not None and self.cycle.response_complete
        open_ = self in self.connections and not self.transport.is_closing()  # a WebSocket is no longer there
        return answered and open_ and self.timeout_keep_alive_task is None

    def _head_goes_on(self, size: int) -> None:
        """Wait for the rest of a head. Most come in one piece, and no timer is set for them."""
        if self.transport.is_closing():
            return
        if self._head_timer is None:
            self._expect_head()
        self._fed += size
        if self._fed > HEAD_BYTES:
            self._head_size = self._fed
            self.send_400_response("")

    def _expect_head(self) -> None:
        self._awaits_head = True
        self._head_timer = self.loop.call_later(self.head_s, self._too_slow)

    def _head_came(self) -> None:
        self._awaits_head, self._has_head_come = False, True
        self._fed = 0
        if self._head_timer is not None:
            self._head_timer.cancel()
            self._head_timer = None

    def _too_slow(self) -> None:
        self._head_timer = None
        shed["slow"] += 1
        self.transport.abort()

    def _shed(self, why: str, status: int, detail: str, headers: bytes = b"") -> None:
        """Answer without the application, and close."""
        shed[why] += 1
        self.transport.write(_answer(status, detail, headers))
        self.transport.close()


def _answer(status: int, detail: str, headers: bytes) -> bytes:
    phrase = HTTPStatus(status).phrase
    body = msgspec.json.encode(ProblemDocument(phrase, status, detail))
    head = (
        f"HTTP/1.1 {status} {phrase}\r\ncontent-type: {MEDIA_TYPE}\r\ncontent-length: {len(body)}\r\n"
        "connection: close\r\n"
    )
    return head.encode() + headers + b"\r\n" + body


def guarded(most: int, head_s: float = HEAD_S) -> type[GuardedProtocol]:
    """Make the protocol for at most so many connections of this process, whose heads come in time."""
    made: Any = type("GuardedProtocol", (GuardedProtocol,), {"most": most, "head_s": head_s})
    found: type[GuardedProtocol] = made
    return found

"""The HTTP/1.1 transport of the hot path: asyncio's protocols, and a parser in C (httptools).

A request is one write and one parse; there is no task, lock or stream between the socket and the caller. It
passes the same contract suite as the transports over pyreqwest and httpx2, and costs less CPU than either
(`python -m bench.http`). HTTP/2 is left to pyreqwest.
"""

import asyncio
import re
import ssl
from collections import deque
from collections.abc import Mapping
from functools import lru_cache
from typing import Any, NamedTuple, cast
from urllib.parse import urlsplit

import httptools

from tocsin.errors import DeliveryError, Misconfigured, Transient, Unknown
from tocsin.providers.http import HttpPolicy, Response
from tocsin.providers.tls import client_context, closed_in_handshake, of_ssl_error

MAX_ANSWER_BYTES = 8 << 20
"""A longer answer is cut off: providers answer in kilobytes, and memory is shared by all calls in flight."""

_IDLE_S = 30.0
"""Load balancers close idle connections after 60 s or more; a younger one is unlikely to be closing."""

_ONE_WRITE_BYTES = 65_536
"""Up to here a body is copied behind its head: one system call and one packet instead of two."""

_TIMER_STEP_S = 0.001
"""uvloop's timers count whole milliseconds, so one may fire this much early."""

_VISIBLE = re.compile(r"[\x21-\x7e]+")
_FIELD_VALUE = re.compile(r"[\x20-\x7e\t\x80-\xff]*")
_FIELD_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")


class _Origin(NamedTuple):
    """Where connections lead; those of one origin are interchangeable."""

    host: str
    port: int
    tls: bool


class _Target(NamedTuple):
    """A URL, taken apart: its origin, and the start of the request line and of the head."""

    origin: _Origin
    path: bytes
    host_line: bytes


class AsyncioTransport:
    """`Transport` over plain asyncio protocols, HTTP/1.1 only.

    A call that is cancelled or out of time closes its connection at once, and its slot is free again.
    """

    def __init__(self, policy: HttpPolicy) -> None:
        self._policy = policy
        self._tls = _tls(policy)
        self._pool = _Pool(policy, self._tls)

    async def request(
        self, method: str, url: str, headers: Mapping[str, str], body: bytes, timeout_s: float
    ) -> Response:
        """See `Transport.request`."""
        target = _target(url)
        head = _head(method, target, headers, len(body))
        pool = self._pool
        connection = pool.idle(target.origin)
        if connection is None:
            connection = await pool.connect(target.origin, timeout_s)
            timeout_s -= connection.age_s()
        try:
            return await connection.exchange(head, body, timeout_s, bodiless=method == "HEAD")
        finally:
            connection.finish()
            pool.give_back(connection)

    async def reconnect(self) -> None:
        """See `Transport.reconnect`."""
        self._pool.retire()
        self._pool = _Pool(self._policy, self._tls)

    async def close(self) -> None:
        """See `Transport.close`."""
        self._pool.retire()


class _Deadlines:
    """Cuts off exchanges that are out of time: one timer for all of them, at the earliest deadline.

    A timer for each costs as much as parsing its answer, for a deadline that hardly ever comes.
    """

    def __init__(self) -> None:
        self._due_s: dict[_Connection, float] = {}
        self._timer: asyncio.TimerHandle | None = None

    def begin(self, connection: "_Connection", timeout_s: float) -> None:
        """Set the deadline of a connection's exchange."""
        due_s = self._due_s[connection] = asyncio.get_running_loop().time() + timeout_s
        if self._timer is None or due_s < self._timer.when():
            self._wake_at(due_s)

    def end(self, connection: "_Connection") -> None:
        """Forget a deadline."""
        self._due_s.pop(connection, None)

    def _wake_at(self, due_s: float) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer = asyncio.get_running_loop().call_at(due_s, self._look)

    def _look(self) -> None:
        self._timer = None
        now_s = asyncio.get_running_loop().time() + _TIMER_STEP_S
        for connection in [one for one, due_s in self._due_s.items() if due_s <= now_s]:
            connection.cut("out of time")
            self.end(connection)
        if self._due_s:
            self._wake_at(min(self._due_s.values()))


class _Connection(asyncio.Protocol):
    """One connection, with at most one request on it. It is the parser's listener, too."""

    def __init__(self, origin: _Origin, deadlines: _Deadlines) -> None:
        self.origin = origin
        self._deadlines = deadlines
        self.reusable = True
        self._wire: asyncio.Transport | None = None
        self._answer: asyncio.Future[Response] | None = None
        self._loop = asyncio.get_running_loop()
        self._since_s = self._loop.time()

    def exchange(
        self, head: bytes, body: bytes, timeout_s: float, *, bodiless: bool
    ) -> "asyncio.Future[Response]":
        """Write a request; the future ends with the whole answer or with `Unknown`, within `timeout_s`."""
        answer = self._answer = self._loop.create_future()
        self._bodiless = bodiless
        self._begin()
        self._deadlines.begin(self, timeout_s)
        if self._wire is None or self._wire.is_closing():
            self.cut("the connection was lost")
        else:
            self._write(self._wire, head, body)
        return answer

    def age_s(self) -> float:
        """Return the seconds since it was begun to open, or since `rest`."""
        return self._loop.time() - self._since_s

    def rest(self) -> None:
        """Note that it is idle from now on."""
        self._since_s = self._loop.time()

    @property
    def is_open(self) -> bool:
        """Whether another request may be written."""
        return self.reusable and self._wire is not None and not self._wire.is_closing()

    def drop(self) -> None:
        """Close at once, without goodbyes."""
        self.reusable = False
        if self._wire is not None:
            self._wire.abort()

    @staticmethod
    def _write(wire: asyncio.Transport, head: bytes, body: bytes) -> None:
        if len(body) <= _ONE_WRITE_BYTES:
            wire.write(head + body)
        else:
            wire.write(head)
            wire.write(body)

    def _begin(self) -> None:
        self._headers: dict[str, str] = {}
        self._body: list[bytes] = []
        self._size = 0
        self._head_done = False
        self._parser = httptools.HttpResponseParser(self)

    def finish(self) -> None:
        """End the exchange; one whose answer nobody waits for any more leaves the connection unusable."""
        self._deadlines.end(self)
        if self._answer is not None and not (self._answer.done() and not self._answer.cancelled()):
            self.drop()
        self._answer = None

    def cut(self, why: str) -> None:
        """Close at once; the request that waits ends as `Unknown`."""
        self.drop()
        if self._answer is not None and not self._answer.done():
            self._answer.set_exception(Unknown(f"cut off before the answer was complete ({why})"))

    def _complete(self) -> None:
        status: int = self._parser.get_status_code()
        if self._answer is not None and not self._answer.done():
            self._answer.set_result(Response(status, self._headers, b"".join(self._body)))

    # asyncio.Protocol
    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the transport."""
        self._wire = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        """Feed the parser; bytes that nobody asked for end the connection."""
        if self._answer is None or self._answer.done():
            self.drop()
            return
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserUpgrade:
            self.cut("the server changed the protocol")
        except httptools.HttpParserError:
            self.cut("the answer is not HTTP")

    def eof_received(self) -> None:
        """End an answer whose length is given by the end of the connection."""
        self.reusable = False
        if self._head_done and self._until_eof:
            self._complete()

    def connection_lost(self, exc: Exception | None) -> None:
        """Fail the request that still waits."""
        self.reusable = False
        self.cut("the connection was lost")

    # httptools
    def on_message_begin(self) -> None:
        """Distrust a connection on which a second answer follows the one that was asked for."""
        if self._answer is None or self._answer.done():
            self.drop()

    def on_header(self, name: bytes, value: bytes) -> None:
        """Keep a header; repeated ones are joined as RFC 9110 allows."""
        key, text = name.decode("latin-1").lower(), value.decode("latin-1")
        known = self._headers.get(key)
        self._headers[key] = text if known is None else f"{known}, {text}"

    def on_headers_complete(self) -> None:
        """Find out whether the answer ends with the connection."""
        self._head_done = True
        if self._bodiless:
            self.reusable = False  # the parser cannot be told that no body follows
            self._complete()

    @property
    def _until_eof(self) -> bool:
        return not {"content-length", "transfer-encoding"} & self._headers.keys()

    def on_body(self, body: bytes) -> None:
        """Keep a part of the body, up to the bound."""
        self._size += len(body)
        if self._size > MAX_ANSWER_BYTES:
            self.cut("the answer is too long")
        else:
            self._body.append(body)

    def on_message_complete(self) -> None:
        """Take the answer; an interim one (1xx) is passed over."""
        status: int = self._parser.get_status_code()
        if 100 <= status < 200:
            self._headers, self._head_done = {}, False
            return
        self.reusable = self.reusable and self._parser.should_keep_alive()
        self._complete()


class _Pool:
    """Connections by origin: idle ones first, then new ones up to a limit, then a queue."""

    def __init__(self, policy: HttpPolicy, tls: ssl.SSLContext) -> None:
        self._policy = policy
        self._tls = tls
        self._idle: dict[_Origin, deque[_Connection]] = {}
        self._free = policy.max_connections
        self._waiting: deque[asyncio.Future[None]] = deque()
        self._retired = False
        self._deadlines = _Deadlines()

    def idle(self, origin: _Origin) -> _Connection | None:
        """Take the connection used last, if one is open and young enough."""
        idle = self._idle.get(origin)
        while idle:
            connection = idle.pop()
            if connection.is_open and connection.age_s() < _IDLE_S:
                return connection
            self._forget(connection)
        return None

    async def connect(self, origin: _Origin, timeout_s: float) -> _Connection:
        """Open a connection within the policy's time and `timeout_s`, or wait for one that becomes free.

        Raises:
            Transient: no connection: refused, timed out, no slot in time, or closed.
            Misconfigured: the server's certificate is not trusted, or it does not speak our TLS.
        """
        while self._free <= 0 and not self._retired:
            await self._slot()
            if connection := self.idle(origin):
                connection.rest()
                return connection
        if self._retired:
            msg = "no connection was free (closed)"
            raise Transient(msg)
        self._free -= 1
        try:
            return await self._open(origin, min(timeout_s, self._policy.connect_timeout_s))
        except BaseException:
            self._release()
            raise

    def give_back(self, connection: _Connection) -> None:
        """Keep a connection for the next request, or close it."""
        if connection.is_open and not self._retired:
            connection.rest()
            self._idle.setdefault(connection.origin, deque()).append(connection)
            self._wake()
        else:
            self._forget(connection)

    def retire(self) -> None:
        """Close what is idle now, and what is in use as soon as it is given back."""
        self._retired = True
        for idle in self._idle.values():
            for connection in idle:
                connection.drop()
        self._idle.clear()
        while self._waiting:
            self._wake()

    async def _open(self, origin: _Origin, timeout_s: float) -> _Connection:
        loop = asyncio.get_running_loop()
        connection = _Connection(origin, self._deadlines)
        tls: dict[str, Any] = {"ssl": self._tls, "server_hostname": origin.host} if origin.tls else {}
        failure: DeliveryError
        try:
            async with asyncio.timeout(timeout_s):
                await loop.create_connection(lambda: connection, origin.host, origin.port, **tls)
            return connection
        except ssl.SSLError as error:
            failure = of_ssl_error(origin.host, error)
        except (OSError, TimeoutError) as error:
            in_handshake = origin.tls and isinstance(error, ConnectionResetError)
            failure = closed_in_handshake(origin.host) if in_handshake else _no_connection(error)
        raise failure

    async def _slot(self) -> None:
        """Wait until a connection is given back or closed.

        Raises:
            Transient: none was in time.
        """
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append(turn)
        try:
            async with asyncio.timeout(self._policy.pool_timeout_s):
                await turn
        except TimeoutError:
            failure = Transient("no connection was free (PoolTimeout)")
        else:
            return
        finally:
            if turn in self._waiting:
                self._waiting.remove(turn)
        raise failure

    def _forget(self, connection: _Connection) -> None:
        connection.drop()
        self._release()

    def _release(self) -> None:
        self._free += 1
        self._wake()

    def _wake(self) -> None:
        while self._waiting:
            turn = self._waiting.popleft()
            if not turn.done():
                turn.set_result(None)
                return


def _no_connection(error: Exception) -> Transient:
    return Transient(f"no connection to the provider ({type(error).__name__})")


@lru_cache(maxsize=1_024)
def _target(url: str) -> _Target:
    """Take a URL apart.

    Raises:
        Misconfigured: it is none, or holds characters that must be escaped.
    """
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        parts, port = urlsplit(""), None
    host = parts.hostname or ""
    path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    if parts.scheme not in ("http", "https") or not _VISIBLE.fullmatch(host + path) or "@" in parts.netloc:
        msg = "the URL of the request is not valid"
        raise Misconfigured(msg)
    tls = parts.scheme == "https"
    return _Target(
        _Origin(host, port or (443 if tls else 80), tls),
        path.encode(),
        f" HTTP/1.1\r\nhost: {parts.netloc}\r\nuser-agent: tocsin\r\n".encode(),
    )


def _head(method: str, target: _Target, headers: Mapping[str, str], length: int) -> bytes:
    fields = _fields(tuple(headers.items()))
    return b"%b %b%b%bcontent-length: %d\r\n\r\n" % (
        method.encode(),
        target.path,
        target.host_line,
        fields,
        length,
    )


@lru_cache(maxsize=256)
def _fields(headers: tuple[tuple[str, str], ...]) -> bytes:
    """Spell headers; an account's are the same for most of its calls."""
    return "".join([f"{name}: {value}\r\n" for name, value in headers if _is_header(name, value)]).encode(
        "latin-1"
    )


def _is_header(name: str, value: str) -> bool:
    if _FIELD_NAME.fullmatch(name) and _FIELD_VALUE.fullmatch(value):
        return True
    msg = "a header of the request is not valid"
    raise Misconfigured(msg)


def _tls(policy: HttpPolicy) -> ssl.SSLContext:
    context = client_context(policy.ca_pem)
    context.set_alpn_protocols(["http/1.1"])
    return context

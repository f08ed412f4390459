"""One HTTP/1.1 connection: a request is one write, its answer one parse (httptools), within one deadline."""

import asyncio
from math import inf
from typing import cast

import httptools

from tocsin.errors import Unknown
from tocsin.providers.http import Response
from tocsin.providers.http_answer import join, whole_answer
from tocsin.providers.http_connect import Origin

MAX_ANSWER_BYTES = 8 << 20
"""A longer answer is cut off: providers answer in kilobytes, and memory is shared by all calls in flight."""

NO_ANSWER = "no_answer"
"""Code of the `Unknown` of a request that was written, when no byte of an answer came in time."""

TOO_LONG = "too_long"
"""Code of the `Unknown` that such an answer ends in."""

_ONE_WRITE_BYTES = 65_536
"""Up to here a body is copied behind its head: one system call and one packet instead of two."""

_TIMER_STEP_S = 0.001
"""uvloop's timers count whole milliseconds, so one may fire this much early."""


class Deadlines:
    """Cuts off exchanges that are out of time: one timer for all of them, at the earliest deadline.

    An exchange has one deadline at a time: that of its first byte, then that of the whole answer.

    A timer for each costs as much as parsing its answer, for a deadline that hardly ever comes.
    """

    def __init__(self) -> None:
        self._due_s: dict[Connection, float] = {}
        self._timer: asyncio.TimerHandle | None = None

    def begin(self, connection: "Connection", due_s: float) -> None:
        """Set the deadline of a connection's exchange, or another one."""
        self._due_s[connection] = due_s
        if self._timer is None or due_s < self._timer.when():
            self._wake_at(due_s)

    def end(self, connection: "Connection") -> None:
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
            connection.cut(*connection.out_of_time())
            self.end(connection)
        if self._due_s:
            self._wake_at(min(self._due_s.values()))


class Connection(asyncio.Protocol):
    """One connection, with at most one request on it. It is the parser's listener, too."""

    def __init__(self, origin: Origin, deadlines: Deadlines, first_byte_s: float) -> None:
        self.origin = origin
        self._deadlines = deadlines
        self._first_byte_s = first_byte_s or inf
        self._whole_due_s = 0.0
        self.reusable = True
        self._wire: asyncio.Transport | None = None
        self._parser: httptools.HttpResponseParser | None = None
        self._bodiless = self._head_done = False
        self._answer: asyncio.Future[Response] | None = None
        self._loop = asyncio.get_running_loop()
        self._since_s = self._loop.time()

    def exchange(
        self, head: bytes, body: bytes, timeout_s: float, *, bodiless: bool
    ) -> "asyncio.Future[Response]":
        """Write a request; the future ends with the whole answer or with `Unknown`, within `timeout_s`.

        Args:
            head: the request up to its body.
            body: empty for none.
            timeout_s: from now to the last byte of the answer.
            bodiless: whether the answer has no body, whatever its head says, as that of HEAD.
        """
        answer = self._answer = self._loop.create_future()
        self._bodiless = bodiless
        self._parser, self._head_done = None, False
        self._whole_due_s = self._loop.time() + timeout_s
        self._await_first_byte()
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

    def _await_first_byte(self) -> None:
        first_due_s = self._loop.time() + self._first_byte_s
        self._deadlines.begin(self, min(first_due_s, self._whole_due_s))

    @staticmethod
    def _write(wire: asyncio.Transport, head: bytes, body: bytes) -> None:
        if len(body) <= _ONE_WRITE_BYTES:
            wire.write(head + body)
        else:
            wire.write(head)
            wire.write(body)

    def _parsing(self) -> httptools.HttpResponseParser:
        if self._parser is None:
            self._headers: dict[str, str] = {}
            self._body: list[bytes] = []
            self._size = 0
            self._deadlines.begin(self, self._whole_due_s)
            self._parser = httptools.HttpResponseParser(self)
        return self._parser

    def finish(self) -> None:
        """End the exchange; one whose answer nobody waits for any more leaves the connection unusable."""
        self._deadlines.end(self)
        if self._answer is not None and not (self._answer.done() and not self._answer.cancelled()):
            self.drop()
        self._answer = None

    def cut(self, why: str, code: str = "") -> None:
        """Close at once; the request that waits ends as `Unknown`."""
        self.drop()
        if self._answer is not None and not self._answer.done():
            error = Unknown(f"cut off before the answer was complete ({why})", code=code)
            self._answer.set_exception(error)

    def out_of_time(self) -> tuple[str, str]:
        """Say in which phase the time ended, and by which code."""
        if self._wire is not None and self._wire.get_write_buffer_size():
            return "out of time, the server does not read the request", ""
        if self._parser is not None:
            return "out of time in the middle of the answer", ""
        return "out of time, no answer", NO_ANSWER

    def _complete(self) -> None:
        status: int = self._parsing().get_status_code()
        if self._answer is not None and not self._answer.done():
            self._answer.set_result(Response(status, self._headers, b"".join(self._body)))

    # asyncio.Protocol
    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the transport."""
        self._wire = cast("asyncio.Transport", transport)

    def pause_writing(self) -> None:
        """Give a large request its time: the first byte is waited for when it is written."""
        self._deadlines.begin(self, self._whole_due_s)

    def resume_writing(self) -> None:
        """Wait for the first byte from now on."""
        if self._answer is not None and not self._answer.done() and self._parser is None:
            self._await_first_byte()

    def data_received(self, data: bytes) -> None:
        """Feed the parser; bytes that nobody asked for end the connection."""
        if self._answer is None or self._answer.done():
            self.drop()
            return
        if self._parser is None and not self._bodiless and (answer := whole_answer(data)) is not None:
            self._answer.set_result(answer)
            return
        try:
            self._parsing().feed_data(data)
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
        """Keep a header."""
        join(self._headers, name.decode("latin-1").lower(), value.decode("latin-1"))

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
            self.cut("the answer is too long", TOO_LONG)
        else:
            self._body.append(body)

    def on_message_complete(self) -> None:
        """Take the answer; an interim one (1xx) is passed over."""
        parser = self._parsing()
        status: int = parser.get_status_code()
        if 100 <= status < 200:
            self._headers, self._head_done = {}, False
            return
        self.reusable = self.reusable and parser.should_keep_alive()
        self._complete()

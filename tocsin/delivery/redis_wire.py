"""One connection to Redis for one command at a time, at a quarter of what redis-py takes for a command.

redis-py opens the connection: address, TLS, login, database. Then a protocol of our own takes it over. It
writes a command at once and reads the reply with hiredis, so no pool, stream or task stands between.
"""

import asyncio
from typing import Any

from hiredis import PushNotification, Reader, pack_command
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import InvalidResponse, NoScriptError, RedisError, ResponseError
from redis.exceptions import TimeoutError as RedisTimeoutError

from tocsin.delivery.redis_client import open_pool


class RedisWire:
    """Sends commands and returns their replies; connects with the first, and again after a failure.

    Guarantees: a command is sent at most once, and ends within `timeout_s` of connecting and as long for its
    reply. The next command never gets a reply that was meant for another.

    Args:
        url: Redis URL.
        timeout_s: how long to wait for a connection, and for a reply.
    """

    def __init__(self, url: str, *, timeout_s: float) -> None:
        self._pool = open_pool(url, timeout_s=timeout_s)
        self._timeout_s = timeout_s
        self._replies: _Replies | None = None

    async def ask(self, *command: str | bytes | int) -> Any:
        """Send a command; the one before must have ended.

        Returns:
            The reply as hiredis reads it: texts as bytes.

        Raises:
            RedisError: Redis refuses the command, does not answer in time, or cannot be reached.
            OSError: it cannot be reached.
        """
        replies = self._replies
        if replies is None or replies.closed:
            replies = self._replies = await self._connect()
        packed = pack_command(command)  # type: ignore[arg-type]  # the stub means a tuple of one
        return await replies.to(packed, self._timeout_s)

    def close(self) -> None:
        """Close the connection."""
        if self._replies is not None:
            self._replies.cut("closed by us")

    async def _connect(self) -> "_Replies":
        connection: Any = self._pool.make_connection()  # type: ignore[no-untyped-call]  # redis-py has no types here
        try:
            await connection.connect()
        except BaseException:
            await connection.disconnect(nowait=True)
            raise
        replies = _Replies()
        replies.use(connection.hand_over(replies))
        return replies


class _Replies(asyncio.Protocol):
    """Reads the reply to the one command that waits."""

    def __init__(self) -> None:
        self._reader = Reader(protocolError=InvalidResponse, replyError=_refusal)
        self._loop = asyncio.get_running_loop()
        self._reply: asyncio.Future[Any] | None = None
        self._writer: asyncio.StreamWriter | None = None
        self.closed = False

    def use(self, writer: asyncio.StreamWriter) -> None:
        """Keep the writer: it closes its transport when it is gone."""
        self._writer = writer

    async def to(self, command: bytes, timeout_s: float) -> Any:
        """Write a command and wait for its reply."""
        assert self._writer is not None, "connected"
        self._reply = self._loop.create_future()
        timer = self._loop.call_later(timeout_s, self._out_of_time)
        self._writer.transport.write(command)
        try:
            return await self._reply
        except asyncio.CancelledError:
            self.cut("nobody waits for the reply")
            raise
        finally:
            timer.cancel()

    def cut(self, why: str) -> None:
        """Close the connection; the command that waits fails."""
        self._fail(RedisConnectionError(f"the connection to Redis ended ({why})"))

    def data_received(self, data: bytes) -> None:
        """Take a part of a reply."""
        self._reader.feed(data)
        try:
            reply = self._reader.gets()
            while isinstance(reply, PushNotification):  # it answers nothing
                reply = self._reader.gets()
        except InvalidResponse as error:
            self._fail(error)
            return
        if reply is not False:  # the reader's word for a part of one
            self._take(reply)

    def connection_lost(self, exc: Exception | None) -> None:
        """Fail what waits."""
        self.cut("closed by Redis" if exc is None else type(exc).__name__)

    def _take(self, reply: Any) -> None:
        if self._reply is None or self._reply.done():
            self.cut("a reply that nobody asked for")
        elif isinstance(reply, RedisError):
            self._reply.set_exception(reply)
        else:
            self._reply.set_result(reply)

    def _out_of_time(self) -> None:
        self._fail(RedisTimeoutError("Redis did not answer in time"))

    def _fail(self, error: RedisError) -> None:
        self.closed = True
        if self._writer is not None:
            self._writer.transport.abort()
        if self._reply is not None and not self._reply.done():
            self._reply.set_exception(error)


def _refusal(text: str) -> ResponseError:
    return NoScriptError(text) if text.startswith("NOSCRIPT") else ResponseError(text)

"""Clients of Redis that never repeat a command by themselves, and stop when they are told to.

redis-py repeats a command whose answer was lost, up to ten times, unless told not to; the constructor decides
(`findings/`). Our callers repeat instead: they know which commands may run twice.
"""

import asyncio
from collections.abc import Iterable

from redis.asyncio import ConnectionPool, Redis
from redis.asyncio.connection import AbstractConnection
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import TimeoutError as RedisTimeoutError


class _Cancellable(AbstractConnection):
    """Sends commands in the task that asks.

    redis-py sends under `asyncio.wait_for`, which starts a task for each command, and which in Python 3.11
    forgets a cancellation that comes when the command has just been sent: whoever asks in a loop never ends.
    """

    socket_timeout: float | None

    async def send_packed_command(
        self, command: bytes | str | Iterable[bytes], check_health: bool = True
    ) -> None:
        """Send a command within the time of the connection.

        Raises:
            RedisTimeoutError: it could not be sent in that time; the connection is closed.
            redis.exceptions.ConnectionError: the connection broke.
        """
        limit_s = self.socket_timeout
        self.socket_timeout = None  # so that redis-py waits without `wait_for`
        try:
            async with asyncio.timeout(limit_s):
                await super().send_packed_command(command, check_health)
        except TimeoutError:
            msg = "a command could not be sent to Redis in time"
            raise RedisTimeoutError(msg) from None
        finally:
            self.socket_timeout = limit_s

    def hand_over(self, protocol: asyncio.Protocol) -> asyncio.StreamWriter:
        """Let another protocol have the connection; the caller closes it, and keeps the writer until then."""
        writer = self._writer
        assert writer is not None, "connected"
        self._writer = self._reader = None
        writer.transport.set_protocol(protocol)
        return writer


def _cancellable(kind: type[AbstractConnection]) -> type[AbstractConnection]:
    """Make a connection of any kind (TCP, TLS, Unix socket) cancellable."""
    return type(f"Cancellable{kind.__name__}", (_Cancellable, kind), {})


def open_pool(url: str, *, timeout_s: float, max_connections: int | None = None) -> ConnectionPool:
    """Make a pool of connections that can be cancelled; it opens none yet.

    Args:
        url: Redis URL.
        timeout_s: how long to wait for a connection, and for an answer.
        max_connections: its size, None for redis-py's own.
    """
    pool: ConnectionPool = ConnectionPool.from_url(
        url,
        max_connections=max_connections,
        socket_timeout=timeout_s,
        socket_connect_timeout=timeout_s,
        retry=Retry(NoBackoff(), 0),
    )
    pool.connection_class = _cancellable(pool.connection_class)
    return pool


def open_client(url: str, *, timeout_s: float = 5.0, max_connections: int | None = None) -> Redis:
    """Make a client; it connects with its first command.

    Args:
        url: Redis URL.
        timeout_s: how long to wait for a connection, and for an answer.
        max_connections: size of its pool, None for redis-py's own.
    """
    return Redis.from_pool(open_pool(url, timeout_s=timeout_s, max_connections=max_connections))

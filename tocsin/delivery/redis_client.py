"""Clients of Redis that never repeat a command by themselves.

redis-py repeats a command whose answer was lost, up to ten times, unless told not to; the constructor decides
(`findings/`). Our callers repeat instead: they know which commands may run twice.
"""

from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff


def open_client(url: str, *, timeout_s: float = 5.0, max_connections: int | None = None) -> Redis:
    """Make a client; it connects with its first command.

    Args:
        url: Redis URL.
        timeout_s: how long to wait for a connection, and for an answer.
        max_connections: size of its pool, None for redis-py's own.
    """
    return Redis.from_url(
        url,
        max_connections=max_connections,
        socket_timeout=timeout_s,
        socket_connect_timeout=timeout_s,
        retry=Retry(NoBackoff(), 0),
    )

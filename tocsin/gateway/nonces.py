"""Remembers the nonces of signed requests, so that none is accepted twice.

All processes share Redis. While it is away each process remembers its own: the same request could then be
played once to each other process, and the answer says so.
"""

from redis.asyncio import Redis
from redis.exceptions import RedisError

from tocsin.gateway.signing import WINDOW_MS

_KEPT_MS = 2 * WINDOW_MS + 60_000
"""A request is timely for twice the window; clocks of processes may differ by a minute."""
_MOST = 200_000


class Nonces:
    """The nonces of the last minutes.

    Args:
        redis: a client of ours.
        prefix: put before every key.
    """

    def __init__(self, redis: Redis, prefix: str) -> None:
        self._redis = redis
        self._prefix = f"{prefix}gateway:nonce:"
        self._own: dict[str, int] = {}

    async def is_new(self, key_id: str, nonce: str, now_ms: int, *, redis_away: bool) -> bool | None:
        """Note a nonce. False if it was there before; None if only this process could be asked."""
        name = f"{key_id}:{nonce}"
        if not self._note(name, now_ms):
            return False
        if redis_away:
            return None
        try:
            return bool(await self._redis.set(self._prefix + name, b"", nx=True, px=_KEPT_MS))
        except (RedisError, OSError):
            return None

    def _note(self, name: str, now_ms: int) -> bool:
        self._forget(now_ms)
        if name in self._own:
            return False
        self._own[name] = now_ms + _KEPT_MS
        return True

    def _forget(self, now_ms: int) -> None:
        """Drop what is over, oldest first; and the oldest, if there are too many."""
        while self._own:
            name = next(iter(self._own))
            if self._own[name] > now_ms and len(self._own) < _MOST:
                return
            del self._own[name]

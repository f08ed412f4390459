"""API keys in Redis: what `tocsin keys` writes, and every gateway process reads.

One hash holds the keys, one the moments they were last used; a number counts the changes. A change is made
only to the state that was read (compare and set): two people who rotate a key at once cannot lose a secret.
"""

from collections.abc import Mapping

import msgspec
from redis.asyncio import Redis

from tocsin.gateway.keys import Key

# Keys of a Redis that is no cluster, as are those of the other scripts.
_SET = """
local held = redis.call('HGET', KEYS[1], ARGV[1]) or ''
if held ~= ARGV[2] then return 0 end
redis.call('HSET', KEYS[1], ARGV[1], ARGV[3])
redis.call('INCR', KEYS[2])
return 1
"""
_decode = msgspec.json.Decoder(Key).decode
_encode = msgspec.json.Encoder(order="deterministic").encode


class Held(msgspec.Struct, frozen=True):
    """A key with the bytes that Redis has of it."""

    key: Key
    raw: bytes


class KeyStore:
    """The keys in Redis.

    Every method raises `redis.exceptions.RedisError` or `OSError` if Redis does not answer.

    Args:
        redis: a client.
        prefix: put before every key.
    """

    def __init__(self, redis: Redis, prefix: str) -> None:
        self._redis = redis
        self._keys = f"{prefix}gateway:keys"
        self._version = f"{self._keys}:version"
        self._used = f"{self._keys}:used"

    async def version(self) -> int:
        """Return how many changes there were."""
        return int(await self._redis.get(self._version) or 0)

    async def all(self) -> list[Key]:
        """Read all keys, revoked ones too."""
        return [_decode(raw) for raw in (await self._redis.hgetall(self._keys)).values()]

    async def find(self, key_id: str) -> Held | None:
        """Read one key."""
        raw = await self._redis.hget(self._keys, key_id)
        return None if raw is None else Held(_decode(raw), raw if isinstance(raw, bytes) else raw.encode())

    async def set(self, key: Key, instead: Held | None = None) -> bool:
        """Write a key instead of the state that was read, or of none; tell whether it was still that."""
        before = instead.raw if instead else b""
        done = await self._redis.eval(_SET, 2, self._keys, self._version, key.key_id, before, _encode(key))
        return bool(done)

    async def note_used(self, moments: Mapping[str, int]) -> None:
        """Note when keys were last used, ms since 1970."""
        if moments:
            await self._redis.hset(self._used, items=[each for pair in moments.items() for each in pair])

    async def used(self) -> dict[str, int]:
        """Read when keys were last used."""
        found = await self._redis.hgetall(self._used)
        return {
            str(key, "ascii") if isinstance(key, bytes) else key: int(at_ms) for key, at_ms in found.items()
        }

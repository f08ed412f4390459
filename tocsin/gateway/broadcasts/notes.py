"""Notes about broadcasts in Redis: which were asked for, and which chunks of their lists are complete.

They let the gateway refuse what cannot be meant: another body under one id, a chunk behind the start, a start
with half a chunk. They keep two uploads of one chunk apart. Nothing else rests on them: where Redis is away
or has forgotten, the shards decide.
"""

import secrets
from typing import Final

import msgspec
from redis.asyncio import Redis
from redis.commands.core import AsyncScript
from redis.exceptions import RedisError

from tocsin.gateway.broadcasts.bodies import Upload

_KEPT_S: Final = 30 * 86_400
_BODY, _STARTED, _CHUNK, _UPLOADER = "body", "started", "chunk:", "uploader:"
LEASE_MS: Final = 10_000
"""How long a chunk belongs to an upload that is silent: longer than Kafka takes for a slice, or to fail."""
_HELD: Final = """
local time = redis.call('TIME')
local now_ms = time[1] * 1000 + math.floor(time[2] / 1000)
local held = redis.call('HGET', KEYS[1], ARGV[1]) or ''
local token, until_ms = string.match(held, '^(%w+) (%d+)$')
local function hold(lease_ms)
  redis.call('HSET', KEYS[1], ARGV[1], string.format('%s %d', ARGV[3], now_ms + lease_ms))
end
"""
_BEGIN: Final = (
    _HELD
    + """
if token and token ~= ARGV[3] and tonumber(until_ms) > now_ms then return until_ms - now_ms end
hold(ARGV[4])
redis.call('HSET', KEYS[1], ARGV[2], '')
redis.call('EXPIRE', KEYS[1], ARGV[5])
return 0
"""
)
_KEEP: Final = (
    _HELD
    + """
if token ~= ARGV[3] then return 0 end
hold(ARGV[4])
if ARGV[5] ~= '' then redis.call('HSET', KEYS[1], ARGV[2], ARGV[5]) end
return 1
"""
)
_AWAY = (RedisError, OSError)


class Note(msgspec.Struct, frozen=True):
    """What is noted about one broadcast.

    Attributes:
        body: digest of the request that asked for it.
        started: whether its list was closed.
        chunks: number of a chunk -> its users; None while it is uploaded.
    """

    body: str
    started: bool
    chunks: dict[int, int | None]

    @property
    def upload(self) -> Upload | None:
        """Return what was uploaded; None if nothing was."""
        if not self.chunks:
            return None
        return Upload(sum(users or 0 for users in self.chunks.values()), dict(sorted(self.chunks.items())))


class Notes:
    """The notes of all broadcasts.

    Args:
        redis: a client of the gateway.
        prefix: put before every key.
    """

    def __init__(self, redis: Redis, prefix: str) -> None:
        self._redis = redis
        self._prefix = f"{prefix}gateway:broadcast:"
        self._begin = redis.register_script(_BEGIN)
        self._keep = redis.register_script(_KEEP)

    async def claim(self, tenant: str, name: str, body: str) -> str:
        """Note that a broadcast is asked for; return the digest of who asked first, as far as is known."""
        key = self._key(tenant, name)
        try:
            if await self._redis.hsetnx(key, _BODY, body):
                await self._redis.expire(key, _KEPT_S)
                return body
            return _text(await self._redis.hget(key, _BODY))
        except _AWAY:
            return body

    async def find(self, tenant: str, name: str) -> Note | None:
        """Read the note of a broadcast; None if there is none.

        Raises:
            RedisError, OSError: Redis is away.
        """
        found = await self._redis.hgetall(self._key(tenant, name))
        fields = {_text(field): _text(value) for field, value in found.items()}
        if not fields:
            return None
        chunks = {
            int(field.removeprefix(_CHUNK)): int(users) if users else None
            for field, users in fields.items()
            if field.startswith(_CHUNK)
        }
        return Note(fields.get(_BODY, ""), _STARTED in fields, chunks)

    async def start(self, tenant: str, name: str) -> None:
        """Note that a list was closed."""
        await self._set(tenant, name, _STARTED, "1")

    def upload(self, tenant: str, name: str, chunk: int) -> "ChunkUpload":
        """Make the note of an upload of a chunk, which begins next."""
        return ChunkUpload(self._begin, self._keep, self._key(tenant, name), chunk)

    async def _set(self, tenant: str, name: str, field: str, value: str) -> None:
        try:
            await self._redis.hset(self._key(tenant, name), field, value)
            await self._redis.expire(self._key(tenant, name), _KEPT_S)
        except _AWAY:
            return

    def _key(self, tenant: str, name: str) -> str:
        return f"{self._prefix}{tenant}/{name}"


class ChunkUpload:
    """One upload of a chunk. The chunk belongs to it for as long as it writes, so that no other one mixes in.

    Where Redis is away, uploads are not kept apart.

    Args:
        begin: script that takes the chunk.
        keep: script that keeps it.
        key: of the broadcast's note.
        chunk: number of the chunk.
    """

    def __init__(self, begin: AsyncScript, keep: AsyncScript, key: str, chunk: int) -> None:
        self._scripts = begin, keep
        self._key = key
        self._about = (f"{_UPLOADER}{chunk}", f"{_CHUNK}{chunk}", secrets.token_hex(8))

    async def begin(self) -> float:
        """Take the chunk, which is not complete; return the seconds for which it is another upload's."""
        try:
            left_ms = await self._scripts[0]([self._key], [*self._about, LEASE_MS, _KEPT_S])
        except _AWAY:
            return 0
        return int(left_ms) / 1_000

    async def keep(self) -> bool:
        """Keep the chunk for another while; False if another upload has taken it."""
        return await self._kept(LEASE_MS)

    async def end(self, users: int) -> bool:
        """Note that the chunk is complete; False if another upload has taken it."""
        return await self._kept(0, str(users))

    async def release(self) -> None:
        """Leave the chunk, which is not complete, to whoever sends it again."""
        await self._kept(0)

    async def _kept(self, lease_ms: int, users: str = "") -> bool:
        try:
            return bool(await self._scripts[1]([self._key], [*self._about, lease_ms, users]))
        except _AWAY:
            return True


def _text(value: bytes | str | None) -> str:
    return value.decode() if isinstance(value, bytes) else value or ""

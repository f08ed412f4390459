"""What Redis keeps of endpoints: those that were set over HTTP, their positions, whether they are on.

| key | field | value |
|---|---|---|
| `webhooks` | `tenant/name` | the endpoint, as it was set over HTTP |
| `webhook:tenant/name` | `at:<replay>:<partition>` | the position: everything before it is finished |
| | `from_ms`, `replay` | where this replay begins where a partition has no position yet, and its number |
| | `turn` | grows each time somebody switches it on or off: whoever posts begins anew |
| | `off_ms`, `why` | since when it is off, and why; absent while it is on |
| | `taken_ms`, `failing_ms`, `error` | the last post that was taken; since when it fails, and how |
"""

from collections.abc import Awaitable, Mapping
from typing import Any, cast

import msgspec
from redis.asyncio import Redis

from tocsin.errors import SettingsError
from tocsin.formats.sealed import Seal

_SWAP = """
local held = redis.call('HGET', KEYS[1], ARGV[1])
if (held or '') ~= ARGV[2] then return 'changed' end
if not held then
  local own, start = 0, ARGV[4]
  for _, key in ipairs(redis.call('HKEYS', KEYS[1])) do
    if string.sub(key, 1, #start) == start then own = own + 1 end
  end
  if own >= tonumber(ARGV[5]) then return 'full' end
end
redis.call('HSET', KEYS[1], ARGV[1], ARGV[3])
return ''
"""

PURPOSE = b"webhook secrets"
"""What secrets of endpoints are sealed for."""


class SetEndpoint(msgspec.Struct, frozen=True, omit_defaults=True, kw_only=True):
    """An endpoint as it was set over HTTP.

    Attributes:
        url: where reports are posted.
        sealed: its secrets, sealed under TOCSIN_SECRET, the newest first.
        statuses: outcomes that are reported; empty for the usual ones.
        notifications: of these notifications only; empty for all.
        give_up_ms: it is switched off after this long without success; 0 for the usual time.
    """

    url: str
    sealed: tuple[str, ...]
    statuses: tuple[str, ...] = ()
    notifications: tuple[str, ...] = ()
    give_up_ms: int = 0

    def secrets(self, seal: Seal) -> tuple[bytes, ...]:
        """Open its secrets.

        Raises:
            SettingsError: they were sealed under another TOCSIN_SECRET.
        """
        found = [seal.open(each) for each in self.sealed]
        if not found or None in found:
            msg = "its secret was sealed under another TOCSIN_SECRET: set the endpoint again"
            raise SettingsError(msg)
        return tuple(each for each in found if each is not None)


class EndpointState(msgspec.Struct, frozen=True, kw_only=True):
    """What is known of an endpoint. `positions` are those of the present replay."""

    replay: int = 0
    turn: int = 0
    from_ms: int = 0
    off_ms: int = 0
    why: str = ""
    taken_ms: int = 0
    failing_ms: int = 0
    error: str = ""
    positions: Mapping[int, int] = {}

    @property
    def is_off(self) -> bool:
        """Whether nothing is posted to it."""
        return bool(self.off_ms)


class ReportStore:
    """Reads and writes what is kept. Every method may raise `RedisError`.

    Args:
        redis: the client.
        prefix: put before the keys.
    """

    def __init__(self, redis: Redis, prefix: str) -> None:
        self._redis = redis
        self._prefix = prefix

    def _key(self, key: str) -> str:
        return f"{self._prefix}webhook:{key}"

    async def endpoints(self) -> dict[str, SetEndpoint]:
        """Read the endpoints that were set over HTTP, by `tenant/name`."""
        found = await _done(self._redis.hgetall(f"{self._prefix}webhooks"))
        return {key.decode(): msgspec.json.decode(value, type=SetEndpoint) for key, value in found.items()}

    async def set(self, key: str, endpoint: SetEndpoint) -> None:
        """Set an endpoint."""
        await _done(self._redis.hset(f"{self._prefix}webhooks", key, msgspec.json.encode(endpoint)))

    async def held(self, key: str) -> bytes:
        """Read an endpoint as it is kept; empty if it was not set over HTTP."""
        return bytes(await _done(self._redis.hget(f"{self._prefix}webhooks", key)) or b"")

    async def swap(self, key: str, held: bytes, endpoint: SetEndpoint, most: int) -> str:
        """Set an endpoint instead of what was read of it.

        Args:
            key: `tenant/name`.
            held: what `held` read; empty for none.
            endpoint: the new one.
            most: endpoints that the tenant may have.

        Returns:
            Empty once it is set; `changed` if another has set it meanwhile, `full` if the tenant has enough.
        """
        place, start = f"{self._prefix}webhooks", f"{key.partition('/')[0]}/"
        made = msgspec.json.encode(endpoint)
        done = await _done(self._redis.eval(_SWAP, 1, place, key, held, made, start, most))
        return bytes(done).decode()

    async def remove(self, key: str) -> bool:
        """Remove an endpoint that was set over HTTP, with all that is kept of it."""
        removed = await _done(self._redis.hdel(f"{self._prefix}webhooks", key))
        await self._redis.delete(self._key(key))
        return bool(removed)

    async def begin(self, key: str, now_ms: int) -> None:
        """Let an endpoint that is new begin now."""
        await _done(self._redis.hsetnx(self._key(key), "from_ms", str(now_ms)))

    async def state(self, key: str) -> EndpointState:
        """Read what is known of an endpoint."""
        return _state(await _done(self._redis.hgetall(self._key(key))))

    async def keep(self, key: str, replay: int, values: Mapping[str, object]) -> None:
        """Keep positions (`at:<partition>`) and what became of posts; empty values are removed."""
        named = {
            (f"at:{replay}:{name[3:]}" if name.startswith("at:") else name): value
            for name, value in values.items()
        }
        kept = {name: str(value) for name, value in named.items() if value not in ("", 0) or "at:" in name}
        async with self._redis.pipeline(transaction=True) as pipeline:
            if kept:
                pipeline.hset(self._key(key), mapping=cast("Any", kept))
            if gone := [name for name in named if name not in kept]:
                pipeline.hdel(self._key(key), *gone)
            await pipeline.execute()

    async def switch_off(self, key: str, why: str, now_ms: int) -> None:
        """Switch an endpoint off; it keeps its positions."""
        async with self._redis.pipeline(transaction=True) as pipeline:
            pipeline.hset(self._key(key), mapping={"off_ms": str(now_ms), "why": why})
            pipeline.hincrby(self._key(key), "turn", 1)
            await pipeline.execute()

    async def switch_on(self, key: str, from_ms: int = 0) -> None:
        """Switch an endpoint on: where it was, or from a time (ms since 1970), which replays what follows."""
        async with self._redis.pipeline(transaction=True) as pipeline:
            pipeline.hdel(self._key(key), "off_ms", "why", "failing_ms", "error")
            pipeline.hincrby(self._key(key), "turn", 1)
            if from_ms:
                pipeline.hincrby(self._key(key), "replay", 1)
                pipeline.hset(self._key(key), "from_ms", str(from_ms))
            await pipeline.execute()


async def _done(answer: Awaitable[Any] | Any) -> Any:
    """Await an answer: the client's types say that it may be there at once."""
    return await answer


def _state(fields: Mapping[bytes, bytes]) -> EndpointState:
    told = {name.decode(): value.decode() for name, value in fields.items()}
    numbers = {
        name: int(told.get(name, "0"))
        for name in ("replay", "turn", "from_ms", "off_ms", "taken_ms", "failing_ms")
    }
    start = f"at:{numbers['replay']}:"
    positions = {int(name[len(start) :]): int(at) for name, at in told.items() if name.startswith(start)}
    return EndpointState(**numbers, why=told.get("why", ""), error=told.get("error", ""), positions=positions)

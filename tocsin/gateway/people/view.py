"""The view of profiles in Redis: one key a user, changed by comparing and setting.

| key | what |
|---|---|
| `<prefix>profile:{tenant/user}` | the entry of a user |
| `<prefix>profile-view:open` | changes that Kafka may lack, by the time they were made |
| `<prefix>profile-view:read` | next offset of each partition |
| `<prefix>profile-view:ready` | there once the topic was read to its end |
| `<prefix>profile-view:feeder` | the process that reads the topic |
| `<prefix>profile-stop:{tenant/user}:<category>` | the unsubscribe click that holds, for a day |
| `<prefix>device:<hash>` | the user who has a device token |
| `<prefix>topics:{tenant/user}` | the topics that a user is subscribed to |
"""

from collections.abc import Mapping, Sequence
from hashlib import blake2b
from typing import Any, Final, NamedTuple

from redis.asyncio import Redis
from redis.exceptions import RedisError

from tocsin.gateway.people.entry import Entry, packed, unpacked
from tocsin.gateway.problems import Problem, not_ready

ERASED_S: Final = 86_400
"""How long an erased user is remembered, so that late copies of the profile do not bring the user back."""
_STOP_S: Final = 86_400
_SWAP: Final = """
if (redis.call('GET', KEYS[1]) or '') ~= ARGV[1] then return 0 end
if ARGV[3] == '0' then redis.call('SET', KEYS[1], ARGV[2])
else redis.call('SET', KEYS[1], ARGV[2], 'EX', ARGV[3]) end
return 1
"""
_ADVANCE: Final = """
if (redis.call('HGET', KEYS[1], ARGV[1]) or '') ~= ARGV[2] then return 0 end
redis.call('HSET', KEYS[1], ARGV[1], ARGV[3])
return 1
"""
_COMPLETE: Final = """
for at = 1, #ARGV, 2 do
  if redis.call('HGET', KEYS[1], ARGV[at]) ~= ARGV[at + 1] then return 0 end
end
redis.call('SET', KEYS[2], '1')
return 1
"""
_RELEASE: Final = """
if redis.call('GET', KEYS[1]) == ARGV[1] then return redis.call('DEL', KEYS[1]) end
return 0
"""
_RENEW: Final = """
local holder = redis.call('GET', KEYS[1])
if holder and holder ~= ARGV[1] then return 0 end
redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
return 1
"""


class Seen(NamedTuple):
    """An entry, and its bytes in Redis, which a change of it must still find."""

    entry: Entry
    data: bytes


class Swap(NamedTuple):
    """A change of one entry: it happens if the entry is still what was seen."""

    owner: str
    seen: Seen
    entry: Entry


class ProfileView:
    """Reads and changes the view.

    Args:
        redis: a client that repeats nothing by itself.
        prefix: of all keys.

    Raises (from every method):
        RedisError: Redis is away.
    """

    def __init__(self, redis: Redis, prefix: str) -> None:
        self._redis = redis
        self._prefix = prefix
        self._swap = redis.register_script(_SWAP)
        self._advance = redis.register_script(_ADVANCE)
        self._complete = redis.register_script(_COMPLETE)
        self._release = redis.register_script(_RELEASE)
        self._renew = redis.register_script(_RENEW)

    def _key(self, owner: str) -> str:
        return f"{self._prefix}profile:{{{owner}}}"

    def _of_view(self, name: str) -> str:
        return f"{self._prefix}profile-view:{name}"

    def _device(self, tenant: str, address: str) -> str:
        hashed = blake2b(f"{tenant}/{address}".encode(), digest_size=16).hexdigest()
        return f"{self._prefix}device:{hashed}"

    def _topics(self, owner: str) -> str:
        return f"{self._prefix}topics:{{{owner}}}"

    async def look(self, owner: str) -> tuple[Seen, bool]:
        """Return the entry of `tenant/user`, and whether the view is complete."""
        found: Any = await self._redis.mget(self._key(owner), self._of_view("ready"))
        data, ready = found
        return Seen(unpacked(data), data or b""), ready is not None

    async def look_all(self, owners: Sequence[str]) -> list[Seen]:
        """Return the entries of many users."""
        found: Any = await self._redis.mget([self._key(owner) for owner in owners])
        return [Seen(unpacked(data), data or b"") for data in found]

    async def erased_ms(self, owner: str) -> int:
        """Return when `tenant/user` was erased the last time; 0 where nobody knows of it."""
        found: Any = await self._redis.get(self._key(owner))
        return unpacked(found).erased_ms

    async def swap(self, swaps: Sequence[Swap]) -> list[bool]:
        """Change entries; return which of them were still as they had been seen."""
        # As a context: redis-py leaves a pipeline its connection where the question for its scripts fails.
        async with self._redis.pipeline(transaction=False) as pipeline:
            for owner, seen, entry in swaps:
                ttl_s = 0 if entry.text else ERASED_S
                await self._swap([self._key(owner)], [seen.data, packed(entry), ttl_s], pipeline)
            return [bool(done) for done in await pipeline.execute()]

    async def note_open(self, owner: str, revision: int, at_ms: int) -> None:
        """List a change as open, before it is made."""
        await self._redis.zadd(self._of_view("open"), {f"{revision}/{owner}": at_ms})

    async def note_done(self, owner: str, revision: int) -> None:
        """Take a change off the list."""
        await self._redis.zrem(self._of_view("open"), f"{revision}/{owner}")

    async def open_before(self, at_ms: int, most: int) -> list[tuple[str, int]]:
        """Return users and revisions of changes that were listed before a time, oldest first."""
        key = self._of_view("open")
        found: Any = await self._redis.zrange(key, "-inf", at_ms, byscore=True, offset=0, num=most)
        pairs = (each.decode().partition("/") for each in found)
        return [(owner, int(revision)) for revision, _, owner in pairs]

    async def offsets(self) -> dict[str, int]:
        """Return the next offset of each `topic/partition`."""
        found: Any = await self._redis.hgetall(self._of_view("read"))
        return {place.decode(): int(offset) for place, offset in found.items()}

    async def advance(self, place: str, seen: int | None, offset: int) -> bool:
        """Move a partition's next offset unless it is another than was seen; return whether it moved."""
        before = "" if seen is None else seen
        return bool(await self._advance([self._of_view("read")], [place, before, offset]))

    async def is_ready(self) -> bool:
        """Return whether the view is complete."""
        return bool(await self._redis.get(self._of_view("ready")))

    async def set_ready(self, offsets: Mapping[str, int]) -> bool:
        """Say that the view is complete, unless Redis has forgotten what was read; return whether it is.

        Args:
            offsets: the next offset of each `topic/partition` that whoever fed the view has.
        """
        known: list[Any] = [part for place, offset in offsets.items() for part in (place, offset)]
        return bool(await self._complete([self._of_view("read"), self._of_view("ready")], known))

    async def feeds(self, name: str, lease_ms: int) -> bool:
        """Return whether this process is the one that feeds the view, for the length of a lease."""
        return bool(await self._renew([self._of_view("feeder")], [name, lease_ms]))

    async def rest(self, name: str) -> None:
        """Leave feeding to others."""
        await self._release([self._of_view("feeder")], [name])

    async def owners_of(self, tenant: str, addresses: Sequence[str]) -> list[str]:
        """Return the user of each device address; empty for none."""
        if not addresses:
            return []
        found: Any = await self._redis.mget([self._device(tenant, each) for each in addresses])
        return [user.decode() if user else "" for user in found]

    async def move_devices(
        self, tenant: str, gone: Sequence[tuple[str, str]], come: Mapping[str, str]
    ) -> None:
        """Note who has which device address now.

        Args:
            tenant: of the users.
            gone: addresses that a user has no more, with the user.
            come: address -> user.
        """
        async with self._redis.pipeline(transaction=False) as pipeline:
            for address, user in gone:
                await self._release([self._device(tenant, address)], [user], pipeline)
            for address, user in come.items():
                pipeline.set(self._device(tenant, address), user)
            await pipeline.execute()

    async def stop(self, owner: str, category: str, click: str, *, again: bool) -> str:
        """Note a click on an unsubscribe link for a day; return the one that holds.

        Args:
            owner: `tenant/user`.
            category: that it stops; empty for everything.
            click: names this click.
            again: the user gets the category, so no click before this one holds.
        """
        key = self._stop(owner, category)
        if await self._redis.set(key, click, ex=_STOP_S, nx=not again):
            return click
        found: Any = await self._redis.get(key)
        return found.decode() if found else click

    async def forget_stop(self, owner: str, category: str) -> None:
        """Forget the click that stopped a category: it is taken back."""
        await self._redis.delete(self._stop(owner, category))

    def _stop(self, owner: str, category: str) -> str:
        return f"{self._prefix}profile-stop:{{{owner}}}:{category}"

    async def topics_of(self, owner: str) -> dict[str, int]:
        """Return the topics of a user, each with the ms before which events do not count; 0 for none."""
        found: Any = await self._redis.hgetall(self._topics(owner))
        return {topic.decode(): int(since) for topic, since in found.items()}

    async def set_topics(self, changes: Sequence[tuple[str, str, int | None]]) -> None:
        """Note subscriptions: user, topic and since; None ends one."""
        async with self._redis.pipeline(transaction=False) as pipeline:
            for owner, topic, since_ms in changes:
                if since_ms is None:
                    pipeline.hdel(self._topics(owner), topic)
                else:
                    pipeline.hset(self._topics(owner), topic, str(since_ms))
            await pipeline.execute()


AWAY: Final = RedisError
"""What every method raises while Redis is away."""


def away() -> Problem:
    """Refuse a request because Redis is away."""
    return not_ready("Redis is away, and with it the view of profiles: send it again", 5)


def filling() -> Problem:
    """Refuse a request because the view is not complete yet."""
    return not_ready("the view of profiles is being filled from Kafka: send it again", 5)

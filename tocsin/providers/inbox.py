"""The in-app inbox in Redis: entries, unread ones, and a live feed, a user.

Keys, with `<user>` for `tenant/user` (the braces keep a user's keys on one node of a cluster):

| key | type | holds |
|---|---|---|
| `<prefix>inbox:{<user>}:order` | sorted set | message ids by the time of the decision |
| `<prefix>inbox:{<user>}:entries` | hash | message id to `Entry` as JSON |
| `<prefix>inbox:{<user>}:unread` | set | message ids not read yet |
| `<prefix>inbox:{<user>}:live` | channel | `Change` as JSON, one a change |

All three keys expire when nothing was added for `keep_s`. Only the newest `cap` entries are kept.
"""

import asyncio
from collections.abc import Sequence
from typing import NamedTuple

import msgspec
from redis.asyncio import Redis


class Entry(msgspec.Struct, frozen=True, omit_defaults=True):
    """One entry of an inbox. Texts are plain: whoever shows them escapes them."""

    message_id: str
    notification_id: str
    notification: str
    category: str
    title: str
    body: str
    at_ms: int
    url: str = ""
    expires_ms: int = 0


class Change(msgspec.Struct, frozen=True, omit_defaults=True):
    """What the live channel says: `added` with the entry, `read` or `removed` with ids; the new count."""

    kind: str
    unread: int
    entry: Entry | None = None
    message_ids: list[str] = []


class InboxPolicy(msgspec.Struct, frozen=True):
    """How much an inbox keeps, and under which prefix.

    At most `at_once` additions are on their way to Redis: redis-py fails, and does not wait, when its pool of
    (by default 100) connections is used up.
    """

    prefix: str = "tocsin:"
    cap: int = 200
    keep_s: int = 90 * 86_400
    at_once: int = 32


class Shown(NamedTuple):
    """An entry as a reader sees it."""

    entry: Entry
    unread: bool


# Each script is one step for Redis, so readers never see an entry without its count. They return the unread
# count, or -1 where nothing changed. When Redis refuses a command of a script it undoes nothing, so each
# script first asks whether its user may run all of them (since Redis 7).
_MAY = """
local function must_be_allowed(calls)
  if not redis.acl_check_cmd then return end
  for _, call in ipairs(calls) do
    if not redis.acl_check_cmd(unpack(call)) then error('ACL failure in script: ' .. call[1]) end
  end
end
"""

_ADD = (
    _MAY
    + """
local order, entries, unread = KEYS[1], KEYS[2], KEYS[3]
local id, entry, at, cap, keep, live = ARGV[1], ARGV[2], ARGV[3], tonumber(ARGV[4]), ARGV[5], ARGV[6]
must_be_allowed({
  {'HSETNX', entries, id, ''}, {'HEXISTS', entries, id}, {'HDEL', entries, id},
  {'ZADD', order, at, id}, {'ZRANGE', order, 0, 0}, {'ZREM', order, id},
  {'SADD', unread, id}, {'SREM', unread, id}, {'SCARD', unread},
  {'EXPIRE', order, keep}, {'PUBLISH', live, ''},
})
if redis.call('HSETNX', entries, id, entry) == 0 then return -1 end
redis.call('ZADD', order, at, id)
redis.call('SADD', unread, id)
local excess = redis.call('ZRANGE', order, 0, -(cap + 1))
for _, old in ipairs(excess) do
  redis.call('ZREM', order, old) redis.call('HDEL', entries, old) redis.call('SREM', unread, old)
end
for _, key in ipairs({order, entries, unread}) do redis.call('EXPIRE', key, keep) end
local count = redis.call('SCARD', unread)
if redis.call('HEXISTS', entries, id) == 1 then
  redis.call('PUBLISH', live, '{"kind":"added","unread":' .. count .. ',"entry":' .. entry .. '}')
end
return count
"""
)

_READ = (
    _MAY
    + """
local unread, live = KEYS[1], ARGV[1]
must_be_allowed({{'SMEMBERS', unread}, {'SREM', unread, ''}, {'SCARD', unread}, {'PUBLISH', live, ''}})
local ids = {}
for i = 2, #ARGV do ids[#ids + 1] = ARGV[i] end
if #ids == 0 then ids = redis.call('SMEMBERS', unread) end
local changed = {}
for _, id in ipairs(ids) do
  if redis.call('SREM', unread, id) == 1 then changed[#changed + 1] = id end
end
local count = redis.call('SCARD', unread)
if #changed == 0 then return {count, changed} end
local change = {kind = 'read', unread = count, message_ids = changed}
redis.call('PUBLISH', live, cjson.encode(change))
return {count, changed}
"""
)

_REMOVE = (
    _MAY
    + """
local order, entries, unread, live = KEYS[1], KEYS[2], KEYS[3], ARGV[1]
must_be_allowed({
  {'HDEL', entries, ''}, {'ZREM', order, ''}, {'SREM', unread, ''}, {'SCARD', unread}, {'PUBLISH', live, ''},
})
local changed = {}
for i = 2, #ARGV do
  if redis.call('HDEL', entries, ARGV[i]) == 1 then changed[#changed + 1] = ARGV[i] end
  redis.call('ZREM', order, ARGV[i]) redis.call('SREM', unread, ARGV[i])
end
local count = redis.call('SCARD', unread)
if #changed == 0 then return count end
local change = {kind = 'removed', unread = count, message_ids = changed}
redis.call('PUBLISH', live, cjson.encode(change))
return count
"""
)


class Inbox:
    """The inboxes of all users in one Redis. Every call is one round trip; errors are redis-py's own."""

    def __init__(self, redis: Redis, policy: InboxPolicy) -> None:
        self._redis = redis
        self._policy = policy
        self._slots = asyncio.Semaphore(policy.at_once)
        self._add = redis.register_script(_ADD)
        self._read = redis.register_script(_READ)
        self._remove = redis.register_script(_REMOVE)

    async def add(self, user_key: str, entry: Entry) -> bool:
        """Put an entry in; False if an entry of that message id is there already, and nothing is changed."""
        arguments: list[bytes | str | int] = [
            entry.message_id,
            msgspec.json.encode(entry),
            entry.at_ms,
            self._policy.cap,
            self._policy.keep_s,
            self.live_channel(user_key),
        ]
        async with self._slots:
            return int(await self._add(keys=self._keys(user_key), args=arguments)) >= 0

    async def newest(self, user_key: str, *, start: int = 0, count: int = 50) -> list[Shown]:
        """Read entries, newest first, from position `start`."""
        order, entries, unread = self._keys(user_key)
        ids: list[bytes | str] = await self._redis.zrevrange(order, start, start + count - 1)  # type: ignore[assignment]  # no scores asked for
        if not ids:
            return []
        async with self._redis.pipeline(transaction=True) as pipeline:
            pipeline.hmget(entries, ids)
            pipeline.smismember(unread, ids)
            documents, marks = await pipeline.execute()
        pairs = zip(documents, marks, strict=True)
        return [Shown(msgspec.json.decode(text, type=Entry), bool(mark)) for text, mark in pairs if text]

    async def unread(self, user_key: str) -> int:
        """Count the entries not read yet."""
        return int(await self._redis.scard(self._keys(user_key)[2]))

    async def mark_read(self, user_key: str, message_ids: Sequence[str]) -> list[str]:
        """Mark entries read; returns those that were unread until now, so that each is reported once.

        If the answer is lost, the entries are read and a repeat returns none of them.
        """
        return await self._mark(user_key, message_ids) if message_ids else []

    async def mark_all_read(self, user_key: str) -> list[str]:
        """Mark every entry read; returns those that were unread until now."""
        return await self._mark(user_key, ())

    async def remove(self, user_key: str, message_ids: Sequence[str]) -> int:
        """Take entries out; returns the unread count that is left."""
        arguments = [self.live_channel(user_key), *message_ids]
        return int(await self._remove(keys=self._keys(user_key), args=arguments))

    async def erase(self, user_key: str) -> None:
        """Forget a user."""
        await self._redis.delete(*self._keys(user_key))

    def live_channel(self, user_key: str) -> str:
        """Name the channel that carries a user's `Change`s."""
        return live_channel(self._policy.prefix, user_key)

    async def _mark(self, user_key: str, message_ids: Sequence[str]) -> list[str]:
        arguments = [self.live_channel(user_key), *message_ids]
        _, changed = await self._read(keys=self._keys(user_key)[2:], args=arguments)
        return [item.decode() if isinstance(item, bytes) else item for item in changed]

    def _keys(self, user_key: str) -> tuple[str, str, str]:
        return user_keys(self._policy.prefix, user_key)


def live_channel(prefix: str, user_key: str) -> str:
    """Name the channel that carries a user's `Change`s."""
    return f"{prefix}inbox:{{{user_key}}}:live"


def user_keys(prefix: str, user_key: str) -> tuple[str, str, str]:
    """Name the keys of a user's inbox: order, entries, unread."""
    base = f"{prefix}inbox:{{{user_key}}}"
    return f"{base}:order", f"{base}:entries", f"{base}:unread"

"""What a Redis must be and allow so that Tocsin can work with it."""

from collections.abc import Iterator, Sequence
from typing import Final, NamedTuple

import msgspec
import redis
from redis.exceptions import AuthenticationError, NoPermissionError, RedisError

from tocsin.delivery.ledger import version_key
from tocsin.delivery.rate_bucket import bucket_key
from tocsin.providers.apple_token import KEY_PREFIX
from tocsin.providers.inbox import InboxPolicy, live_channel, user_keys

_USER = "default/check"
GATEWAY_PREFIX: Final = "tocsin:gateway:"
"""Begins keys of the gateway whose names are hashes of tenant and id."""
_MISSING = """
if not redis.acl_check_cmd then return {} end
local missing = {}
for i, call in ipairs(cmsgpack.unpack(ARGV[1])) do
  if not redis.acl_check_cmd(unpack(call)) then missing[#missing + 1] = i end
end
return missing
"""


class Right(NamedTuple):
    """One command that Tocsin sends, on one key or channel of those it uses.

    Attributes:
        command: the command with arguments of the form it is sent with.
        place: pattern of its keys or channels as in ACL rules (`~tocsin:ledger:*`); empty without any.
    """

    command: tuple[str, ...]
    place: str = ""

    def __str__(self) -> str:
        """Write it as the ACL rules that grant it."""
        words = self.command[:2] if self.command[0] == "SCRIPT" else self.command[:1]
        return f"+{'|'.join(words).lower()} {self.place}".strip()


def rights(
    prefix: str,
    inboxes: Sequence[InboxPolicy] = (),
    *,
    shares_tokens: bool = False,
    alerts: bool = False,
    webhooks: bool = False,
    gateway: bool = False,
) -> list[Right]:
    """List what the processes of Tocsin do with Redis.

    Args:
        prefix: put before the keys of the ledger and of profile versions.
        inboxes: policies of the in-app accounts.
        shares_tokens: whether provider tokens of Apple are shared.
        alerts: whether operators are told of faults.
        webhooks: whether delivery reports are posted.
        gateway: whether the HTTP gateway runs.
    """
    found = [Right(("EVALSHA", "", "0")), Right(("SCRIPT", "LOAD", ""))]
    found += _of_string(f"{prefix}ledger:check", f"~{prefix}ledger:*")
    found += _of_string(version_key(prefix, _USER), f"~{prefix}version:*")
    found += _of_bucket(bucket_key(prefix, "check"), f"~{prefix}rate:*")
    if shares_tokens:
        found += _of_string(f"{KEY_PREFIX}check", f"~{KEY_PREFIX}*")
    if alerts:
        key, place = f"{prefix}alert:check", f"~{prefix}alert:*"
        found += [Right(("SET", key, "", "NX", "GET", "PX", "1"), place), Right(("DEL", key), place)]
    found += _of_webhooks(prefix) if webhooks else []
    found += [*_of_gateway(prefix), *_of_profiles(prefix)] if gateway else []
    return found + [right for policy in inboxes for right in _of_inbox(policy)]


def _of_string(key: str, place: str) -> list[Right]:
    return [Right(("GET", key), place), Right(("SET", key, "", "EX", "1"), place)]


def _of_bucket(key: str, place: str) -> list[Right]:
    return [
        Right(("TIME",)),
        Right(("HMGET", key, "tokens"), place),
        Right(("HSET", key, "tokens", "1"), place),
        Right(("PEXPIRE", key, "1"), place),
        Right(("ZADD", key, "NX", "1", "process"), place),
        Right(("ZRANK", key, "process"), place),
        Right(("ZREM", key, "process"), place),
        Right(("ZREMRANGEBYSCORE", key, "-inf", "1"), place),
        Right(("ZCARD", key), place),
    ]


def _of_webhooks(prefix: str) -> list[Right]:
    key, place = f"{prefix}webhook:check", f"~{prefix}webhook*"
    return [
        Right(("HGETALL", key), place),
        Right(("HSET", key, "turn", "1"), place),
        Right(("HSETNX", key, "turn", "1"), place),
        Right(("HINCRBY", key, "turn", "1"), place),
        Right(("HDEL", key, "turn"), place),
        Right(("DEL", key), place),
        Right(("MULTI",)),
        Right(("EXEC",)),
    ]


def _of_gateway(prefix: str) -> Iterator[Right]:
    """List what the gateway does for its keys, requests and callbacks; inboxes are listed by themselves."""
    keys, callback, links = f"{prefix}gateway:check", f"{prefix}callback:check", f"{prefix}links:check"
    for command in (
        ("HGET", keys, "k"),
        ("HGETALL", keys),
        ("HSET", keys, "k", ""),
        ("HSETNX", keys, "k", ""),
        ("EXPIRE", keys, "1"),
        ("GET", keys),
        ("INCR", keys),
        ("SET", keys, "", "NX", "PX", "1"),
    ):
        yield Right(command, f"~{prefix}gateway:*")
    shared = f"{GATEWAY_PREFIX}check"
    yield Right(("GET", shared), f"~{GATEWAY_PREFIX}*")
    yield Right(("SET", shared, "", "NX", "GET", "PX", "1"), f"~{GATEWAY_PREFIX}*")
    yield Right(("MGET", f"{prefix}ledger:check"), f"~{prefix}ledger:*")
    yield Right(("MGET", callback), f"~{prefix}callback:*")
    yield Right(("SET", callback, "", "NX", "GET", "EX", "1"), f"~{prefix}callback:*")
    yield Right(("SADD", links, "1"), f"~{prefix}links:*")
    yield Right(("SCARD", links), f"~{prefix}links:*")
    yield Right(("EXPIRE", links, "1", "NX"), f"~{prefix}links:*")


def _of_profiles(prefix: str) -> Iterator[Right]:
    """List what the gateway does with its view of profiles."""
    yield Right(("SCRIPT", "EXISTS", ""))
    user, view = f"{prefix}profile:check", f"{prefix}profile-view:check"
    for command in (
        ("MGET", user, view),
        ("GET", user),
        ("SET", user, "", "EX", "1"),
        ("DEL", user),
        ("HGET", view, "p"),
        ("HGETALL", view),
        ("HSET", view, "p", "1"),
        ("ZADD", view, "1", "m"),
        ("ZREM", view, "m"),
        ("ZRANGE", view, "-inf", "1", "BYSCORE"),
    ):
        yield Right(command, f"~{prefix}profile*")
    device, topics = f"{prefix}device:check", f"{prefix}topics:check"
    for command in (("MGET", device), ("GET", device), ("SET", device, ""), ("DEL", device)):
        yield Right(command, f"~{prefix}device:*")
    for command in (("HGETALL", topics), ("HSET", topics, "t", "1"), ("HDEL", topics, "t")):
        yield Right(command, f"~{prefix}topics:*")


def _of_inbox(policy: InboxPolicy) -> Iterator[Right]:
    order, entries, unread, *_, changes, owed = user_keys(policy.prefix, _USER)
    place = f"~{policy.prefix}inbox:*"
    for command in (
        ("HSETNX", entries, "m", ""),
        ("HEXISTS", entries, "m"),
        ("HGET", entries, "m"),
        ("HGETALL", owed),
        ("HLEN", owed),
        ("HVALS", owed),
        ("HDEL", entries, "m"),
        ("ZADD", order, "1", "m"),
        ("ZRANGE", order, "0", "1"),
        ("ZRANGEBYSCORE", order, "0", "1"),
        ("ZREVRANGEBYSCORE", order, "1", "0"),
        ("ZRANK", order, "m"),
        ("ZREM", order, "m"),
        ("SADD", unread, "m"),
        ("SCARD", unread),
        ("SISMEMBER", unread, "m"),
        ("SREM", unread, "m"),
        ("XADD", changes, "*", "c", ""),
        ("XRANGE", changes, "-", "+"),
        ("XREVRANGE", changes, "+", "-"),
        ("EXPIRE", unread, "1"),
        ("DEL", unread),
    ):
        yield Right(command, place)
    yield Right(("TIME",))
    live, channels = live_channel(policy.prefix, _USER), f"&{policy.prefix}inbox:*"
    yield from (Right(("PUBLISH", live, ""), channels), Right(("SUBSCRIBE", live), channels))
    yield Right(("UNSUBSCRIBE",))


def check(url: str, wanted: Sequence[Right] = (), timeout_s: float = 2.0) -> list[str]:
    """Say what is wrong with a Redis that is to hold the ledger, each problem with its cure.

    Stores nothing: a script asks Redis for the rights of its user. Redis before 7 cannot be asked.
    """
    try:
        with redis.Redis.from_url(url, socket_timeout=timeout_s, socket_connect_timeout=timeout_s) as client:
            client.ping()
            return [*_missing(client, wanted), *_settings(client)]
    except AuthenticationError:
        return ["Redis refuses the login: check user and password in TOCSIN_REDIS"]
    except NoPermissionError as error:
        return [_refused(error)]
    except (RedisError, OSError) as error:
        return [f"Redis does not answer ({type(error).__name__}): check TOCSIN_REDIS"]


def _missing(client: redis.Redis, wanted: Sequence[Right]) -> list[str]:
    try:
        numbers = client.eval(_MISSING, 0, msgspec.msgpack.encode([right.command for right in wanted]))
    except NoPermissionError as error:
        return [_refused(error)]
    lacking = [str(wanted[number - 1]) for number in numbers]
    return [
        f"Redis denies the user of TOCSIN_REDIS a right: grant it `{right}` (ACL SETUSER)"
        for right in lacking
    ]


def _settings(client: redis.Redis) -> list[str]:
    try:
        found = client.info("persistence") | client.info("memory")
    except NoPermissionError as error:
        return [_refused(error)]
    problems = []
    if not int(found.get("aof_enabled", 0)):
        problems.append("Redis has no append-only file: a crash forgets sends; set appendonly yes")
    eviction = found.get("maxmemory_policy", "")
    if eviction != "noeviction":
        problems.append(f"Redis may evict the ledger ({eviction}): set maxmemory-policy noeviction")
    return problems


def _refused(error: NoPermissionError) -> str:
    return f"Redis denies the user of TOCSIN_REDIS a right ({error}): grant it (ACL SETUSER)"

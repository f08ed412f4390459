"""What a Redis must be and allow so that Tocsin can work with it."""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import msgspec
import redis
from redis.exceptions import AuthenticationError, NoPermissionError, RedisError

from tocsin.delivery.ledger import version_key
from tocsin.providers.apple_token import KEY_PREFIX
from tocsin.providers.inbox import InboxPolicy, live_channel, user_keys

_USER = "default/check"
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


def rights(prefix: str, inboxes: Sequence[InboxPolicy] = (), *, shares_tokens: bool = False) -> list[Right]:
    """List what the processes of Tocsin do with Redis.

    Args:
        prefix: put before the keys of the ledger and of profile versions.
        inboxes: policies of the in-app accounts.
        shares_tokens: whether provider tokens of Apple are shared.
    """
    found = [Right(("EVALSHA", "", "0")), Right(("SCRIPT", "LOAD", ""))]
    found += _of_string(f"{prefix}ledger:check", f"~{prefix}ledger:*")
    found += _of_string(version_key(prefix, _USER), f"~{prefix}version:*")
    if shares_tokens:
        found += _of_string(f"{KEY_PREFIX}check", f"~{KEY_PREFIX}*")
    return found + [right for policy in inboxes for right in _of_inbox(policy)]


def _of_string(key: str, place: str) -> list[Right]:
    return [Right(("GET", key), place), Right(("SET", key, "", "EX", "1"), place)]


def _of_inbox(policy: InboxPolicy) -> Iterator[Right]:
    order, entries, unread = user_keys(policy.prefix, _USER)
    place = f"~{policy.prefix}inbox:*"
    for command in (
        ("HSETNX", entries, "m", ""),
        ("HEXISTS", entries, "m"),
        ("HMGET", entries, "m"),
        ("HDEL", entries, "m"),
        ("ZADD", order, "1", "m"),
        ("ZRANGE", order, "0", "1"),
        ("ZREVRANGE", order, "0", "1"),
        ("ZREM", order, "m"),
        ("SADD", unread, "m"),
        ("SCARD", unread),
        ("SMEMBERS", unread),
        ("SMISMEMBER", unread, "m"),
        ("SREM", unread, "m"),
        ("EXPIRE", unread, "1"),
        ("DEL", unread),
    ):
        yield Right(command, place)
    yield from (Right(("MULTI",)), Right(("EXEC",)))
    live, channels = live_channel(policy.prefix, _USER), f"&{policy.prefix}inbox:*"
    yield from (Right(("PUBLISH", live, ""), channels), Right(("SUBSCRIBE", live), channels))


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

"""The send ledger in Redis: what was handed to a provider, so that a crash repeats words, not sends.

One string a message, `<prefix>ledger:<message id>`. Before a provider is called the message is claimed;
afterwards the attempt or the end is written with everything it put out. Whoever reads the same record again
gets those outputs back. The claim also reads the user's profile version, in the same round trip (law 3).

States: (none) ─claim► C claimed ─record► W waiting for its next attempt ─claim► C …  ─finish► D or H
D is final for the message. H is handed back to the gate: the same *pass* (one admission by the gate) has
ended, a later pass goes on. A `C` of another incarnation was open at a crash: it may have been sent.

Beside a user stands the profile's version, or `<version>/<ms>` once the user was erased: what was decided
before that moment is stale too, whatever a later profile's version (`tocsin.delivery.versions` writes them).

A replay names the message that must not have been sent (`Message.unless_sent`). The claim looks at it in the
same round trip: if it was sent, or is just being sent, the replay is done before it began. A replay that is
sent leaves `D` without outputs at that message, so that neither it nor another replay sends it once more.

A call goes out at once where no other is out. Those that come meanwhile share the next script call, on one
connection: the more come, the more share one.
"""

import asyncio
import logging
from collections import deque
from collections.abc import Sequence
from functools import lru_cache
from typing import Literal

import msgspec
import redis.asyncio
from redis.exceptions import NoScriptError, RedisError, ResponseError

from tocsin.delivery.claim import Claim, ClaimResult, Output, is_sent
from tocsin.delivery.redis_client import open_client
from tocsin.delivery.redis_wire import RedisWire
from tocsin.model.message import Message

_log = logging.getLogger(__name__)

_OWNER, _PASS = 16, 20
_HEADER = 2 + _OWNER + _PASS  # state, unknown flag, owner, pass; then the body in MessagePack

# One argument for all operations keeps the client's packing small (measured: 28 of 100 us a message), at the
# price of keys that are not declared: one Redis, not a cluster. ARGV: owner, ttl_s, operations in MessagePack
# (Lua's reader knows no binary type), their values end to end, a body without outputs (three bytes).
_SCRIPT = """
local owner, ttl, NOTHING = ARGV[1], ARGV[2], ARGV[5]
local function is_stale(known, version, decided)
  local newest, erased = string.match(known, '^(%d+)/?(%d*)$')
  if not newest then return true end
  if tonumber(newest) > version then return true end
  erased = tonumber(erased) or -1
  return decided < erased or (decided == erased and version > 0)
end
local function is_taken(first)
  local state = string.sub(first, 1, 1)
  if state == 'C' or state == 'W' then return true end
  if state ~= 'D' then return false end
  return #first == 41 or string.find(first, '"status":"sent"', 39, true)
    or string.find(first, '"reason":"already_sent"', 39, true)
end
local function claim(key, version_key, mode, pass, version, body, first_key)
  local now = redis.call('GET', key)
  local state, flag, same = '', '0', false
  if now then
    state, flag = string.sub(now, 1, 1), string.sub(now, 2, 2)
    local stored = string.sub(now, 19, 38)
    same = pass == stored
    if state == 'D' or (state == 'H' and same) then return 'D' .. now end
    if pass < stored then return 'O' end
    if state == 'C' and string.sub(now, 3, 18) ~= owner then
      if same then return 'U' .. now end
      flag = '1'
    end
  elseif first_key ~= '' then
    local first = redis.call('GET', first_key)
    if first and is_taken(first) then return 'DD0' .. owner .. pass .. NOTHING end
    if first then flag = string.sub(first, 2, 2) end
  end
  local known = redis.call('GET', version_key)
  if known and is_stale(known, version, tonumber(string.sub(pass, 5), 16)) then
    return 'S' .. (same and now or '')
  end
  local value = flag .. owner .. pass .. (same and string.sub(now, 39) or body)
  if mode == 'claim' then redis.call('SET', key, 'C' .. value, 'EX', ttl) end
  return (now or flag == '1') and ('W' .. 'C' .. value) or 'F'
end
local replies, at = {}, 1
for i, call in ipairs(cmsgpack.unpack(ARGV[3])) do
  local kind, key, version_key, pass, version, length, first_key = unpack(call)
  local value = string.sub(ARGV[4], at, at + length - 1)
  at = at + length
  if kind == 'write' then
    redis.call('SET', key, value, 'EX', ttl)
    replies[i] = ''
  else
    replies[i] = claim(key, version_key, kind, pass, version, value, first_key)
  end
end
return replies
"""


class _Body(msgspec.Struct, array_like=True, frozen=True, gc=False):
    attempt: int
    outputs: tuple[Output, ...] = ()


class LedgerPolicy(msgspec.Struct, frozen=True):
    """How the ledger is kept.

    Attributes:
        url: Redis URL.
        prefix: put before every key.
        ttl_s: how long a message is remembered; longer than the last retry takes.
        without_redis: Redis away: `wait`, or `send` without the ledger (a crash then may double sends).
        timeout_s: no answer for this long means that Redis is away.
        catch_up: writes kept for later with `send`; the oldest go first.
    """

    url: str
    prefix: str = "tocsin:"
    ttl_s: int = 3 * 86_400
    without_redis: Literal["wait", "send"] = "wait"
    timeout_s: float = 2.0
    catch_up: int = 100_000


_Args = tuple[str, str, str, str, int, int, str]
"""Kind, key, version key, pass, version, length of the value, key of what must not have been sent.

A write needs a key and a length only.
"""


class _Call(msgspec.Struct, frozen=True):
    args: _Args
    value: bytes
    reply: asyncio.Future[bytes]


_BATCH = 512
_PAUSES_S = (0.05, 0.1, 0.2, 0.5, 1.0)
_encode = msgspec.msgpack.Encoder().encode
_bodies = msgspec.msgpack.Decoder(_Body)


class Ledger:
    """Claims and writes, gathered into script calls; all methods but `away` run on the runtime's loop.

    Guarantees: a write is acknowledged before its call returns, except under `without_redis="send"` while
    Redis is away. Calls are sent in order, again and again until Redis answers: claim and write may both be
    repeated, since a claim of the same incarnation is not an open one. No call raises for Redis being away.
    """

    def __init__(self, policy: LedgerPolicy, incarnation: str) -> None:
        """Name the process's incarnation with 16 characters that no other start ever had."""
        if len(incarnation) != _OWNER or not incarnation.isascii():
            msg = f"an incarnation is named by {_OWNER} ASCII characters"
            raise ValueError(msg)
        self._policy = policy
        self._owner = incarnation
        self._wire = RedisWire(policy.url, timeout_s=policy.timeout_s)
        self._calls: deque[_Call] = deque()
        self._flusher: asyncio.Task[None] | None = None
        self._key = f"{policy.prefix}ledger:"
        self._version_key = version_key(policy.prefix, "")
        self._sha = b""
        self.up = True

    @property
    def away(self) -> bool:
        """Whether messages must wait for Redis now (read from any thread)."""
        return not self.up and self._policy.without_redis == "wait"

    async def claim(self, message: Message, *, only_look: bool = False) -> Claim:
        """Claim a message before its next attempt.

        Args:
            message: as its record holds it: attempt and decision time name the pass.
            only_look: answer the same, but leave no open claim, since no provider will be called.
        """
        profile = f"{self._version_key}{message.tenant}/{message.user}"
        kind, admission = "look" if only_look else "claim", _pass_of(message)
        first, key = _first_body(message.attempt), self._key + message.message_id
        before = self._key + message.unless_sent if message.unless_sent else ""
        args = (kind, key, profile, admission, message.profile_version, len(first), before)
        return _read_claim(await self._call(args, first), message.attempt)

    async def record(
        self, message: Message, attempt: int, outputs: Sequence[Output], *, unknown: bool
    ) -> None:
        """Write what an attempt put out; `attempt` is the number of the next one."""
        await self._write("W", message, _Body(attempt, tuple(outputs)), unknown)

    async def finish(
        self, message: Message, attempt: int, outputs: Sequence[Output], *, returned: bool, unknown: bool
    ) -> None:
        """Write the end: of the message, or of this pass if it returned to the gate."""
        if message.unless_sent and is_sent(outputs):
            self._write("D", message, _Body(1), unknown=False, key=message.unless_sent)
        await self._write("H" if returned else "D", message, _Body(attempt, tuple(outputs)), unknown)

    async def close(self) -> None:
        """Give the connection back."""
        if self._flusher is not None:
            self._flusher.cancel()
        self._wire.close()

    def _write(
        self, state: str, message: Message, body: _Body, unknown: bool, key: str = ""
    ) -> "asyncio.Future[bytes]":
        header = f"{state}{int(unknown)}{self._owner}{_pass_of(message)}"
        value = header.encode() + _encode(body)
        return self._call(
            ("write", self._key + (key or message.message_id), "", "", 0, len(value), ""), value
        )

    def _call(self, args: _Args, value: bytes) -> "asyncio.Future[bytes]":
        loop = asyncio.get_running_loop()
        reply: asyncio.Future[bytes] = loop.create_future()
        self._calls.append(_Call(args, value, reply))
        if self._flusher is None:
            self._flusher = loop.create_task(self._flush())
        if not self.up:
            self._let_go()
        return reply

    async def _flush(self) -> None:
        tries = 0
        try:
            while self._calls:
                tries = 0 if await self._send() else tries + 1
                if tries:
                    await asyncio.sleep(_PAUSES_S[min(tries, len(_PAUSES_S)) - 1])
        finally:
            self._flusher = None

    async def _send(self) -> bool:
        batch = [self._calls.popleft() for _ in range(min(_BATCH, len(self._calls)))]
        try:
            replies = await self._evaluate(batch)
        except (RedisError, OSError, TimeoutError) as error:
            self._calls.extendleft(reversed(batch))
            self._set_up(False, _cause(error))
            self._let_go()
            return False
        self._set_up(True)
        for call, reply in zip(batch, replies, strict=True):
            if not call.reply.done():
                call.reply.set_result(reply)
        return True

    async def _evaluate(self, batch: list[_Call]) -> list[bytes]:
        calls = _encode([call.args for call in batch])
        values = b"".join([call.value for call in batch])
        if not self._sha:
            self._sha = await self._wire.ask("SCRIPT", "LOAD", _SCRIPT)
        try:
            replies: list[bytes] = await self._wire.ask(
                "EVALSHA", self._sha, 0, self._owner, self._policy.ttl_s, calls, values, _first_body(1)
            )
        except NoScriptError:  # Redis was restarted or flushed its scripts
            self._sha = b""
            return await self._evaluate(batch)
        return replies

    def _set_up(self, up: bool, why: str = "") -> None:
        if up is not self.up:
            self.up = up
            _log.warning("the send ledger's Redis is %s", "back" if up else f"away ({why})")

    def _let_go(self) -> None:
        """With `send`: answer everybody now; claims are forgotten, writes kept to catch up."""
        if self._policy.without_redis == "wait":
            return
        for call in self._calls:
            if not call.reply.done():
                call.reply.set_result(b"" if call.args[0] == "write" else b"F")
        writes = [call for call in self._calls if call.args[0] == "write"]
        self._calls = deque(writes, maxlen=self._policy.catch_up)


def _cause(error: Exception) -> str:
    """Say why Redis cannot serve; what it refuses (`OOM`, `MISCONF`) it says itself, in one line."""
    said = str(error).splitlines()[:1] if isinstance(error, ResponseError) else []
    return " ".join([type(error).__name__, *said])[:200]


@lru_cache(64)
def _first_body(attempt: int) -> bytes:
    return _encode(_Body(attempt))


@lru_cache(64)
def _fresh(attempt: int) -> Claim:
    return Claim(ClaimResult.FRESH, attempt)


def _read_claim(reply: bytes, attempt: int) -> Claim:
    if reply == b"F":  # as nearly every claim is
        return _fresh(attempt)
    result, value = ClaimResult(reply[:1].decode()), reply[1:]
    if not value:
        return Claim(result, attempt)
    body = _bodies.decode(value[_HEADER:])
    return Claim(result, body.attempt, body.outputs, value[1:2] == b"1")


def _pass_of(message: Message) -> str:
    """Name one admission by the gate, such that later ones compare greater.

    A stale message that the gate admits again may have the same name: a stale answer writes nothing.
    """
    return f"{min(message.attempt, 0xFFFF):04x}{message.decided_ms:016x}"


def ledger_key(prefix: str, message_id: str) -> str:
    """Key under which a message stands."""
    return f"{prefix}ledger:{message_id}"


def outcomes_of(value: bytes) -> list[bytes]:
    """Return the outcomes that a message's entry holds, each as its record's value."""
    try:
        outputs = _bodies.decode(value[_HEADER:]).outputs
    except msgspec.MsgspecError:
        return []
    return [written for kind, written, _ in outputs if kind == "o"]


def version_key(prefix: str, user_key: str) -> str:
    """Key under which a user's profile version stands."""
    return f"{prefix}version:{user_key}"


def connect(policy: LedgerPolicy) -> redis.asyncio.Redis:
    """Make a client; its callers repeat what failed, and know when."""
    return open_client(policy.url, timeout_s=policy.timeout_s, max_connections=2)

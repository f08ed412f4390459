"""The token buckets of provider accounts in Redis, which all processes lease calls from."""

from redis.asyncio import Redis
from redis.exceptions import NoScriptError, RedisError

from tocsin.delivery.shared_rate import Granted, Wanted
from tocsin.delivery.throttling import LONGEST_PAUSE_MS

# Two more keys are made of the bucket's: the Redis of Tocsin is no cluster. The clock is that of Redis, so
# clocks of machines do not matter. A tenth of the bucket is kept for critical messages, which wait for no
# others. What is there is divided by those who asked lately. Who got nothing stands in a queue, and a call is
# left for each that came earlier. One that does not come again, since it has ended, leaves the queue after
# twice the time that the queue takes, and two seconds.
#
# Beside the declared rate stands the limit that the account showed by answers of 429. Each process reports
# what the account took and refused; each second decides as `tocsin.delivery.ramp` does for one process. One
# answer of 429 begins no limit, since it may be about a device. It counts in later seconds, too, until the
# account takes a message.
#
# The clock of Redis may go back, and a replica that takes over may be behind. So no time that is stored lies
# in the future: a process that asked, or came, at a later time did so now.
_LEASE = """
local declared, burst_ms, asked = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3])
local urgent = ARGV[4] == '1'
local process, queue, lately = ARGV[5], KEYS[1] .. ':waiting', KEYS[1] .. ':asking'
local time = redis.call('TIME')
local now_ms = time[1] * 1000 + time[2] / 1000
local at_ms = string.format('%.3f', now_ms)

local FIELDS = {'taken', 'refused', 'lone', 'short', 'limit', 'safe', 'clean', 'calm', 'step_ms', 'pause_ms'}
local seen, stored = {}, redis.call('HMGET', KEYS[1], unpack(FIELDS))
for i, name in ipairs(FIELDS) do seen[name] = tonumber(stored[i]) or 0 end
if seen.step_ms == 0 or seen.step_ms > now_ms then seen.step_ms = now_ms end  -- the clock went back
seen.pause_ms = math.min(seen.pause_ms, now_ms + ARGV[9])
local step_ms = now_ms - seen.step_ms
if step_ms >= 1000 then
  local took = seen.taken / math.min(step_ms, 2000)
  local refused = seen.refused + (seen.taken > 0 and 0 or seen.lone)
  local doubted = seen.limit > 0 and 0 or 1
  seen.lone = refused <= doubted and seen.taken == 0 and refused or 0
  if refused > math.max(doubted, 0.05 * (seen.taken + refused)) then
    local lower = seen.limit > 0 and math.min(took, seen.limit) or took
    if lower == 0 then lower = seen.limit / 2 end
    seen.limit, seen.calm = math.max(lower, 0.001), 0
    if took > 0 then seen.safe = took end
    seen.clean = 0
  elseif seen.limit > 0 and seen.short > 0 then
    local more = 2 * seen.limit
    if seen.safe > 0 and more > seen.safe then
      local above = seen.refused == 0 and seen.limit >= seen.safe
      local doublings = above and seen.clean or 0
      more = math.max(seen.safe, math.min(2, 1 + 0.05 * 2 ^ doublings) * seen.limit)
      seen.clean = above and math.min(doublings + 1, 10) or 0
    end
    seen.limit, seen.calm = more, 0
  elseif seen.limit > 0 then
    seen.calm = seen.calm + math.floor(step_ms / 1000)
  end
  if seen.calm >= 5 or (declared > 0 and seen.limit >= declared) then
    seen.limit, seen.safe, seen.clean, seen.calm = 0, 0, 0, 0
  end
  seen.taken, seen.refused, seen.short, seen.step_ms = 0, 0, 0, now_ms
end
seen.taken, seen.refused = seen.taken + ARGV[6], seen.refused + ARGV[7]
if tonumber(ARGV[8]) > 0 then seen.pause_ms = math.max(seen.pause_ms, now_ms + ARGV[8]) end

local per_ms = declared
if seen.limit > 0 and (declared == 0 or seen.limit < declared) then per_ms = seen.limit end
local pause_ms = math.ceil(math.max(0, seen.pause_ms - now_ms))
local function store()
  local values = {}
  for _, name in ipairs(FIELDS) do
    values[#values + 1], values[#values + 2] = name, string.format('%.6f', seen[name])
  end
  redis.call('HSET', KEYS[1], unpack(values))
end
local function answer(calls, wait_ms)  -- the limit is rounded as in store(): all processes are told the same
  return {calls, wait_ms, math.floor(seen.limit * 1000000 + 0.5), pause_ms}
end
if asked == 0 or per_ms == 0 or pause_ms > 0 then
  store()
  local full_ms = per_ms == 0 and 0 or burst_ms + (3 + 2 * redis.call('ZCARD', queue)) / per_ms
  redis.call('PEXPIRE', KEYS[1], math.ceil(62000 + pause_ms + full_ms))
  return answer(0, pause_ms)
end

local burst = math.max(1, per_ms * burst_ms)
local held = redis.call('HMGET', KEYS[1], 'tokens', 'at_ms')
local passed_ms = math.max(0, now_ms - (held[2] or now_ms))
local tokens = math.min(burst, (held[1] or burst) + passed_ms * per_ms)
for _, key in ipairs({queue, lately}) do
  for _, name in ipairs(redis.call('ZRANGEBYSCORE', key, '(' .. at_ms, '+inf')) do
    redis.call('ZADD', key, at_ms, name)
  end
end
redis.call('ZADD', lately, at_ms, process)
local lately_ms = 250 + 2 * redis.call('ZCARD', lately) / per_ms
redis.call('ZREMRANGEBYSCORE', lately, '-inf', now_ms - lately_ms)
local lost_ms = 2000 + 2 * (redis.call('ZCARD', queue) + 1) / per_ms
redis.call('ZREMRANGEBYSCORE', queue, '-inf', now_ms - lost_ms)
local before = urgent and 0 or redis.call('ZRANK', queue, process) or redis.call('ZCARD', queue)
local kept = (urgent or burst < 2) and 0 or burst * 0.1
local there = math.floor(tokens - kept - before + 1e-6)
local calls = math.max(0, math.min(asked, math.ceil(there / redis.call('ZCARD', lately))))
redis.call('HSET', KEYS[1], 'tokens', string.format('%.6f', tokens - calls), 'at_ms', at_ms)
if calls > 0 then
  redis.call('ZREM', queue, process)
else
  redis.call('ZADD', queue, 'NX', at_ms, process)
end
if calls < asked then seen.short = 1 end
store()
for _, key in ipairs({KEYS[1], queue, lately}) do
  redis.call('PEXPIRE', key, math.ceil(burst / per_ms + lost_ms) + 60000)
end
return answer(calls, calls > 0 and 0 or math.ceil((1 + before + kept - tokens) / per_ms))
"""
_BURST_S = 0.1


def bucket_key(prefix: str, account: str) -> str:
    """Return the key of an account's bucket."""
    return f"{prefix}rate:{account}"


class RateBuckets:
    """Leases calls from the buckets; runs on the runtime's loop.

    A bucket fills at the account's rate, up to `burst_s` seconds' calls (at least one).

    Args:
        redis: a client of ours.
        prefix: put before every key.
        process: names this process among those that share the buckets.
        burst_s: seconds whose calls a bucket holds.
    """

    def __init__(self, redis: Redis, prefix: str, process: str, burst_s: float = _BURST_S) -> None:
        self._redis = redis
        self._prefix = prefix
        self._process = process
        self._burst_s = burst_s
        self._sha = ""

    async def lease(self, wanted: Wanted) -> Granted:
        """Ask the bucket once. Redis away is an answer, too."""
        try:
            calls, wait_ms, limit, pause_ms = await self._ask(wanted)
        except (RedisError, OSError):
            return self.lost(wanted)
        return Granted(wanted.account, int(calls), int(wait_ms), limit / 1_000, int(pause_ms))

    def lost(self, wanted: Wanted) -> Granted:
        """Return the answer that none came."""
        return Granted(wanted.account, -1)

    async def _ask(self, wanted: Wanted) -> list[int]:
        told = (wanted.taken, wanted.refused, wanted.pause_ms)
        bounds = (wanted.per_s / 1_000, self._burst_s * 1_000, wanted.calls, int(wanted.urgent))
        args = (*bounds, self._process, *told, LONGEST_PAUSE_MS)
        key = bucket_key(self._prefix, wanted.account)
        for _ in range(2):
            if not self._sha:
                self._sha = await self._redis.script_load(_LEASE)
            try:
                answer: list[int] = await self._redis.evalsha(self._sha, 1, key, *args)
            except NoScriptError:
                self._sha = ""  # Redis has started anew
            else:
                return answer
        raise RedisError

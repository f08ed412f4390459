"""What processes learn from answers of 429: the limit and the pause of an account hold for all of them."""

from itertools import pairwise

import pytest
from redis.asyncio import Redis

from tocsin.delivery.rate import UNLIMITED
from tocsin.delivery.rate_bucket import RateBuckets, bucket_key
from tocsin.delivery.redis_client import open_client
from tocsin.delivery.shared_rate import Granted, SharedRate, Wanted
from tocsin.delivery.throttling import LONGEST_PAUSE_MS, USERS, Throttling

A = "main"
ASK = Wanted(A, 0, 100, urgent=False)
REPORT = ASK._replace(calls=0)


async def age(redis: Redis, ms: int = 1_000) -> None:
    """Let the step that counts answers be so old."""
    seconds, micros = await redis.time()
    await redis.hset(bucket_key("t:", A), "step_ms", str(seconds * 1_000 + micros / 1_000 - ms))


def test_one_recipient_slows_nobody_down() -> None:
    seen = Throttling()
    for _ in range(USERS):
        seen.throttled("ann", 60)
    assert seen.pause_ms == 0, "it is about a device"
    for user in ("bob", "cem", "dan"):
        seen.throttled(user, 60)
    seen.took()
    seen.throttled("eve", 60)
    assert seen.pause_ms == 0, "the account took a message meanwhile"


def test_a_pause_is_bounded_and_reported_once() -> None:
    seen = Throttling()
    for number in range(USERS):
        seen.throttled(f"u{number}", 86_400)
    assert (seen.refused, seen.pause_ms) == (USERS, LONGEST_PAUSE_MS)
    seen.reported(0)
    assert (seen.refused, seen.pause_ms, seen.due(10_000)) == (0, 0, False)


def test_an_account_without_a_rate_is_unlimited_until_it_showed_one() -> None:
    rate = SharedRate(A, 0)
    assert rate.free(0) == UNLIMITED
    assert rate.ask(0) is None, "nothing to tell"
    rate.took()
    assert rate.ask(300) == REPORT._replace(taken=1), "so that Redis knows what the account takes"
    rate.granted(Granted(A, 0, 0, limit_per_s=20), 300)
    assert rate.free(400) == 0
    rate.waits(urgent=False)
    assert rate.ask(400) == ASK._replace(calls=1)
    rate.granted(Granted(A, 1, 0, limit_per_s=20), 400)
    assert rate.free(400) == 1
    rate.take()
    rate.waits(urgent=False)
    assert rate.ask(430) == ASK._replace(calls=2), "a tenth of a second of the limit, at most"
    rate.granted(Granted(A, -1), 430)
    assert rate.free(430) == UNLIMITED, "a lost Redis stops no send"


def test_a_pause_holds_here_at_once_and_ends() -> None:
    rate = SharedRate(A, 100)
    rate.waits(urgent=False)
    rate.ask(0)
    rate.granted(Granted(A, 10), 0)
    for number in range(USERS):
        rate.throttled(f"u{number}", 0.5, now_ms=10)
    assert (rate.free(509), rate.due_ms(20)) == (0, 510)
    told = rate.ask(30)
    assert told == Wanted(A, 100, 0, urgent=False, refused=USERS, pause_ms=500)
    rate.granted(Granted(A, 0, 480, pause_ms=480), 30)
    assert (rate.free(509), rate.free(510)) == (0, 10)


async def test_what_one_process_is_refused_limits_all(redis_db: str) -> None:
    async with open_client(redis_db) as redis:
        one, other = (RateBuckets(redis, "t:", name) for name in "ab")
        assert (await other.lease(REPORT._replace(taken=10))).limit_per_s == 0
        await one.lease(REPORT._replace(taken=20, refused=15))
        await age(redis)
        got = await other.lease(ASK)
        assert 15 <= got.limit_per_s <= 30.1, "what both were taken in a second, or two on a slow machine"
        assert 1 <= got.calls <= 2, "a tenth of a second's calls, less what is kept for critical ones"
        async with open_client(redis_db) as late:
            started = await RateBuckets(late, "t:", "c").lease(REPORT)
            assert started.limit_per_s == got.limit_per_s, "also a process that has started since"


async def test_the_limit_grows_while_messages_wait_and_is_lifted_when_none_do(redis_db: str) -> None:
    async with open_client(redis_db) as redis:
        buckets, limits = RateBuckets(redis, "t:", "a"), list[float]()
        await buckets.lease(REPORT._replace(taken=40, refused=20))
        await age(redis)
        limits.append((await buckets.lease(ASK)).limit_per_s)
        await buckets.lease(REPORT._replace(taken=5, refused=10))
        for _ in range(6):
            await age(redis)
            limits.append((await buckets.lease(ASK)).limit_per_s)
        first, fallen, *grown = limits
        assert 20 <= first <= 40.1
        assert 2 <= fallen <= 5.1
        steps = [after / before for before, after in pairwise([fallen, *grown])]
        wanted = [1.05, 1.1, 1.2, 1.4, 1.8]
        assert steps == pytest.approx(wanted, abs=0.002), "it creeps from what was taken, faster without 429"
        for _ in range(6):
            await age(redis)
            last = await buckets.lease(REPORT)
        assert last.limit_per_s == 0


async def test_a_declared_rate_is_the_bound_of_what_is_learned(redis_db: str) -> None:
    async with open_client(redis_db) as redis:
        buckets, ask = RateBuckets(redis, "t:", "a"), ASK._replace(per_s=50.0)
        await redis.hset(bucket_key("t:", A), mapping={"limit": "0.049", "safe": "0.049", "short": "1"})
        assert (await buckets.lease(ask)).limit_per_s == 49
        await age(redis)
        assert (await buckets.lease(ask)).limit_per_s == 0, "it would be faster than that"


async def test_all_processes_are_told_the_same_limit(redis_db: str) -> None:
    async with open_client(redis_db) as redis:
        await redis.hset(bucket_key("t:", A), "limit", "0.0299890001")
        told = [(await RateBuckets(redis, "t:", name).lease(REPORT)).limit_per_s for name in "ab"]
        assert told == [29.989, 29.989], "the first one is told what is stored"


async def test_a_pause_that_one_process_was_asked_for_stops_all(redis_db: str) -> None:
    async with open_client(redis_db) as redis:
        one, other = (RateBuckets(redis, "t:", name) for name in "ab")
        ask = ASK._replace(per_s=100.0)
        await one.lease(ask._replace(calls=0, refused=5, pause_ms=20_000))
        got = await other.lease(ask)
        assert (got.calls, got.wait_ms == got.pause_ms) == (0, True)
        assert 10_000 < got.pause_ms <= 20_000
        await redis.hset(bucket_key("t:", A), "pause_ms", "1")
        assert (await other.lease(ask)).calls > 0, "it is over"


async def test_a_clock_of_redis_that_goes_back_makes_no_pause_longer(redis_db: str) -> None:
    """Also a replica that takes over may be behind."""
    async with open_client(redis_db) as redis:
        buckets = RateBuckets(redis, "t:", "a")
        await buckets.lease(REPORT._replace(taken=10, refused=15, pause_ms=20_000))
        ahead_ms = (await redis.time())[0] * 1_000 + 3_600_000
        ahead = str(ahead_ms)
        await redis.hset(bucket_key("t:", A), mapping={"step_ms": ahead, "pause_ms": ahead})
        assert (await buckets.lease(ASK)).pause_ms <= LONGEST_PAUSE_MS
        await redis.hset(bucket_key("t:", A), "pause_ms", "1")
        step_ms = float(await redis.hget(bucket_key("t:", A), "step_ms") or 0)
        assert step_ms < ahead_ms - 3_000_000, "what is learned does not wait for the hour to pass"


async def test_one_answer_of_429_in_a_second_limits_no_other_process(redis_db: str) -> None:
    """An account that is hardly used has no other answers: one device slowed all to a call a second."""
    async with open_client(redis_db) as redis:
        one, other = (RateBuckets(redis, "t:", name) for name in "ab")
        await one.lease(REPORT._replace(refused=1))
        await age(redis)
        assert (await other.lease(ASK)).limit_per_s == 0
        await one.lease(REPORT._replace(refused=2))
        await age(redis)
        assert (await other.lease(ASK)).limit_per_s == 1


async def test_lone_answers_of_429_limit_all_if_the_account_takes_nothing_between(redis_db: str) -> None:
    async with open_client(redis_db) as redis:
        buckets = RateBuckets(redis, "t:", "a")
        limits = list[float]()
        for taken, refused in ((0, 1), (1, 1), (0, 1), (0, 1), (0, 0)):
            limits.append((await buckets.lease(REPORT._replace(taken=taken, refused=refused))).limit_per_s)
            await age(redis)
        assert limits == [0, 0, 0, 0, 1], "it took a message with the second one"


async def test_a_clock_of_redis_that_goes_back_keeps_nobodys_calls(redis_db: str) -> None:
    """Who asked or came before the clock went back, and has ended since, must not be left a call for ever."""
    keys = [f"{bucket_key('t:', A)}:{name}" for name in ("waiting", "asking")]
    async with open_client(redis_db) as redis:
        ahead_ms = (await redis.time())[0] * 1_000 + 3_600_000
        for key in keys:
            await redis.zadd(key, {f"ended-{number}": ahead_ms for number in range(20)})
        await RateBuckets(redis, "t:", "a").lease(ASK._replace(per_s=100.0))
        for key in keys:
            assert await redis.zcount(key, 0, ahead_ms - 3_000_000) > 0
            assert await redis.zcount(key, ahead_ms - 3_000_000, "+inf") == 0

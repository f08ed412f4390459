"""A rate that processes share: together they never start more than the account allows, and nobody starves."""

import asyncio
from collections import Counter
from math import ceil, floor

from hypothesis import given, settings
from hypothesis import strategies as st

from tests.clock import ManualClock
from tests.providers.valkey import OwnValkey
from tocsin.delivery.rate_bucket import RateBuckets, bucket_key
from tocsin.delivery.redis_client import open_client
from tocsin.delivery.shared_rate import LEASE_MS, Granted, SharedRate, Wanted

A = "main"


class Bucket:
    """What the script in Redis does, in Python, by a manual clock."""

    def __init__(self, per_s: float) -> None:
        self.per_ms, self.burst = per_s / 1_000, max(1.0, per_s / 10)
        self.tokens, self.at_ms = self.burst, 0.0
        self.asked = 0
        self.queue: list[int] = []
        self.seen: dict[int, float] = {}

    def lease(self, wanted: Wanted, now_ms: float, process: int) -> Granted:
        self.asked += 1
        self.tokens = min(self.burst, self.tokens + (now_ms - self.at_ms) * self.per_ms)
        self.at_ms = now_ms
        kept = 0 if wanted.urgent or self.burst < 2 else self.burst / 10
        before = self.queue.index(process) if process in self.queue else len(self.queue)
        there = floor(self.tokens - kept - before + 1e-6)
        self.seen[process] = now_ms
        recent_ms = 250 + 2 * len(self.seen) / self.per_ms
        self.seen = {each: at_ms for each, at_ms in self.seen.items() if at_ms >= now_ms - recent_ms}
        calls = max(0, min(wanted.calls, ceil(there / len(self.seen))))
        self.tokens -= calls
        if calls:
            self.queue = [each for each in self.queue if each != process]
            return Granted(A, calls)
        if process not in self.queue:
            self.queue.append(process)
        return Granted(A, 0, ceil((1 + before + kept - self.tokens) / self.per_ms))


def run(
    rates: list[SharedRate], bucket: Bucket, until_ms: int, arrivals: dict[int, list[int]]
) -> list[tuple[int, int]]:
    """Let messages of processes arrive, by millisecond; tell when which process started one."""
    waiting, started = Counter[int](), list[tuple[int, int]]()
    for now_ms in range(until_ms):
        for process in arrivals.get(now_ms, ()):
            waiting[process] += 1
        for process, rate in enumerate(rates):
            while waiting[process] and rate.free(now_ms):
                rate.take()
                waiting[process] -= 1
                started.append((now_ms, process))
            if waiting[process]:
                rate.waits(urgent=False)
            if (wanted := rate.ask(now_ms)) is not None:
                rate.granted(bucket.lease(wanted, now_ms, process), now_ms)
    return started


@settings(max_examples=40)
@given(
    per_s=st.sampled_from([0.5, 1, 7, 10, 60, 500]),
    processes=st.integers(1, 5),
    moments=st.lists(st.tuples(st.integers(0, 2_900), st.integers(0, 4), st.integers(1, 80)), max_size=20),
)
def test_processes_together_stay_within_the_rate(
    per_s: float, processes: int, moments: list[tuple[int, int, int]]
) -> None:
    arrivals: dict[int, list[int]] = {}
    for at_ms, process, count in moments:
        arrivals.setdefault(at_ms, []).extend([process % processes] * count)
    rates = [SharedRate(A, per_s) for _ in range(processes)]
    started = run(rates, Bucket(per_s), 3_000, arrivals)
    times = [at_ms for at_ms, _ in started]
    burst = max(1.0, per_s / 10)
    for first, begin_ms in enumerate(times):
        for last in range(first, len(times), 7):  # in any span, also one that begins late
            span_s = (times[last] - begin_ms + LEASE_MS) / 1_000
            assert last - first + 1 <= burst + per_s * span_s + 1e-6


def test_who_waits_all_the_time_gets_a_fair_part_and_the_rate_is_used() -> None:
    rates, bucket = [SharedRate(A, 200) for _ in range(4)], Bucket(200)
    started = run(rates, bucket, 5_000, {0: [0, 1, 2, 3] * 1_000})
    assert len(started) >= 0.9 * 200 * 5
    parts = Counter(process for _, process in started)
    assert min(parts.values()) >= 0.4 * max(parts.values())
    assert bucket.asked < 0.9 * len(started), "not once for each message"


def test_an_idle_process_asks_for_nothing_and_its_lease_ends() -> None:
    rate = SharedRate(A, 100)
    assert rate.ask(0) is None
    rate.waits(urgent=False)
    assert rate.ask(0) == Wanted(A, 100, 1, urgent=False)
    assert rate.ask(1) is None, "it has asked"
    rate.granted(Granted(A, 3), 1)
    assert (rate.free(1), rate.free(LEASE_MS), rate.free(LEASE_MS + 1)) == (3, 3, 0)
    assert rate.ask(LEASE_MS + 2) is None


def test_an_empty_bucket_says_when_to_ask_again() -> None:
    rate = SharedRate(A, 1)
    rate.waits(urgent=True)
    assert rate.ask(5) == Wanted(A, 1, 1, urgent=True)
    rate.granted(Granted(A, 0, 700), 5)
    assert rate.due_ms(10) == 705
    assert rate.ask(704) is None
    assert rate.ask(705) == Wanted(A, 1, 1, urgent=True)


def test_without_the_bucket_a_process_keeps_the_rate_by_itself(clock: ManualClock) -> None:
    rate, now_ms = SharedRate(A, 10), 1_000
    rate.waits(urgent=False)
    wanted = rate.ask(now_ms)
    assert wanted is not None
    rate.granted(Granted(A, -1), now_ms)
    started = 0
    for at_ms in range(now_ms, now_ms + 1_000):
        while rate.free(at_ms):
            rate.take()
            started += 1
    assert started == 10
    assert rate.ask(now_ms + 999) is None
    rate.waits(urgent=False)
    assert rate.ask(now_ms + 1_000) is not None, "it asks the bucket again"


def test_a_redis_that_takes_long_to_say_nothing_leaves_a_process_its_rate() -> None:
    """Each question took five seconds, and the process sent in one second of six."""
    rate, answers, started = SharedRate(A, 10), dict[int, Granted](), 0
    for now_ms in range(0, 60_000, 10):
        rate.waits(urgent=False)
        if rate.ask(now_ms) is not None:
            answers[now_ms + 5_000] = Granted(A, -1)
        if now_ms in answers:
            rate.granted(answers[now_ms], now_ms)
        while rate.free(now_ms):
            rate.take()
            started += 1
    assert 0.95 * 10 * 60 <= started <= 10 * 60 + 1


async def test_the_bucket_in_redis_grants_what_the_account_allows(redis_db: str) -> None:
    async with open_client(redis_db) as redis:
        buckets = RateBuckets(redis, "t:", "p")
        first = await buckets.lease(Wanted(A, 100, 100, urgent=False))
        assert first == Granted(A, 9), "ten, of which one is kept"
        calls = [(await buckets.lease(Wanted(A, 0.001, 9, urgent=False))).calls for _ in range(3)]
        assert calls == [1, 0, 0], "a bucket of one"
        last = await buckets.lease(Wanted(A, 0.001, 9, urgent=False))
        assert 900_000 < last.wait_ms <= 1_000_000
        assert await redis.pttl(bucket_key("t:", A)) > 0


async def test_who_came_first_is_served_first(redis_db: str) -> None:
    async with open_client(redis_db) as redis:
        one, other, third = (RateBuckets(redis, "t:", name) for name in "abc")
        wanted = Wanted(A, 0.01, 1, urgent=False)
        assert (await one.lease(wanted)) == Granted(A, 1)
        assert [(await each.lease(wanted)).calls for each in (other, third, one)] == [0, 0, 0]
        waits = []
        for each in (one, third, other):
            await redis.hset(bucket_key("t:", A), "tokens", "1")
            waits.append((await each.lease(wanted)).calls)
        assert waits == [0, 0, 1]
        await redis.hset(bucket_key("t:", A), "tokens", "1")
        assert [(await each.lease(wanted)).calls for each in (one, third)] == [0, 1]
        critical = await other.lease(wanted._replace(urgent=True))
        assert critical.calls == 0
        await redis.hset(bucket_key("t:", A), "tokens", "1")
        assert (await other.lease(wanted._replace(urgent=True))).calls == 1, "though another waits longer"


async def test_critical_messages_get_what_is_kept_for_them(redis_db: str) -> None:
    async with open_client(redis_db) as redis:
        buckets, slow = RateBuckets(redis, "t:", "p"), 1e-3
        await redis.hset(bucket_key("t:", A), mapping={"tokens": "2", "at_ms": "99999999999999"})
        normal = await buckets.lease(Wanted(A, 200 + slow, 5, urgent=False))
        assert normal.calls == 0, "of a bucket of twenty, two are kept"
        await redis.hset(bucket_key("t:", A), mapping={"tokens": "2", "at_ms": "99999999999999"})
        assert (await buckets.lease(Wanted(A, 200 + slow, 5, urgent=True))).calls == 2


async def test_two_processes_at_once_get_no_more_than_there_is(redis_db: str) -> None:
    async with open_client(redis_db) as one, open_client(redis_db) as other:
        asked = [
            RateBuckets(each, "t:", name).lease(Wanted(A, 0.02, 1, urgent=False))
            for name, each in (("one", one), ("other", other)) * 10
        ]
        assert sum([each.calls for each in await asyncio.gather(*asked)]) == 1


async def test_a_redis_that_lost_its_scripts_or_is_away_stops_nothing(own_valkey: OwnValkey) -> None:
    slow = Wanted(A, 0.001, 1, urgent=False)
    async with open_client(own_valkey.url) as redis:
        buckets = RateBuckets(redis, "t:", "p")
        await buckets.lease(slow)
        await redis.script_flush()
        assert (await buckets.lease(slow)).calls == 0, "asked once more"
    async with open_client("redis://127.0.0.1:9/0", timeout_s=0.2) as nobody:
        away = await RateBuckets(nobody, "t:", "p").lease(Wanted(A, 1, 1, urgent=False))
        assert away == Granted(A, -1)

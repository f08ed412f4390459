"""Two processes that deliver one channel share the rate of an account; a Redis that is away stops neither."""

from collections.abc import Callable

import redis

from tests.operators.delivery import Rig, ScriptedProvider, policy
from tests.providers.messages import message, record
from tests.waiting import PATIENCE_S
from tocsin.delivery.ramp import RampPolicy
from tocsin.delivery.rate_bucket import RateBuckets, bucket_key
from tocsin.delivery.redis_client import open_client
from tocsin.delivery.runtime import Runtime
from tocsin.delivery.throttling import USERS
from tocsin.errors import Throttled
from tocsin.model.raw import RawRecord
from tocsin.providers.base import Limits

Build = Callable[..., Rig]
PER_S, SECONDS, MESSAGES = 40.0, 1.0, 100


def letters(first: int, many: int) -> list[RawRecord]:
    return [record(message(f"u{i}", i), i) for i in range(first, first + many)]


def limited() -> ScriptedProvider:
    provider = ScriptedProvider("main")
    provider.limits = Limits(timeout_s=30, rate_per_s=PER_S)
    return provider


def test_two_processes_stay_within_one_rate_and_both_send(
    rig: Build, redis_db: str, runtime: Runtime
) -> None:
    clients = [open_client(redis_db) for _ in range(2)]
    buckets = [RateBuckets(client, "t:", str(number)) for number, client in enumerate(clients)]
    made = [rig([limited()], buckets=each) for each in buckets]
    for number, each in enumerate(made):
        each.feed(*[record(message(f"u{number}-{i}", 1_000 * number + i), i) for i in range(MESSAGES)])
    began_ms = runtime.monotonic_ms()
    while sum(len(each.acks) for each in made) < PER_S * SECONDS:
        assert runtime.monotonic_ms() - began_ms < PATIENCE_S * 1_000
        for each in made:
            each.run_for(0.002)
    took_s = (runtime.monotonic_ms() - began_ms) / 1_000
    sent = [len(each.acks) for each in made]
    assert sum(sent) <= PER_S / 10 + PER_S * took_s + 1
    assert min(sent) >= 0.2 * max(sent)
    for client in clients:
        runtime.run(client.aclose(), 60)


def test_a_redis_that_is_away_leaves_each_its_own_rate(rig: Build, runtime: Runtime) -> None:
    nobody = open_client("redis://127.0.0.1:9/0", timeout_s=0.2)
    made = rig([limited()], buckets=RateBuckets(nobody, "t:", "a"))
    made.feed(*[record(message(f"u{i}", i), i) for i in range(10)]).until_acked(10)
    runtime.run(nobody.aclose(), 60)


def test_a_limit_that_one_process_learns_holds_for_the_other(
    rig: Build, redis_db: str, runtime: Runtime
) -> None:
    clients = [open_client(redis_db) for _ in range(2)]
    refused, taken = ScriptedProvider("main"), ScriptedProvider("main")
    refused.always = Throttled("slow down")
    one, other = (
        rig([provider], buckets=RateBuckets(client, "t:", str(number)), settings=policy(ramp=RampPolicy()))
        for number, (provider, client) in enumerate(zip((refused, taken), clients, strict=True))
    )
    other.feed(*letters(0, 5)).until_acked(5)
    one.feed(*letters(100, 30))
    key = bucket_key("t:", "main")
    with redis.Redis.from_url(redis_db) as direct:
        one.until(lambda: float(direct.hget(key, "refused") or 0) >= 5)
        direct.hincrbyfloat(key, "step_ms", -1_000)  # the second is over

    def learned() -> bool:
        if other.channel.gauges().held == 0:
            other.feed(*letters(len(taken.calls), 1))
        return other.channel.gauges().limits["main"] > 0

    other.until(learned)
    assert other.stats.results.keys() == {("email", "main", "sent")}, "it was refused nothing itself"
    sent = len(taken.calls)
    other.feed(*letters(10_000, 2_000)).run_for(0.3)
    assert len(taken.calls) - sent < 1_000, "messages wait for the limit of all"
    for client in clients:
        runtime.run(client.aclose(), 60)


def test_a_pause_that_one_process_is_asked_for_holds_for_the_other(
    rig: Build, redis_db: str, runtime: Runtime
) -> None:
    clients = [open_client(redis_db) for _ in range(2)]
    refused, taken = limited(), limited()
    refused.always = Throttled("come back later", retry_after_s=1.0)
    one, other = (
        rig([provider], buckets=RateBuckets(client, "t:", str(number)))
        for number, (provider, client) in enumerate(zip((refused, taken), clients, strict=True))
    )
    one.feed(*[record(message(f"u{i}", i), i) for i in range(USERS)])
    with redis.Redis.from_url(redis_db) as direct:
        one.until(lambda: float(direct.hget(bucket_key("t:", "main"), "pause_ms") or 0) > 0)
    other.feed(record(message("bob", 99), 99)).until_acked(1)
    assert taken.called_s[0] - refused.called_s[USERS - 1] >= 0.9
    for client in clients:
        runtime.run(client.aclose(), 60)

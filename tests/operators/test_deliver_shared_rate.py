"""Two processes that deliver one channel share the rate of an account; a Redis that is away stops neither."""

from collections.abc import Callable, Sequence

import redis

from tests.operators.delivery import Rig, ScriptedProvider, policy
from tests.providers.messages import message, record
from tests.waiting import PATIENCE_S
from tocsin.delivery.breaker import BreakerPolicy
from tocsin.delivery.queue import QueuePolicy
from tocsin.delivery.ramp import RampPolicy
from tocsin.delivery.rate_bucket import RateBuckets, bucket_key
from tocsin.delivery.redis_client import open_client
from tocsin.delivery.runtime import Runtime
from tocsin.delivery.shared_rate import Granted, Wanted
from tocsin.delivery.throttling import USERS
from tocsin.errors import Throttled, Transient
from tocsin.model.message import Message
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


class FullBucket:
    """A bucket that always has what it is asked for."""

    async def lease(self, wanted: Wanted) -> Granted:
        return Granted(wanted.account, wanted.calls)

    def lost(self, wanted: Wanted) -> Granted:
        raise AssertionError(wanted)


MINUTES = policy(breaker=BreakerPolicy(threshold=3, cooldown_ms=60_000, longest_ms=60_000))


def test_an_account_that_was_down_is_probed_also_when_no_new_message_comes(rig: Build) -> None:
    """The probe needs a call of the shared rate, and only a new message asked for one."""
    provider = limited()
    provider.always = Transient("busy")
    made = rig([provider], buckets=FullBucket(), settings=MINUTES).feed(*letters(0, 30)).until_down("main")
    made.run_for(0.1).skip(61)
    provider.always = None
    made.until_acked(30)


def test_a_full_buffer_of_an_account_that_is_down_makes_room_for_one_that_nobody_used_lately(
    rig: Build,
) -> None:
    """Nothing is leased for an account without messages, so it seemed to have no call to spare."""
    down, idle = limited(), ScriptedProvider("idle")
    down.always = Transient("busy")
    idle.limits = Limits(timeout_s=30, rate_per_s=PER_S)

    def providers_for(letter: Message) -> Sequence[ScriptedProvider]:
        return [idle] if letter.tenant == "other" else [down]

    small = policy(queue=QueuePolicy(credits=4, buffered=40), breaker=MINUTES.breaker, return_ms=1_000)
    made = rig(providers_for, buckets=FullBucket(), settings=small)
    made.feed(record(message("ann", 500, tenant="other"), 500)).until_acked(1).run_for(0.1).skip(5)
    made.feed(*letters(0, 40)).until_down("main")
    made.until(lambda: made.channel.allowance("messages.email.now") > 0)
    made.feed(record(message("bob", 501, tenant="other"), 501)).until(lambda: len(idle.taken) == 2)

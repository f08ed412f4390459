"""A message that makes an account say that it does not work, beside messages for which it does."""

import time
from collections.abc import Callable

import pytest

from tests.operators.delivery import QUICK, Rig, ScriptedProvider, policy
from tests.providers.messages import message, record
from tocsin.delivery.attempt import AttemptPolicy
from tocsin.delivery.breaker import BreakerPolicy, BreakerState
from tocsin.delivery.channel import ChannelPolicy
from tocsin.delivery.queue import QueuePolicy
from tocsin.delivery.retry import RetryPolicy
from tocsin.errors import Declined, Misconfigured, RecipientGone, Transient
from tocsin.model import topics
from tocsin.providers.base import Limits

Build = Callable[..., Rig]
NOW = "messages.email.now"
FEW = AttemptPolicy(retry=RetryPolicy(quick_s=(0.02, 0.05), later_s=(), jitter=0))


class Poisoned(ScriptedProvider):
    """An account that works, but not for users whose names begin with what `poison` says."""

    poison = "bad"
    broken = False

    async def _answer(self, user: str) -> None:
        if self.broken or user.startswith(self.poison):
            raise Misconfigured("no permission for the region", code="4711")
        await super()._answer(user)


def bounds(**changes: object) -> ChannelPolicy:
    breaker = BreakerPolicy(cooldown_ms=60, longest_ms=200)
    return policy(**{"attempt": FEW, "breaker": breaker, **changes})


def opened(made: Rig, steps: int, each: Callable[[int], object]) -> int:
    """Count how often the breaker opens while records are fed."""
    times, before = 0, BreakerState.CLOSED
    for number in range(steps):
        each(number)
        for _ in range(5):
            made.run_for(0.002)
            state = made.channel.gauges().providers["first"]
            times += before is BreakerState.CLOSED and state is not before
            before = state
    return times


def test_one_users_poison_stops_the_account_once_and_ends_with_a_final_word(rig: Build) -> None:
    provider = Poisoned()
    made = rig([provider], settings=bounds()).feed(record(message("bad", 0), 0))

    def feed(number: int) -> None:
        made.feed(record(message(f"u{number}", number, tenant="other"), number + 1))

    assert opened(made, 60, feed) <= 1
    made.until_acked(61)
    lines = [(line.status, line.reason, line.attempt) for line in made.outcomes() if line.user == "bad"]
    assert lines[-1] == ("dead", "misconfigured", 3)
    assert [line.attempt for line in made.outcomes() if line.status == "sent"] == [1] * 60
    letter = dict(made.of(topics.DEAD)[0].headers)
    assert b"no permission for the region" in letter["tocsin-error"]


def test_a_tenants_stream_of_poison_stops_nobody_elses_messages(rig: Build) -> None:
    provider = Poisoned()
    made = rig([provider], settings=bounds())

    def feed(number: int) -> None:
        made.feed(record(message(f"bad{number}", 2 * number, tenant="poison"), 2 * number))
        made.feed(record(message(f"u{number}", 2 * number + 1, tenant="other"), 2 * number + 1))

    assert opened(made, 40, feed) <= 2
    made.until_acked(80)
    ends = [(line.status, line.tenant) for line in made.outcomes() if line.status in ("sent", "dead")]
    assert (ends.count(("sent", "other")), ends.count(("dead", "poison"))) == (40, 40)


def test_poison_that_is_held_alone_does_not_keep_the_channel_closed(rig: Build) -> None:
    provider = Poisoned()
    made = rig([provider], settings=bounds()).feed(record(message("bad", 0), 0), record(message("bad", 1), 1))
    made.until(lambda: bool(made.outcomes()))
    made.feed(record(message("bob", 2), 2)).until_acked(1)
    assert made.acks == [(NOW, 0, 2)]
    provider.poison = "nobody"
    made.until_acked(3)


def test_for_a_probe_tenants_take_turns(rig: Build) -> None:
    provider = Poisoned()
    one = bounds(queue=QueuePolicy(credits=1, buffered=100))
    made = rig([provider], settings=one)
    made.feed(*[record(message(f"bad{i}", i, tenant="poison"), i) for i in range(20)])
    made.until(lambda: bool(made.outcomes()))
    made.feed(record(message("bob", 20, tenant="other"), 20)).until_acked(1)
    assert made.acks == [(NOW, 0, 20)]
    assert len(provider.calls) <= 4
    provider.poison = "nobody"
    made.until_acked(21)


def test_a_broken_account_is_still_noticed_after_a_false_alarm_and_nothing_is_lost(rig: Build) -> None:
    provider = Poisoned()
    made = rig([provider], settings=bounds()).feed(record(message("bad", 0), 0), record(message("bob", 1), 1))
    made.until_acked(2)
    provider.broken = True
    made.feed(*[record(message(f"u{i}", 2 + i), 2 + i) for i in range(5)])
    made.until(lambda: made.channel.gauges().providers["first"] is not BreakerState.CLOSED)
    calls = len(provider.calls)
    made.run_for(0.5)
    assert len(provider.calls) - calls <= 8, "only probes"
    assert len(made.acks) == 2
    provider.broken = False
    made.until_acked(7)
    sent = [line.attempt for line in made.outcomes() if line.status == "sent"]
    assert sent == [1] * 6, "nothing was used up"


def test_an_account_that_declines_a_message_leaves_it_to_the_next_and_stays_up(rig: Build) -> None:
    first, second = ScriptedProvider("first"), ScriptedProvider("second")
    first.script("ann", Declined("country not enabled", code="21408"))
    made = rig([first, second]).feed(record(message(), 0)).until_acked(1)
    assert made.words() == [("retrying", "rejected", 1), ("sent", "", 1)]
    assert [line.provider for line in made.outcomes()] == ["first", "second"]
    assert made.channel.gauges().providers["first"] is BreakerState.CLOSED


def test_what_every_account_declines_is_rejected_with_the_last_ones_reason(rig: Build) -> None:
    first, second = ScriptedProvider("first"), ScriptedProvider("second")
    first.always = Declined("country not enabled", code="21408")
    second.always = Declined("no sender", code="21603")
    made = rig([first, second]).feed(record(message(), 0)).until_acked(1)
    assert made.words() == [("retrying", "rejected", 1), ("dead", "rejected", 1)]
    assert dict(made.of(topics.DEAD)[0].headers)["tocsin-error"] == b"no sender"
    assert (len(first.calls), len(second.calls)) == (1, 1)


@pytest.mark.parametrize("down", [Transient("busy"), Misconfigured("bad key")])
def test_a_declined_message_waits_for_the_account_that_is_down(rig: Build, down: Exception) -> None:
    first, second = ScriptedProvider("first"), ScriptedProvider("second")
    first.always = Declined("country not enabled")
    second.script("ann", down)
    made = rig([second, first]).feed(record(message(), 0)).until_acked(1)
    assert made.words()[-1][0] == "sent"
    assert made.outcomes()[-1].provider == "second"
    assert len(first.calls) == 1


def test_a_probe_that_is_declined_says_nothing_of_the_account(rig: Build) -> None:
    provider = ScriptedProvider()
    provider.script("a", Transient("busy"))
    provider.script("b", Declined("country not enabled"))
    once = policy(breaker=BreakerPolicy(1, 60, 60), attempt=AttemptPolicy(retry=QUICK))
    made = rig([provider], settings=once).feed(record(message("a", 0), 0))
    made.until(lambda: bool(made.outcomes())).feed(record(message("b", 1), 1), record(message("c", 2), 2))
    made.until_acked(3)
    assert sorted(made.words()) == [
        ("dead", "rejected", 1),
        ("retrying", "transient", 1),
        ("sent", "", 1),
        ("sent", "", 2),
    ]


def test_a_recipient_who_is_gone_is_no_word_for_the_account(rig: Build) -> None:
    """Only a message that was taken shows that another was at fault: what we refuse ourselves does not."""
    provider = Poisoned()
    for number in range(20):
        provider.script(f"u{number}", RecipientGone("gone"))
    made = rig([provider], settings=bounds()).feed(record(message("bad", 0), 99))
    opened(made, 20, lambda number: made.feed(record(message(f"u{number}", number), number)))
    assert {line.status for line in made.outcomes() if line.user == "bad"} == {"retrying"}
    assert {line.attempt for line in made.outcomes() if line.user == "bad"} == {1}
    provider.poison = "nobody"
    made.until_acked(21)
    assert [line.attempt for line in made.outcomes() if line.status == "sent"] == [1]


def test_an_account_is_called_at_its_rate_and_no_other_waits(rig: Build) -> None:
    limited, free = ScriptedProvider("limited"), ScriptedProvider("free")
    limited.limits = Limits(timeout_s=30, rate_per_s=10)
    bounds_ = policy(queue=QueuePolicy(credits=4, buffered=200))
    made = rig(lambda letter: [limited] if letter.tenant == "slow" else [free], settings=bounds_)
    slow = [record(message(f"s{i % 5}", i, tenant="slow"), i) for i in range(15)]
    quick = [record(message(f"q{i}", 20 + i, tenant="quick"), 20 + i) for i in range(40)]
    began_s = time.monotonic()
    made.feed(*slow, *quick)
    made.until(lambda: len(free.taken) == 40)
    assert len(limited.calls) < 15, "the limited account still has messages waiting"
    made.until_acked(55)
    assert limited.called_s[-1] - began_s > 1.29, "10 a second after the burst of 2"
    for user in range(5):
        numbers = [number for name, number in limited.sent() if name == f"s{user}"]
        assert numbers == sorted(numbers)

"""A wall clock that steps back lets no message of a channel wait for the length of the step."""

import re
from datetime import UTC, datetime

import pytest

from tests.operators.delivery import QUICK, ScriptedProvider, policy
from tests.operators.test_deliver_outage import Build, some
from tests.providers.messages import message, record
from tocsin.delivery.attempt import AttemptPolicy
from tocsin.delivery.breaker import BreakerState
from tocsin.delivery.ramp import RampPolicy
from tocsin.delivery.retry import RetryPolicy
from tocsin.errors import Throttled, Transient
from tocsin.providers.base import Limits

DAY_S = 86_400
SLOW = AttemptPolicy(retry=RetryPolicy(quick_s=(0.5, 0.5), later_s=(), jitter=0))


def test_an_account_that_is_down_is_probed_after_its_pause(rig: Build) -> None:
    provider = ScriptedProvider()
    provider.always = Transient("busy")
    made = rig([provider]).feed(*some(8)).until_down()
    provider.always = None
    made.step_wall(-DAY_S).until_acked(8)
    assert made.channel.gauges().providers["first"] is BreakerState.CLOSED


def test_a_rate_goes_on(rig: Build) -> None:
    provider = ScriptedProvider()
    provider.limits = Limits(rate_per_s=20, timeout_s=30)
    made = rig([provider]).feed(*some(12)).until_acked(2)
    made.step_wall(-DAY_S).until_acked(12)


def test_what_an_account_learned_from_429_goes_on(rig: Build) -> None:
    provider = ScriptedProvider()
    for number in range(4):
        provider.script(f"u{number}", Throttled("slowly", retry_after_s=0.1))
    slowly = policy(ramp=RampPolicy(unknown_per_s=20, least_per_s=10), attempt=AttemptPolicy(retry=QUICK))
    made = rig([provider], settings=slowly).feed(*some(10)).until(lambda: len(provider.calls) >= 4)
    made.step_wall(-DAY_S).until_acked(10)


def test_a_message_is_tried_again_after_its_delay(rig: Build) -> None:
    provider = ScriptedProvider()
    provider.script("ann", Transient("busy"))
    made = rig([provider], settings=policy(attempt=SLOW)).feed(record(message(), 0))
    made.until(lambda: len(made.outcomes()) == 1).step_wall(-DAY_S).until_acked(1)
    assert made.words()[-1][0] == "sent"


def test_one_that_expires_meanwhile_by_a_clock_that_steps_ahead_is_expired(rig: Build) -> None:
    """An expiry is wall time."""
    provider = ScriptedProvider()
    provider.always = Transient("busy")
    made = rig([provider], settings=policy(attempt=SLOW))
    made.feed(record(message(expires_ms=made.runtime.now_ms() + 60_000), 0))
    made.until(lambda: len(made.outcomes()) == 1).step_wall(61).until_acked(1)
    assert made.words()[-1][:2] == ("expired", "too_late")


def test_people_read_since_when_an_account_is_down_by_the_wall_clock(
    rig: Build, caplog: pytest.LogCaptureFixture
) -> None:
    provider = ScriptedProvider()
    provider.always = Transient("busy")
    made = rig([provider], settings=policy()).step_wall(-DAY_S).feed(*some(8)).until_down()
    now_ms = made.runtime.now_ms()
    since_ms = made.channel.conditions()["first"].since_ms
    assert 0 <= now_ms - since_ms < 60_000
    assert made.channel.gauges().accounts["first"].since_ms - since_ms < 60_000
    said = re.search(r"since (\S+)T", caplog.text)
    assert said is not None
    assert said[1] in {day_of(now_ms), day_of(since_ms)}


def day_of(at_ms: int) -> str:
    return datetime.fromtimestamp(at_ms / 1_000, UTC).date().isoformat()

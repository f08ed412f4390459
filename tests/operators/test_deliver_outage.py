"""Outages of a provider as its channel meets them: what reaches it, in what order, and what returns."""

import gc
import time
from collections.abc import Callable, Sequence

import pytest

from tests.delivery.memory_ledger import MemoryLedger, MemoryStore
from tests.operators.delivery import QUICK, Rig, ScriptedProvider, policy
from tests.providers.messages import message, record
from tocsin.delivery.attempt import AttemptPolicy
from tocsin.delivery.breaker import BreakerPolicy
from tocsin.delivery.call_window import WindowPolicy
from tocsin.delivery.queue import QueuePolicy
from tocsin.delivery.ramp import RampPolicy
from tocsin.delivery.runtime import Runtime
from tocsin.errors import Transient, Unknown
from tocsin.model.content import Outgoing
from tocsin.model.message import Message
from tocsin.model.raw import RawRecord
from tocsin.model.statuses import Channel
from tocsin.providers.base import Limits, Provider, Receipt

Build = Callable[..., Rig]
# An account that nobody called before may get 20 a second when it is back.
SLOWLY = RampPolicy(unknown_per_s=20, step_ms=10_000)


def some(count: int, first: int = 0, name: str = "u", **fields: str) -> list[RawRecord]:
    return [record(message(f"{name}{i}", i, **fields), i) for i in range(first, first + count)]


def test_while_only_a_probe_is_out_the_worker_is_woken_seldom(rig: Build) -> None:
    """An outage is long, and each look costs the channels that work."""
    provider, seldom = ScriptedProvider(), policy(poll_ms=1, probe_poll_ms=600_000)
    provider.limits = Limits(timeout_s=600)
    provider.always = Transient("busy")
    made = rig([provider], settings=seldom).feed(*some(150)).until_down()
    provider.always = 500.0
    calls = len(provider.calls)
    made.until(lambda: len(provider.calls) > calls).run_for(0.05)
    assert made.channel.gauges().active == 1, "the probe"
    assert (made.channel.wake_at_ms() or 0) - made.runtime.now_ms() > 60_000


def test_a_provider_that_is_back_is_not_run_over(rig: Build) -> None:
    provider = ScriptedProvider()
    provider.always = Transient("busy")
    made = rig([provider], settings=policy(ramp=SLOWLY)).feed(*some(150)).until_down()
    provider.always = None
    made.until(lambda: bool(provider.taken))
    began_s = time.monotonic()
    made.run_for(1)
    most = 25 + 20 * (time.monotonic() - began_s)
    assert len(provider.taken) <= most, "20 a second, not all that wait"
    made.until(lambda: len(provider.taken) >= 5)


def test_critical_messages_go_first_after_an_outage(rig: Build) -> None:
    provider = ScriptedProvider()
    provider.always = Transient("busy")
    made = rig([provider], settings=policy(ramp=SLOWLY)).feed(*some(100)).until_down()
    made.feed(
        *some(3, 100, "vip", priority="critical"), record(message("u50", 200, priority="critical"), 200)
    )
    made.run_for(0.02)
    before = len(provider.taken)
    provider.always = None
    made.until(lambda: len(provider.taken) >= before + 8)
    first = [call.user for call in provider.calls if call.message_id in provider.taken][:9]
    assert {"vip100", "vip101", "vip102"} <= set(first)
    assert first.count("u50") >= 1, "its own earlier message goes first, and early"
    made.until(lambda: provider.sent().count(("u50", 200)) > 0)
    numbers = [number for user, number in provider.sent() if user == "u50"]
    assert numbers == sorted(numbers)


def test_a_provider_that_stops_answering_gets_a_windowful_and_no_more(
    rig: Build, caplog: pytest.LogCaptureFixture
) -> None:
    provider = ScriptedProvider()
    provider.limits = Limits(timeout_s=600)
    quick = WindowPolicy(first=8, least=2, least_late_ms=100)
    made = rig([provider], settings=policy(window=quick)).feed(*some(20)).until_acked(20)
    provider.delay_s = 500
    calls = len(provider.calls)
    made.feed(*some(150, 20)).until_down()
    made.run_for(0.3)
    assert len(provider.calls) - calls <= 2 * 8 + 2, "twice what was out before, and a probe"
    assert "(slow)" in caplog.text


def test_when_the_ledger_returns_calls_start_at_the_rate_before(rig: Build, store: MemoryStore) -> None:
    provider = ScriptedProvider()
    ledger = MemoryLedger(store, "a" * 16)
    made = rig([provider], ledger=ledger, settings=policy(ramp=SLOWLY))
    made.feed(record(message(), 0)).until_acked(1)
    ledger.away = True
    made.feed(*some(120, 2)).run_for(0.2)
    assert len(provider.calls) == 1, "nothing starts that would wait for the ledger"
    ledger.away = False
    began_s = time.monotonic()
    made.until_acked(2)
    made.run_for(1)
    assert len(provider.calls) <= 25 + 20 * (time.monotonic() - began_s)


def test_messages_over_a_rate_limit_return_once_to_when_their_turn_comes(rig: Build) -> None:
    """A buffer full of messages of a slow account must leave room for another, without going to and fro."""
    limited, free = ScriptedProvider("limited"), ScriptedProvider("free")
    limited.limits = Limits(timeout_s=30, rate_per_s=10)

    def providers_for(letter: Message) -> Sequence[Provider]:
        return [limited] if letter.tenant == "slow" else [free]

    small = policy(queue=QueuePolicy(credits=4, buffered=40), return_ms=1_000)
    made = rig(providers_for, settings=small).feed(record(message("ann", 500), 500)).until_acked(1)
    began_ms = made.runtime.now_ms()
    made.feed(*some(60, tenant="slow"))
    made.until(lambda: made.channel.allowance("messages.email.now") >= 15)
    made.feed(record(message("bob", 501), 501)).until(lambda: len(free.taken) == 2)
    made.run_for(0.3)
    back = made.retries()
    assert 35 <= len(back) <= 40, "half of the buffer stays"
    dues = sorted(each.due_ms - began_ms for each in back)
    assert dues[-1] - dues[0] >= 900 * (len(back) - 1) / 10, "as far apart as the limit lets them go"


def test_what_waits_is_told_with_its_age(rig: Build) -> None:
    provider = ScriptedProvider()
    provider.always = Transient("busy")
    down = policy(breaker=BreakerPolicy(1, 60_000, 60_000), attempt=AttemptPolicy(retry=QUICK))
    made = rig([provider], settings=down)
    assert made.channel.gauges().oldest_s == 0
    now_ms = made.runtime.now_ms()
    old = record(message("ann", 1), 1)._replace(timestamp_ms=now_ms - 90_000)
    new = record(message("bob", 2), 2)._replace(timestamp_ms=now_ms)
    made.feed(new, old).until_down()
    oldest_s = made.channel.gauges().oldest_s
    assert 90 <= oldest_s <= (made.runtime.now_ms() - now_ms) / 1_000 + 90


def test_a_category_may_choose_not_to_send_again_what_got_no_answer(rig: Build) -> None:
    provider = ScriptedProvider()
    provider.script("ann", Unknown("cut"))
    provider.script("bob", Unknown("cut"))
    made = rig([provider], on_unknown=lambda letter: "drop" if letter.category == "codes" else None)
    made.feed(record(message("ann", 0, category="codes"), 0), record(message("bob", 1), 1)).until_acked(2)
    words = {(line.user, line.status, line.reason) for line in made.outcomes()}
    assert ("ann", "dead", "unknown") in words
    assert ("bob", "sent", "resent_after_unknown") in words
    assert [call.user for call in provider.calls].count("ann") == 1


class Forgetful:
    """An account that keeps nothing of its calls, and is down when told so."""

    name = "first"
    channel = Channel.EMAIL
    limits = Limits(timeout_s=1)
    down = False

    def accepts(self, message: Message) -> bool:
        return True

    async def send(self, outgoing: Outgoing) -> Receipt:
        if self.down:
            text = "busy"
            error = Transient(text, code="503")
            raise error  # the name makes a cycle: error, traceback, frame
        return Receipt()

    async def close(self) -> None:
        """Nothing to give back."""


def test_outages_leave_nothing_behind(runtime: Runtime) -> None:
    """Each message is parked with its expiry hours away, fails and goes: its channel must forget it."""
    provider, store = Forgetful(), MemoryStore()
    settings = policy(queue=QueuePolicy(credits=64, buffered=400))
    made = Rig(runtime, [provider], ledger=MemoryLedger(store, "a" * 16), settings=settings)
    hours = runtime.now_ms() + 10_000_000
    kept: list[int] = []
    for cycle in range(8):
        provider.down = True
        letters = [message(f"c{cycle}u{i}", i, expires_ms=hours) for i in range(200)]
        made.feed(*[record(letter, i) for i, letter in enumerate(letters)]).until_down().run_for(0.1)
        provider.down = False
        made.until_acked(200)
        made.out.clear()
        made.acks.clear()
        store.entries.clear()
        del letters
        gc.collect()
        kept.append(len(gc.get_objects()))
    assert kept[-1] - kept[2] < 400, f"a thousand messages later: {kept}"

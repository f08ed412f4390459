"""Order, isolation, copies and outages: a whole channel driven by hand over a ledger in memory."""

import time
from collections import defaultdict
from collections.abc import Callable, Sequence

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from msgspec.structs import astuple, replace

from operators.deliver import DeliverLogic
from tests.delivery.memory_ledger import MemoryLedger, MemoryStore
from tests.operators.delivery import QUICK, Answer, HoldingProvider, Rig, ScriptedProvider, policy
from tests.providers.messages import message, record
from tests.waiting import until
from tocsin.delivery.attempt import AttemptPolicy
from tocsin.delivery.breaker import BreakerPolicy, BreakerState
from tocsin.delivery.queue import QueuePolicy
from tocsin.delivery.retry import RetryPolicy
from tocsin.errors import Declined, Misconfigured, RecipientGone, Rejected, Throttled, Transient, Unknown
from tocsin.model import topics
from tocsin.model.message import Message
from tocsin.model.raw import OutRecord
from tocsin.model.statuses import FINAL, Channel
from tocsin.providers.base import Provider

Build = Callable[..., Rig]
NOW, BULK = "messages.email.now", "messages.email.bulk"


def hanging() -> ScriptedProvider:
    """A provider that never answers: whoever called it can only crash."""
    provider = ScriptedProvider(delay_s=600)
    provider.limits = provider.limits.__class__(timeout_s=600)
    return provider


def test_order_of_a_user_holds_through_quick_retries_while_others_flow(rig: Build) -> None:
    provider = ScriptedProvider()
    provider.script("ann", Transient("busy"), Transient("busy"))
    letters = [message("ann", i) for i in range(5)] + [message(f"u{i}", i) for i in range(20)]
    slow = policy(attempt=AttemptPolicy(retry=RetryPolicy(quick_s=(60.0, 60.0), jitter=0, hold_s=600)))
    made = rig([provider], settings=slow).feed(*[record(m, i) for i, m in enumerate(letters)])
    made.until_acked(20).until(lambda: len(made.outcomes()) == 21)
    made.skip(61).until(lambda: len(made.outcomes()) == 22).skip(61).until_acked(25)
    sent = provider.sent()
    assert [number for user, number in sent if user == "ann"] == [0, 0, 0, 1, 2, 3, 4]
    assert sent.index(("ann", 1)) > max(i for i, (user, _) in enumerate(sent) if user != "ann")


def test_a_message_handed_back_no_longer_blocks_those_behind(rig: Build) -> None:
    provider = ScriptedProvider()
    provider.script("ann", Throttled("slow", retry_after_s=600))
    letters = [record(message("ann", i), i) for i in range(3)]
    made = rig([provider]).feed(*letters).until_acked(3)
    assert [line.status for line in made.outcomes()] == ["retrying", "sent", "sent"]


def test_a_crowd_behind_a_waiting_head_hands_it_back_at_once(rig: Build) -> None:
    provider = ScriptedProvider()
    provider.script("ann", Transient("busy"))
    slow = policy(
        attempt=AttemptPolicy(retry=RetryPolicy(quick_s=(600.0,), jitter=0, hold_s=600)),
        queue=QueuePolicy(credits=4, backlog_limit=3),
    )
    made = rig([provider], settings=slow).feed(record(message("ann", 0), 0))
    made.until(lambda: len(made.outcomes()) == 1)
    made.feed(*[record(message("ann", i), i) for i in range(1, 5)]).until_acked(5)
    (retry,) = made.retries()
    assert (retry.message.origin.offset, retry.message.attempt, retry.reason) == (0, 2, "transient")
    assert [number for _, number in provider.sent()] == [0, 1, 2, 3, 4]


def test_credits_bound_the_calls_and_allowance_shrinks_with_what_is_held(rig: Build) -> None:
    provider = HoldingProvider()
    small = policy(queue=QueuePolicy(credits=4, buffered=30, user_share=2))
    made = rig([provider], settings=small)
    assert (made.channel.allowance(NOW), made.channel.allowance(BULK)) == (30, 4)
    made.feed(*[record(message(f"u{i}", i), i) for i in range(20)])
    assert (made.channel.allowance(NOW), made.channel.allowance(BULK)) == (10, 0)
    made.until_out(provider, 4).until_acked(20)
    assert provider.most_at_once == 4
    assert made.channel.allowance(NOW) == 30


def test_a_copy_gets_the_same_bytes_and_sends_nothing(rig: Build) -> None:
    provider = ScriptedProvider()
    provider.script("ann", Transient("busy"))
    provider.script("bob", Rejected("no"))
    provider.script("eve", Throttled("slow", retry_after_s=600))
    letters = [record(message(user, 1), i) for i, user in enumerate(("ann", "bob", "eve"))]
    first = rig([provider]).feed(*letters).until_acked(3)
    calls = len(provider.calls)
    again = rig([provider], incarnation="b" * 16).feed(*letters).until_acked(3)
    assert sorted(map(astuple, again.out)) == sorted(map(astuple, first.out))
    assert len(provider.calls) == calls


def test_a_copy_that_queues_behind_its_original_sends_nothing(rig: Build) -> None:
    provider = ScriptedProvider(delay_s=0.05)
    made = rig([provider]).feed(record(message(), 1), record(message(), 2)).until_acked(2)
    assert len(provider.calls) == 1
    assert made.out[0] == made.out[1]


def test_an_attempt_left_open_is_resent_and_says_so(rig: Build) -> None:
    first = hanging()
    crashed = rig([first]).feed(record(message(), 0)).until(lambda: bool(first.calls))
    assert crashed.out == []
    provider = ScriptedProvider()
    made = rig([provider], incarnation="b" * 16).feed(record(message(), 0)).until_acked(1)
    assert made.words() == [("retrying", "unknown", 1), ("sent", "resent_after_unknown", 2)]


def test_an_attempt_left_open_is_dead_with_policy_drop(rig: Build) -> None:
    first = hanging()
    rig([first]).feed(record(message(), 0)).until(lambda: bool(first.calls))
    provider = ScriptedProvider()
    drop = policy(attempt=AttemptPolicy(retry=QUICK, on_unknown="drop"))
    made = rig([provider], incarnation="b" * 16, settings=drop).feed(record(message(), 0)).until_acked(1)
    assert made.words() == [("dead", "unknown", 1)]
    assert provider.calls == []
    assert len(made.of(topics.DEAD)) == 1


def test_a_message_that_kills_its_process_again_and_again_ends_as_dead(rig: Build) -> None:
    calls = 0
    for start in range(QUICK.attempts + 1):
        provider = hanging()
        made = rig([provider], incarnation=f"{start:016d}").feed(record(message(), 0))
        made.until(lambda p=provider, m=made: bool(p.calls or m.acks))  # type: ignore[misc]  # early binding
        calls += len(provider.calls)
    assert calls == QUICK.attempts
    assert made.words()[-1] == ("dead", "unknown", QUICK.attempts)


def test_quick_retries_go_on_after_a_crash_with_what_was_shown_before(rig: Build) -> None:
    provider = ScriptedProvider()
    provider.script("ann", Transient("busy"))
    slow = policy(attempt=AttemptPolicy(retry=RetryPolicy(quick_s=(5.0,), jitter=0)))
    first = rig([provider], settings=slow).feed(record(message(), 0))
    first.until(lambda: len(first.outcomes()) == 1)
    again = rig([provider], incarnation="b" * 16).feed(record(message(), 0)).until_acked(1)
    assert again.out[0] == first.out[0], "the copy is byte-equal"
    assert again.words() == [("retrying", "transient", 1), ("sent", "", 2)]


def test_a_dead_provider_pauses_its_channel_and_nobody_elses(rig: Build) -> None:
    mail, text = ScriptedProvider("mail"), ScriptedProvider("text", Channel.SMS)
    mail.always = Transient("no connection")
    email, sms = rig([mail]), rig([text], settings=policy(channel=Channel.SMS))
    email.feed(*[record(message(f"u{i}", i), i) for i in range(40)])
    email.until_down("mail")
    sms.feed(*[record(message(f"u{i}", 100 + i, channel="sms"), i) for i in range(40)])
    sms.until_acked(40)
    calls = len(mail.calls)
    email.run_for(0.3)
    assert len(mail.calls) - calls <= 6, "only probes"
    gauges = email.channel.gauges()
    assert gauges.providers["mail"] is not BreakerState.CLOSED
    queue = gauges.queues["mail"]
    assert queue.waiting + queue.out <= gauges.held == 40
    assert queue.waiting >= 30, "they wait for the account that is their first choice"
    assert queue.oldest_s >= 0.3
    mail.always = None
    email.until_acked(40)
    ends = [line.attempt for line in email.outcomes() if line.status == "sent"]
    assert len(ends) == 40
    assert ends.count(1) >= 20, "those who waited used up no attempt"


def test_a_broken_account_stops_the_channel_without_burning_attempts(rig: Build) -> None:
    provider = ScriptedProvider()
    provider.always = Misconfigured("bad key", code="401")
    made = rig([provider]).feed(*[record(message(f"u{i}", i), i) for i in range(5)])
    made.until_down().run_for(0.5)
    assert made.acks == []
    lines = made.outcomes()
    assert {(line.status, line.reason) for line in lines} == {("retrying", "misconfigured")}
    assert len({line.outcome_id for line in lines}) == len(lines), "probes that repeat show once"
    provider.always = None
    made.until_acked(5)
    assert [line.attempt for line in made.outcomes() if line.status == "sent"] == [1] * 5


def test_a_parked_message_still_expires_and_the_next_one_probes(rig: Build) -> None:
    provider = ScriptedProvider()
    provider.always = Misconfigured("bad key")
    made = rig([provider])
    soon = made.runtime.now_ms() + 50_000
    made.feed(record(message(expires_ms=soon), 0)).until_down().skip(51).until_acked(1)
    assert made.outcomes()[-1].status == "expired", "a parked message still expires"
    assert made.channel.allowance(NOW) == 200, "what comes now is read: a critical one must be known"
    assert made.channel.allowance(BULK) == 0
    provider.always = None
    made.feed(record(message("bob", 2), 1)).until_acked(2)
    assert made.channel.allowance(BULK) > 0


def test_a_parked_message_returns_when_its_window_closes(rig: Build) -> None:
    provider = ScriptedProvider()
    provider.always = Misconfigured("bad key")
    made = rig([provider])
    made.feed(record(message(send_by_ms=made.runtime.now_ms() + 50_000), 0))
    made.until_down().skip(51).until_acked(1)
    assert [(retry.reason, retry.message.attempt) for retry in made.retries()] == [("send_window", 1)]


def test_one_tenants_dead_provider_does_not_fill_the_channel_for_another(rig: Build) -> None:
    dead, good = ScriptedProvider("dead"), ScriptedProvider("good")
    dead.always = Misconfigured("bad key")

    def providers_for(letter: Message) -> Sequence[Provider]:
        return [dead] if letter.tenant == "broken" else [good]

    small = policy(
        queue=QueuePolicy(credits=4, buffered=20),
        breaker=BreakerPolicy(cooldown_ms=60_000, longest_ms=60_000),
    )
    made = rig(providers_for, settings=small).feed(record(message("x", 99), 99)).until_acked(1)
    made.feed(*[record(message(f"u{i}", i, tenant="broken"), i) for i in range(20)])
    made.until(lambda: made.channel.allowance(NOW) > 0)
    made.feed(record(message("ann", 50), 50))
    made.until(lambda: ("messages.email.now", 0, 50) in made.acks)
    assert {retry.message.tenant for retry in made.retries()} == {"broken"}
    assert {retry.message.attempt for retry in made.retries()} == {1}, "nothing was used up"


def test_with_the_ledger_away_nothing_more_is_taken_in(rig: Build, store: MemoryStore) -> None:
    ledger = MemoryLedger(store, "a" * 16)
    made = rig([ScriptedProvider()], ledger=ledger)
    ledger.away = True
    assert made.channel.allowance(NOW) == 0
    ledger.away = False
    assert made.channel.allowance(NOW) > 0


def test_a_full_channel_takes_records_in_portions(rig: Build) -> None:
    made = rig([hanging()], settings=policy(queue=QueuePolicy(credits=4, buffered=64), least_share=1 / 8))
    made.feed(*[record(message(f"u{i}", i), i) for i in range(56)])
    assert made.channel.allowance(NOW) == 8
    made.feed(record(message("u56", 56), 56))
    assert made.channel.allowance(NOW) == 0, "seven free places are no portion"


def test_answers_are_fetched_more_seldom_while_every_credit_is_in_use(rig: Build) -> None:
    slow = policy(queue=QueuePolicy(credits=2, buffered=64), poll_ms=1_000, busy_poll_ms=60_000)
    made = rig([hanging()], settings=slow)

    def wait_ms() -> int:
        made.step()
        return (made.channel.wake_at_ms() or 0) - made.runtime.now_ms()

    made.feed(record(message("ann", 1), 1))
    assert wait_ms() <= 1_000
    made.feed(record(message("bob", 2), 2))
    assert wait_ms() > 1_000


def test_nothing_is_shown_or_acknowledged_between_an_epochs_end_and_its_durability(rig: Build) -> None:
    provider, gap, acks = ScriptedProvider(), [True], []
    made = rig([provider])
    logic = DeliverLogic(made.channel, lambda *ack: acks.append(ack), lambda: gap[0])
    out = logic.on_batch([[record(message(), 0)]])[0]

    def woken() -> list[list[OutRecord]]:
        out.extend(logic.on_notify()[0])
        return out

    until(lambda: woken() or provider.taken, "the call")
    for _ in range(100):
        woken()
        time.sleep(0.002)
    assert len(provider.calls) == 1
    assert (out, acks) == ([], [])
    assert logic.notify_at() is not None, "it looks again"
    gap[0] = False
    until(woken, "the outcome")
    (shown,) = out
    assert [r.topic for r in shown] == ["outcomes"]
    assert acks == [(NOW, 0, 0)]
    assert logic.notify_at() is None


def test_a_message_that_never_expires_stops_nothing(rig: Build) -> None:
    provider = ScriptedProvider()
    provider.script("ann", Misconfigured("bad key", code="401"))
    made = rig([provider])
    logic = DeliverLogic(made.channel, lambda *_: None, lambda: False)
    made.feed(record(message(expires_ms=253_402_300_799_999), 0)).until_acked(1)
    logic.notify_at()


def test_the_end_of_input_waits_for_calls_that_are_out_and_for_no_more(rig: Build) -> None:
    provider = ScriptedProvider(delay_s=0.1)
    provider.script("ann", Transient("busy"))
    made, acks = rig([provider], settings=policy(queue=QueuePolicy(credits=2))), []
    logic = DeliverLogic(made.channel, lambda *ack: acks.append(ack), lambda: False)
    users = ("ann", "bob", "eve", "joe")
    logic.on_batch([[record(message(user, i), i) for i, user in enumerate(users)]])
    (shown,), discard = logic.on_eof()
    assert len(shown) == 2
    assert acks == [(NOW, 0, 3)], "ann's retry and the queue are read again"
    assert not discard
    assert logic.snapshot() == ()


def test_the_end_of_input_does_not_wait_for_ever(rig: Build) -> None:
    provider = ScriptedProvider(delay_s=30)
    provider.limits = provider.limits.__class__(timeout_s=30)
    made = rig([provider], settings=policy(drain_ms=100))
    logic = DeliverLogic(made.channel, lambda *_: None, lambda: False)
    logic.on_batch([[record(message(), 0)]])
    started = time.monotonic()
    assert logic.on_eof() == ([], False)
    assert time.monotonic() - started < 20


ANSWERS: dict[str, Callable[[], Answer]] = {
    "ok": lambda: None,
    "slow": lambda: 0.01,
    "transient": lambda: Transient("busy"),
    "throttled": lambda: Throttled("slow", retry_after_s=0.01),
    "throttled_long": lambda: Throttled("slow", retry_after_s=900),
    "unknown": lambda: Unknown("cut"),
    "rejected": lambda: Rejected("no"),
    "declined": lambda: Declined("not this one"),
    "gone": lambda: RecipientGone("gone"),
    "misconfigured": lambda: Misconfigured("key"),
    "fault": lambda: ValueError("bug"),
}


@settings(
    max_examples=30,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(
    users=st.lists(st.sampled_from("abcde"), min_size=1, max_size=30),
    first=st.lists(st.sampled_from(sorted(ANSWERS)), max_size=40),
    second=st.lists(st.sampled_from(sorted(ANSWERS)), max_size=10),
    credits_=st.integers(1, 4),
)
def test_whatever_providers_answer(
    rig: Build, users: list[str], first: list[str], second: list[str], credits_: int
) -> None:
    """Each message has one end and is taken at most once; order is kept and credits are held."""
    providers = [ScriptedProvider("one"), ScriptedProvider("two")]
    log = providers[1].calls = providers[0].calls
    for provider, answers in zip(providers, (first, second), strict=True):
        for user, name in zip(users * 40, answers, strict=False):
            provider.script(user, ANSWERS[name]())
    bounds = policy(queue=QueuePolicy(credits=credits_), breaker=BreakerPolicy(3, 5, 10))
    made = rig(providers, settings=bounds, ledger=MemoryLedger(MemoryStore(), "a" * 16))
    letters = [message(user, i) for i, user in enumerate(users)]
    made.feed(*[record(letter, i) for i, letter in enumerate(letters)])
    made.until_acked(len(letters))
    assert sorted(ack[2] for ack in made.acks) == list(range(len(letters)))
    check_ends(made, letters)
    check_order(log, providers[0].taken + providers[1].taken)
    assert max(provider.most_at_once for provider in providers) <= credits_


def check_ends(made: Rig, letters: list[Message]) -> None:
    ends: dict[str, list[str]] = defaultdict(list)
    for line in made.outcomes():
        if line.status in FINAL:
            ends[line.message_id].append(line.status)
    for retry in made.retries():
        ends[retry.message.message_id].append("retry")
    assert sorted(ends) == sorted(letter.message_id for letter in letters)
    assert all(len(words) == 1 for words in ends.values())
    ids = [line.outcome_id for line in made.outcomes()]
    assert len(ids) == len(set(ids))


def check_order(calls: list[Message], answered: list[str]) -> None:
    """Calls of a user never go back to an earlier message; nothing is taken by a provider twice."""
    by_user: dict[str, list[int]] = defaultdict(list)
    for call in calls:
        by_user[call.user].append(call.origin.offset)
    assert all(numbers == sorted(numbers) for numbers in by_user.values())
    assert len(answered) == len(set(answered))


@pytest.mark.parametrize("name", ["email", "sms", "push", "inapp"])
def test_each_channel_has_its_topics(name: str) -> None:
    assert {topics.messages(name), topics.messages(name, bulk=True)} <= set(topics.MESSAGES)


def test_outcomes_of_a_stream_in_its_own_time_stand_in_that_time(rig: Build) -> None:
    """Flights of 2013 that are played today: what was sent at 09:11 was sent then, and as fast as it was."""
    decided_ms, read_ms = 1_360_228_260_000, int(time.time() * 1000)
    provider = ScriptedProvider(delay_s=0.05)
    provider.script("ann", Transient("busy"))
    sent = replace(message(), decided_ms=decided_ms, received_ms=read_ms - 40)
    made = rig([provider], settings=policy(stream_clock=True))
    made.feed(record(sent, 0)._replace(timestamp_ms=read_ms)).until_acked(1)
    for outcome in made.outcomes():
        assert 0 <= outcome.at_ms - decided_ms < 60_000
        assert outcome.latency_ms >= 40

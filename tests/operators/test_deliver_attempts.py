"""What one message puts out, whatever its provider answers."""

from collections.abc import Callable
from typing import Any, cast

import pytest

from tests.delivery.memory_ledger import MemoryLedger, MemoryStore
from tests.operators.delivery import MARKS, QUICK, Rig, ScriptedProvider, policy
from tests.providers.messages import encode, message, record
from tocsin.delivery.attempt import AttemptPolicy
from tocsin.delivery.retry import RetryPolicy
from tocsin.errors import (
    Misconfigured,
    OptedOut,
    RecipientGone,
    Rejected,
    RenderError,
    Throttled,
    Transient,
    Unknown,
)
from tocsin.formats.codec import decode_receipt
from tocsin.model import topics
from tocsin.model.content import Content, Outgoing
from tocsin.model.ids import outcome_id, target_id
from tocsin.model.message import Message, Target
from tocsin.model.outcome import ReceiptEvent
from tocsin.model.raw import RawRecord
from tocsin.model.unanswered import OnUnknown
from tocsin.providers.base import Limits, Receipt

Build = Callable[..., Rig]
DROP = AttemptPolicy(retry=QUICK, on_unknown="drop")
A_MINUTE_LATER = policy(attempt=AttemptPolicy(retry=RetryPolicy(quick_s=(60.0,), jitter=0, hold_s=600)))


def test_a_sent_message_has_one_outcome_and_is_acknowledged_with_it(rig: Build) -> None:
    provider = ScriptedProvider()
    made = rig([provider]).feed(record(message(), 42)).until_acked(1)
    (line,) = made.outcomes()
    assert (line.status, line.reason, line.attempt, line.provider) == ("sent", "", 1, "first")
    assert (line.provider_message_id, line.code) == ("first-1", "202")
    assert line.outcome_id == outcome_id(message().message_id, "sent", 1)
    assert line.target == target_id(message().target.address)
    assert line.origin == "events/0/1"
    assert line.provider_ms >= 0
    assert line.latency_ms == line.at_ms - line.received_ms > 0
    assert made.acks == [("messages.email.now", 0, 42)]
    assert made.out[0].key == b"acme/ann"
    assert made.stats.results == {("email", "first", "sent"): 1}


def test_a_transient_failure_is_tried_again_in_the_operator(rig: Build) -> None:
    provider = ScriptedProvider()
    provider.script("ann", Transient("busy", code="503"), Throttled("slow", retry_after_s=0.05))
    made = rig([provider]).feed(record(message(), 0)).until_acked(1)
    assert made.words() == [("retrying", "transient", 1), ("retrying", "throttled", 2), ("sent", "", 3)]
    assert made.outcomes()[0].code == "503"


def test_after_the_quick_retries_it_goes_back_to_the_gate(rig: Build) -> None:
    provider = ScriptedProvider()
    provider.always = Transient("busy")
    made = rig([provider]).feed(record(message(), 0)).until_acked(1)
    assert [word[0] for word in made.words()] == ["retrying"] * 3
    (retry,) = made.retries()
    assert (retry.reason, retry.provider, retry.message.attempt) == ("transient", "first", 4)
    assert 29_000 < retry.due_ms - made.outcomes()[-1].at_ms < 90_000
    assert retry.first_failed_ms == made.outcomes()[0].at_ms
    assert retry.message.target == message().target


def test_a_message_that_came_back_goes_on_in_the_schedule(rig: Build) -> None:
    provider = ScriptedProvider()
    provider.always = Transient("busy")
    made = rig([provider]).feed(record(message(attempt=5), 0)).until_acked(1)
    assert made.words() == [("retrying", "transient", 5)]
    assert 1_790_000 < made.retries()[0].due_ms - made.outcomes()[0].at_ms < 1_860_000


def test_a_long_retry_after_is_honoured_by_the_gate(rig: Build) -> None:
    provider = ScriptedProvider()
    provider.script("ann", Throttled("slow", retry_after_s=120))
    made = rig([provider]).feed(record(message(), 0)).until_acked(1)
    assert made.retries()[0].due_ms - made.outcomes()[0].at_ms >= 120_000


def test_out_of_attempts_is_dead_with_the_message_in_the_letter(rig: Build) -> None:
    provider = ScriptedProvider()
    provider.always = Transient("busy", code="503")
    made = rig([provider]).feed(record(message(attempt=7), 9)).until_acked(1)
    assert made.words() == [("dead", "out_of_attempts", 7)]
    assert made.outcomes()[0].code == "503"
    (letter,) = made.of(topics.DEAD)
    headers = dict(letter.headers)
    assert letter.value == encode(message(attempt=7))
    assert (headers["tocsin-topic"], headers["tocsin-offset"]) == (b"messages.email.now", b"9")
    assert (headers["tocsin-stage"], headers["tocsin-attempts"]) == (b"deliver", b"7")
    assert not made.retries()


def test_a_refusal_is_dead_at_once(rig: Build) -> None:
    provider = ScriptedProvider()
    provider.script("ann", Rejected("content refused", code="30007"))
    made = rig([provider]).feed(record(message(), 0)).until_acked(1)
    assert made.words() == [("dead", "rejected", 1)]
    assert dict(made.of(topics.DEAD)[0].headers)["tocsin-error"] == b"content refused"


@pytest.mark.parametrize(
    ("error", "kind", "reason"),
    [
        (RecipientGone("no such user", code="550"), "gone", "recipient_gone"),
        (OptedOut("STOP", code="21610"), "opted_out", "recipient_opted_out"),
    ],
)
def test_a_recipient_who_is_gone_is_told_to_the_gate(
    rig: Build, error: Exception, kind: str, reason: str
) -> None:
    provider = ScriptedProvider()
    provider.script("ann", error)
    made = rig([provider]).feed(record(message(), 0)).until_acked(1)
    assert made.words() == [("dead", reason, 1)]
    (receipt,) = made.receipts()
    assert (receipt.kind, receipt.user, receipt.channel) == (kind, "ann", "email")
    assert receipt.target == target_id(message().target.address)
    assert not made.of(topics.DEAD)


def test_each_attempt_carries_the_mark_that_leads_back_to_the_user(rig: Build) -> None:
    provider = ScriptedProvider()
    provider.script("ann", Transient("later"))
    rig([provider]).feed(record(message(), 0)).until_acked(1)
    first, second = provider.marks
    assert first == second
    report = ReceiptEvent(kind="complained", mark=first)
    back = decode_receipt(RawRecord(topics.RECEIPTS, 0, 0, 0, None, encode(report), ()), MARKS)
    assert (back.tenant, back.user, back.message_id) == ("acme", "ann", message().message_id)
    assert back.target == target_id(message().target.address)


def test_an_expired_message_is_not_sent(rig: Build) -> None:
    provider = ScriptedProvider()
    made = rig([provider]).feed(record(message(expires_ms=5_000), 0)).until_acked(1)
    assert made.words() == [("expired", "too_late", 1)]
    assert provider.calls == []


def test_a_message_may_expire_between_attempts(rig: Build) -> None:
    provider = ScriptedProvider()
    provider.always = Transient("busy")
    made = rig([provider], settings=A_MINUTE_LATER)
    made.feed(record(message(expires_ms=made.runtime.now_ms() + 50_000), 0))
    made.until(lambda: len(made.outcomes()) == 1).skip(61).until_acked(1)
    assert made.words() == [("retrying", "transient", 1), ("expired", "too_late", 2)]


def test_a_message_whose_window_has_closed_returns_to_the_gate(rig: Build) -> None:
    provider = ScriptedProvider()
    made = rig([provider])
    closed = made.runtime.now_ms() - 1
    made.feed(record(message(send_by_ms=closed), 0)).until_acked(1)
    (retry,) = made.retries()
    assert (retry.reason, retry.due_ms, retry.message.attempt) == ("send_window", closed, 1)
    assert (made.words(), provider.calls) == ([], [])


def test_it_returns_although_no_account_can_carry_it_any_more(rig: Build) -> None:
    """The gate holds it until morning: by then there may be one."""
    made = rig([]).feed(record(message(send_by_ms=5_000), 0)).until_acked(1)
    assert [retry.reason for retry in made.retries()] == ["send_window"]


def test_a_message_that_has_expired_is_expired_and_not_held_for_its_window(rig: Build) -> None:
    made = rig([ScriptedProvider()]).feed(record(message(send_by_ms=5_000, expires_ms=5_001), 0))
    assert made.until_acked(1).words() == [("expired", "too_late", 1)]


def test_a_window_may_close_between_attempts(rig: Build) -> None:
    provider = ScriptedProvider()
    provider.always = Transient("busy")
    made = rig([provider], settings=A_MINUTE_LATER)
    made.feed(record(message(send_by_ms=made.runtime.now_ms() + 50_000), 0))
    made.until(lambda: len(made.outcomes()) == 1).skip(61).until_acked(1)
    assert made.words() == [("retrying", "transient", 1)]
    assert [(retry.reason, retry.message.attempt) for retry in made.retries()] == [("send_window", 2)]


def test_under_the_stream_clock_no_window_closes_for_what_queues(rig: Build) -> None:
    """The events' own time says when it is night, and it stands still while a message queues."""
    made = rig([ScriptedProvider()], settings=policy(stream_clock=True))
    made.feed(record(message(send_by_ms=5_000), 0)).until_acked(1)
    assert made.words() == [("sent", "", 1)]


@pytest.mark.parametrize(
    "error", [RenderError("welcome/subject: name is missing"), KeyError("ann@x.example")]
)
def test_a_template_that_fails_is_dead_and_says_no_value(rig: Build, error: Exception) -> None:
    def render(_: Message) -> Content:
        raise error

    provider = ScriptedProvider()
    made = rig([provider], render=render).feed(record(message(), 0)).until_acked(1)
    assert made.words() == [("dead", "render_error", 1)]
    assert b"ann@" not in dict(made.of(topics.DEAD)[0].headers)["tocsin-error"]
    assert provider.calls == []


def test_a_message_that_no_account_can_carry_is_dead_and_blocks_nobody(rig: Build) -> None:
    provider = ScriptedProvider()
    made = rig(lambda letter: [provider] if letter.target.platform != "ios" else [])
    ios = message("ann", 1, target=Target(address="token", platform="ios"))
    made.feed(record(ios, 0), record(message("ann", 2), 1)).until_acked(2)
    assert made.words() == [("dead", "misconfigured", 1), ("sent", "", 1)]
    assert b"add one" in dict(made.of(topics.DEAD)[0].headers)["tocsin-error"]


def test_a_transient_failure_fails_over_within_the_attempt(rig: Build) -> None:
    first, second = ScriptedProvider("first"), ScriptedProvider("second")
    first.script("ann", Transient("busy"))
    made = rig([first, second]).feed(record(message(), 0)).until_acked(1)
    assert made.words() == [("retrying", "transient", 1), ("sent", "", 1)]
    assert [line.provider for line in made.outcomes()] == ["first", "second"]
    assert len({line.outcome_id for line in made.outcomes()}) == 2


def test_when_the_last_provider_fails_too_the_attempt_is_used_up_once(rig: Build) -> None:
    first, second = ScriptedProvider("first"), ScriptedProvider("second")
    first.script("ann", Transient("busy"))
    second.script("ann", Transient("busy"))
    made = rig([first, second]).feed(record(message(), 0)).until_acked(1)
    assert [(word[0], word[2]) for word in made.words()] == [("retrying", 1), ("retrying", 1), ("sent", 2)]
    assert len({line.outcome_id for line in made.outcomes()}) == 3


@pytest.mark.parametrize("error", [RecipientGone("gone"), OptedOut("stop"), Rejected("no"), Unknown("cut")])
def test_nothing_else_fails_over(rig: Build, error: Exception) -> None:
    first, second = ScriptedProvider("first"), ScriptedProvider("second")
    first.script("ann", error)
    rig([first, second], settings=policy(attempt=DROP)).feed(record(message(), 0)).until_acked(1)
    assert second.calls == []


def test_a_broken_account_fails_over_and_is_left_alone(rig: Build) -> None:
    first, second = ScriptedProvider("first"), ScriptedProvider("second")
    first.always = Misconfigured("bad key", code="401")
    letters = [record(message(f"user{i}"), i) for i in range(10)]
    slow = policy(breaker=policy().breaker.__class__(cooldown_ms=60_000, longest_ms=60_000))
    made = rig([first, second], settings=slow).feed(letters[0]).until_acked(1)
    made.feed(*letters[1:]).until_acked(10)
    assert len(first.calls) == 1
    assert len(second.calls) == 10


def test_no_answer_within_the_deadline_is_unknown_and_resent_by_policy(rig: Build) -> None:
    provider = ScriptedProvider()
    provider.limits = Limits(timeout_s=0.3)
    provider.script("ann", 600.0)
    made = rig([provider]).feed(record(message(), 0)).until_acked(1)
    assert made.words() == [("retrying", "unknown", 1), ("sent", "resent_after_unknown", 2)]
    assert made.outcomes()[0].provider_ms >= 290


def test_an_unknown_outcome_is_dead_with_policy_drop(rig: Build) -> None:
    provider = ScriptedProvider()
    provider.script("ann", Unknown("cut off"))
    made = rig([provider], settings=policy(attempt=DROP)).feed(record(message(), 0)).until_acked(1)
    assert made.words() == [("dead", "unknown", 1)]
    assert len(provider.calls) == 1


def test_a_fault_of_an_adapter_counts_as_unknown_and_stops_nobody(rig: Build) -> None:
    provider = ScriptedProvider()
    provider.script("ann", KeyError("ann@secret.example"))
    made = rig([provider]).feed(record(message(), 0), record(message("bob"), 1)).until_acked(2)
    assert sorted(made.words()) == [
        ("retrying", "unknown", 1),
        ("sent", "", 1),
        ("sent", "resent_after_unknown", 2),
    ]
    assert "KeyError" in [line.code for line in made.outcomes()]


class Odd(ScriptedProvider):
    """An adapter that takes a message, and answers with what no adapter should."""

    answer: Any = None

    async def send(self, outgoing: Outgoing) -> Receipt:
        await super().send(outgoing)
        if isinstance(self.answer, Exception):
            raise self.answer
        answer: Receipt = self.answer
        return answer


@pytest.mark.parametrize(
    ("answer", "last"),
    [
        (None, ("dead", "unknown", "NoneType")),
        ("accepted", ("dead", "unknown", "str")),
        (Receipt(provider_message_id="\ud800"), ("sent", "", "")),
        (Receipt(code="\ud800"), ("sent", "", "?")),
        (Receipt(provider_message_id=cast("str", 7)), ("sent", "", "")),
        (Rejected("no", code="\ud800"), ("dead", "rejected", "?")),
    ],
)
def test_an_odd_answer_of_an_adapter_is_noted_and_not_asked_for_again(
    rig: Build, answer: object, last: tuple[str, str, str]
) -> None:
    """The outcome could not be written, so the message went out each second, for ever."""
    provider = Odd()
    provider.answer = answer
    made = rig([provider], settings=policy(attempt=AttemptPolicy(on_unknown="drop")))
    made.feed(record(message(), 0)).until_acked(1)
    assert [(line.status, line.reason, line.code) for line in made.outcomes()] == [last]
    assert len(provider.calls) == 1


class Faulty(MemoryLedger):
    """A ledger with a fault that nobody foresaw."""

    faults = 1

    async def finish(self, *args: Any, **named: Any) -> None:
        self.faults -= 1
        if self.faults >= 0:
            raise RuntimeError
        await super().finish(*args, **named)


@pytest.mark.parametrize(
    ("on_unknown", "last"),
    [("drop", ("dead", "unknown", 1)), ("resend", ("sent", "resent_after_unknown", 2))],
)
def test_a_fault_of_ours_after_a_call_leaves_its_outcome_unknown(
    rig: Build, store: MemoryStore, on_unknown: OnUnknown, last: tuple[str, str, int]
) -> None:
    provider = ScriptedProvider()
    bounds = policy(attempt=AttemptPolicy(retry=QUICK, on_unknown=on_unknown))
    made = rig([provider], ledger=Faulty(store, "a" * 16), settings=bounds)
    made.feed(record(message(), 0)).until(lambda: bool(provider.calls)).run_for(0.05).skip(2)
    made.until_acked(1)
    assert made.words()[-1] == last
    assert len(provider.calls) == (1 if on_unknown == "drop" else 2)


def test_an_opt_out_while_it_queued_sends_it_back_to_the_gate(rig: Build, store: MemoryStore) -> None:
    provider = ScriptedProvider()
    store.know("acme/ann", 4)
    made = rig([provider]).feed(record(message(), 0)).until_acked(1)
    (retry,) = made.retries()
    assert (retry.reason, retry.message.attempt) == ("stale_profile", 1)
    assert retry.due_ms <= made.runtime.now_ms()
    assert provider.calls == []
    assert made.outcomes() == []
    copy = rig([provider], incarnation="b" * 16).feed(record(message(), 0)).until_acked(1)
    assert copy.out == made.out


def test_a_message_that_was_called_stale_wrongly_is_sent_when_it_comes_again(
    rig: Build, store: MemoryStore
) -> None:
    """A user was erased and came back; under the stream clock the gate's second decision is byte-equal."""
    provider = ScriptedProvider()
    store.know("acme/ann", -1)
    made = rig([provider]).feed(record(message(), 0)).until_acked(1)
    store.know("acme/ann", 3)
    made.feed(record(message(), 1)).until_acked(2)
    assert made.words() == [("sent", "", 1)]


def test_under_the_stream_clock_a_message_expires_by_the_time_that_was_left(rig: Build) -> None:
    provider = ScriptedProvider()
    made = rig([provider], settings=policy(stream_clock=True))
    now_ms = made.runtime.now_ms()
    soon = record(message("ann", expires_ms=3_100), 0)._replace(timestamp_ms=now_ms - 200)
    later = record(message("bob", expires_ms=3_000 + 60_000), 1)._replace(timestamp_ms=now_ms - 200)
    made.feed(soon, later).until_acked(2)
    assert sorted(made.words()) == [("expired", "too_late", 1), ("sent", "", 1)]


def test_an_opt_out_while_a_retry_waits_stops_it(rig: Build, store: MemoryStore) -> None:
    provider = ScriptedProvider()
    provider.script("ann", Transient("busy"))
    made = rig([provider], settings=A_MINUTE_LATER).feed(record(message(), 0))
    made.until(lambda: len(made.outcomes()) == 1)
    store.know("acme/ann", -1)
    made.skip(61).until_acked(1)
    assert made.retries()[0].reason == "stale_profile"
    assert len(provider.calls) == 1


def test_what_is_no_message_is_a_dead_letter_and_acknowledged(rig: Build) -> None:
    broken = record(message(), 5)._replace(value=b'{"message_id":1}')
    empty = record(message(), 6)._replace(value=None)
    made = rig([ScriptedProvider()]).feed(broken, empty).until_acked(2)
    assert [letter.value for letter in made.of(topics.DEAD)] == [broken.value, None]
    assert dict(made.of(topics.DEAD)[0].headers)["tocsin-offset"] == b"5"


def test_nothing_that_comes_out_or_stays_in_the_ledger_names_the_address(
    rig: Build, store: MemoryStore
) -> None:
    provider = ScriptedProvider()
    provider.script("ann", Transient("x"), Transient("x"), Transient("x"))
    provider.script("bob", Rejected("x"))
    provider.script("eve", RecipientGone("x"))
    made = rig([provider])
    made.feed(*[record(message(user), i) for i, user in enumerate(("ann", "bob", "eve", "joe"))])
    made.until_acked(4)
    shown = b"".join(r.value or b"" for r in made.of(topics.OUTCOMES) + made.of(topics.RECEIPTS))
    shown += b"".join(value for r in made.of(topics.DEAD) for _, value in r.headers)
    assert len(store.entries) == 4
    shown += repr(store.entries).encode()
    assert b"secret.example" not in shown
    assert made.retries()[0].message.target.address == "ann@secret.example"

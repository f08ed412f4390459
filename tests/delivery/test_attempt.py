"""The state machine of a message, with events made by hand: no Redis, no provider, no waiting."""

from collections.abc import Callable

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.providers.messages import message, record
from tocsin.delivery.attempt import (
    Answered,
    Asked,
    AttemptPolicy,
    AttemptState,
    Claimed,
    Health,
    Then,
    Transition,
    Write,
    transition,
)
from tocsin.delivery.claim import Claim, ClaimResult
from tocsin.delivery.records import ProviderCall
from tocsin.delivery.retry import RetryPolicy
from tocsin.errors import (
    About,
    Declined,
    DeliveryError,
    Misconfigured,
    OptedOut,
    RecipientGone,
    Rejected,
    Throttled,
    Transient,
    Unknown,
)
from tocsin.model.message import Slots
from tocsin.model.outcome import Outcome
from tocsin.model.statuses import Reason
from tocsin.providers.base import Receipt

POLICY = AttemptPolicy(retry=RetryPolicy(quick_s=(1.0,), later_s=(30.0,), jitter=0))
DROP = AttemptPolicy(retry=POLICY.retry, on_unknown="drop")
ASK = AttemptPolicy(retry=POLICY.retry, on_unknown="ask")
ASK_OR_DROP = AttemptPolicy(retry=POLICY.retry, on_unknown="ask_or_drop")
NEVER = Misconfigured("no way to ask")
NOW_MS = 1_000_000
FRESH = Claim(ClaimResult.FRESH, 1)


def fresh(attempt: int = 1) -> AttemptState:
    return AttemptState(record(message(attempt=attempt), 0), message(attempt=attempt), attempt)


def answered(answer: Receipt | DeliveryError, provider: str = "first", **facts: bool) -> Answered:
    code = answer.code
    return Answered(answer, ProviderCall(NOW_MS, provider, 5, code), NOW_MS + 5, **facts)


def lines(step: Transition) -> list[tuple[str, str, int]]:
    """Status, reason and attempt of the outcomes a step emits."""
    found = [msgspec.json.decode(value, type=Outcome) for kind, value, _ in step.outputs if kind == "o"]
    return [(line.status, line.reason, line.attempt) for line in found]


def kinds(step: Transition) -> str:
    return "".join(kind for kind, _, _ in step.outputs)


def test_a_free_message_is_called() -> None:
    step = transition(POLICY, fresh(), Claimed(FRESH, NOW_MS))
    assert (step.then, step.write, step.outputs) == (Then.CALL, Write.NOTHING, ())


@pytest.mark.parametrize(
    ("claimed", "line", "write"),
    [
        (Claimed(FRESH, NOW_MS, expired=True), ("expired", "too_late", 1), Write.END),
        (Claimed(FRESH, NOW_MS, fault=(Reason.RENDER_ERROR, "x")), ("dead", "render_error", 1), Write.END),
        (Claimed(Claim(ClaimResult.OPEN, 1), NOW_MS), ("retrying", "unknown", 1), Write.ATTEMPT),
        (Claimed(Claim(ClaimResult.OPEN, 3), NOW_MS), ("dead", "unknown", 3), Write.END),
    ],
)
def test_what_a_claim_ends_without_a_call(claimed: Claimed, line: tuple[str, str, int], write: Write) -> None:
    step = transition(POLICY, fresh(claimed.claim.attempt), claimed)
    assert (lines(step), step.write) == ([line], write)
    assert step.then is not Then.CALL


def test_a_message_that_ended_before_emits_the_same_outputs_again_and_writes_nothing() -> None:
    first = transition(POLICY, fresh(), answered(Receipt("id", "202")))
    copy = transition(
        POLICY, fresh(), Claimed(Claim(ClaimResult.DONE, 1, first.state.outputs), NOW_MS + 99_000)
    )
    assert copy.outputs == first.outputs
    assert (copy.then, copy.write) == (Then.FINISHED, Write.NOTHING)


def test_a_stale_message_returns_to_the_gate_and_nothing_is_written() -> None:
    step = transition(POLICY, fresh(), Claimed(Claim(ClaimResult.STALE, 1), NOW_MS))
    assert (kinds(step), step.then, step.write) == ("r", Then.FINISHED, Write.NOTHING)


@pytest.mark.parametrize(
    ("answer", "health"),
    [
        (Receipt(), Health.TOOK),
        (Transient("busy"), Health.FAILED),
        (Throttled("slow"), Health.FAILED),
        (Unknown("cut"), Health.FAILED),
        (Transient("greylisted", about=About.RECIPIENT), Health.GOOD),
        (Misconfigured("one app", about=About.MESSAGE), Health.UNTOUCHED),
        (Misconfigured("bad key"), Health.MISCONFIGURED),
        (RecipientGone("gone"), Health.GOOD),
        (OptedOut("stop"), Health.GOOD),
        (Rejected("no"), Health.GOOD),
        (Declined("no"), Health.UNTOUCHED),
    ],
)
def test_what_an_answer_says_of_the_account(answer: Receipt | DeliveryError, health: Health) -> None:
    assert transition(POLICY, fresh(), answered(answer)).health is health


@pytest.mark.parametrize(("since_ms", "expected"), [(0, NOW_MS), (NOW_MS - 5_000, NOW_MS - 5_000)])
def test_a_device_is_reported_gone_since_when_the_provider_says(since_ms: int, expected: int) -> None:
    """A device that was registered anew in between is not blocked."""
    step = transition(POLICY, fresh(), answered(RecipientGone("gone", since_ms=since_ms)))
    (report,) = [value for kind, value, _ in step.outputs if kind == "c"]
    assert msgspec.json.decode(report)["at_ms"] == expected


def test_a_failure_waits_in_the_operator_then_returns_to_the_gate_then_is_dead() -> None:
    state, found = fresh(), []
    for _ in range(3):
        step = transition(POLICY, state, answered(Transient("busy")))
        state = step.state
        found.append((step.then, step.write, kinds(step)))
    assert found == [
        (Then.AGAIN, Write.ATTEMPT, "o"),
        (Then.FINISHED, Write.RETURN, "or"),
        (Then.FINISHED, Write.END, "od"),
    ]
    assert state.attempt == 3


def test_failing_over_uses_no_attempt_until_the_last_account_fails() -> None:
    step = transition(POLICY, fresh(), answered(Transient("busy"), fallback=True))
    assert (step.state.attempt, step.state.tried, step.due_ms) == (1, frozenset({"first"}), NOW_MS)
    last = transition(POLICY, step.state, answered(Transient("busy"), "second"))
    assert (last.state.attempt, last.state.tried) == (2, frozenset())


def test_a_broken_account_is_waited_for_without_using_an_attempt_and_shows_once() -> None:
    step = transition(POLICY, fresh(), answered(Misconfigured("bad key")))
    assert (step.then, step.state.attempt, len(step.outputs)) == (Then.PARK, 1, 1)
    again = transition(POLICY, step.state, answered(Misconfigured("bad key")))
    assert (again.then, again.outputs) == (Then.PARK, ())


def test_a_message_that_is_at_fault_uses_its_attempts_and_dies_as_misconfigured() -> None:
    state = fresh(3)
    step = transition(POLICY, state, answered(Misconfigured("bad key"), message_at_fault=True))
    assert lines(step) == [("dead", "misconfigured", 3)]


def test_an_unknown_send_is_repeated_and_says_so_or_dropped_by_policy() -> None:
    step = transition(POLICY, fresh(), answered(Unknown("cut")))
    assert lines(transition(POLICY, step.state, answered(Receipt()))) == [("sent", "resent_after_unknown", 2)]
    assert lines(transition(DROP, fresh(), answered(Unknown("cut")))) == [("dead", "unknown", 1)]


def test_a_declined_message_is_left_to_the_others_and_rejected_without_any() -> None:
    step = transition(POLICY, fresh(), answered(Declined("country"), others=True))
    assert (step.then, step.state.declined) == (Then.AGAIN, frozenset({"first"}))
    assert lines(transition(POLICY, step.state, answered(Declined("no"), "second"))) == [
        ("dead", "rejected", 1)
    ]


def unsure(attempt: int = 2) -> AttemptState:
    return msgspec.structs.replace(fresh(attempt), unknown=True)


def asked(answer: Receipt | DeliveryError | None, again_ms: int = 0) -> Asked:
    return Asked(answer, ProviderCall(NOW_MS, "first"), NOW_MS + 5, again_ms)


@pytest.mark.parametrize("claim", [ClaimResult.FRESH, ClaimResult.CONTINUE])
def test_what_may_have_been_sent_is_asked_for_before_it_is_sent_again(claim: ClaimResult) -> None:
    known = Claimed(Claim(claim, 2, unknown=True), NOW_MS)
    assert transition(ASK, fresh(2), known).then is Then.ASK
    assert transition(POLICY, fresh(2), known).then is Then.CALL
    assert transition(ASK, fresh(2), Claimed(Claim(claim, 2), NOW_MS)).then is Then.CALL


@pytest.mark.parametrize(
    ("policy", "event", "attempt", "line", "then"),
    [
        (ASK, asked(Receipt("id", "found")), 2, ("sent", "found_after_unknown", 2), Then.FINISHED),
        (ASK, asked(Receipt("id", "found")), 4, ("sent", "found_after_unknown", 4), Then.FINISHED),
        (ASK, asked(None), 2, None, Then.CALL),
        (ASK, asked(None), 4, ("dead", "out_of_attempts", 4), Then.FINISHED),
        (ASK, asked(None, NOW_MS + 900), 2, None, Then.AGAIN),
        (ASK, asked(NEVER), 2, None, Then.CALL),
        (ASK, asked(NEVER), 4, ("dead", "unknown", 4), Then.FINISHED),
        (ASK_OR_DROP, asked(None), 2, None, Then.CALL),
        (ASK_OR_DROP, asked(NEVER), 2, ("dead", "unknown", 2), Then.FINISHED),
        (ASK, asked(Transient("busy")), 1, ("retrying", "transient", 1), Then.AGAIN),
        (ASK_OR_DROP, asked(Transient("busy")), 2, ("retrying", "transient", 2), Then.FINISHED),
        (ASK, asked(Transient("busy")), 4, ("dead", "unknown", 4), Then.FINISHED),
    ],
)
def test_what_follows_when_the_provider_was_asked(
    policy: AttemptPolicy, event: Asked, attempt: int, line: tuple[str, str, int] | None, then: Then
) -> None:
    step = transition(policy, unsure(attempt), event)
    assert (step.then, lines(step)) == (then, [line] if line else [])
    assert step.health is Health.UNTOUCHED
    if event.again_ms:
        assert (step.due_ms, step.write, step.state.attempt) == (event.again_ms, Write.ATTEMPT, attempt)


def test_after_the_last_attempt_it_is_asked_once_more_and_never_sent() -> None:
    step = transition(ASK, unsure(3), answered(Unknown("cut")))
    assert (step.then, step.state.attempt) == (Then.AGAIN, 4)
    left = transition(ASK, fresh(3), Claimed(Claim(ClaimResult.OPEN, 3), NOW_MS))
    assert (left.then, left.state.attempt, left.state.unknown) == (Then.AGAIN, 4, True)


def test_slots_come_back_when_the_provider_says_that_it_was_not_sent() -> None:
    slotted = message(slots=Slots(1, 1), attempt=4)
    state = AttemptState(record(slotted, 0), slotted, 4, unknown=True)
    assert kinds(transition(ASK, state, asked(None))) == "odc"
    assert kinds(transition(ASK, state, asked(NEVER))) == "od"


SOME: tuple[Receipt | DeliveryError, ...] = (Receipt(), Unknown("cut"), Transient("busy"), Throttled("slow"))


@given(st.data())
def test_under_ask_nothing_that_was_taken_is_taken_twice(data: st.DataObject) -> None:
    """A provider takes some of the calls that it does not answer, and always says so when it is asked."""
    state, taken, calls = fresh(), 0, 0
    for _ in range(20):
        step = transition(
            ASK, state, Claimed(Claim(ClaimResult.CONTINUE, state.attempt, state.outputs), NOW_MS)
        )
        if step.then is Then.ASK:
            step = transition(ASK, step.state, asked(Receipt("id") if taken else None))
        if step.then is Then.CALL:
            answer = data.draw(st.sampled_from(SOME))
            took = isinstance(answer, Receipt) or (
                isinstance(answer, Unknown) and data.draw(st.booleans(), label="taken")
            )
            taken, calls = taken + took, calls + 1
            step = transition(ASK, step.state, answered(answer))
        state = step.state
        if step.then is Then.FINISHED:
            break
    assert taken <= 1
    assert calls <= ASK.retry.attempts
    ends = [
        line for line in lines(Transition(state, Then.FINISHED, state.outputs)) if line[0] in ("sent", "dead")
    ]
    assert len(ends) <= 1
    assert not ends or (ends[0][0] == "sent") == bool(taken)


KINDS = (Transient, Throttled, Unknown, Rejected, Declined, OptedOut, RecipientGone, Misconfigured)
ANSWERS: tuple[Callable[[], Receipt | DeliveryError], ...] = (
    Receipt,
    *[lambda kind=kind: kind("x") for kind in KINDS],
    lambda: Transient("x", about=About.RECIPIENT),
)


@given(
    st.lists(st.tuples(st.sampled_from(ANSWERS), st.booleans(), st.booleans(), st.booleans()), max_size=60),
    st.sampled_from([POLICY, DROP]),
)
def test_whatever_is_answered_a_message_ends_once_and_a_restart_resumes_it(
    script: list[tuple[Callable[[], Receipt | DeliveryError], bool, bool, bool]], policy: AttemptPolicy
) -> None:
    """Attempts never go back or beyond the schedule; the ledger's copy restores what it was made from."""
    state, emitted = fresh(), 0
    for answer, fallback, others, at_fault in script:
        event = answered(answer(), fallback=fallback, others=others, message_at_fault=at_fault)
        step = transition(policy, state, event)
        assert step.state.attempt in (state.attempt, state.attempt + 1)
        assert step.state.attempt <= policy.retry.attempts
        assert step.state.outputs == state.outputs + step.outputs, "the ledger has all that is emitted"
        state, emitted = step.state, emitted + len(step.outputs)
        kept = Claim(ClaimResult.CONTINUE, state.attempt, state.outputs, state.unknown)
        resumed = transition(policy, fresh(), Claimed(kept, NOW_MS))
        assert (resumed.state.attempt, resumed.state.outputs) == (kept.attempt, kept.outputs)
        assert resumed.state.unknown == kept.unknown
        assert len(resumed.outputs) == emitted
        if step.then is Then.FINISHED:
            assert step.write in (Write.END, Write.RETURN)
            return
        assert step.write is Write.ATTEMPT


def test_what_a_replay_finds_sent_is_suppressed_and_gives_its_slots_back() -> None:
    """The ledger is done with it and has no outputs: another generation of the message was sent."""
    slotted = message(slots=Slots(1, 1), replay="r1", replay_of="events/0/7")
    step = transition(
        POLICY, AttemptState(record(slotted, 0), slotted, 1), Claimed(Claim(ClaimResult.DONE, 1), NOW_MS)
    )
    assert lines(step) == [("suppressed", "already_sent", 1)]
    assert (step.then, step.write, kinds(step)) == (Then.FINISHED, Write.END, "oc")
    line = msgspec.json.decode(step.outputs[0][1], type=Outcome)
    assert (line.replay, line.replay_of) == ("r1", "events/0/7")

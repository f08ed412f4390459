"""What is never sent tells the gate so, once: its places in limits come back. What may be sent keeps them."""

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.delivery.test_attempt import ANSWERS, DROP, FRESH, NOW_MS, POLICY, answered, lines
from tests.providers.messages import message, record
from tocsin.delivery import records
from tocsin.delivery.attempt import AttemptPolicy, AttemptState, Claimed, Then, Transition, transition
from tocsin.delivery.claim import Claim, ClaimResult
from tocsin.errors import DeliveryError, OptedOut, RecipientGone, Rejected, Transient, Unknown
from tocsin.model import topics
from tocsin.model.message import Retry, Slots
from tocsin.model.outcome import ReceiptEvent
from tocsin.model.statuses import Reason

COUNTED = msgspec.structs.replace(message(), slots=Slots(2, 3))


def counted(attempt: int = 1, *, unknown: bool = False) -> AttemptState:
    return AttemptState(record(COUNTED, 0), COUNTED, attempt, unknown=unknown)


def receipts(step: Transition) -> list[ReceiptEvent]:
    found = [msgspec.json.decode(value, type=ReceiptEvent) for kind, value, _ in step.outputs if kind == "c"]
    return [each for each in found if each.kind == "failed"]


def returned(step: Transition) -> list[Retry]:
    state = step.state
    out = records.expand(state.record, state.message, step.outputs)
    return [msgspec.json.decode(one.value or b"", type=Retry) for one in out if one.topic == topics.RETRIES]


@pytest.mark.parametrize(
    "event",
    [
        Claimed(FRESH, NOW_MS, expired=True),
        Claimed(FRESH, NOW_MS, fault=(Reason.RENDER_ERROR, "x")),
        answered(Rejected("no")),
        answered(RecipientGone("gone")),
        answered(OptedOut("stop")),
    ],
)
def test_what_ends_unsent_gives_its_places_back(event: Claimed) -> None:
    (said,) = receipts(transition(POLICY, counted(), event))
    times = (COUNTED.decided_ms, COUNTED.decided_ms)
    assert said.slots == Slots(2, 3, *times)
    assert (said.message_id, said.notification_id) == (COUNTED.message_id, COUNTED.notification_id)
    assert (said.tenant, said.user, said.channel) == (COUNTED.tenant, COUNTED.user, COUNTED.channel)


def test_a_message_that_is_in_no_limit_says_nothing() -> None:
    plain = AttemptState(record(message(), 0), message(), 1)
    assert receipts(transition(POLICY, plain, answered(Rejected("no")))) == []


@pytest.mark.parametrize("policy", [POLICY, DROP])
def test_what_may_have_been_sent_keeps_its_places(policy: AttemptPolicy) -> None:
    crashed = Claimed(Claim(ClaimResult.OPEN, 1), NOW_MS)
    assert receipts(transition(DROP, counted(), crashed)) == []
    assert receipts(transition(DROP, counted(), answered(Unknown("cut off")))) == []
    assert receipts(transition(policy, counted(unknown=True), answered(Rejected("no")))) == []


def test_a_returned_message_has_its_places_unless_it_may_have_been_sent() -> None:
    for unknown, slots in ((False, COUNTED.slots), (True, None)):
        step = transition(POLICY, counted(2, unknown=unknown), answered(Transient("later")))
        assert [retry.message.slots for retry in returned(step)] == [slots]
        stale = transition(POLICY, counted(unknown=unknown), Claimed(Claim(ClaimResult.STALE, 1), NOW_MS))
        assert [retry.message.slots for retry in returned(stale)] == [slots]


def test_a_retry_note_of_an_older_ledger_is_still_read() -> None:
    old = ("r", b'[2,"transient",5,"first",3]', ())
    (out,) = records.expand(record(COUNTED, 0), COUNTED, (old,))
    assert msgspec.json.decode(out.value or b"", type=Retry).message.slots == COUNTED.slots


@given(st.lists(st.sampled_from(ANSWERS), min_size=1, max_size=12), st.sampled_from([POLICY, DROP]))
def test_places_come_back_exactly_when_nothing_can_have_been_sent(
    answers: list[object], policy: AttemptPolicy
) -> None:
    """Whatever the accounts answer: dead or expired, and no call of which the answer is missing."""
    state, maybe = counted(), False
    for make in answers:
        answer = make()  # type: ignore[operator]  # the table has makers of answers
        maybe |= isinstance(answer, DeliveryError) and answer.maybe_sent
        step = transition(policy, state, answered(answer))
        ended = any(status == "dead" for status, _, _ in lines(step))
        assert bool(receipts(step)) == (ended and not maybe)
        assert all(bool(retry.message.slots) == (not maybe) for retry in returned(step))
        if step.then is Then.FINISHED:
            return
        state = step.state

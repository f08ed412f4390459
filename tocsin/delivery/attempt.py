"""The state machine of one message: what follows a claim, and what follows a provider's answer. Pure.

`transition(policy, state, event)` reads no clock, no ledger and no provider. It returns the next state and
the effects: what the ledger has to write before anything is emitted, whether the provider is called, when the
message goes on, and what the call said of the account. `tocsin.delivery.executor` carries them out.

| event | case | what follows |
|---|---|---|
| Claimed | ended before | emit the same outputs again |
| Claimed | sent by a replay, or a replay of what was sent | suppressed |
| Claimed | left open by a crash | next attempt, or dead as `unknown` |
| Claimed | the profile is newer | return to gate |
| Claimed | expired | expired |
| Claimed | the hours of its channel are over | return to gate without using an attempt |
| Claimed | cannot be rendered, or an attachment cannot be had | dead |
| Claimed | an attachment cannot be fetched for now | retry as after a failed call |
| Claimed | free | call the provider |
| Claimed | free, but it may have been sent, and the policy asks | ask the provider |
| Asked | the provider has it | sent |
| Asked | the provider does not have it | call the provider, or dead after the last attempt |
| Asked | the provider cannot tell yet | ask again later, without using an attempt |
| Asked | the provider cannot be asked for now | retry as after a failed call |
| Asked | the provider cannot be asked at all | as the policy says: call the provider, or dead as `unknown` |
| Answered | sent | sent |
| Answered | about the recipient or message, for good | dead; the gate is told of a recipient who is gone |
| Answered | another account may carry it | fail over within the attempt |
| Answered | the account does not work | wait for it without using an attempt |
| Answered | for now | retry in the operator, then return to gate, then dead |
"""

from enum import Enum
from typing import NamedTuple

import msgspec

from tocsin.delivery import records
from tocsin.delivery.claim import Claim, ClaimResult, Output
from tocsin.delivery.records import ProviderCall
from tocsin.delivery.retry import Next, RetryPolicy, after_failure
from tocsin.errors import About, DeliveryError, Transient
from tocsin.model.message import Message
from tocsin.model.raw import RawRecord
from tocsin.model.statuses import Reason, Status
from tocsin.model.unanswered import ASKS, OnUnknown
from tocsin.providers.base import Receipt

_NO_NAMES: frozenset[str] = frozenset()


class AttemptPolicy(msgspec.Struct, frozen=True):
    """How attempts end.

    Attributes:
        retry: the schedule.
        on_unknown: what follows a send that may have happened.
    """

    retry: RetryPolicy = RetryPolicy()
    on_unknown: OnUnknown = "resend"

    @property
    def asks(self) -> bool:
        """Tell whether the provider is asked before a message is sent again."""
        return self.on_unknown in ASKS


class AttemptState(msgspec.Struct, frozen=True, gc=False):
    """What is known of one message.

    Attributes:
        record: the record that was read.
        message: what it holds.
        attempt: number of the attempt to make, from 1.
        outputs: what the ledger has of this admission by the gate.
        unknown: an earlier attempt may have been sent.
        tried: accounts called in this attempt.
        used: another account's call has used this attempt, so that its end uses it up.
        declined: accounts that cannot carry the message.
        first_failed_ms: when the first call failed; 0 before.
        last_reason: why the last call failed.
        ahead_ms: how far the wall clock is ahead of the clock of decisions; 0 where they are one.
    """

    record: RawRecord
    message: Message
    attempt: int
    outputs: tuple[Output, ...] = ()
    unknown: bool = False
    tried: frozenset[str] = _NO_NAMES
    used: bool = False
    declined: frozenset[str] = _NO_NAMES
    first_failed_ms: int = 0
    last_reason: Reason = Reason.TRANSIENT
    ahead_ms: int = 0


class Claimed(msgspec.Struct, frozen=True):
    """The ledger answered.

    Attributes:
        claim: what it has of the message.
        now_ms: wall time.
        expired: the message came too late.
        fault: reason and text of what keeps it from ever being sent.
        return_due_ms: set if it must return to the gate without a call; when it is due there.
        closed_ms: when the hours ended in which its channel may be used; 0 while it may be.
        unfetched: what keeps an attachment from being fetched for now.
    """

    claim: Claim
    now_ms: int
    expired: bool = False
    fault: tuple[Reason, str] | None = None
    return_due_ms: int | None = None
    closed_ms: int = 0
    unfetched: DeliveryError | None = None


class Answered(msgspec.Struct, frozen=True):
    """The provider answered, or did not.

    Attributes:
        answer: its receipt or error.
        call: what is known of the call.
        now_ms: wall time.
        fallback: another account that was not tried is up.
        others: another account can carry the message.
        message_at_fault: the account took others' messages since it first refused this one.
        awaits_receipt: the account reports deliveries, and another one may send it if no report comes.
    """

    answer: Receipt | DeliveryError
    call: ProviderCall
    now_ms: int
    fallback: bool = False
    others: bool = False
    message_at_fault: bool = False
    awaits_receipt: bool = False


class Asked(NamedTuple):
    """The accounts that may have the message were asked for it.

    Attributes:
        answer: the receipt of the account that has it; None if none has it; an error if that is not known.
        call: which account answered, and when.
        now_ms: wall time.
        again_ms: if an account cannot tell yet, when it can.
        awaits_receipt: as of `Answered`, where the account that has it is the one that was to be called.
    """

    answer: Receipt | DeliveryError | None
    call: ProviderCall
    now_ms: int
    again_ms: int = 0
    awaits_receipt: bool = False


class Then(Enum):
    """Where the message goes next."""

    CALL = "call"
    ASK = "ask"
    FINISHED = "finished"
    AGAIN = "again"
    PARK = "park"


class Write(Enum):
    """What the ledger writes before anything is emitted."""

    NOTHING = "nothing"
    ATTEMPT = "attempt"
    END = "end"
    RETURN = "return"
    """The end of this admission: the gate decides again."""


class Health(Enum):
    """What a step says about its account."""

    UNTOUCHED = "untouched"
    GOOD = "good"
    TOOK = "took"
    FAILED = "failed"
    MISCONFIGURED = "misconfigured"


HEALTH = {
    About.RECIPIENT: Health.GOOD,
    About.MESSAGE: Health.UNTOUCHED,
    About.ACCOUNT: Health.MISCONFIGURED,
    About.MOMENT: Health.FAILED,
}
"""What a failure that is about one of these says of the account."""


class Transition(msgspec.Struct, frozen=True):
    """The next state and the effects; `outputs` may be emitted once the ledger has written."""

    state: AttemptState
    then: Then
    outputs: tuple[Output, ...] = ()
    write: Write = Write.NOTHING
    due_ms: int = 0
    health: Health = Health.UNTOUCHED
    retry_after_s: float | None = None
    code: str = ""
    """The provider's, unless it took the message."""
    dead: Reason = Reason.NONE
    """Why it was dead-lettered, if it was."""


def transition(policy: AttemptPolicy, state: AttemptState, event: Claimed | Answered | Asked) -> Transition:
    """Decide what follows an event."""
    if isinstance(event, Asked):
        return _asked(policy, state, event)
    if isinstance(event, Claimed):
        adopted, shown = _adopt(state, event.claim)
        step = _claimed(policy, adopted, event)
        return _changed(step, outputs=shown + step.outputs) if shown else step
    step = _answered(policy, state, event)
    return step if isinstance(event.answer, Receipt) else _changed(step, code=event.call.code)


def _adopt(state: AttemptState, claim: Claim) -> tuple[AttemptState, tuple[Output, ...]]:
    """Take over what an earlier process wrote; returns also what must be emitted once more."""
    unknown = state.unknown or claim.unknown
    if claim.result is ClaimResult.FRESH or len(claim.outputs) <= len(state.outputs):
        return (state if unknown == state.unknown else _changed(state, unknown=unknown)), ()
    shown = claim.outputs[len(state.outputs) :]
    return _changed(state, unknown=unknown, attempt=claim.attempt, outputs=claim.outputs), shown


def _claimed(policy: AttemptPolicy, state: AttemptState, event: Claimed) -> Transition:
    result = event.claim.result
    if result is ClaimResult.DONE and not event.claim.outputs:
        return _already_sent(state, ProviderCall(event.now_ms))
    if result in (ClaimResult.DONE, ClaimResult.OLD):
        return Transition(state, Then.FINISHED)
    if result is ClaimResult.OPEN:
        return _left_open(policy, state, ProviderCall(event.now_ms))
    if result is ClaimResult.STALE:
        return _stale(state)
    if event.return_due_ms is not None:
        return _return_to_gate(state, state.last_reason, event.return_due_ms)
    if event.expired:
        return _expired(state, ProviderCall(event.now_ms))
    if event.closed_ms:
        return _return_to_gate(state, Reason.SEND_WINDOW, event.closed_ms)
    if event.fault is not None and event.fault[0] is Reason.ALREADY_SENT:
        return _already_sent(state, ProviderCall(event.now_ms))
    if event.fault is not None:
        return _dead_letter(state, *event.fault, ProviderCall(event.now_ms))
    if event.unfetched is not None:
        answered = Answered(event.unfetched, ProviderCall(event.now_ms), event.now_ms)
        return _retry(policy, state, answered, event.unfetched, Health.UNTOUCHED)
    return Transition(state, Then.ASK if state.unknown and policy.asks else Then.CALL)


def _asked(policy: AttemptPolicy, state: AttemptState, event: Asked) -> Transition:
    """Take the provider's word; without one go on as the policy says."""
    answer, last = event.answer, state.attempt > policy.retry.attempts
    if isinstance(answer, Receipt):
        return _sent(state, Reason.FOUND_AFTER_UNKNOWN, event, Health.UNTOUCHED)
    if event.again_ms:
        return _go_on(state, (), event.again_ms)
    if answer is None:
        if not last:
            return Transition(state, Then.CALL)
        text = f"{policy.retry.attempts} attempts failed, and the provider does not have it"
        return _dead_letter(state, Reason.OUT_OF_ATTEMPTS, text, event.call, certain=True)
    if answer.about is About.MOMENT and not last:
        failed = Transient(f"cannot be asked: {answer}", retry_after_s=answer.retry_after_s)
        answered = Answered(failed, event.call, event.now_ms)
        return _retry(policy, state, answered, failed, Health.UNTOUCHED)
    if policy.on_unknown == "ask" and not last:
        return Transition(state, Then.CALL)
    return _dead_letter(state, Reason.UNKNOWN, f"nobody can tell whether it was sent: {answer}", event.call)


def _already_sent(state: AttemptState, call: ProviderCall) -> Transition:
    line = _outcome(state, Status.SUPPRESSED, Reason.ALREADY_SENT, call)
    return _end(state, line, *_failed(state, Reason.ALREADY_SENT, call))


def _expired(state: AttemptState, call: ProviderCall) -> Transition:
    line = _outcome(state, Status.EXPIRED, Reason.TOO_LATE, call)
    return _end(state, line, *_failed(state, Reason.TOO_LATE, call))


def _left_open(policy: AttemptPolicy, state: AttemptState, call: ProviderCall) -> Transition:
    """Make the attempt that a crash left open again under the next number, or end it, by policy."""
    gives_up = state.attempt >= policy.retry.attempts and not policy.asks
    if policy.on_unknown == "drop" or gives_up:
        text = "a crash left the attempt open: it may have been sent"
        return _dead_letter(state, Reason.UNKNOWN, text, call)
    line = _outcome(state, Status.RETRYING, Reason.UNKNOWN, call)
    return _go_on(_changed(state, attempt=state.attempt + 1, unknown=True), (line,), call.at_ms)


def _stale(state: AttemptState) -> Transition:
    """Ask the gate at once. Not written down: read again, it says the same while the profile is newer."""
    retry = records.return_to_gate(
        state.attempt, Reason.STALE_PROFILE, state.message.decided_ms, maybe_sent=state.unknown
    )
    return Transition(state, Then.FINISHED, (retry,))


def _answered(policy: AttemptPolicy, state: AttemptState, event: Answered) -> Transition:
    error, call = event.answer, event.call
    if isinstance(error, Receipt):
        reason = Reason.RESENT_AFTER_UNKNOWN if state.unknown else Reason.NONE
        return _sent(state, reason, event, Health.TOOK)
    if error.this_account_only:
        return _declined(state, event, error)
    state = _changed(
        state,
        last_reason=error.reason,
        unknown=state.unknown or error.maybe_sent,
        first_failed_ms=state.first_failed_ms or call.at_ms,
    )
    if error.permanent:
        return _refused(state, error, call)
    if error.maybe_sent and policy.on_unknown == "drop":
        return _dead_letter(state, Reason.UNKNOWN, str(error), call, Health.FAILED)
    if error.about is About.ACCOUNT:
        return _misconfigured(policy, state, event, error)
    if error.failover and event.fallback:
        return _fail_over(_changed(state, used=True), error.reason, call, HEALTH[error.about])
    return _retry(policy, state, event, error, HEALTH[error.about])


def _sent(state: AttemptState, reason: Reason, event: Answered | Asked, health: Health) -> Transition:
    """End it as sent; if its receipt may take only so long, another account sends it after that."""
    line, call = _outcome(state, Status.SENT, reason, event.call), event.call
    if not event.awaits_receipt:
        return _end(state, line, health=health)
    due_ms = event.now_ms - state.ahead_ms + state.message.failover_ms
    return _end(state, line, records.by_another(call.provider, due_ms), health=health)


def _declined(state: AttemptState, event: Answered, error: DeliveryError) -> Transition:
    """Leave it to the accounts that are left; one that is down is waited for."""
    state = _changed(state, declined=state.declined | {event.call.provider})
    if not event.others:
        return _dead_letter(state, error.reason, str(error), event.call)
    return _fail_over(state, error.reason, event.call, Health.UNTOUCHED)


def _misconfigured(
    policy: AttemptPolicy, state: AttemptState, event: Answered, error: DeliveryError
) -> Transition:
    """Use up no attempt while the account may be to blame: somebody will fix it."""
    health = Health.UNTOUCHED if event.message_at_fault else Health.MISCONFIGURED
    if not event.fallback and (state.used or event.message_at_fault):
        return _retry(policy, state, event, error, health)
    step = _fail_over(state, error.reason, event.call, health)
    return step if event.fallback else _changed(step, then=Then.PARK)


def _fail_over(state: AttemptState, reason: Reason, call: ProviderCall, health: Health) -> Transition:
    """Write this call down without using up the attempt; of calls that repeat only the first shows."""
    line = records.outcome(
        state.message,
        Status.RETRYING,
        reason,
        state.attempt,
        call,
        failed_over=True,
        ahead_ms=state.ahead_ms,
    )
    outputs = () if records.repeats(line, state.outputs) else (line,)
    return _go_on(_changed(state, tried=state.tried | {call.provider}), outputs, call.at_ms, health)


def _refused(state: AttemptState, error: DeliveryError, call: ProviderCall) -> Transition:
    if not error.receipt:
        return _dead_letter(state, error.reason, str(error), call, Health.GOOD)
    receipt = records.receipt(state.message, error.receipt, error.reason, call, error.since_ms)
    line = _outcome(state, Status.DEAD, error.reason, call)
    return _end(state, line, receipt, *_failed(state, error.reason, call), health=Health.GOOD)


def _retry(
    policy: AttemptPolicy, state: AttemptState, event: Answered, error: DeliveryError, health: Health
) -> Transition:
    """Follow the schedule: wait in the operator, return to the gate, or give up."""
    call, message_id = event.call, state.message.message_id
    after = after_failure(policy.retry, message_id, state.attempt, event.now_ms, error.retry_after_s)
    if after.next is Next.GIVE_UP and state.unknown and policy.asks:
        line = _outcome(state, Status.RETRYING, error.reason, call)
        step = _go_on(_changed(state, attempt=state.attempt + 1), (line,), event.now_ms, health)
    elif after.next is Next.GIVE_UP:
        text = f"{state.attempt} attempts failed, the last as {error.reason}: {error}"
        reason = error.reason if health is Health.UNTOUCHED else Reason.OUT_OF_ATTEMPTS
        step = _dead_letter(state, reason, text, call, health)
    else:
        line = _outcome(state, Status.RETRYING, error.reason, call)
        state = _changed(state, attempt=state.attempt + 1, tried=_NO_NAMES, used=False)
        if after.next is Next.AGAIN:
            step = _go_on(state, (line,), after.due_ms, health)
        else:
            step = _return_to_gate(state, error.reason, after.due_ms, line, provider=call.provider)
    return _changed(step, health=health, retry_after_s=error.retry_after_s)


def _return_to_gate(
    state: AttemptState, reason: Reason, due_ms: int, *lines: Output, provider: str = ""
) -> Transition:
    retry = records.return_to_gate(
        state.attempt,
        reason,
        due_ms,
        provider=provider,
        first_failed_ms=state.first_failed_ms,
        maybe_sent=state.unknown,
    )
    return _end(state, *lines, retry, write=Write.RETURN)


def _dead_letter(
    state: AttemptState,
    reason: Reason,
    text: str,
    call: ProviderCall,
    health: Health = Health.UNTOUCHED,
    *,
    certain: bool = False,
) -> Transition:
    """End it as dead; `certain` says that it was not sent, whatever was unknown before."""
    letter = records.dead(state.record, reason, text, attempts=state.attempt, at_ms=call.at_ms)
    line = _outcome(state, Status.DEAD, reason, call)
    unsent = records.failed(state.message, reason, call) if certain else _failed(state, reason, call)
    step = _end(state, line, letter, *unsent, health=health)
    return _changed(step, dead=reason)


def _failed(state: AttemptState, reason: Reason, call: ProviderCall) -> tuple[Output, ...]:
    """Give the places in limits back of what was not sent. What may have been sent keeps them."""
    return () if state.unknown or reason is Reason.UNKNOWN else records.failed(state.message, reason, call)


def _go_on(
    state: AttemptState, outputs: tuple[Output, ...], due_ms: int, health: Health = Health.UNTOUCHED
) -> Transition:
    written = _changed(state, outputs=state.outputs + outputs)
    return Transition(written, Then.AGAIN, outputs, Write.ATTEMPT, due_ms, health)


def _end(
    state: AttemptState, *outputs: Output, write: Write = Write.END, health: Health = Health.UNTOUCHED
) -> Transition:
    written = _changed(state, outputs=state.outputs + outputs)
    return Transition(written, Then.FINISHED, outputs, write, health=health)


def _outcome(state: AttemptState, status: Status, reason: Reason, call: ProviderCall) -> Output:
    return records.outcome(state.message, status, reason, state.attempt, call, ahead_ms=state.ahead_ms)


_changed = msgspec.structs.replace

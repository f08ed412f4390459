"""Decides what was held again, when its time has come. `TIMERS` has the handler of each kind of timer."""

from collections.abc import Callable, Mapping
from typing import Final

from msgspec.structs import replace

from tocsin.catalog.compile import CompiledNotification
from tocsin.catalog.expressions import ExpressionError
from tocsin.catalog.matching import Match, choose
from tocsin.catalog.variants import named
from tocsin.decision import dedup, limit_queue, waiting
from tocsin.decision.context import EMPTY_SCOPE, DecisionContext
from tocsin.decision.decider import dead_letter, finish
from tocsin.decision.due_digest import as_notification
from tocsin.decision.effects import Decision, settled
from tocsin.decision.escalation import forget_if_over
from tocsin.decision.evaluation import Stage
from tocsin.decision.on_event import decide_notification
from tocsin.decision.on_returned import message_due
from tocsin.decision.on_unsent import on_unsent
from tocsin.decision.recipient import Recipient, for_event
from tocsin.decision.scope import scope_of
from tocsin.decision.slots import unsent_hold
from tocsin.decision.subjects import EventSubject, HeldSubject
from tocsin.decision.timers import DueTimer, HeldDigest, HeldEvent, TimerKind, decode_payload, event_of
from tocsin.decision.user_state import HoldRef, UserRecord
from tocsin.decision.verdict import Cancel, Detail, Suppress
from tocsin.errors import DecodeError
from tocsin.model.event import Event
from tocsin.model.statuses import Reason


def notification_due(context: DecisionContext, due: DueTimer) -> Decision:
    """Decide a held notification again, unless its user, cause or place in the catalog is gone."""
    return _held_due(context, due, Stage.TIMER)


def part_due(context: DecisionContext, due: DueTimer) -> Decision:
    """Decide one channel of a notification again that was held apart from its other channels."""
    return _held_due(context, due, Stage.PART)


def digest_due(context: DecisionContext, due: DueTimer) -> Decision:
    """Decide a digest as one notification: by the catalog, the profile and the counters of now."""
    record, held = due.record or UserRecord(), decode_payload(due.payload)
    assert isinstance(held, HeldEvent), "a timer of this kind has the payload of an event"
    ref = record.holds.pop(due.timer_id)
    assert ref.digest is not None, "a timer of this kind has the numbers of a digest"
    decision = Decision(record, True)
    gone = HeldSubject(ref, due.tenant, due.user, due.now_ms, context.version_of(due.tenant))
    try:
        first = event_of(held)
    except DecodeError as error:
        _forget(record, held)
        dead_letter(decision, gone, held.raw, held, error.reason, str(error))
    else:
        notification = context.catalog.notification(due.tenant, held.notification)
        held, event = as_notification(due, held, first, ref.digest, notification)
        _decide_event(context, decision, record, gone, held, event, Stage.DIGEST)
    return settled(decision, record)


def wait_over(context: DecisionContext, due: DueTimer) -> Decision:
    """End the wait of events whose profile did not come in time; the others wait on."""
    return waiting.end_wait(due.record, due.tenant, due.user, due.now_ms, context.version_of(due.tenant))


TIMERS: Final[Mapping[TimerKind, Callable[[DecisionContext, DueTimer], Decision]]] = {
    TimerKind.NOTIFICATION: notification_due,
    TimerKind.PART: part_due,
    TimerKind.DIGEST: digest_due,
    TimerKind.MESSAGE: message_due,
    TimerKind.PROFILE: wait_over,
}
"""What is decided when a timer of each kind is due."""


def _held_due(context: DecisionContext, due: DueTimer, stage: Stage) -> Decision:
    record, now_ms = due.record or UserRecord(), due.now_ms
    held = decode_payload(due.payload)
    assert isinstance(held, HeldEvent), "a timer of this kind has the payload of an event"
    ref = record.holds.pop(due.timer_id, None) or _ref(due, held)
    decision = Decision(record, True)
    gone = HeldSubject(ref, due.tenant, due.user, now_ms, context.version_of(due.tenant))
    _decide_held(context, decision, record, gone, held, stage)
    again = record.holds.get(due.timer_id)
    if not decision.messages and not (again is None and _has_parts(decision)):
        if ref.counter and not ref.spare and (again is None or again.counter != ref.counter):
            limit_queue.pass_on(decision, record, ref, now_ms)
        if again is None:
            on_unsent(context, decision, record, due.tenant, unsent_hold(ref), now_ms)
    if record.engaged:
        forget_if_over(record, ref.notification_id)
    return settled(decision, record)


def _has_parts(decision: Decision) -> bool:
    """Return whether channels of what was due are held: then it was counted, and took its slot."""
    return any(timer.timer_id.startswith(TimerKind.PART) for timer in decision.set_timers)


def _decide_held(
    context: DecisionContext,
    decision: Decision,
    record: UserRecord,
    gone: HeldSubject,
    held: HeldEvent,
    stage: Stage,
) -> None:
    """Decide what was held again; `gone` takes its outcome if it cannot be decided any more."""
    try:
        event = event_of(held)
    except DecodeError as error:
        _forget(record, held)
        return dead_letter(decision, gone, held.raw, held, error.reason, str(error))
    if held.digest is not None and stage is Stage.TIMER:
        stage = Stage.DIGEST
    return _decide_event(context, decision, record, gone, held, event, stage)


def _decide_event(
    context: DecisionContext,
    decision: Decision,
    record: UserRecord,
    gone: HeldSubject,
    held: HeldEvent,
    event: Event,
    stage: Stage,
) -> None:
    ref = gone.ref
    recipient = for_event(record, event, context.defaults_for(event.tenant))
    if recipient is None:
        return finish(decision, gone, Suppress(Reason.ERASED))
    try:
        match = _match(context, event, recipient, held, gone.now_ms)
    except ExpressionError as error:
        _forget(record, held, event)
        return dead_letter(decision, gone, held.raw, held, Reason.BAD_EXPRESSION, str(error))
    if match is None:
        return finish(decision, gone, Cancel(Reason.NO_MATCH, _missing(context, event, held)))
    subject = EventSubject(
        event,
        held.raw,
        match,
        gone.now_ms,
        held.hold_count,
        ref.notification_id,
        recipient.faults,
        held.part,
        held.unless,
        digest=held.digest,
        variant=named(match.notification.variants, held.variant),
    )
    subject.slots, subject.held_key = ref.slots, held.dedup_key
    return decide_notification(context, decision, record, recipient, subject, stage, ref.counter)


def _forget(record: UserRecord, held: HeldEvent, event: Event | None = None) -> None:
    """Let a dead event, or another one with its dedup key, come again: nobody was told.

    Of one channel of a notification the user may have been told on others. `event` is None where the record
    is not accepted any more, so that only its place is known.
    """
    if event is not None:
        waiting.forget(record, event)
    else:
        record.seen = dedup.forget_origin(record.seen, held.origin, record.declared)
    if held.dedup_key and not held.part:
        record.keys = dedup.forget(record.keys, held.dedup_key, held.origin, record.declared)


def _match(
    context: DecisionContext, event: Event, recipient: Recipient, held: HeldEvent, now_ms: int
) -> Match | None:
    """Evaluate the expressions again; None where the notification, or the channel of a part, is gone."""
    notification = context.catalog.notification(event.tenant, held.notification)
    if notification is None:
        return None
    match = _choose(notification, event, recipient, held.digest, now_ms)
    if match is None or not held.part:
        return match
    later = (step.channel for step in notification.steps)
    channels = tuple(channel for channel in (*match.channels, *later) if channel.name == held.part)
    return replace(match, channels=channels) if channels else None


def _missing(context: DecisionContext, event: Event, held: HeldEvent) -> Detail:
    """Tell what the catalog has no more of something held."""
    notification = context.catalog.notification(event.tenant, held.notification)
    if notification is None:
        return {"gone": "notification"}
    if held.part and notification.channel(held.part) is None:
        return {"gone": "channel"}
    return {"unmet": "condition"}


def _choose(
    notification: CompiledNotification,
    event: Event,
    recipient: Recipient,
    digest: HeldDigest | None,
    now_ms: int,
) -> Match | None:
    """Evaluate the expressions; those of a digest were evaluated with the event of each item."""
    if digest is not None and not digest.plain:
        channels = [one for one in notification.channels if one.when is None or one.name in digest.channels]
        return Match(notification, tuple(channels))
    scope = scope_of(event, recipient, notification.needs, now_ms) if notification.needs else EMPTY_SCOPE
    return choose(notification, scope, event.asked)


def _ref(due: DueTimer, held: HeldEvent) -> HoldRef:
    nid, _, channel = due.timer_id[1:].partition("/")
    return HoldRef(
        0,
        nid,
        held.notification,
        "",
        "",
        str(held.origin),
        channel=channel or "*",
        attempt=held.hold_count,
        variant=held.variant,
    )

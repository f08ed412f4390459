"""Decides a message that delivery returned: it failed for now, or was decided on an older profile.

A message that is replayed comes the same way.

Each goes through the same rules as a new notification, at stage `RETURNED`. It was admitted and counted, so
no limit is asked and no dedup key is looked up; preferences, blocks and quiet hours are those of now.
"""

from tocsin.decision import dedup, failover
from tocsin.decision.context import DecisionContext
from tocsin.decision.decider import decide, finish
from tocsin.decision.effects import Decision, settled
from tocsin.decision.evaluation import Evaluation, Stage
from tocsin.decision.faulty import hold_message
from tocsin.decision.on_unsent import move_up, on_unsent
from tocsin.decision.policy import GatePolicy
from tocsin.decision.recipient import Recipient, contact_point, for_returned
from tocsin.decision.slots import unsent_message
from tocsin.decision.subjects import MessageSubject
from tocsin.decision.timers import DueTimer, HeldMessage, TimerKind, decode_payload
from tocsin.decision.user_state import UserRecord
from tocsin.decision.verdict import Cancel, Suppress
from tocsin.model.message import Message, Retry
from tocsin.model.statuses import Reason


def on_retry(context: DecisionContext, record: UserRecord | None, retry: Retry, now_ms: int) -> Decision:
    """Decide a returned message again: hold it until due, send it by the profile of now, or end it.

    An admission is returned once. A copy of the record, as a crash may leave one, changes nothing.
    """
    found = record if record is not None else UserRecord()
    recipient = for_returned(found, retry, context.defaults_for(retry.message.tenant))
    if found.is_nobody() and recipient is None:
        # Nothing is kept of somebody who was erased.
        decision = Decision(record)
    elif _is_first(found, retry, now_ms, context.policy):
        decision = Decision(found, True)
        if failover.is_answered(found, retry):
            subject = MessageSubject(retry, now_ms, context.version_of(retry.message.tenant))
            finish(decision, subject, failover.ANSWERED)
            return decision
    else:
        return Decision(record)
    _decide(context, decision, found, recipient, HeldMessage(retry), now_ms)
    _end_unsent(context, decision, found, retry.message, now_ms)
    return decision


def message_due(context: DecisionContext, due: DueTimer) -> Decision:
    """Decide a returned message again whose wait is over."""
    record = due.record or UserRecord()
    held = decode_payload(due.payload)
    assert isinstance(held, HeldMessage), "a timer of this kind has the payload of a message"
    record.holds.pop(due.timer_id, None)
    decision = Decision(record, True)
    recipient = for_returned(record, held.retry, context.defaults_for(due.tenant))
    _decide(context, decision, record, recipient, held, due.now_ms)
    _end_unsent(context, decision, record, held.retry.message, due.now_ms)
    return settled(decision, record)


def _end_unsent(
    context: DecisionContext, decision: Decision, record: UserRecord, message: Message, now_ms: int
) -> None:
    """Give the slots of a message back that is neither sent nor held again."""
    if message.slots is not None and not decision.messages and not decision.set_timers:
        on_unsent(context, decision, record, message.tenant, unsent_message(message), now_ms)


def _decide(
    context: DecisionContext,
    decision: Decision,
    record: UserRecord,
    recipient: Recipient | None,
    held: HeldMessage,
    now_ms: int,
) -> None:
    retry, message = held.retry, held.retry.message
    subject = MessageSubject(retry, now_ms, context.version_of(message.tenant), held.round)
    if recipient is None:
        return finish(decision, subject.gone(), Suppress(Reason.ERASED))
    if message.unless_sent and f"{TimerKind.MESSAGE.value}{message.unless_sent}" in record.holds:
        return finish(decision, subject, Suppress(Reason.ALREADY_SENT, {"original": message.unless_sent}))
    if message.tenant in context.faulty:
        return hold_message(decision, record, subject)
    notification = context.catalog.notification(message.tenant, message.notification)
    channel = notification.channel(message.channel) if notification else None
    if notification is None or channel is None:
        gone = "channel" if notification else "notification"
        return finish(decision, subject, Cancel(Reason.NO_MATCH, {"gone": gone}))
    stale = retry.reason == Reason.STALE_PROFILE
    evaluation = Evaluation(
        subject,
        recipient,
        notification,
        record,
        now_ms,
        Stage.RETURNED,
        message.expires_ms,
        0 if stale else retry.due_ms,
        channel,
        contact_point(recipient, message.channel, subject.target_key),
    )
    decide(decision, evaluation, context.rules[notification][Stage.RETURNED], context.policy)
    move_up(context, decision, record, message.tenant, evaluation.freed, recipient.timezone, now_ms)
    return None


def _is_first(record: UserRecord, retry: Retry, now_ms: int, policy: GatePolicy) -> bool:
    """Return whether this admission of the message was not returned before, and remember it.

    A crash may leave a copy of a record, byte for byte: deciding it again would write another final outcome.
    """
    message, window_ms = retry.message, policy.dedup_window_ms
    key = dedup.key_of(message.message_id, f"{message.attempt}/{message.decided_ms}")
    if dedup.original(record.seen, key, message.decided_ms, window_ms, now_ms):
        return False
    record.seen = dedup.remember(
        record.seen,
        key,
        message.decided_ms,
        window_ms,
        now_ms,
        message.origin,
        policy.dedup_max,
        record.naming(message.origin),
    )
    return True

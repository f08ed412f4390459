"""Drops what a receipt makes needless: later steps, and other channels of a notification that was seen.

Receipts come late, doubled and in any order. Only the highest level counts, and it stops only what is still
to come. A message that queues for a provider cannot be reached from here. A newer profile version makes the
send ledger return it to the gate, where the rule `seen` drops it. The user's other messages return unharmed.
"""

from tocsin.decision import dedup, engagement
from tocsin.decision.context import DecisionContext
from tocsin.decision.effects import Decision
from tocsin.decision.endings import Ending
from tocsin.decision.engagement import Engagement
from tocsin.decision.escalation import forget_if_over
from tocsin.decision.on_unsent import end_unsent
from tocsin.decision.timers import TimerKind
from tocsin.decision.user_state import HoldRef, UserRecord
from tocsin.decision.verdict import Cancel, FinalVerdict, Suppress
from tocsin.model.engagement import Level
from tocsin.model.outcome import ReceiptEvent
from tocsin.model.statuses import Reason

_DROPPED = (TimerKind.PART.value, TimerKind.MESSAGE.value)


def note_level(
    context: DecisionContext,
    decision: Decision,
    record: UserRecord,
    receipt: ReceiptEvent,
    level: Level,
    now_ms: int,
) -> None:
    """Note how far a notification has got with its user, and drop what that makes needless.

    Args:
        context: the catalog in force.
        decision: takes the effects.
        record: the user's.
        receipt: names the notification.
        level: what the receipt says.
        now_ms: the time of the decision.
    """
    nid = receipt.notification_id
    tracked = engagement.find(record.engaged, nid)
    known = tracked or _announced(context, receipt)
    if known is None or (tracked is None and _is_over(record, receipt, known)):
        return
    policy = context.policy
    record.engaged = engagement.note(
        record.engaged,
        nid,
        level,
        stops=known.stops,
        until_ms=now_ms + policy.engaged_ms,
        most=policy.engaged_max,
    )
    decision.record, decision.touched = record, True
    reached = Engagement(max(level, known.level), known.stops)
    _drop(context, decision, record, receipt, reached, now_ms)
    if tracked:
        forget_if_over(record, nid)
    if known.stops and known.level < Level.OPENED <= level and record.version:
        decision.profile_version = record.version = record.version + 1


def _announced(context: DecisionContext, receipt: ReceiptEvent) -> Engagement | None:
    """Tell what the catalog says of a notification whose receipts are read before its event."""
    named = context.catalog.notification(receipt.tenant, receipt.notification)
    return Engagement(Level.NONE, named.stop_when_seen) if named is not None and named.tracked else None


def _is_over(record: UserRecord, receipt: ReceiptEvent, known: Engagement) -> bool:
    """Return whether a notification has been decided and no receipt changes anything about it any more."""
    if known.stops or not dedup.has_origin(record.seen, receipt.origin, record.declared):
        return False
    return not any(ref.notification_id == receipt.notification_id for ref in record.holds.values())


def _drop(
    context: DecisionContext,
    decision: Decision,
    record: UserRecord,
    receipt: ReceiptEvent,
    reached: Engagement,
    now_ms: int,
) -> None:
    needless = [
        (timer_id, verdict)
        for timer_id, ref in record.holds.items()
        if ref.notification_id == receipt.notification_id
        and timer_id.startswith(_DROPPED)
        and (verdict := _verdict(ref, receipt, reached))
    ]
    ending = Ending(receipt.tenant, receipt.user, now_ms, context.version_of(receipt.tenant))
    for timer_id, verdict in needless:
        end_unsent(context, decision, record, timer_id, verdict, ending)


def _verdict(ref: HoldRef, receipt: ReceiptEvent, reached: Engagement) -> FinalVerdict | None:
    """Return why something held is needless; None if it is not."""
    detail = {"receipt": receipt.kind, "channel": receipt.channel}
    if reached.stops and reached.level >= Level.OPENED:
        return Suppress(Reason.SEEN, dict(detail))
    return Cancel(Reason.ANSWERED, dict(detail)) if ref.unless and reached.level >= ref.unless else None

"""What a receipt means for a message that another account is to send, if no receipt comes in time.

Delivery returns such a message to the gate when an account has sent it, under an id of its own. The gate
holds it. A receipt of the first message cancels it. A receipt may be read before that return: it is
remembered, by the id of the message. One that comes when the other account has it already does not stop that
one, but no further account then sends anything.
"""

from collections.abc import Iterator

from tocsin.decision import engagement
from tocsin.decision.context import DecisionContext
from tocsin.decision.effects import Decision
from tocsin.decision.endings import Ending
from tocsin.decision.on_unsent import end_unsent
from tocsin.decision.timers import TimerKind
from tocsin.decision.user_state import UserRecord
from tocsin.decision.verdict import Cancel
from tocsin.model.engagement import Level
from tocsin.model.ids import digest
from tocsin.model.message import FAILOVER, Retry
from tocsin.model.outcome import ReceiptEvent
from tocsin.model.statuses import Reason

ANSWERED = Cancel(Reason.ANSWERED, {"receipt": "delivered"})
_SLACK_MS = 3_600_000
"""How long after its time the return of a message may be read."""

_MOST_ACCOUNTS = 8
"""Accounts that may send one message, one after the other, for which a receipt is looked for."""

_UNNAMED_ACCOUNTS = 4
"""So many are reckoned with where the tenant names none: the gate does not read the file of accounts."""


def is_answered(record: UserRecord, retry: Retry) -> bool:
    """Tell whether a receipt of the first message was read before the return of the second one."""
    if retry.reason != Reason.AWAITING_RECEIPT:
        return False
    first = retry.message.replay_of
    known = engagement.find(record.engaged, first)
    for message_id in _following(first, _MOST_ACCOUNTS) if known is not None else ():
        record.engaged = engagement.forget(record.engaged, message_id)
    return known is not None and known.level >= Level.DELIVERED


def on_receipt(
    context: DecisionContext,
    decision: Decision,
    record: UserRecord,
    receipt: ReceiptEvent,
    level: Level,
    now_ms: int,
) -> None:
    """Cancel what another account was to send, or remember the receipt until that is read.

    Args:
        context: the catalog in force.
        decision: takes the effects.
        record: the user's.
        receipt: names the message that was sent first.
        level: what the receipt says.
        now_ms: the time of the decision.
    """
    notification = context.catalog.notification(receipt.tenant, receipt.notification)
    channel = notification.channel(receipt.channel) if notification else None
    if timer_id := _waiting(record, receipt.message_id):
        ending = Ending(receipt.tenant, receipt.user, now_ms, context.version_of(receipt.tenant))
        verdict = Cancel(Reason.ANSWERED, {"receipt": receipt.kind, "channel": receipt.channel})
        decision.record = record
        return end_unsent(context, decision, record, timer_id, verdict, ending)
    if channel is not None and channel.failover_ms:
        # A later one may be at its account now, and be returned for the next: by the id of the one before.
        most = min(channel.accounts or _UNNAMED_ACCOUNTS, _MOST_ACCOUNTS) - 1
        for message_id in _following(receipt.message_id, most):
            record.engaged = engagement.note(
                record.engaged,
                message_id,
                level,
                stops=False,
                until_ms=now_ms + channel.failover_ms + _SLACK_MS,
                most=context.policy.engaged_max,
            )
        decision.record, decision.touched = record, True
    return None


def _waiting(record: UserRecord, message_id: str) -> str:
    """Find the timer of the message that follows one, or follows those after it; empty if none waits."""
    if not record.holds:
        return ""
    timer_ids = (TimerKind.MESSAGE.value + each for each in _following(message_id, _MOST_ACCOUNTS + 1))
    next(timer_ids)
    return next((timer_id for timer_id in timer_ids if timer_id in record.holds), "")


def _following(message_id: str, count: int) -> Iterator[str]:
    """Name a message and those that follow it when no receipt comes, `count` in all."""
    for _ in range(count):
        yield message_id
        message_id = digest(FAILOVER, message_id)

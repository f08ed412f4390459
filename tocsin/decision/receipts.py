"""Receipts: what became of a message after it was sent, as words of the log and as blocked targets."""

from types import MappingProxyType

from tocsin.decision.record import UserRecord
from tocsin.model.ids import outcome_id
from tocsin.model.outcome import Outcome, ReceiptEvent
from tocsin.model.statuses import Reason, Status

PERMANENT = frozenset({"permanent", Reason.RECIPIENT_GONE.value, Reason.RECIPIENT_OPTED_OUT.value})
_WORDS = MappingProxyType(
    {
        "delivered": (Status.DELIVERED, Reason.NONE),
        "bounced": (Status.BOUNCED, Reason.NONE),
        "gone": (Status.BOUNCED, Reason.RECIPIENT_GONE),
        "opted_out": (Status.UNSUBSCRIBED, Reason.RECIPIENT_OPTED_OUT),
        "complained": (Status.COMPLAINED, Reason.NONE),
        "opened": (Status.OPENED, Reason.NONE),
        "clicked": (Status.CLICKED, Reason.NONE),
        "unsubscribed": (Status.UNSUBSCRIBED, Reason.NONE),
        "read": (Status.READ, Reason.NONE),
    }
)
KINDS = frozenset(_WORDS)
_BLOCKING = frozenset({"gone", "opted_out", "complained"})


def receipt_word(receipt: ReceiptEvent, now_ms: int, version: str) -> Outcome:
    """Write a receipt into the log.

    Receipts of providers have ids of their own (a message may be opened twice); without one, a message has
    each word once.
    """
    status, reason = _WORDS[receipt.kind]
    return Outcome(
        outcome_id=outcome_id(receipt.receipt_id or receipt.message_id or receipt.origin, status.value),
        status=status.value,
        tenant=receipt.tenant,
        user=receipt.user,
        notification_id=receipt.notification_id,
        message_id=receipt.message_id,
        origin=receipt.origin,
        notification=receipt.notification,
        category=receipt.category,
        channel=receipt.channel or "*",
        target=receipt.target,
        reason=reason.value or receipt.reason,
        catalog_version=version,
        provider=receipt.provider,
        provider_message_id=receipt.provider_message_id,
        code=receipt.code,
        at_ms=receipt.at_ms or now_ms,
    )


def blocks(receipt: ReceiptEvent) -> bool:
    """Whether nothing more may go to its target: gone, opted out, complained, or bounced for good."""
    if not receipt.target:
        return False
    return receipt.kind in _BLOCKING or (receipt.kind == "bounced" and receipt.reason in PERMANENT)


def block(record: UserRecord, receipt: ReceiptEvent, now_ms: int, most: int) -> None:
    """Block a target; beyond `most` the oldest block goes, which a user of a few addresses never reaches."""
    at_ms = max(record.blocked.pop(receipt.target, 0), receipt.at_ms or now_ms)
    if len(record.blocked) >= most:
        del record.blocked[next(iter(record.blocked))]
    record.blocked[receipt.target] = at_ms

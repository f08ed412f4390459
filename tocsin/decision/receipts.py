"""Receipts: what became of a message after it was sent. One row of `RECEIPTS` for each kind.

A receipt is logged. It may block its contact point, and cancel timers of its notification.
"""

from collections.abc import Mapping
from enum import StrEnum
from types import MappingProxyType
from typing import NamedTuple

from tocsin.decision.timers import TimerKind
from tocsin.decision.user_state import UserRecord
from tocsin.model.ids import outcome_id
from tocsin.model.outcome import Outcome, ReceiptEvent
from tocsin.model.statuses import Reason, Status

PERMANENT = frozenset({"permanent", Reason.RECIPIENT_GONE.value, Reason.RECIPIENT_OPTED_OUT.value})


class Blocks(StrEnum):
    """Whether nothing more may be sent to the contact point of a receipt."""

    NEVER = "never"
    IF_PERMANENT = "if permanent"
    """Only where the receipt's reason is one of `PERMANENT`."""
    ALWAYS = "always"


class ReceiptKind(NamedTuple):
    """How one kind of receipt is handled.

    Attributes:
        status: of its outcome.
        reason: of its outcome; the receipt's own where this is `NONE`.
        blocks: whether its contact point is blocked.
        cancels: kinds of timers of the same notification that it cancels.
    """

    status: Status
    reason: Reason = Reason.NONE
    blocks: Blocks = Blocks.NEVER
    cancels: frozenset[TimerKind] = frozenset()


RECEIPTS: Mapping[str, ReceiptKind] = MappingProxyType(
    {
        "delivered": ReceiptKind(Status.DELIVERED),
        "bounced": ReceiptKind(Status.BOUNCED, blocks=Blocks.IF_PERMANENT),
        "gone": ReceiptKind(Status.BOUNCED, Reason.RECIPIENT_GONE, Blocks.ALWAYS),
        "opted_out": ReceiptKind(Status.UNSUBSCRIBED, Reason.RECIPIENT_OPTED_OUT, Blocks.ALWAYS),
        "complained": ReceiptKind(Status.COMPLAINED, blocks=Blocks.ALWAYS),
        "opened": ReceiptKind(Status.OPENED),
        "clicked": ReceiptKind(Status.CLICKED),
        "unsubscribed": ReceiptKind(Status.UNSUBSCRIBED),
        "read": ReceiptKind(Status.READ),
    }
)
KINDS = frozenset(RECEIPTS)


def receipt_outcome(receipt: ReceiptEvent, kind: ReceiptKind, now_ms: int, version: str) -> Outcome:
    """Write the outcome of a receipt.

    Receipts of providers have ids of their own, for a message may be opened twice. Without one, a message has
    one outcome of each kind.
    """
    status = kind.status.value
    return Outcome(
        outcome_id=outcome_id(receipt.receipt_id or receipt.message_id or receipt.origin, status),
        status=status,
        tenant=receipt.tenant,
        user=receipt.user,
        notification_id=receipt.notification_id,
        message_id=receipt.message_id,
        origin=receipt.origin,
        notification=receipt.notification,
        category=receipt.category,
        channel=receipt.channel or "*",
        target=receipt.target,
        reason=kind.reason.value or receipt.reason,
        catalog_version=version,
        provider=receipt.provider,
        provider_message_id=receipt.provider_message_id,
        code=receipt.code,
        at_ms=receipt.at_ms or now_ms,
    )


def blocks(receipt: ReceiptEvent, kind: ReceiptKind) -> bool:
    """Return whether nothing more may be sent to the receipt's contact point."""
    if not receipt.target:
        return False
    return kind.blocks is Blocks.ALWAYS or (
        kind.blocks is Blocks.IF_PERMANENT and receipt.reason in PERMANENT
    )


def block(record: UserRecord, receipt: ReceiptEvent, now_ms: int, most: int) -> None:
    """Block a contact point. Beyond `most` the oldest block is dropped; a usual user never has so many."""
    at_ms = max(record.blocked.pop(receipt.target, 0), receipt.at_ms or now_ms)
    if len(record.blocked) >= most:
        del record.blocked[next(iter(record.blocked))]
    record.blocked[receipt.target] = at_ms


def cancelled(record: UserRecord, receipt: ReceiptEvent, kind: ReceiptKind) -> list[str]:
    """Return the ids of the timers that a receipt cancels."""
    if not kind.cancels or not receipt.notification_id:
        return []
    return [
        timer_id
        for timer_id, ref in record.holds.items()
        if ref.notification_id == receipt.notification_id and timer_id[0] in kind.cancels
    ]

"""Receipts: what became of a message after it was sent. One row of `RECEIPTS` for each kind.

A receipt is logged. It may block a contact point or lift its block, and cancel timers of its notification.
One of kind `failed` is not logged: delivery writes it of a message that it could not send, and has logged
that. The slots of the message in limits come back.

A block is lifted by a receipt of kind `unblocked` or `resubscribed`, by a device that is registered after it,
and by a profile that names the address again after it had not (`name_again`). A lift is remembered: a late
receipt that is older than the lift blocks nothing. One of kind `resubscribed` that names a category and no
contact point ends the user's opt-out of it.
"""

from collections.abc import Mapping
from enum import StrEnum
from types import MappingProxyType
from typing import NamedTuple

from tocsin.decision.recipient import lent
from tocsin.decision.timers import TimerKind
from tocsin.decision.user_state import ContactPoint, UserRecord
from tocsin.formats.addresses import spellings
from tocsin.formats.forwarded import place_of
from tocsin.model.channels import ContactKind, spec_of
from tocsin.model.engagement import MACHINE, Level
from tocsin.model.ids import digest, message_id, outcome_id, target_id
from tocsin.model.outcome import Outcome, ReceiptEvent
from tocsin.model.raw import RawRecord
from tocsin.model.statuses import Reason, Status

PERMANENT = frozenset({"permanent", Reason.RECIPIENT_GONE.value, Reason.RECIPIENT_OPTED_OUT.value})


class Blocks(StrEnum):
    """Whether nothing more may be sent to the contact point of a receipt."""

    NEVER = "never"
    IF_PERMANENT = "if permanent"
    """Only where the receipt's reason is one of `PERMANENT`, in any case: SES writes `Permanent`."""
    ALWAYS = "always"


class ReceiptKind(NamedTuple):
    """How one kind of receipt is handled.

    Attributes:
        status: of its outcome; None if it has none.
        reason: of its outcome; the receipt's own where this is `NONE`.
        blocks: whether its contact point is blocked.
        lifts: whether a block of its contact point is lifted.
        cancels: kinds of timers of the same notification that it cancels.
        level: how far the notification has got with its user; it makes later steps needless.
        opts_out: whether it switches a category off, or everything where it names none.
        frees: whether the slots of its message in limits come back.
    """

    status: Status | None
    reason: Reason = Reason.NONE
    blocks: Blocks = Blocks.NEVER
    lifts: bool = False
    cancels: frozenset[TimerKind] = frozenset()
    level: Level = Level.NONE
    opts_out: bool = False
    frees: bool = False


RECEIPTS: Mapping[str, ReceiptKind] = MappingProxyType(
    {
        "delivered": ReceiptKind(Status.DELIVERED, level=Level.DELIVERED),
        "bounced": ReceiptKind(Status.BOUNCED, blocks=Blocks.IF_PERMANENT),
        "gone": ReceiptKind(Status.BOUNCED, Reason.RECIPIENT_GONE, Blocks.ALWAYS),
        "opted_out": ReceiptKind(Status.UNSUBSCRIBED, Reason.RECIPIENT_OPTED_OUT, Blocks.ALWAYS),
        "complained": ReceiptKind(Status.COMPLAINED, blocks=Blocks.ALWAYS),
        "opened": ReceiptKind(Status.OPENED, level=Level.OPENED),
        "clicked": ReceiptKind(Status.CLICKED, level=Level.CLICKED),
        "unsubscribed": ReceiptKind(Status.UNSUBSCRIBED, level=Level.CLICKED, opts_out=True),
        "read": ReceiptKind(Status.READ, level=Level.READ),
        "resubscribed": ReceiptKind(Status.RESUBSCRIBED, lifts=True),
        "unblocked": ReceiptKind(Status.UNBLOCKED, lifts=True),
        "failed": ReceiptKind(None, frees=True),
    }
)
NO_SLOTS = "slots: missing; only delivery writes receipts of this kind, do not send them"
KINDS = frozenset(RECEIPTS)
EARLIEST_MS = 100_000_000_000
"""3 March 1973. A smaller number is a time in seconds, as SendGrid's webhook has it."""
AHEAD_MS = 86_400_000
"""A day: clocks of providers differ, and a partition's clock may stand where its last event was."""
UNKNOWN_KIND = f"unknown kind of receipt: send one of {', '.join(sorted(KINDS))}"
NO_TARGET = (
    "names no address or device of the user: send target, address, message_id with notification_id, or a"
    " channel that the user has (the receipt is logged, it blocks and lifts nothing)"
)


def receipt_outcome(
    receipt: ReceiptEvent,
    kind: ReceiptKind,
    raw: RawRecord,
    targets: tuple[str, ...],
    now_ms: int,
    version: str,
) -> Outcome:
    """Write the outcome of a receipt.

    Receipts of providers have ids of their own, for a message may be opened twice. Without one, a message has
    one outcome of each kind. A receipt that names no message has an id of all that it says.
    """
    assert kind.status is not None, "a kind without a status is not logged"
    status = kind.status.value
    return Outcome(
        outcome_id=outcome_id(_own_id(receipt) or receipt.message_id or _content_id(receipt, raw), status),
        status=status,
        tenant=receipt.tenant,
        user=receipt.user,
        notification_id=receipt.notification_id,
        message_id=receipt.message_id,
        origin=receipt.origin,
        notification=receipt.notification,
        category=receipt.category,
        channel=receipt.channel or "*",
        target=targets[0] if len(targets) == 1 else "",
        reason=kind.reason.value or receipt.reason,
        catalog_version=version,
        provider=receipt.provider,
        provider_message_id=receipt.provider_message_id,
        code=receipt.code,
        at_ms=reported_ms(receipt, now_ms),
    )


def reported_ms(receipt: ReceiptEvent, now_ms: int) -> int:
    """Return the time of a report: when it arrived if it names none, or none that can be right.

    A time in microseconds would block for ever, one in seconds or before 1970 not at all.
    """
    return receipt.at_ms if EARLIEST_MS <= receipt.at_ms <= now_ms + AHEAD_MS else now_ms


def _own_id(receipt: ReceiptEvent) -> str:
    """Name a receipt by its id and owner; empty without an id. Two webhooks may both count 1, 2, 3."""
    own = receipt.receipt_id
    return digest("receipt id", receipt.tenant, receipt.user, own) if own else ""


def _content_id(receipt: ReceiptEvent, raw: RawRecord) -> str:
    """Name a receipt without an id by its owner, contact point and time; without a time by its place."""
    when = str(receipt.at_ms) if receipt.at_ms else place_of(raw)
    about = (receipt.channel, receipt.target, receipt.address, receipt.notification_id, receipt.origin)
    return digest("receipt", receipt.tenant, receipt.user, *about, receipt.provider_message_id, when)


def blocks(receipt: ReceiptEvent, kind: ReceiptKind) -> bool:
    """Return whether nothing more may be sent to the receipt's contact point."""
    return kind.blocks is Blocks.ALWAYS or (
        kind.blocks is Blocks.IF_PERMANENT and receipt.reason.lower() in PERMANENT
    )


def opts_in(receipt: ReceiptEvent, kind: ReceiptKind) -> bool:
    """Return whether a receipt is about a category that its user wants again, and about no contact point."""
    named = receipt.target or receipt.address or receipt.message_id or receipt.channel
    return kind.status is Status.RESUBSCRIBED and bool(receipt.category) and not named


def level_of(receipt: ReceiptEvent, kind: ReceiptKind) -> Level:
    """Return how far the receipt's notification has got; software that opens or clicks proves a delivery."""
    return min(kind.level, Level.DELIVERED) if receipt.reason.lower() == MACHINE else kind.level


def targets_of(record: UserRecord | None, receipt: ReceiptEvent) -> tuple[str, ...]:
    """Return the keys of the contact points that a receipt is about; empty if it names none.

    An address may be spelled otherwise than in the profile. One that the profile does not have is taken as it
    is written: it may be that of an inline recipient, or one that a later profile names.
    """
    if receipt.target:
        return (receipt.target,)
    points = (*record.contact_points, *lent(record.contact_points)) if record else ()
    if receipt.address:
        keys = address_keys(receipt)
        known = {point.key for point in points}
        return (next((key for key in keys if key in known), keys[-1]),)
    return tuple(dict.fromkeys(point.key for point in points if _is_about(receipt, point)))


def address_keys(receipt: ReceiptEvent) -> list[str]:
    """Return the keys of the address of a receipt: of all its spellings, where it is an address or number."""
    is_named = receipt.channel and spec_of(receipt.channel).contacts is ContactKind.NAMED
    given = (receipt.address,) if is_named else spellings(receipt.address)
    return [target_id(spelling, receipt.channel) for spelling in given]


def _is_about(receipt: ReceiptEvent, point: ContactPoint) -> bool:
    if receipt.message_id and receipt.notification_id:
        return receipt.message_id == message_id(receipt.notification_id, point.channel, point.key)
    return receipt.channel == point.channel


def block(record: UserRecord, target: str, at_ms: int, most: int) -> bool:
    """Block a contact point; False if the report is older than a lift.

    Beyond `most` entries a lift is dropped first, then the oldest block; a usual user never has so many.
    """
    known = record.blocked.get(target, 0)
    if at_ms <= -known:
        return False
    _remember(record, target, max(at_ms, known), most)
    return True


def lift(record: UserRecord, target: str, at_ms: int, most: int) -> bool:
    """Lift the block of a contact point, and remember when; False if nothing changes."""
    known = record.blocked.get(target, 0)
    if at_ms < abs(known) or known == -at_ms:
        return False
    _remember(record, target, -at_ms, most)
    return True


def name_again(record: UserRecord, before: tuple[ContactPoint, ...], now_ms: int, most: int) -> None:
    """Lift the blocks that a changed profile ends: of addresses named again, and of devices registered anew.

    A device may be listed without its time of registration later; that time still ends older blocks.

    Args:
        record: has the contact points of the new profile.
        before: those of the profile before; empty at first sight, when nothing is named *again*.
        now_ms: the time of the decision.
        most: entries of `record.blocked`.
    """
    earlier = {point.key: point.registered_ms for point in before}
    for point in record.contact_points:
        known, forgotten = record.blocked.get(point.key, 0), earlier.get(point.key, 0)
        registered_ms = max(point.registered_ms, forgotten)
        if known > 0 and before and point.key not in earlier:
            lift(record, point.key, max(now_ms, known), most)
        elif (0 < known < registered_ms) or (forgotten > point.registered_ms):
            lift(record, point.key, registered_ms, most)


def _remember(record: UserRecord, target: str, at_ms: int, most: int) -> None:
    entries = record.blocked
    entries.pop(target, None)
    if len(entries) >= most:
        del entries[next((key for key, each in entries.items() if each < 0), next(iter(entries)))]
    entries[target] = at_ms


def cancelled(record: UserRecord, receipt: ReceiptEvent, kind: ReceiptKind) -> list[str]:
    """Return the ids of the timers that a receipt cancels."""
    if not kind.cancels or not receipt.notification_id:
        return []
    return [
        timer_id
        for timer_id, ref in record.holds.items()
        if ref.notification_id == receipt.notification_id and timer_id[0] in kind.cancels
    ]

"""Invents what recipients do with messages: a few bounce, many arrive, some are opened, fewer clicked.

The same message always meets the same fate, whenever and how often it is asked: its id decides. Nothing here
blocks an address or opts out: what a later notification meets depends on nothing that arrives late.
"""

from collections.abc import Iterator, Mapping
from types import MappingProxyType
from typing import NamedTuple

from tocsin.model.ids import digest
from tocsin.model.outcome import Outcome, ReceiptEvent
from tocsin.model.statuses import Channel, Status

_DIGITS = 8
_EVERY = 1000
_SECOND_MS, _MINUTE_MS = 1_000, 60_000


class Habit(NamedTuple):
    """How many of a thousand messages of a channel bounce, are opened, clicked, read; others are delivered.

    Attributes:
        reports_delivery: whether providers of the channel report it.
    """

    reports_delivery: bool = False
    bounced: int = 0
    opened: int = 0
    clicked: int = 0
    read: int = 0


HABITS: Mapping[str, Habit] = MappingProxyType(
    {
        Channel.EMAIL: Habit(reports_delivery=True, bounced=12, opened=380, clicked=70),
        Channel.SMS: Habit(reports_delivery=True, bounced=20),
        Channel.PUSH: Habit(opened=210, clicked=90),
        Channel.INAPP: Habit(read=550),
    }
)
_BOUNCES: Mapping[str, tuple[str, str]] = MappingProxyType(
    {Channel.EMAIL: ("mailbox_full", "4.2.2"), Channel.SMS: ("unreachable", "30003")}
)
"""Reasons that say nothing of the next message, and codes of providers."""


def receipts_of(sent: Outcome) -> Iterator[ReceiptEvent]:
    """Give the receipts of a message that was sent, in the order in which they happen.

    >>> ids = {"outcome_id": "o", "tenant": "default", "message_id": "00000000" * 4}
    >>> message = Outcome(status="sent", channel="sms", at_ms=1, **ids)
    >>> [(receipt.kind, receipt.reason) for receipt in receipts_of(message)]
    [('bounced', 'unreachable')]
    """
    habit = HABITS.get(sent.channel)
    if sent.status != Status.SENT or habit is None:
        return
    fate, opens, clicks, pause = _draws(sent.message_id)
    if fate < habit.bounced:
        reason, code = _BOUNCES[sent.channel]
        yield _receipt(sent, "bounced", 3 * _SECOND_MS, reason, code)
        return
    if habit.reports_delivery:
        yield _receipt(sent, "delivered", _SECOND_MS + pause * 4)
    if opens < habit.read:
        yield _receipt(sent, "read", _seen_ms(pause))
    if opens < habit.opened:
        yield _receipt(sent, "opened", _seen_ms(pause))
        if clicks * habit.opened < habit.clicked * _EVERY:
            yield _receipt(sent, "clicked", _seen_ms(pause) + 20 * _SECOND_MS)


def _draws(message_id: str) -> list[int]:
    """Draw four numbers below a thousand by the id, which is a hash."""
    parts = [message_id[start : start + _DIGITS] for start in range(0, 4 * _DIGITS, _DIGITS)]
    return [int(part, 16) % _EVERY for part in parts]


def _seen_ms(pause: int) -> int:
    """Say how long after sending a message is seen: half within three minutes, the last after two hours."""
    return 5 * _SECOND_MS + 2 * _MINUTE_MS * pause * pause * pause * 60 // _EVERY**3


def _receipt(sent: Outcome, kind: str, after_ms: int, reason: str = "", code: str = "") -> ReceiptEvent:
    return ReceiptEvent(
        tenant=sent.tenant,
        user=sent.user,
        kind=kind,
        message_id=sent.message_id,
        notification_id=sent.notification_id,
        channel=sent.channel,
        target=sent.target,
        at_ms=sent.at_ms + after_ms,
        provider=sent.provider,
        provider_message_id=sent.provider_message_id,
        code=code,
        reason=reason,
        receipt_id=digest("recipient", sent.message_id, kind),
        origin=sent.origin,
        notification=sent.notification,
        category=sent.category,
    )

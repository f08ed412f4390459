"""Outcomes as the simulation reads them: what was decided of whom, and when."""

from typing import Final

import msgspec

from tocsin.model.outcome import Outcome
from tocsin.model.statuses import Status

_UNKNOWN: Final = -1
_HELD: Final = Status.HELD.value
_RAW = msgspec.Raw(b"{}")
_OF_GATE = frozenset(
    {
        Status.ADMITTED.value,
        Status.HELD.value,
        Status.SUPPRESSED.value,
        Status.MERGED.value,
        Status.CANCELLED.value,
        Status.FINISHED.value,
    }
)
# Delivery writes these, too, of messages that it could not send.
_SHARED = frozenset({Status.DEAD.value, Status.EXPIRED.value})
_RECEIPTS = frozenset(
    {
        Status.DELIVERED.value,
        Status.BOUNCED.value,
        Status.COMPLAINED.value,
        Status.OPENED.value,
        Status.CLICKED.value,
        Status.UNSUBSCRIBED.value,
        Status.READ.value,
        Status.RESUBSCRIBED.value,
        Status.UNBLOCKED.value,
    }
)


class Decided(msgspec.Struct, frozen=True, gc=False):
    """The fields of an outcome that a simulation compares or shows (`tocsin.model.outcome.Outcome`)."""

    outcome_id: str
    status: str
    tenant: str
    at_ms: int
    user: str = ""
    notification_id: str = ""
    message_id: str = ""
    event_id: str = ""
    event_type: str = ""
    origin: str = ""
    notification: str = ""
    channel: str = "*"
    target: str = ""
    reason: str = ""
    detail: msgspec.Raw = _RAW
    catalog_version: str = ""
    latency_ms: int = _UNKNOWN

    @property
    def is_decision(self) -> bool:
        """Tell whether the gate decided it; other outcomes are of attempts and receipts."""
        return is_decision(self)

    @property
    def is_receipt(self) -> bool:
        """Tell whether it logs a receipt."""
        return self.status in _RECEIPTS

    @property
    def due_ms(self) -> int:
        """Return until when it is held; 0 if it is not."""
        return self.number("due_ms")

    @property
    def subject(self) -> str:
        """Name what was decided: a notification on a channel and target, or an event."""
        return f"{self.notification_id or self.origin} {self.channel} {self.target}"

    def number(self, name: str) -> int:
        """Return a number of the detail; 0 if it is not there."""
        found = msgspec.json.decode(self.detail).get(name, 0)
        return found if isinstance(found, int) else 0


decode = msgspec.json.Decoder(Decided).decode


Either = Decided | Outcome
"""An outcome as it was read, or as the gate has just made it."""
_encode = msgspec.json.Encoder().encode


def is_decision(outcome: Either) -> bool:
    """Tell whether the gate decided it."""
    status = outcome.status
    if status in _OF_GATE:
        return True
    return status in _SHARED and (not outcome.message_id or outcome.latency_ms == _UNKNOWN)


def as_read(outcome: Either) -> Decided:
    """Return an outcome as its reader sees it."""
    return outcome if isinstance(outcome, Decided) else decode(_encode(outcome))


def same(one: Either, other: Either) -> bool:
    """Tell whether two outcomes of one id say the same: status, reason, channel and due time."""
    if one.status != other.status or one.reason != other.reason or one.channel != other.channel:
        return False
    return one.status != _HELD or _due_ms(one) == _due_ms(other)


def _due_ms(outcome: Either) -> int:
    if isinstance(outcome, Decided):
        return outcome.due_ms
    found = outcome.detail.get("due_ms", 0)
    return found if isinstance(found, int) else 0

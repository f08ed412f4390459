"""What a decision hands back: the record as it is now, what to show, what to hold, what to give up."""

from datetime import UTC, datetime
from typing import NamedTuple

import msgspec

from tocsin.decision.record import UserRecord
from tocsin.formats.rfc3339 import LATEST_MS
from tocsin.model.event import Event, Origin
from tocsin.model.message import Message, Retry
from tocsin.model.outcome import Outcome
from tocsin.model.statuses import Reason


class Hold(NamedTuple):
    """Something to be decided (again) at `due_ms`; the same id of the same user replaces."""

    timer_id: str
    due_ms: int
    payload: bytes


class Dead(NamedTuple):
    """A record to be dead-lettered: `payload` may be copied back to `origin.topic` as it is."""

    payload: bytes
    reason: Reason
    error: str
    origin: Origin
    received_ms: int


class Step(msgspec.Struct):
    """One decision, to be applied as a whole or not at all.

    Attributes:
        record: the user's record; None if nothing of the user is left.
        touched: whether the record must be written (or, if None, erased).
        profile_version: what to note for the ledger (law 3): the profile's version, or minus the time (ms) of
            an erasure; None for no note.
    """

    record: UserRecord | None
    touched: bool = False
    messages: list[Message] = []
    outcomes: list[Outcome] = []
    holds: list[Hold] = []
    releases: list[tuple[str, int]] = []
    dead: list[Dead] = []
    profile_version: int | None = None


class HeldNotification(msgspec.Struct, frozen=True, tag="notification"):
    """Payload of a held notification: its event, and how often it has been held."""

    event: Event
    notification: str
    round: int


class HeldRetry(msgspec.Struct, frozen=True, tag="retry"):
    """Payload of a message that waits for its next attempt, and how often it has been held for it."""

    retry: Retry
    round: int = 0


Held = HeldNotification | HeldRetry
# JSON, for an event's data are JSON bytes that are copied, never parsed.
encode_held = msgspec.json.Encoder().encode
encode_event = msgspec.json.Encoder().encode
decode_held = msgspec.json.Decoder(Held).decode
decode_event = msgspec.json.Decoder(Event).decode


def cloudevent(event: Event) -> bytes:
    """Write an event as structured CloudEvents JSON, to be read again by `tocsin.formats.cloudevents`."""
    fields: dict[str, object] = {
        "specversion": "1.0",
        "id": event.id,
        "source": event.source,
        "type": event.type,
        "subject": event.user,
        "time": _rfc3339(event.time_ms),
        "tenant": event.tenant,
        "recipient": event.recipient,
        "tocsinsendat": _rfc3339(event.send_at_ms),
        "tocsinexpires": _rfc3339(event.expires_ms),
        "data": event.data,
    }
    return msgspec.json.encode({name: value for name, value in fields.items() if value is not None})


def _rfc3339(at_ms: int | None) -> str | None:
    if at_ms is None:
        return None
    at_ms = min(at_ms, LATEST_MS)
    whole = datetime.fromtimestamp(at_ms // 1000, UTC).strftime("%Y-%m-%dT%H:%M:%S")
    return f"{whole}.{at_ms % 1000:03d}Z"

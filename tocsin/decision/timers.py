"""Timers: their kinds, and the payloads that the store keeps for them.

A payload holds the record as it was read. It is decoded again when the timer is due, so a dead letter has the
very bytes of the record. Payloads of releases before 0.2 hold a decoded event in JSON and are still read.
"""

from collections.abc import Sequence
from enum import StrEnum
from typing import NamedTuple

import msgspec
from msgspec.structs import replace

from tocsin.decision.dedup import OWN_TOPICS
from tocsin.decision.user_state import UserRecord
from tocsin.formats.cloudevents import EventLimits, decode_event
from tocsin.formats.forwarded import as_cloudevent, rewritten
from tocsin.model.event import Event, Origin
from tocsin.model.message import Retry
from tocsin.model.raw import RawRecord


class TimerKind(StrEnum):
    """The kind of a timer: the first letter of its id."""

    NOTIFICATION = "n"
    """A held notification; the id goes on with its notification id."""
    PART = "c"
    """One held channel of a notification; the id goes on with `notification id/channel`."""
    DIGEST = "d"
    """An open digest; the id goes on with its notification id. Its items are kept beside it."""
    MESSAGE = "m"
    """A returned message; the id goes on with its message id."""
    PROFILE = "p"
    """The end of the wait for a profile; its id is `PROFILE_TIMER`."""


class DueTimer(NamedTuple):
    """A timer that is due: the user's record, whose it is, what was stored with it and kept beside it."""

    record: UserRecord | None
    tenant: str
    user: str
    timer_id: str
    payload: bytes
    now_ms: int
    kept: Sequence[bytes] = ()


class HeldDigest(msgspec.Struct, frozen=True, array_like=True, omit_defaults=True, gc=False):
    """What a held event is to a digest.

    Attributes:
        due_ms: when the digest was due, where the catalog's `expires` counts from; 0 while it is open.
        plain: whether it is sent as the plain notification of its only item.
        channels: the channels with a condition that held for some item.
        key: the value of its key, while it is open.
    """

    due_ms: int = 0
    plain: bool = False
    channels: tuple[str, ...] = ()
    key: str = ""


class HeldEvent(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """Payload of an event: the record as it was read, and the place and time at which it was first read.

    Attributes:
        notification: the held notification; empty where the event waits for its user's profile.
        hold_count: how often this notification has been held; of a cancel event that waits for a profile, how
            many notifications it has cancelled.
        part: the channel, where only one is held; empty for the notification as a whole.
        unless: the level of receipts that makes this later step needless; 0 for none.
        digest: what it is to a digest; None if it is nothing to one.
        variant: the arm of an experiment that its user was in then; empty for none.
        dedup_key: the hash of the dedup key that it took; empty for none.
    """

    raw: RawRecord
    origin: Origin
    received_ms: int
    notification: str = ""
    hold_count: int = 0
    part: str = ""
    unless: int = 0
    digest: HeldDigest | None = None
    variant: str = ""
    dedup_key: bytes = b""


class HeldMessage(msgspec.Struct, frozen=True, tag="retry"):
    """Payload of a returned message that waits for its next attempt; `round` is its hold count."""

    retry: Retry
    round: int = 0


class _OldNotification(msgspec.Struct, frozen=True, tag="notification"):
    event: Event
    notification: str
    round: int


_encode_event = msgspec.msgpack.Encoder().encode
_decode_event = msgspec.msgpack.Decoder(HeldEvent).decode
# JSON, because a message's data are JSON bytes that are copied and never parsed.
encode_message = msgspec.json.Encoder().encode
_decode_tagged = msgspec.json.Decoder(_OldNotification | HeldMessage).decode
_decode_old_event = msgspec.json.Decoder(Event).decode
# The record was accepted when it was read: neither a lower limit nor a later clock refuses it now.
_ACCEPTED = EventLimits(max_bytes=1 << 62, max_past_s=0, max_future_s=0, check_time=False)


def encode_event(
    event: Event,
    raw: RawRecord,
    notification: str = "",
    hold_count: int = 0,
    part: str = "",
    unless: int = 0,
    digest: HeldDigest | None = None,
    variant: str = "",
    dedup_key: bytes = b"",
) -> bytes:
    """Encode the payload of an event."""
    held = HeldEvent(
        raw if event.broadcast is None and raw.topic in OWN_TOPICS else as_cloudevent(event, raw),
        event.origin,
        event.received_ms,
        notification,
        hold_count,
        part,
        unless,
        digest,
        variant,
        dedup_key,
    )
    return _encode_event(held)


def decode_payload(payload: bytes) -> HeldEvent | HeldMessage:
    """Decode the payload of a held notification or message, of this release or an older one."""
    if not payload.startswith(b"{"):
        return _decode_event(payload)
    held = _decode_tagged(payload)
    if isinstance(held, HeldMessage):
        return held
    event = held.event
    return HeldEvent(rewritten(event), event.origin, event.received_ms, held.notification, held.round)


def decode_waiting(payload: bytes) -> HeldEvent:
    """Decode the payload of an event that waits for a profile, of this release or an older one."""
    if not payload.startswith(b"{"):
        return _decode_event(payload)
    event = _decode_old_event(payload)
    return HeldEvent(rewritten(event), event.origin, event.received_ms)


def event_of(held: HeldEvent) -> Event:
    """Decode the event of a payload again.

    Raises:
        DecodeError: this release does not accept the record any more.
    """
    event = decode_event(held.raw, _ACCEPTED)
    if event.origin == held.origin and event.received_ms == held.received_ms:
        return event
    return replace(event, origin=held.origin, received_ms=held.received_ms)

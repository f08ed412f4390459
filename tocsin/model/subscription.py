"""Subscriptions: which users get the events of a topic (`tocsin.subscriptions`, compacted, JSON)."""

from typing import Final

import msgspec

FAN_OUT: Final = b"fan-out"
"""Value of `tocsin.model.broadcast.ORDER_HEADER` on a report of a fan-out."""
COPY: Final = b"copy"
"""Its value on the copy of an event for the subscribers of one partition."""


class Subscription(msgspec.Struct, frozen=True, omit_defaults=True):
    """One user's subscription to one topic. A null value unsubscribes the user.

    Attributes:
        tenant: as in the key; may be left out.
        topic: as in the key, without escapes; may be left out.
        user: as in the key; may be left out.
        since: events before this time (RFC 3339) do not reach the user.
    """

    tenant: str | None = None
    topic: str | None = None
    user: str | None = None
    since: str | None = None


class SubscriptionChange(msgspec.Struct, frozen=True, gc=False):
    """A decoded record of `subscriptions`.

    Attributes:
        subscribed: false if the user is unsubscribed.
        since_ms: events before this time do not reach the user.
    """

    tenant: str
    topic: str
    user: str
    subscribed: bool
    since_ms: int = 0


class FanOutReport(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """How many users one partition has handed an event of a topic to; it has no more.

    Attributes:
        origin: of the event, as text.
        part: the partition.
    """

    origin: str
    part: int
    users: int


decode_fan_out_report = msgspec.json.Decoder(FanOutReport).decode

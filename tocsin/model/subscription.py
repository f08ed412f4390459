"""Subscriptions: which users get the events of a topic (`tocsin.subscriptions`, compacted, JSON)."""

import msgspec


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

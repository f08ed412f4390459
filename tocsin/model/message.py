"""Messages: what the gate admitted, one a target, on its way to a channel (`tocsin.messages.<channel>.*`)."""

import msgspec

from tocsin.model.event import Origin


class Target(msgspec.Struct, frozen=True, omit_defaults=True, gc=False):
    """Where a message goes: an e-mail address, a phone number, a device token or (in-app) the user id."""

    address: str
    platform: str = ""
    app: str = ""
    registered_ms: int = 0
    subscription: dict[str, str] | None = None


class Message(msgspec.Struct, frozen=True, omit_defaults=True, kw_only=True, gc=False):
    """One message to one target. Rendering is late: it carries the template's name and the event's data.

    Attributes:
        priority: `critical`, `high`, `normal` or `low`.
        profile_version: version of the profile it was decided on; a newer one sends it back to the gate.
        catalog_version: hash of the catalog and release of the zone data, like `300676bac714-tz2026.6`.
        received_ms: Kafka time of the event, where latency is counted from.
        decided_ms: the decision's `now`.
        expires_ms: not handed to a provider after this time; 0 for never.
        attempt: number of the next attempt, from 1; it grows over hand-backs to the gate.
        generation: 0, or the number of a forced replay.
        digest: whether it is a digest. Then `data` are its `items`, their `count`, how many `more` there are
            than `items` shows, and the `key` that they share.
    """

    message_id: str
    notification_id: str
    tenant: str
    user: str
    channel: str
    target: Target
    notification: str
    category: str
    template: str
    data: msgspec.Raw
    locale: str
    timezone: str = ""
    priority: str = "normal"
    profile_version: int = 0
    catalog_version: str = ""
    event_id: str
    event_source: str
    event_type: str
    event_time_ms: int
    received_ms: int
    decided_ms: int
    expires_ms: int = 0
    collapse_key: str = ""
    attempt: int = 1
    generation: int = 0
    origin: Origin
    digest: bool = False


class Retry(msgspec.Struct, frozen=True, omit_defaults=True, kw_only=True):
    """A message returned to the gate (`tocsin.retries`), to be decided again at `due_ms`.

    `reason` is `stale_profile` (decide again now) or the reason of the failed attempt. `message.attempt` is
    already the number of the attempt to come.
    """

    message: Message
    reason: str
    due_ms: int
    provider: str = ""
    first_failed_ms: int = 0

"""Messages: what the gate admitted, one a target, on its way to a channel (`tocsin.messages.<channel>.*`)."""

from typing import Final

import msgspec

from tocsin.model.event import Origin
from tocsin.model.ids import digest

ACCOUNT: Final = "account"
"""Address and platform of a target whose address is that of the provider account: a team shares it."""


class Target(msgspec.Struct, frozen=True, omit_defaults=True, gc=False):
    """Where a message goes: an e-mail address, a phone number, a device token or (in-app) the user id."""

    address: str
    platform: str = ""
    app: str = ""
    registered_ms: int = 0
    subscription: dict[str, str] | None = None


class Slots(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """The places in limits that a message takes with others; they come back if it is not sent.

    Attributes:
        targets: messages of the notification on this channel. Together they take one slot of the channel.
        channels: channels of the notification. Together they take one slot of the notification.
        channel_ms: when the channel was counted; 0 for the message's `decided_ms`.
        counted_ms: when the notification was counted; 0 for `channel_ms`.
        counters: which counters counted it, a bit each (`tocsin.catalog.counted`); -1 where that is not
            known, as in messages of releases before 0.2.
    """

    targets: int
    channels: int
    channel_ms: int = 0
    counted_ms: int = 0
    counters: int = -1

    def at(self, decided_ms: int) -> "Slots":
        """Return the same with both times, for a message that was decided first at `decided_ms`."""
        channel_ms = self.channel_ms or decided_ms
        return Slots(self.targets, self.channels, channel_ms, self.counted_ms or channel_ms, self.counters)


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
        slots: the places that it takes in limits; None where it takes none.
        variant: the arm of an experiment that its user is in; empty where there is none.
        send_by_ms: when the hours end in which its channel may be used. From then on it is not handed to a
            provider, but returns to the gate; 0 where the channel may be used at any time.
        cancel_key: what it is about, by the catalog; a cancel event may name it. Empty for nothing.
        replay: id of the replay that it is part of; empty the first time.
        replay_of: what was replayed: the origin of the event's first record, or the id of the first message.
        unless_sent: id of the message that must not have been sent; empty where it is sent in any case.
        failover_ms: how long after it was sent its receipt may take; then another account sends it, too. 0
            for any time.
        sent_by: accounts that have sent it before, as messages of their own; they do not send this one.
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
    slots: Slots | None = None
    variant: str = ""
    send_by_ms: int = 0
    replay: str = ""
    replay_of: str = ""
    unless_sent: str = ""
    cancel_key: str = ""
    failover_ms: int = 0
    sent_by: tuple[str, ...] = ()

    @property
    def failover_id(self) -> str:
        """Return the id of the message by which another account sends it, if no receipt comes in time."""
        return digest("failover", self.message_id)

    def by_another(self, account: str) -> "Message":
        """Return what another account sends, since this one has sent it and no receipt has come."""
        return msgspec.structs.replace(
            self,
            message_id=self.failover_id,
            attempt=1,
            generation=self.generation + 1,
            slots=None,
            replay=FAILOVER,
            replay_of=self.message_id,
            unless_sent="",
            sent_by=(*self.sent_by, account),
        )


FAILOVER = "failover"
"""What stands for the id of a replay in messages that another account sends for want of a receipt."""


class Retry(msgspec.Struct, frozen=True, omit_defaults=True, kw_only=True):
    """A message returned to the gate (`tocsin.retries`), to be decided again at `due_ms`.

    `reason` is `stale_profile` or `replayed` (decide again now), `send_window` (its `send_by_ms` is over),
    `awaiting_receipt` (another account sends it at `due_ms`, unless a receipt comes), or that of the failed
    attempt. `message.attempt` is already the number of the attempt to come.
    """

    message: Message
    reason: str
    due_ms: int
    provider: str = ""
    first_failed_ms: int = 0

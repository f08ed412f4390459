"""Events as the gate sees them: one decoded CloudEvent, and where it came from."""

from typing import Final

import msgspec

CONTROL: Final = "tocsin."
"""Types of events that begin so steer Tocsin. No notification answers them."""
CANCEL: Final = "tocsin.cancel"
"""Type of an event that cancels what is held for its user."""

NAMED: Final = "notification.requested"
"""Type of an event that asks for a notification by name and has no type of its own."""


class Origin(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """Where a record was first read: topic (without prefix), partition, offset."""

    topic: str
    partition: int
    offset: int

    def __str__(self) -> str:
        return f"{self.topic}/{self.partition}/{self.offset}"


class Recipient(msgspec.Struct, frozen=True, omit_defaults=True, gc=False):
    """Inline contact of an event for people without a profile (CloudEvents extension `recipient`)."""

    email: str = ""
    phone: str = ""
    locale: str = ""
    timezone: str = ""
    contacts: dict[str, str] = {}


class Broadcast(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """What makes an event a broadcast: it is for all users of a segment, not for one.

    Attributes:
        segment: name of a segment of the tenant's catalog, or `*` for everyone.
        rate: users a second; 0: the tenant's rate applies.
        local_ms: send it at this time of each user's own clock: the time that the clock shows, read as if it
            were UTC, in ms since 1970; 0 to send it at once.
        skip_late: leave out users for whom that time is over when the broadcast comes to them.
    """

    segment: str
    rate: int = 0
    local_ms: int = 0
    skip_late: bool = False


class Asked(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """What an event asks for beyond its type. Preferences, limits and the like hold all the same.

    Attributes:
        notification: only this notification of the tenant's catalog answers it; empty: its type decides.
        channels: only these channels of a notification are used; empty for all of them.
        cancel_key: stands in for the `cancel_key` of the catalog; empty for none.
    """

    notification: str = ""
    channels: tuple[str, ...] = ()
    cancel_key: str = ""


class Replay(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """What makes an event a replay (`tocsin replay`).

    Attributes:
        id: id of the replay.
        force: whether it is sent again knowingly; otherwise what was sent before is not sent twice.
        origin: where the first record of the event was read.
    """

    id: str
    force: bool
    origin: Origin


class Event(msgspec.Struct, frozen=True, gc=False):
    """One CloudEvent, validated.

    `data` keeps the JSON bytes as they came: they are parsed only where an expression asks for them, and
    copied into messages untouched. Times are milliseconds since 1970 UTC.

    An event with a `topic` is for its subscribers and has no `user`. Each subscriber gets it with the user's
    id; then `fanned_out` is the origin of the event that named the topic. A broadcast has no `user` until it
    is decided for one.
    """

    tenant: str
    id: str
    source: str
    type: str
    user: str
    time_ms: int
    data: msgspec.Raw
    origin: Origin
    received_ms: int
    recipient: Recipient | None = None
    send_at_ms: int | None = None
    expires_ms: int | None = None
    bulk: bool = False
    topic: str = ""
    fanned_out: str = ""
    broadcast: Broadcast | None = None
    replay: Replay | None = None
    asked: Asked | None = None

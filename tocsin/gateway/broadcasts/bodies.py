"""The bodies of requests and answers about broadcasts."""

from typing import Annotated, Literal

import msgspec

INLINE_USERS = 10_000
"""Users that the request of a broadcast may name itself; more are uploaded."""
Id = Annotated[str, msgspec.Meta(pattern="^[A-Za-z0-9._:-]{1,128}$")]


class Audience(msgspec.Struct, frozen=True, omit_defaults=True, forbid_unknown_fields=True):
    """A segment, or users by their ids: one of the two.

    Attributes:
        segment: name of a segment of the tenant's catalog.
        users: ids of users, 10,000 at most.
    """

    segment: str = ""
    users: Annotated[list[str], msgspec.Meta(max_length=INLINE_USERS)] = []


class NewBroadcast(msgspec.Struct, frozen=True, omit_defaults=True, forbid_unknown_fields=True):
    """A broadcast that is asked for. `notification` or `type` is given, or both.

    Attributes:
        to: `everyone`, `list` (the users are uploaded next), a segment, or users by their ids.
        notification: name of a notification of the catalog.
        type: type of the event, which the catalog matches.
        id: names the broadcast; two requests with one id are one broadcast. By default of the
            `Idempotency-Key`, or a new one.
        data: what conditions and templates read.
        channels: only these channels of the notification.
        send_at: not before this time (RFC 3339).
        expires: ends then, wherever it is (RFC 3339).
        local_time: each user gets it at this time of the own clock, such as 2026-11-30T09:00.
        missed: `skip` leaves out users whose local time is over.
        rate: users a second; by default the tenant's `broadcast_rate`.
        tenant: may be left out: the key says whose it is.
    """

    to: Literal["everyone", "list"] | Audience
    notification: str = ""
    type: str = ""
    id: Id | None = None
    data: msgspec.Raw = msgspec.field(default_factory=lambda: msgspec.Raw(b"{}"))
    channels: list[str] = []
    send_at: str = ""
    expires: str = ""
    local_time: str = ""
    missed: Literal["send", "skip"] = "send"
    rate: Annotated[int, msgspec.Meta(ge=1, le=1_000_000)] | None = None
    tenant: str | None = None


class Accepted(msgspec.Struct, frozen=True, omit_defaults=True):
    """A broadcast, or a change of one, that Kafka has.

    Attributes:
        id: of the broadcast.
        state: `accepted`; `uploading` if its users are uploaded next.
        url: where its progress is.
    """

    id: str
    state: str
    url: str


class Uploaded(msgspec.Struct, frozen=True):
    """A chunk of a list that Kafka has.

    Attributes:
        chunk: its number.
        users: how many ids it has.
    """

    chunk: int
    users: int


class Start(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Starts a broadcast whose list is complete.

    Attributes:
        users: how many ids all chunks have together; if another number was uploaded, nothing is started.
    """

    users: int | None = None


class Upload(msgspec.Struct, frozen=True):
    """What was uploaded of a list, as far as it is known.

    Attributes:
        users: ids in all chunks.
        chunks: ids by number of the chunk; null for one whose upload has not ended.
    """

    users: int
    chunks: dict[int, int | None]


class Progress(msgspec.Struct, frozen=True, omit_defaults=True):
    """How far a broadcast is.

    Attributes:
        id: of the broadcast.
        state: `accepted` (no shard has said anything of it yet), `uploading`, `running`, `paused`,
            `finished`, `cancelled`, `expired`, `suppressed` or `dead`.
        to: segment, `*` for everyone, `@list` for a list.
        rate: users a second that were asked for.
        started: when it was taken (RFC 3339).
        ended: when the last part ended.
        users: users that were looked at; while it runs at least so many.
        reached: users of the segment or list for whom it was decided.
        admitted: of these, those with a message.
        held: of these, those whose notification waits or has waited.
        missed: those left out because their local time was over.
        parts: parts of the broadcast that have ended.
        reason: why it is dead or suppressed.
        error: field and cure, if it is dead.
        upload: what was uploaded of its list.
    """

    id: str
    state: str
    to: str = ""
    rate: int = 0
    started: str | None = None
    ended: str | None = None
    users: int = 0
    reached: int = 0
    admitted: int = 0
    held: int = 0
    missed: int = 0
    parts: int = 0
    reason: str = ""
    error: str = ""
    upload: Upload | None = None


class Broadcasts(msgspec.Struct, frozen=True):
    """Broadcasts of a tenant, the newest first."""

    broadcasts: list[Progress]

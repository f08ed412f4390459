"""What the exact store keeps of a user: one flat record, encoded with msgpack.

Contact points, wishes, and what the windows of dedup and limits still need. Windows are packed bytes: they
cost nothing to decode, and the garbage collector does not follow them. Whatever is in a window expires; what
is left of a quiet user is the profile.
"""

from collections.abc import Mapping
from typing import Final

import msgspec

from tocsin.decision import dedup, limits
from tocsin.errors import StateError

PROFILE_TIMER: Final = "profile"
"""Timer of the first event that waits for its user's profile."""
_VERSION: Final = b"\x01"


class Point(msgspec.Struct, frozen=True, array_like=True, omit_defaults=True, gc=False):
    """One contact point: an address or device on one channel. `key` names it without saying it."""

    channel: str
    key: str
    address: str = ""
    platform: str = ""
    app: str = ""
    registered_ms: int = 0
    subscription: dict[str, str] | None = None


# Longer than what one user may hold takes, at a millisecond each.
_QUEUE_MS = 1_000


class HoldRef(msgspec.Struct, frozen=True, array_like=True, omit_defaults=True, gc=False):
    """What must be known of a held thing without its payload: when it is due, and its last word if erased.

    `counter` is the limit it waits for, so that those who wait for one limit are spread over its windows.
    """

    due_ms: int
    notification_id: str
    notification: str
    category: str
    event_id: str
    origin: str
    message_id: str = ""
    channel: str = "*"
    target: str = ""
    attempt: int = 0
    counter: str = ""


def behind(holds: Mapping[str, HoldRef], due_ms: int, kind: str) -> int:
    """When something held until `due_ms` is due so that it comes behind what is held for that moment already.

    Quiet hours end for all a user has at once: a millisecond apart, they leave in the order of their events.
    Only timers whose ids begin with `kind` count: no decision of an event rests on what providers answered.
    """
    same = [
        ref.due_ms
        for timer_id, ref in holds.items()
        if timer_id.startswith(kind) and due_ms <= ref.due_ms < due_ms + _QUEUE_MS
    ]
    return max(same) + 1 if same else due_ms


class Waiting(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """An event that waits for its user's profile, encoded, with the time it is given up."""

    deadline_ms: int
    event: bytes


class UserRecord(msgspec.Struct, array_like=True, omit_defaults=True, gc=False):
    """State of one user.

    Attributes:
        version: effective version of the profile, growing with each change; 0 without a profile.
        points: contact points in the profile's order; in-app is always one.
        off: what is switched off, as keys of `tocsin.decision.preferences`, the tenant's defaults merged in.
        quiet_start_min: start of the user's own quiet hours, minute of the day; -1: the tenant's apply.
        blocked: contact points a provider reported dead or refusing -> when.
        seen: source + id of recent events (`tocsin.decision.dedup`).
        keys: recent dedup keys of notifications (`tocsin.decision.dedup`).
        counts: counter -> recent times (`tocsin.decision.limits`).
        holds: timer id -> what is held (payloads are in the store, apart).
        waiting: events of a user not known yet, in order of arrival. They stay in the record, for the
            profile releases them at once and in order; their number and bytes are bounded.
    """

    version: int = 0
    points: tuple[Point, ...] = ()
    locale: str = ""
    timezone: str = ""
    off: tuple[str, ...] = ()
    snoozed_until_ms: int = 0
    quiet_start_min: int = -1
    quiet_end_min: int = -1
    blocked: dict[str, int] = {}
    seen: bytes = b""
    keys: bytes = b""
    counts: dict[str, bytes] = {}
    holds: dict[str, HoldRef] = {}
    waiting: tuple[Waiting, ...] = ()

    def first_due(self, now_ms: int) -> tuple[int, str] | None:
        """Name the timer that is due first, if it is by `now_ms`: when, and its id."""
        due = [(ref.due_ms, timer_id) for timer_id, ref in self.holds.items() if ref.due_ms <= now_ms]
        if self.waiting and self.waiting[0].deadline_ms <= now_ms:
            due.append((self.waiting[0].deadline_ms, PROFILE_TIMER))
        return min(due, default=None)

    def is_empty(self) -> bool:
        """Whether nothing is left that a later decision could need."""
        return not (
            self.version
            or self.blocked
            or self.seen
            or self.keys
            or self.counts
            or self.holds
            or self.waiting
        )


def expire(record: UserRecord, now_ms: int) -> bool:
    """Drop what has left every window by `now_ms`; never changes a later decision.

    Returns:
        Whether anything was dropped, so that the record must be written (or, if empty, erased).
    """
    seen = dedup.pruned(record.seen, now_ms)
    keys = dedup.pruned(record.keys, now_ms)
    shrunk = len(seen) < len(record.seen) or len(keys) < len(record.keys)
    record.seen, record.keys = seen, keys
    return limits.expire(record.counts, now_ms) or shrunk


class RecordCodec:
    """Records to bytes and back: a version byte, then msgpack without field names.

    New fields are appended with a default, so older bytes stay readable; anything else raises the version.
    """

    def __init__(self) -> None:
        self._encode = msgspec.msgpack.Encoder().encode
        self._decode = msgspec.msgpack.Decoder(UserRecord).decode

    def encode(self, record: UserRecord) -> bytes:
        """Encode a record."""
        return _VERSION + self._encode(record)

    def decode(self, data: bytes) -> UserRecord:
        """Decode a record.

        Raises:
            StateError: the bytes are of a version this release does not know.
        """
        if data[:1] != _VERSION:
            msg = f"user record of version {data[:1].hex()}: start the release that wrote this state"
            raise StateError(msg)
        return self._decode(memoryview(data)[1:])

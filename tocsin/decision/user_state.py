"""The state of one user: a flat record that the exact store keeps, encoded with msgpack.

It holds contact points, preferences, and the windows of dedup and limits. Windows are packed bytes: they cost
nothing to decode, and the garbage collector does not follow them. All that is in a window expires. A user
without events costs only the profile.
"""

from collections.abc import Collection, Mapping
from typing import Final

import msgspec

from tocsin.decision import dedup, engagement, failures, limits
from tocsin.errors import StateError
from tocsin.model import topics
from tocsin.model.event import Origin
from tocsin.model.message import Slots

PROFILE_TIMER: Final = "profile"
"""Id of the timer that ends the wait for a user's profile."""
ERASURES_KEPT_MS: Final = 7 * 86_400_000
"""How long the time of an erasure is kept, as in Kafka: compaction removes forwarded copies in a day."""
COUNTED_MS: Final = 32 * 86_400_000
"""Longer than any calendar period: no number that is still counted began before such an erasure."""
LIFTS_KEPT_MS: Final = 30 * 86_400_000
"""How long a lifted block is remembered: longer than providers and topics keep an older receipt."""
QUEUE_MS: Final = 1_000
"""Longer than what one user may hold takes, at a millisecond each."""
_VERSION: Final = b"\x01"


class ContactPoint(msgspec.Struct, frozen=True, array_like=True, omit_defaults=True, gc=False):
    """An address or device on one channel. `key` identifies it in outcomes and logs, without the address."""

    channel: str
    key: str
    address: str = ""
    platform: str = ""
    app: str = ""
    registered_ms: int = 0
    subscription: dict[str, str] | None = None


class DigestRef(msgspec.Struct, frozen=True, array_like=True, omit_defaults=True, gc=False):
    """The numbers of an open digest.

    Attributes:
        key: hash of notification and key.
        latest_ms: the latest time to which further items move its due time.
        count: items so far.
        kept: how many of them are kept beside the timer, for the template.
        size: bytes of what is kept.
        channels: the channels with a condition that held for some item.
    """

    key: bytes
    latest_ms: int = 0
    count: int = 0
    kept: int = 0
    size: int = 0
    channels: tuple[str, ...] = ()


class HoldRef(msgspec.Struct, frozen=True, array_like=True, omit_defaults=True, gc=False):
    """What is known of a held notification or message without its payload.

    It is enough to cancel the timer and to write the final outcome if the user is erased. `counter` is the
    limit that it waits for; `spare` says that it has no slot of its own in the queue of the limit
    (`tocsin.decision.limit_queue`). There a lower `rank` comes first, and nothing moves beyond `expires_ms`,
    if that is not 0. A receipt of level `unless` or higher makes a later step needless. `digest` has the
    numbers of an open digest. `slots` are those of a message, or of a channel that is held apart.
    `cancel_key` and `collapse_key` are hashes. `reason` is that of the hold. `variant` is the arm of an
    experiment that its user is in. `replay` and `replay_of` are those of its outcomes. `by_clock` says that
    it waits for a time of its user's own clock. Of a digest `expires_ms` is when its first item expires.
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
    spare: bool = False
    unless: int = 0
    digest: DigestRef | None = None
    rank: int = 0
    expires_ms: int = 0
    slots: Slots | None = None
    cancel_key: bytes = b""
    collapse_key: bytes = b""
    reason: str = ""
    variant: str = ""
    replay: str = ""
    replay_of: str = ""
    by_clock: bool = False


class Waiting(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """An event that waits for its user's profile: its payload, and the time at which the wait ends."""

    deadline_ms: int
    event: bytes


class UserRecord(msgspec.Struct, array_like=True, omit_defaults=True, gc=False):
    """State of one user.

    Attributes:
        version: effective version of the profile, growing with each change; 0 without a profile.
        contact_points: in the profile's order; in-app is always one.
        switched_off: keys of `tocsin.model.switches` that the user has turned off.
        quiet_start_min: start of the user's own quiet hours, minute of the day; -1: the tenant's apply.
        blocked: key of a contact point that a provider refused or reported dead -> the time of the report;
            after the block was lifted, the time of that, negative.
        seen: source + id of recent events (`tocsin.decision.dedup`).
        keys: recent dedup keys of notifications (`tocsin.decision.dedup`).
        counts: counter -> recent times (`tocsin.decision.limits`).
        holds: timer id -> what is held. The store keeps the payloads apart.
        waiting: events that wait for the profile, in order of arrival. They are in the record, because the
            profile releases all of them in order. Their number and bytes are bounded.
        declared: names of the declared topics that entries of `seen` and `keys` number.
        profile_ms: Kafka's time of the profile or erasure that was applied last, where it was first read. A
            forwarded copy of an older one is not applied.
        engaged: how far recent notifications have got (`tocsin.decision.engagement`).
        opt_outs: keys of `tocsin.model.switches` that receipts have switched off.
        opt_outs_version: the highest version of a profile by then.
        has_text: whether the store keeps the text of the profile for corrections.
        written_version: the highest version of a profile that its producer wrote; 0 for none.
        failed: what was counted in limits and not sent (`tocsin.decision.slots`).
        switched_on: digests of what the user has turned on; None in records of releases before 0.2, where the
            tenant's defaults of that time are merged into `switched_off`.
        attributes: free fields of the profile, as JSON; empty for none.
        cancelled: what cancel events have named lately (`tocsin.decision.called_back`).
        erased_ms: the time of the decision to erase the user; it stays where a profile has come since. What
            was counted by then is not in `counts`.
    """

    version: int = 0
    contact_points: tuple[ContactPoint, ...] = ()
    locale: str = ""
    timezone: str = ""
    switched_off: tuple[str, ...] = ()
    snoozed_until_ms: int = 0
    quiet_start_min: int = -1
    quiet_end_min: int = -1
    blocked: dict[str, int] = {}
    seen: bytes = b""
    keys: bytes = b""
    counts: dict[str, bytes] = {}
    holds: dict[str, HoldRef] = {}
    waiting: tuple[Waiting, ...] = ()
    declared: tuple[str, ...] = ()
    profile_ms: int = 0
    engaged: bytes = b""
    opt_outs: tuple[str, ...] = ()
    opt_outs_version: int = 0
    has_text: bool = False
    written_version: int = 0
    failed: bytes = b""
    switched_on: bytes | None = None
    attributes: bytes = b""
    cancelled: bytes = b""
    erased_ms: int = 0

    def naming(self, origin: Origin) -> tuple[str, ...]:
        """Return the names of declared topics, the origin's among them if it is one and there is room."""
        topic = origin.topic
        if topics.is_declared(topic) and topic not in self.declared:
            self.declared = (*self.declared, topic)[: dedup.DECLARED_MAX]
        return self.declared

    def first_due(self, now_ms: int) -> tuple[int, str] | None:
        """Return the due time and the id of the earliest timer that is due by `now_ms`, or None."""
        due = [(ref.due_ms, timer_id) for timer_id, ref in self.holds.items() if ref.due_ms <= now_ms]
        if self.waiting and self.waiting[0].deadline_ms <= now_ms:
            due.append((self.waiting[0].deadline_ms, PROFILE_TIMER))
        return min(due, default=None)

    def is_empty(self) -> bool:
        """Return whether nothing is left that a later decision could need."""
        return not self.profile_ms and self.is_nobody()

    def is_nobody(self) -> bool:
        """Return whether nothing is known of the user, except perhaps the time of an erasure."""
        return not (
            self.version
            or self.blocked
            or self.seen
            or self.keys
            or self.counts
            or self.holds
            or self.waiting
            or self.engaged
            or self.opt_outs
            or self.failed
            or self.cancelled
        )


def queued_behind(
    holds: Mapping[str, HoldRef], due_ms: int, kinds: tuple[str, ...], but: Collection[str] = ()
) -> int:
    """Return a due time behind all that is held for `due_ms` already.

    Quiet hours end at one moment for all that a user has held. Due a millisecond apart, it is sent in the
    order of the events. Only timers of `kinds`, the first letters of their ids, count: no decision about an
    event depends on a provider's answer. Those of `but` end now.
    """
    if not holds:
        return due_ms
    last_ms, behind_ms = due_ms + QUEUE_MS, due_ms
    for timer_id, ref in holds.items():
        if behind_ms <= ref.due_ms < last_ms and timer_id.startswith(kinds) and timer_id not in but:
            behind_ms = ref.due_ms + 1
    return behind_ms


def expire(record: UserRecord, now_ms: int) -> bool:
    """Drop all that has left every window by `now_ms`. It never changes a later decision.

    Returns:
        Whether anything was dropped. Then the record must be written, or erased if it is empty.
    """
    seen = dedup.pruned(record.seen, now_ms)
    keys = dedup.pruned(record.keys, now_ms)
    engaged = engagement.pruned(record.engaged, now_ms)
    shrunk = len(seen) < len(record.seen) or len(keys) < len(record.keys)
    shrunk |= len(engaged) < len(record.engaged)
    record.seen, record.keys, record.engaged = seen, keys, engaged
    if record.failed:
        failed, record.failed = record.failed, failures.pruned(record.failed, now_ms)
        shrunk |= len(record.failed) < len(failed)
    if record.cancelled:
        cancelled, record.cancelled = record.cancelled, dedup.pruned(record.cancelled, now_ms)
        shrunk |= len(record.cancelled) < len(cancelled)
    if not seen and not keys and not record.cancelled:
        record.declared = ()
    if record.profile_ms and not record.version and record.profile_ms < now_ms - ERASURES_KEPT_MS:
        record.profile_ms, shrunk = 0, True
    if record.erased_ms and record.erased_ms < now_ms - COUNTED_MS:
        record.erased_ms, shrunk = 0, True
    lifted = [key for key, at_ms in record.blocked.items() if at_ms < 0 and -at_ms < now_ms - LIFTS_KEPT_MS]
    for key in lifted:
        del record.blocked[key]
    return limits.expire(record.counts, now_ms) or shrunk or bool(lifted)


class RecordCodec:
    """Encodes records: a version byte, then msgpack without field names.

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

"""Subjects: the things that outcomes are about, and how each outcome, message and timer of them is written.

Outcomes and messages copy a struct that has all that is common, with a few fields changed: with more than 14
fields at once CPython 3.11 takes a call path that costs five times as much.
"""

from functools import lru_cache
from typing import Protocol, get_args

import msgspec
from msgspec.structs import replace

from tocsin.catalog.compile import CompiledChannel
from tocsin.catalog.matching import Match
from tocsin.catalog.scalars import Priority
from tocsin.catalog.variants import CompiledVariant, draw
from tocsin.decision import dedup, replaying
from tocsin.decision import recipient as recipients
from tocsin.decision.recipient import Recipient
from tocsin.decision.timers import HeldDigest, HeldMessage, TimerKind, encode_event, encode_message
from tocsin.decision.user_state import ContactPoint, HoldRef
from tocsin.decision.verdict import Detail, Hold
from tocsin.model.event import Event, Replay
from tocsin.model.ids import hash_of, message_id, notification_id, outcome_id, target_id
from tocsin.model.message import Message, Retry, Slots, Target
from tocsin.model.outcome import Outcome
from tocsin.model.outcomes import outcome_of
from tocsin.model.raw import RawRecord
from tocsin.model.statuses import TEXTS, Reason, Status

_HELD = Status.HELD
_OF_EVENTS = (TimerKind.NOTIFICATION.value, TimerKind.PART.value)
_RANKS = {name: rank for rank, name in enumerate(get_args(Priority))}
_OF_MESSAGES = (TimerKind.MESSAGE.value,)


def queue_of(timer_id: str) -> tuple[str, ...]:
    """Return the kinds of timers that something held queues behind."""
    return _OF_MESSAGES if timer_id.startswith(_OF_MESSAGES) else _OF_EVENTS


def cancel_id(cancel_key: str) -> bytes:
    """Hash a cancel key; notifications of several names may share it. Empty for none."""
    return dedup.key_of("cancel key", cancel_key) if cancel_key else b""


class Subject(Protocol):
    """Anything that an outcome is about."""

    def outcome(
        self,
        status: Status,
        reason: Reason,
        detail: Detail | None = None,
        channel: CompiledChannel | None = None,
        point: ContactPoint | None = None,
        rule: str = "",
    ) -> Outcome:
        """Write an outcome about the whole, one channel, or one contact point of it.

        Args:
            status: of the outcome.
            reason: of the outcome.
            detail: the numbers that it rests on.
            channel: the channel it is about; None for the whole.
            point: the contact point it is about; None for none.
            rule: the name of the rule that objected; empty for none.
        """
        ...


class WholeEvent(msgspec.Struct, gc=False):
    """An event as a whole, where no notification is decided; its outcome is keyed by its origin.

    A broadcast and its users share an origin: there, an id of its own is the key. `attempt` keeps several
    outcomes of one status apart.
    """

    event: Event
    now_ms: int
    version: str
    attempt: int = 0

    @property
    def notification_id(self) -> str:
        """Return the id of a broadcast, or of a user's part in it; empty for other events."""
        event = self.event
        if event.broadcast is None:
            return ""
        return notification_id(event.tenant, event.source, event.id, event.user, "", str(event.origin))

    def outcome(
        self,
        status: Status,
        reason: Reason,
        detail: Detail | None = None,
        channel: CompiledChannel | None = None,
        point: ContactPoint | None = None,
        rule: str = "",
    ) -> Outcome:
        """Write an outcome about the event."""
        event, said, place = self.event, TEXTS[status], self.event.origin
        origin = f"{place.topic}/{place.partition}/{place.offset}"
        nid = "" if event.broadcast is None else self.notification_id
        written = replace(
            _whole(event.tenant, self.version, said, TEXTS[reason]),
            outcome_id=outcome_id(nid or origin, said, self.attempt),
            user=event.user,
            notification_id=nid,
            attempt=self.attempt,
            event_id=event.id,
            event_source=event.source,
            event_type=event.type,
            event_time_ms=event.time_ms,
            origin=origin,
            detail=detail or {},
            at_ms=self.now_ms,
            received_ms=event.received_ms,
        )
        return written if event.replay is None else _replayed(written, event.replay)


@lru_cache(maxsize=1_024)
def _whole(tenant: str, version: str, status: str, reason: str) -> Outcome:
    """Write what outcomes about events as a whole have in common."""
    return Outcome(
        outcome_id="", status=status, tenant=tenant, reason=reason, catalog_version=version, at_ms=0
    )


class HeldSubject(msgspec.Struct, gc=False):
    """Something held that is not decided any more: the final outcome is written from its reference."""

    ref: HoldRef
    tenant: str
    user: str
    now_ms: int
    version: str

    def outcome(
        self,
        status: Status,
        reason: Reason,
        detail: Detail | None = None,
        channel: CompiledChannel | None = None,
        point: ContactPoint | None = None,
        rule: str = "",
    ) -> Outcome:
        """Write the final outcome."""
        ref = self.ref
        subject = ref.message_id or ref.notification_id
        if ref.channel != "*" and not ref.message_id:
            subject = message_id(ref.notification_id, ref.channel, "")
        return Outcome(
            outcome_id=outcome_id(subject, TEXTS[status], ref.attempt),
            status=TEXTS[status],
            tenant=self.tenant,
            user=self.user,
            notification_id=ref.notification_id,
            message_id=ref.message_id,
            event_id=ref.event_id,
            origin=ref.origin,
            notification=ref.notification,
            category=ref.category,
            channel=ref.channel,
            target=ref.target,
            reason=TEXTS[reason],
            rule=rule,
            detail=detail or {},
            catalog_version=self.version,
            attempt=ref.attempt,
            at_ms=self.now_ms,
            variant=ref.variant,
            replay=ref.replay,
            replay_of=ref.replay_of,
        )


class EventSubject(msgspec.Struct, gc=False):
    """One notification that an event means to one user, not admitted yet.

    Attributes:
        raw: the record of the event as it was read; a hold keeps it.
        match: the notification, with the channels and keys that its expressions gave.
        hold_count: how often it has been held; it keeps the ids of its outcomes apart.
        notification_id: of one that was held, the id that it had then; else it is derived.
        faults: what was left out of the recipient; its outcomes name it in `detail`.
        part: the channel, where only one is decided; empty for the notification as a whole.
        unless: the level of receipts that makes this later step needless; 0 for none.
        digest: what it is to a digest; None if it is nothing to one.
        slots: of a part, those that its notification took in limits.
        variant: the arm of an experiment; drawn for the user unless given, None where there is none.
        held_key: of one that was held, the hash of the dedup key that it took; empty for none.
    """

    event: Event
    raw: RawRecord
    match: Match
    now_ms: int
    hold_count: int = 0
    notification_id: str = ""
    faults: str = ""
    part: str = ""
    unless: int = 0
    origin: str = ""
    priority: str = ""
    digest: HeldDigest | None = None
    slots: Slots | None = None
    variant: CompiledVariant | None = None
    held_key: bytes = b""
    _outcome: Outcome | None = None
    _message: Message | None = None
    _dedup_key: bytes = b""

    def __post_init__(self) -> None:
        if self.origin:  # a part has what its notification has
            return
        event, notification, origin = self.event, self.match.notification, self.event.origin
        place = self.origin = f"{origin.topic}/{origin.partition}/{origin.offset}"
        if not self.notification_id:
            source, event_id, user = event.source, event.id, event.user
            self.notification_id = hash_of(
                f"{notification.spelled_head}{len(source)}:{source}{len(event_id)}:{event_id}"
                f"{len(user)}:{user}{notification.spelled_tail}{len(place)}:{place}"
            )
        # Broadcasts travel with the low ones, so that they never delay events; critical ones do not wait.
        self.priority = "low" if event.bulk and not notification.critical else notification.priority
        if notification.variants and self.variant is None:
            self.variant = draw(notification.variants, event.user)

    @property
    def queue(self) -> tuple[str, ...]:
        """Return the kinds of timers that it queues behind: what is held of other events."""
        return _OF_EVENTS

    @property
    def timer_id(self) -> str:
        """Return the id of the timer that holds it."""
        return f"c{self.notification_id}/{self.part}" if self.part else f"n{self.notification_id}"

    @property
    def rank(self) -> int:
        """Return its place among priorities: a lower one is more important."""
        return _RANKS[self.priority]

    def as_part(self, channel: str, unless: int = 0, slots: Slots | None = None) -> "EventSubject":
        """Return one channel of it, to be held apart from the others; `unless` makes it a later step."""
        unless = unless or self.unless
        return replace(self, part=channel, unless=unless, slots=slots)

    @property
    def dedup_key(self) -> bytes:
        """Return the hash of the notification's dedup key; of one that was held, as it was then."""
        if not self._dedup_key:
            match = self.match
            self._dedup_key = self.held_key or dedup.key_of(match.notification.dedup_scope, match.dedup_key)
        return self._dedup_key

    @property
    def collapse_id(self) -> bytes:
        """Return the hash of its collapse key; empty without one. A digest has those of no item."""
        match = self.match
        if not match.collapse_key or self.digest is not None:
            return b""
        return dedup.key_of(match.notification.name, match.collapse_key)

    @property
    def cancel_id(self) -> bytes:
        """Return the hash of its cancel key; empty without one. A digest has those of no item."""
        return cancel_id(self.match.cancel_key) if self.digest is None else b""

    def outcome(
        self,
        status: Status,
        reason: Reason,
        detail: Detail | None = None,
        channel: CompiledChannel | None = None,
        point: ContactPoint | None = None,
        rule: str = "",
    ) -> Outcome:
        """Write an outcome about the notification, one of its channels, or one contact point."""
        nid = subject = self.notification_id
        name, key, platform, about = "*", "", "", ""
        if channel is not None or self.part:
            name = channel.name if channel is not None else self.part
            if point is None:
                subject = hash_of(f"1:m32:{nid}{len(name)}:{name}0:1:0")  # `message_id`, spelled out
            else:
                key, platform = point.key, point.platform
                subject = about = message_id(nid, name, key)
        said, count = TEXTS[status], self.hold_count
        number = f"{len(str(count))}:{count}" if count else "1:0"
        return replace(
            self._outcome or self._common_outcome(),
            outcome_id=hash_of(f"1:o32:{subject}{len(said)}:{said}{number}"),
            status=said,
            message_id=about,
            channel=name,
            target=key,
            platform=platform,
            reason=TEXTS[reason],
            rule=rule,
            detail=self._detail(detail or {}) if self.faults else detail or {},
        )

    def admitted(
        self,
        to: Recipient,
        expires_ms: int,
        channel: CompiledChannel,
        point: ContactPoint,
        slots: Slots | None = None,
        send_by_ms: int = 0,
    ) -> tuple[Message, Outcome]:
        """Write the message to a contact point, and its outcome. The channel may be used until `send_by_ms`.

        Its ids are those of `tocsin.model.ids`, spelled out here: they are half of the cost.
        """
        key, name = point.key, channel.name
        mid = hash_of(f"1:m32:{self.notification_id}{channel.spelled}{len(key)}:{key}1:0")
        oid = hash_of(f"1:o32:{mid}8:admitted1:0" if not self.hold_count else self._spelled_admission(mid))
        message = replace(
            self._message or self._common_message(to, expires_ms),
            message_id=mid,
            channel=name,
            target=Target(
                point.address or self.event.user,
                point.platform,
                point.app,
                point.registered_ms,
                point.subscription,
            ),
            slots=slots,
            send_by_ms=send_by_ms,
        )
        if (replay := self.event.replay) is not None:
            alone = self.digest is None or self.digest.plain
            message = replaying.guarded(message, key, self.event, replay, alone=alone)
        return message, replace(
            self._outcome or self._common_outcome(),
            outcome_id=oid,
            message_id=mid,
            channel=name,
            target=key,
            platform=point.platform,
        )

    def _spelled_admission(self, mid: str) -> str:
        count = str(self.hold_count)
        return f"1:o32:{mid}8:admitted{len(count)}:{count}"

    def hold_ref(self, due_ms: int, verdict: Hold, expires_ms: int, *, spare: bool = False) -> HoldRef:
        """Describe it for the user's record."""
        notification, replay = self.match.notification, self.event.replay
        return HoldRef(  # by position, in the order of its fields: by name it takes four times as long
            due_ms,
            self.notification_id,
            notification.name,
            notification.category,
            self.event.id,
            self.origin,
            "",
            self.part or "*",
            "",
            self.hold_count,
            verdict.counter,
            spare,
            self.unless,
            None,
            _RANKS[self.priority],
            expires_ms,
            self.slots,
            self.cancel_id if self.match.cancel_key else b"",
            self.collapse_id if notification.collapse_key is not None else b"",
            TEXTS[verdict.reason],
            self.variant.name if self.variant is not None else "",
            replay.id if replay is not None else "",
            str(replay.origin) if replay is not None else "",
        )

    def payload(self) -> bytes:
        """Encode it for the store."""
        name = self.match.notification.name
        count = self.hold_count + 1
        variant = self.variant.name if self.variant is not None else ""
        key = self.dedup_key if self.match.notification.dedup_key is not None else b""
        return encode_event(
            self.event, self.raw, name, count, self.part, self.unless, self.digest, variant, key
        )

    def _common_message(self, to: Recipient, expires_ms: int) -> Message:
        event, match = self.event, self.match
        common = self._message = replace(
            (self.variant or match.notification).message,
            notification_id=self.notification_id,
            user=event.user,
            data=event.data,
            locale=to.locale,
            timezone=to.timezone,
            profile_version=to.version,
            event_id=event.id,
            event_source=event.source,
            event_type=event.type,
            event_time_ms=event.time_ms,
            received_ms=event.received_ms,
            decided_ms=self.now_ms,
            expires_ms=expires_ms,
            origin=event.origin,  # more than 14 by name are called by a dict, which takes 2 µs
        )
        if match.collapse_key or match.cancel_key or self.priority != match.notification.priority:
            cancel_key = match.cancel_key if self.digest is None else ""
            common = self._message = replace(
                common, collapse_key=match.collapse_key, cancel_key=cancel_key, priority=self.priority
            )
        if self.digest is not None and not self.digest.plain:
            template = (self.variant or match.notification).digest_template
            common = self._message = replace(common, template=template, digest=True)
        if (replay := event.replay) is not None:
            common = self._message = replace(common, replay=replay.id, replay_of=str(replay.origin))
        return common

    def _common_outcome(self) -> Outcome:
        event = self.event
        common = self._outcome = replace(
            (self.variant or self.match.notification).outcome,
            user=event.user,
            notification_id=self.notification_id,
            event_id=event.id,
            event_source=event.source,
            event_type=event.type,
            event_time_ms=event.time_ms,
            origin=self.origin,
            priority=self.priority,
            attempt=self.hold_count,
            at_ms=self.now_ms,
            received_ms=event.received_ms,
        )
        if self.faults:
            common = self._outcome = replace(common, detail=self._detail({}))
        if event.replay is not None:
            common = self._outcome = _replayed(common, event.replay)
        return common

    def _detail(self, detail: Detail) -> Detail:
        return {**detail, "recipient": self.faults} if self.faults else detail


class MessageSubject(msgspec.Struct, gc=False):
    """One message that delivery returned: it failed for now, or the profile has changed since.

    Attributes:
        retry: the message, and when its next attempt is due.
        hold_count: how often it has been held for this attempt; it keeps the ids of its holds apart.
        version: of the catalog that decides.
    """

    retry: Retry
    now_ms: int
    version: str
    hold_count: int = 0

    @property
    def queue(self) -> tuple[str, ...]:
        """Return the kinds of timers that it queues behind: no decision about an event depends on it."""
        return _OF_MESSAGES

    @property
    def timer_id(self) -> str:
        """Return the id of the timer that holds it."""
        return f"m{self.retry.message.message_id}"

    @property
    def notification_id(self) -> str:
        """Return the id of its notification."""
        return self.retry.message.notification_id

    @property
    def collapse_id(self) -> bytes:
        """Return the hash of its collapse key; empty without one."""
        message = self.retry.message
        return dedup.key_of(message.notification, message.collapse_key) if message.collapse_key else b""

    @property
    def target_key(self) -> str:
        """Return the key of its contact point."""
        message = self.retry.message
        return target_id(message.target.address, message.channel)

    def outcome(
        self,
        status: Status,
        reason: Reason,
        detail: Detail | None = None,
        channel: CompiledChannel | None = None,
        point: ContactPoint | None = None,
        rule: str = "",
    ) -> Outcome:
        """Write an outcome about the message; it has one channel and contact point in any case."""
        message, subject = self.retry.message, self.retry.message.message_id
        if status is _HELD:
            # An attempt may be held again, for quiet hours or because no provider is up.
            subject = f"{message.message_id}/{message.decided_ms}/{self.hold_count}"
        return replace(
            outcome_of(message, outcome_id(subject, TEXTS[status], message.attempt), TEXTS[status]),
            reason=TEXTS[reason],
            rule=rule,
            detail=detail or {},
            catalog_version=self.version,
            attempt=message.attempt,
            at_ms=self.now_ms,
        )

    def readmitted(self, to: Recipient, point: ContactPoint, send_by_ms: int = 0) -> Message:
        """Write the message again, for the profile of now; its channel may be used until `send_by_ms`."""
        message = self.retry.message
        return replace(
            message,
            target=recipients.target(point, message.user),
            locale=to.locale,
            timezone=to.timezone,
            profile_version=to.version,
            catalog_version=self.version,
            # Later than before even where time stands still: the ledger tells admissions apart by it.
            decided_ms=max(self.now_ms, message.decided_ms + 1),
            send_by_ms=send_by_ms,
            slots=message.slots.at(message.decided_ms) if message.slots else None,
        )

    def hold_ref(self, due_ms: int, verdict: Hold, expires_ms: int, *, spare: bool = False) -> HoldRef:
        """Describe it for the user's record."""
        message = self.retry.message
        return HoldRef(
            due_ms=due_ms,
            notification_id=message.notification_id,
            notification=message.notification,
            category=message.category,
            event_id=message.event_id,
            origin=str(message.origin),
            message_id=message.message_id,
            channel=message.channel,
            target=self.target_key,
            attempt=message.attempt,
            counter=verdict.counter,
            spare=spare,
            expires_ms=expires_ms,
            slots=message.slots.at(message.decided_ms) if message.slots else None,
            cancel_key=cancel_id(message.cancel_key),
            collapse_key=self.collapse_id,
            reason=verdict.reason.value,
            variant=message.variant,
            replay=message.replay,
            replay_of=message.replay_of,
        )

    def gone(self) -> HeldSubject:
        """Return what tells that its user was erased.

        An erasure ends what is held from its reference alone. A copy of the record, as a crash may leave one,
        comes after that to a user of whom nothing is known: its outcome must be the same, byte for byte.
        """
        message = self.retry.message
        reference = self.hold_ref(0, Hold(0, Reason.ERASED), message.expires_ms)
        return HeldSubject(reference, message.tenant, message.user, self.now_ms, self.version)

    def payload(self) -> bytes:
        """Encode it for the store."""
        return encode_message(HeldMessage(self.retry, self.hold_count + 1))


def _replayed(outcome: Outcome, replay: Replay) -> Outcome:
    return replace(
        outcome, replay=replay.id, replay_of=str(replay.origin), generation=1 if replay.force else 0
    )

"""One notification that an event means to one user, or one channel of it, not admitted yet."""

from typing import get_args

import msgspec
from msgspec.structs import replace

from tocsin.catalog.compile import CompiledChannel
from tocsin.catalog.matching import Match
from tocsin.catalog.scalars import Priority
from tocsin.catalog.variants import CompiledVariant, draw
from tocsin.decision import dedup, replaying
from tocsin.decision.recipient import Recipient
from tocsin.decision.subjects.subject import OF_EVENTS, cancel_id, replayed
from tocsin.decision.timers import HeldDigest, encode_event
from tocsin.decision.user_state import ContactPoint, HoldRef
from tocsin.decision.verdict import Detail, Hold
from tocsin.model.event import Event
from tocsin.model.ids import hash_of, message_id
from tocsin.model.message import Message, Slots, Target
from tocsin.model.outcome import Outcome
from tocsin.model.raw import RawRecord
from tocsin.model.statuses import TEXTS, Reason, Status

_RANKS = {name: rank for rank, name in enumerate(get_args(Priority))}


class EventSubject(msgspec.Struct, gc=False):
    """One notification that an event means to one user, not admitted yet.

    Attributes:
        event: the event.
        raw: the record of the event as it was read; a hold keeps it.
        match: the notification, with the channels and keys that its expressions gave.
        now_ms: the time of the decision.
        hold_count: how often it has been held; it keeps the ids of its outcomes apart.
        notification_id: of one that was held, the id that it had then; else it is derived.
        faults: what was left out of the recipient; its outcomes name it in `detail`.
        part: the channel, where only one is decided; empty for the notification as a whole.
        unless: the level of receipts that makes this later step needless; 0 for none.
        origin: where the event was first read, as `topic/partition/offset`; derived.
        priority: that of the catalog, or `low` for a broadcast that is not critical; derived.
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
    # What all its outcomes and messages have in common, and a hash: made once, when first needed.
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
        return OF_EVENTS

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
            verdict.by_clock,
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
            common = self._outcome = replayed(common, event.replay)
        return common

    def _detail(self, detail: Detail) -> Detail:
        return {**detail, "recipient": self.faults} if self.faults else detail

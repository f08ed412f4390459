"""One message that delivery returned."""

import msgspec
from msgspec.structs import replace

from tocsin.catalog.compile import CompiledChannel
from tocsin.decision import dedup
from tocsin.decision import recipient as recipients
from tocsin.decision.recipient import Recipient
from tocsin.decision.subjects.held import HeldSubject
from tocsin.decision.subjects.subject import OF_MESSAGES, cancel_id
from tocsin.decision.timers import HeldMessage, encode_message
from tocsin.decision.user_state import ContactPoint, HoldRef
from tocsin.decision.verdict import Detail, Hold
from tocsin.model.ids import outcome_id, target_id
from tocsin.model.message import Message, Retry
from tocsin.model.outcome import Outcome
from tocsin.model.outcomes import outcome_of
from tocsin.model.statuses import TEXTS, Reason, Status

# Members of an enum are looked up by Python code in 3.11: hot ones are looked up once.
_HELD = Status.HELD


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
        return OF_MESSAGES

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

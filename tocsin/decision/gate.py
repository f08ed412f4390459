"""The gate: what an event, a profile, a receipt, a returned message or a due timer means for one user.

Pure: the same record, input, catalog and `now_ms` give the same decision, byte for byte. Every event has
exactly one final outcome a notification, channel and target (law 1). An event passes these steps: is it a
duplicate, who is the recipient, which notifications match, what do the rules say, the handler of the verdict.

A gate changes the record that it is given; the caller writes it back as the decision says.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Final, NamedTuple

from tocsin.catalog.compile import CompiledNotification
from tocsin.catalog.expressions import ExpressionError, Scope
from tocsin.catalog.loader import Candidates, Catalog
from tocsin.catalog.matching import Match, choose
from tocsin.catalog.spec import DefaultPreferences
from tocsin.decision import dedup, limit_queue, profiles, receipts, returned, waiting
from tocsin.decision.decider import dead_letter, decide, finish
from tocsin.decision.effects import CancelTimer, DeadLetter, Decision, settled
from tocsin.decision.evaluation import Evaluation, Stage
from tocsin.decision.policy import GatePolicy
from tocsin.decision.recipient import (
    Recipient,
    TenantDefaults,
    contact_point,
    defaults_of,
    for_event,
    for_returned,
)
from tocsin.decision.rules import ORDER, Entry, Rules, bind
from tocsin.decision.scope import scope_of
from tocsin.decision.subjects import EventSubject, HeldSubject, MessageSubject, WholeEvent
from tocsin.decision.suppressions import AddressReport
from tocsin.decision.timers import HeldEvent, HeldMessage, TimerKind, decode_payload, event_of
from tocsin.decision.user_state import PROFILE_TIMER, HoldRef, UserRecord
from tocsin.decision.verdict import Cancel, Suppress
from tocsin.errors import DecodeError
from tocsin.formats.forwarded import first_read_ms, is_forwarded
from tocsin.formats.profiles import ProfileChange
from tocsin.model.event import Event
from tocsin.model.message import Retry
from tocsin.model.outcome import ReceiptEvent
from tocsin.model.profile import Profile
from tocsin.model.raw import RawRecord
from tocsin.model.statuses import Reason

_NO_DEFAULTS = TenantDefaults("", "", None, DefaultPreferences(), ())
_NOTHING = Scope({})
# Members of an enum are looked up by Python code in 3.11: hot ones are looked up once.
_EVENT = Stage.EVENT


class DueTimer(NamedTuple):
    """A timer that is due: the user's record, whose it is, and what was stored with it."""

    record: UserRecord | None
    tenant: str
    user: str
    timer_id: str
    payload: bytes
    now_ms: int


class Gate:
    """All decisions under one catalog. Build a new one when the catalog changes: it keeps nothing else.

    Args:
        catalog: what is sent for which events.
        policy: windows and bounds that are the same for all tenants.
        order: the rules; the shipped ones unless given.
    """

    def __init__(self, catalog: Catalog, policy: GatePolicy, order: tuple[Entry, ...] = ORDER) -> None:
        self.catalog = catalog
        self.policy = policy
        self._version = catalog.version
        self._defaults = {name: defaults_of(tenant.spec) for name, tenant in catalog.tenants.items()}
        self._rules: dict[CompiledNotification, Mapping[Stage, Rules]] = {
            notification: bind(notification, order)
            for tenant in catalog.tenants.values()
            for notification in tenant.notifications.values()
        }

    def on_event(self, record: UserRecord | None, event: Event, now_ms: int, raw: RawRecord) -> Decision:
        """Decide an event; one whose user is not known yet waits for the profile.

        An event of a type that no notification asks for waits for nobody.


        Args:
            record: the user's, or None.
            event: the decoded event.
            now_ms: the time of the decision.
            raw: the record of the event as it was read: what is held keeps it, and a dead letter is it.
        """
        candidates = self.catalog.candidates(event.tenant, event.type)
        if candidates is None:
            return self._unknown_tenant(record, event, now_ms, raw)
        policy, window_ms = self.policy, self.policy.dedup_window_ms
        key = dedup.key_of(event.source, event.id)
        if record is None:
            record = UserRecord()
        elif record.seen and (
            first := dedup.original(record.seen, key, event.time_ms, window_ms, now_ms, record.declared)
        ):
            decision = Decision(record)
            self._duplicate(decision, event, now_ms, first)
            return decision
        decision = Decision(record, True)
        recipient = for_event(record, event, self._defaults[event.tenant])
        accepted = True
        if not candidates.notifications:
            finish(decision, WholeEvent(event, now_ms, self._version), Suppress(Reason.NO_MATCH))
        elif recipient is None:
            accepted = waiting.wait(decision, record, WholeEvent(event, now_ms, self._version), raw, policy)
        else:
            accepted = self._decide_all(decision, record, recipient, event, raw, candidates, now_ms)
        if accepted:
            record.seen = dedup.remember(
                record.seen,
                key,
                event.time_ms,
                window_ms + policy.late_ms,
                now_ms,
                event.origin,
                policy.dedup_max,
                record.naming(event.origin),
            )
        return settled(decision, record)

    def on_profile_change(
        self, record: UserRecord | None, change: ProfileChange, now_ms: int, raw: RawRecord
    ) -> Decision:
        """Apply what is sound of a record of `profiles`; what is not is dead-lettered with its cure.

        A profile of a tenant that is not in the catalog is refused and not stored. Its erasure is applied. A
        forwarded copy that is older than what was applied is refused: a shard without state forwards again.
        """
        tenant, read_ms = change.tenant, first_read_ms(raw)
        if record is not None and is_forwarded(raw) and profiles.is_outdated(record, change.profile, read_ms):
            error = (
                "forwarded here, older than the profile or erasure in force; write the newest profile anew"
            )
            return Decision(record, dead_letters=[DeadLetter(raw, Reason.OUTDATED, error)])
        if change.profile is not None and tenant not in self._defaults:
            error = "tenant: not in the catalog; add tenants/<tenant>.yaml or correct the key, then replay"
            return Decision(record, dead_letters=[DeadLetter(raw, Reason.BAD_FIELD, error)])
        decision = self.on_profile(record, tenant, change.user, change.profile, now_ms, read_ms)
        if change.faults:
            error = f"{' | '.join(change.faults)} (the rest of the profile is applied)"
            decision.dead_letters.append(DeadLetter(raw, Reason.BAD_FIELD, error))
        return decision

    def on_profile(
        self,
        record: UserRecord | None,
        tenant: str,
        user: str,
        profile: Profile | None,
        now_ms: int,
        read_ms: int = 0,
    ) -> Decision:
        """Take a profile over, and decide what waited for it; None erases the user and all that is held.

        Args:
            record: the user's, or None.
            tenant: whose user.
            user: the user's id.
            profile: what the user's profile is now.
            now_ms: the time of the decision.
            read_ms: Kafka's time of the profile; 0 if no older one can come.
        """
        if profile is None:
            return self._erase(record, tenant, user, now_ms, read_ms)
        known = record is not None and not record.is_nobody()
        found = record if record is not None else UserRecord()
        decision = Decision(found)
        defaults, before = self._defaults.get(tenant, _NO_DEFAULTS), found.contact_points
        decision.touched = profiles.adopt(found, user, profile, defaults.preferences)
        if decision.touched:
            found.profile_ms = max(read_ms, found.profile_ms)
            receipts.name_again(found, before, now_ms, self.policy.blocked_max)
        # Nothing was ever sent to somebody who is not known, so no message can be stale.
        if decision.touched and known:
            decision.profile_version = found.version
        waited, found.waiting = found.waiting, ()
        if waited:
            decision.touched = True
            decision.cancelled_timers.append(CancelTimer(PROFILE_TIMER, waited[0].deadline_ms))
        for one in waited:
            self._decide_waiting(decision, found, waiting.read(one.event, tenant, user), now_ms)
        return decision

    def on_receipt(
        self, record: UserRecord | None, receipt: ReceiptEvent, now_ms: int, raw: RawRecord
    ) -> Decision:
        """Log a receipt; it may block contact points, lift blocks, and cancel timers of its notification."""
        decision = Decision(record)
        kind = receipts.RECEIPTS.get(receipt.kind)
        if kind is None:
            decision.dead_letters.append(DeadLetter(raw, Reason.BAD_FIELD, receipts.UNKNOWN_KIND))
            return decision
        targets = receipts.targets_of(record, receipt)
        if kind.lifts or receipts.blocks(receipt, kind):
            found = record or UserRecord()
            free = [target for target in targets if found.blocked.get(target, 0) <= 0]
            decision.touched = self._set_blocks(found, receipt, kind, targets, now_ms)
            if decision.touched:
                decision.record = record = found
            if found.version and any(found.blocked.get(target, 0) > 0 for target in free):
                # What still queues must not go to the contact point: the ledger takes it for stale.
                decision.profile_version = found.version = found.version + 1
            if not targets:
                decision.dead_letters.append(DeadLetter(raw, Reason.BAD_FIELD, receipts.NO_TARGET))
        outcome = receipts.receipt_outcome(receipt, kind, raw, targets, now_ms, self._version)
        decision.outcomes.append(outcome)
        for timer_id in receipts.cancelled(record, receipt, kind) if record else ():
            assert record is not None, "only a record has timers"
            self._cancel(decision, record, receipt, timer_id, now_ms)
        return decision

    def on_address_report(
        self, record: UserRecord | None, report: AddressReport, now_ms: int, raw: RawRecord
    ) -> Decision:
        """Suppress an address for all users of a tenant in a key group, or lift that.

        Args:
            record: the record of the address, or None.
            report: the receipt; one key group of all logs it.
            now_ms: the time of the decision.
            raw: the record as it was read.
        """
        decision, receipt, targets = Decision(record), report.receipt, (report.target,)
        kind = receipts.RECEIPTS.get(receipt.kind)
        if kind is None:
            if report.is_logged:
                decision.dead_letters.append(DeadLetter(raw, Reason.BAD_FIELD, receipts.UNKNOWN_KIND))
            return decision
        if kind.lifts or receipts.blocks(receipt, kind):
            decision.record = record = record or UserRecord()
            decision.touched = self._set_blocks(record, receipt, kind, targets, now_ms)
        if report.is_logged:
            outcome = receipts.receipt_outcome(receipt, kind, raw, targets, now_ms, self._version)
            decision.outcomes.append(outcome)
        return decision

    def _set_blocks(
        self,
        record: UserRecord,
        receipt: ReceiptEvent,
        kind: receipts.ReceiptKind,
        targets: tuple[str, ...],
        now_ms: int,
    ) -> bool:
        """Block the contact points of a receipt or lift their blocks; return whether anything changed."""
        change = receipts.lift if kind.lifts else receipts.block
        at_ms, most = receipts.reported_ms(receipt, now_ms), self.policy.blocked_max
        changed = [change(record, target, at_ms, most) for target in targets]
        return any(changed)

    def on_retry(self, record: UserRecord | None, retry: Retry, now_ms: int) -> Decision:
        """Decide a returned message again: hold it until due, send it by the profile of now, or end it.

        An admission is returned once. A copy of the record, as a crash may leave one, changes nothing.
        """
        found = record if record is not None else UserRecord()
        message = retry.message
        recipient = for_returned(found, retry, self._defaults.get(message.tenant, _NO_DEFAULTS))
        if found.is_nobody() and recipient is None:
            # Nothing is kept of somebody who was erased.
            decision = Decision(record)
        elif returned.is_first(found, retry, now_ms, self.policy):
            decision = Decision(found, True)
        else:
            return Decision(record)
        self._decide_returned(decision, found, recipient, HeldMessage(retry), now_ms)
        return decision

    def on_timer(
        self, record: UserRecord | None, tenant: str, user: str, timer_id: str, payload: bytes, now_ms: int
    ) -> Decision:
        """Decide what was held again; `payload` is the one of the decision that set the timer."""
        due = DueTimer(record, tenant, user, timer_id, payload, now_ms)
        return TIMERS[TimerKind(timer_id[0])](self, due)

    def notification_due(self, due: DueTimer) -> Decision:
        """Decide a held notification again, unless its user, cause or place in the catalog is gone."""
        record, now_ms = due.record or UserRecord(), due.now_ms
        held = decode_payload(due.payload)
        assert isinstance(held, HeldEvent), "a timer of this kind has the payload of an event"
        ref = record.holds.pop(due.timer_id, None) or _ref(due, held)
        decision = Decision(record, True)
        self._decide_held(
            decision, record, HeldSubject(ref, due.tenant, due.user, now_ms, self._version), held
        )
        if ref.counter and not decision.messages and not ref.spare:
            again = record.holds.get(due.timer_id)
            if again is None or again.counter != ref.counter:
                limit_queue.pass_on(decision, record, ref, now_ms)
        return settled(decision, record)

    def _decide_held(
        self, decision: Decision, record: UserRecord, gone: HeldSubject, held: HeldEvent
    ) -> None:
        """Decide a held notification again; `gone` takes its outcome if it cannot be decided any more."""
        ref, now_ms = gone.ref, gone.now_ms
        try:
            event = event_of(held)
        except DecodeError as error:
            return dead_letter(decision, gone, held.raw, held, error.reason, str(error))
        recipient = for_event(record, event, self._defaults.get(event.tenant, _NO_DEFAULTS))
        notification = self.catalog.notification(event.tenant, held.notification)
        if recipient is None:
            return finish(decision, gone, Suppress(Reason.ERASED))
        try:
            scope = scope_of(event, recipient, notification.needs) if notification else _NOTHING
            match = choose(notification, scope) if notification else None
        except ExpressionError as error:
            waiting.forget(record, event)
            return dead_letter(decision, gone, held.raw, held, Reason.BAD_EXPRESSION, str(error))
        if match is None:
            return finish(decision, gone, Cancel(Reason.NO_MATCH))
        subject = EventSubject(
            event, held.raw, match, now_ms, held.hold_count, ref.notification_id, recipient.faults
        )
        return self._evaluate(decision, record, recipient, subject, Stage.TIMER, ref.counter)

    def message_due(self, due: DueTimer) -> Decision:
        """Decide a returned message again whose wait is over."""
        record = due.record or UserRecord()
        held = decode_payload(due.payload)
        assert isinstance(held, HeldMessage), "a timer of this kind has the payload of a message"
        record.holds.pop(due.timer_id, None)
        decision = Decision(record, True)
        recipient = for_returned(record, held.retry, self._defaults.get(due.tenant, _NO_DEFAULTS))
        self._decide_returned(decision, record, recipient, held, due.now_ms)
        return settled(decision, record)

    def wait_over(self, due: DueTimer) -> Decision:
        """End the wait of events whose profile did not come in time; the others wait on."""
        return waiting.end_wait(due.record, due.tenant, due.user, due.now_ms, self._version)

    def _unknown_tenant(
        self, record: UserRecord | None, event: Event, now_ms: int, raw: RawRecord
    ) -> Decision:
        decision = Decision(record)
        error = "tenant: not in the catalog; add tenants/<tenant>.yaml or correct the event's `tenant`"
        whole = WholeEvent(event, now_ms, self._version)
        dead_letter(decision, whole, raw, event, Reason.BAD_FIELD, error)
        return decision

    def _duplicate(self, decision: Decision, event: Event, now_ms: int, first: str) -> None:
        """Suppress a duplicate; a copy of the very same record has its outcomes already."""
        if first != str(event.origin):
            whole = WholeEvent(event, now_ms, self._version)
            finish(decision, whole, Suppress(Reason.DUPLICATE, {"original": first}))

    def _decide_all(
        self,
        decision: Decision,
        record: UserRecord,
        recipient: Recipient,
        event: Event,
        raw: RawRecord,
        candidates: Candidates,
        now_ms: int,
    ) -> bool:
        """Decide every notification an event means; False if an expression failed and the event is dead."""
        try:
            matches = candidates.fixed or _matches(candidates, event, recipient)
        except ExpressionError as error:
            whole = WholeEvent(event, now_ms, self._version)
            dead_letter(decision, whole, raw, event, Reason.BAD_EXPRESSION, str(error))
            return False
        if not matches:
            finish(decision, WholeEvent(event, now_ms, self._version), Suppress(Reason.NO_MATCH))
        for match in matches:
            subject = EventSubject(event, raw, match, now_ms, faults=recipient.faults)
            held = record.holds.get(subject.timer_id) if record.holds else None
            if held is None:
                self._evaluate(decision, record, recipient, subject, _EVENT)
            else:
                # A copy of a record that is forgotten already: the notification it names is still to come.
                self._duplicate(decision, event, now_ms, held.origin)
        return True

    def _evaluate(
        self,
        decision: Decision,
        record: UserRecord,
        recipient: Recipient,
        subject: EventSubject,
        stage: Stage,
        waited_for: str = "",
    ) -> None:
        event, notification = subject.event, subject.match.notification
        delay_ms, own_ms = notification.delay_ms, event.expires_ms or 0
        expires_ms = notification.expires_ms
        if expires_ms:
            expires_ms += event.time_ms
        if own_ms and (not expires_ms or own_ms < expires_ms):
            expires_ms = own_ms
        evaluation = Evaluation(
            subject,
            recipient,
            notification,
            record,
            subject.now_ms,
            stage,
            expires_ms,
            max(event.send_at_ms or 0, event.time_ms + delay_ms if delay_ms else 0),
        )
        evaluation.waited_for = waited_for
        decide(decision, evaluation, self._rules[notification][stage], self.policy)

    def _decide_returned(
        self,
        decision: Decision,
        record: UserRecord,
        recipient: Recipient | None,
        held: HeldMessage,
        now_ms: int,
    ) -> None:
        retry, message = held.retry, held.retry.message
        subject = MessageSubject(retry, now_ms, self._version, held.round)
        if recipient is None:
            return finish(decision, subject, Suppress(Reason.ERASED))
        notification = self.catalog.notification(message.tenant, message.notification)
        channel = notification.channel(message.channel) if notification else None
        if notification is None or channel is None:
            return finish(decision, subject, Cancel(Reason.NO_MATCH))
        stale = retry.reason == Reason.STALE_PROFILE
        evaluation = Evaluation(
            subject,
            recipient,
            notification,
            record,
            now_ms,
            Stage.RETURNED,
            message.expires_ms,
            0 if stale else retry.due_ms,
            channel,
            contact_point(recipient, message.channel, subject.target_key),
        )
        return decide(decision, evaluation, self._rules[notification][Stage.RETURNED], self.policy)

    def _decide_waiting(
        self, decision: Decision, record: UserRecord, waited: waiting.Waited, now_ms: int
    ) -> None:
        """Decide an event whose profile has come."""
        event, raw = waited.event, waited.held.raw
        candidates = self.catalog.candidates(event.tenant, event.type)
        recipient = for_event(record, event, self._defaults.get(event.tenant, _NO_DEFAULTS))
        assert recipient is not None, "the profile has come"
        whole = WholeEvent(event, now_ms, self._version)
        if waited.error is not None:
            dead_letter(decision, whole, raw, event, waited.error.reason, str(waited.error))
        elif candidates is None:
            error = "tenant: no longer in the catalog; add tenants/<tenant>.yaml again"
            dead_letter(decision, whole, raw, event, Reason.BAD_FIELD, error)
        elif self._decide_all(decision, record, recipient, event, raw, candidates, now_ms):
            return
        waiting.forget(record, event)

    def _erase(
        self, record: UserRecord | None, tenant: str, user: str, now_ms: int, read_ms: int
    ) -> Decision:
        """Forget a user: all that is held gets its final outcome, and queued messages will return to it.

        Only the time of the erasure stays for a while, against forwarded copies of the profile.
        """
        decision = Decision(UserRecord(profile_ms=read_ms) if read_ms else None, bool(read_ms))
        if record is None or record.is_nobody():
            return decision
        decision.touched = True
        decision.profile_version = -now_ms
        erased = Suppress(Reason.ERASED)
        if record.waiting:
            decision.cancelled_timers.append(CancelTimer(PROFILE_TIMER, record.waiting[0].deadline_ms))
        for one in record.waiting:
            event = waiting.read(one.event, tenant, user).event
            finish(decision, WholeEvent(event, now_ms, self._version), erased)
        for timer_id, ref in record.holds.items():
            decision.cancelled_timers.append(CancelTimer(timer_id, ref.due_ms))
            finish(decision, HeldSubject(ref, tenant, user, now_ms, self._version), erased)
        return decision

    def _cancel(
        self, decision: Decision, record: UserRecord, receipt: ReceiptEvent, timer_id: str, now_ms: int
    ) -> None:
        """Cancel a timer of a notification whose receipt makes it needless."""
        ref = record.holds.pop(timer_id)
        decision.touched = True
        decision.cancelled_timers.append(CancelTimer(timer_id, ref.due_ms))
        subject = HeldSubject(ref, receipt.tenant, receipt.user, now_ms, self._version)
        finish(decision, subject, Cancel(Reason.NONE, {"receipt": receipt.kind}))


TIMERS: Final[Mapping[TimerKind, Callable[[Gate, DueTimer], Decision]]] = {
    TimerKind.NOTIFICATION: Gate.notification_due,
    TimerKind.MESSAGE: Gate.message_due,
    TimerKind.PROFILE: Gate.wait_over,
}
"""What is decided when a timer of each kind is due."""


def _matches(candidates: Candidates, event: Event, recipient: Recipient) -> Sequence[Match]:
    """Evaluate the expressions of all candidates; raises `ExpressionError`."""
    scope = scope_of(event, recipient, candidates.needs) if candidates.needs else _NOTHING
    found = [choose(notification, scope) for notification in candidates.notifications]
    return [match for match in found if match is not None]


def _ref(due: DueTimer, held: HeldEvent) -> HoldRef:
    nid = due.timer_id.removeprefix(TimerKind.NOTIFICATION)
    return HoldRef(0, nid, held.notification, "", "", str(held.origin), attempt=held.hold_count)

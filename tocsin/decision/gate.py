"""The gate: what an event, a profile, a receipt, a handed-back message or a timer means for one user.

Pure: the same record, input, catalog and `now_ms` give the same step, byte for byte. Decisions are made in a
fixed order (duplicate, known user, match, expiry, schedule, preferences, limits, quiet hours, channels), and
every event ends in exactly one final word a notification, channel and target (law 1).

A gate changes the record it is given; the caller writes it back as the step says.
"""

import msgspec

from tocsin.catalog.expressions import ExpressionError, Scope
from tocsin.catalog.loader import Catalog, Match
from tocsin.catalog.matching import Chosen, choose
from tocsin.catalog.spec import DefaultPreferences
from tocsin.decision import dedup, handback, preferences, profiles, receipts, route
from tocsin.decision.decide import NOTIFICATION_TIMER, Case, decide, say
from tocsin.decision.policy import GatePolicy
from tocsin.decision.record import PROFILE_TIMER, HoldRef, UserRecord, Waiting
from tocsin.decision.scope import scope_of
from tocsin.decision.step import (
    Dead,
    HeldNotification,
    HeldRetry,
    Hold,
    Step,
    cloudevent,
    decode_event,
    decode_held,
    encode_event,
)
from tocsin.decision.words import Detail, event_word, held_word
from tocsin.model import topics
from tocsin.model.event import Event, Origin, Recipient
from tocsin.model.message import Retry
from tocsin.model.outcome import Outcome, ReceiptEvent
from tocsin.model.profile import Preferences, Profile
from tocsin.model.statuses import Reason, Status

__all__ = ["Gate", "GatePolicy", "Hold", "Step"]

_NO_DEFAULTS = DefaultPreferences()
_NOTHING = Scope({})


class Gate:
    """All decisions under one catalog. Build a new one when the catalog changes: it keeps nothing else."""

    def __init__(self, catalog: Catalog, policy: GatePolicy) -> None:
        self.catalog = catalog
        self.policy = policy
        self._version = catalog.version

    def on_event(self, record: UserRecord | None, event: Event, now_ms: int) -> Step:
        """Decide an event; one whose user is not known yet waits for the profile."""
        match = self.catalog.match(event.tenant, event.type)
        if match is None:
            return self._unknown_tenant(record, event, now_ms)
        key = dedup.key_of(event.source, event.id)
        window_ms = self.policy.dedup_window_ms
        if record is None:
            record = UserRecord()
        elif record.seen and (first := dedup.original(record.seen, key, event.time_ms, window_ms, now_ms)):
            return self._duplicate(record, event, now_ms, first)
        step = Step(record, True)
        if not record.version and event.recipient is None:
            self._wait(step, record, event, key, now_ms)
        elif self._decide_all(step, record, event, match, now_ms):
            record.seen = self._remembered(record.seen, key, event, window_ms, now_ms)
        return _settled(step, record)

    def on_profile(
        self, record: UserRecord | None, tenant: str, user: str, profile: Profile | None, now_ms: int
    ) -> Step:
        """Take a profile over, and decide what waited for it; None erases the user and all that is held."""
        if profile is None:
            return self._erase(record, tenant, user, now_ms)
        return self._adopt(record, tenant, user, profile, now_ms)

    def on_receipt(self, record: UserRecord | None, receipt: ReceiptEvent, now_ms: int) -> Step:
        """Log a receipt; one that says a target is dead or refuses blocks it."""
        step = Step(record)
        if receipt.kind not in receipts.KINDS:
            error = f"unknown kind of receipt: send one of {', '.join(sorted(receipts.KINDS))}"
            payload = msgspec.json.encode(receipt)
            step.dead.append(Dead(payload, Reason.BAD_FIELD, error, _origin(receipt.origin), now_ms))
            return step
        if receipts.blocks(receipt):
            step.record = record = record or UserRecord()
            receipts.block(record, receipt, now_ms, self.policy.blocked_max)
            step.touched = True
        step.outcomes.append(receipts.receipt_word(receipt, now_ms, self._version))
        return step

    def on_retry(self, record: UserRecord | None, retry: Retry, now_ms: int) -> Step:
        """Decide a handed-back message again: hold it until due, send it by the profile of now, or end it.

        A pass through delivery hands back once; a copy of that record, as a crash may leave, says no more.
        """
        known = record is not None
        found = record if record is not None else UserRecord()
        if known and not handback.is_first(found, retry, now_ms, self.policy):
            return Step(record)
        step = Step(found, known)
        self._hand_back(step, found, HeldRetry(retry), now_ms)
        step.record = found if step.touched else record
        return step

    def on_timer(
        self, record: UserRecord | None, tenant: str, user: str, timer_id: str, payload: bytes, now_ms: int
    ) -> Step:
        """Decide what was held again; `payload` is what the step that held it said."""
        if timer_id == PROFILE_TIMER:
            return self._give_up(record, now_ms)
        held = decode_held(payload)
        found = record if record is not None else UserRecord()
        ref = found.holds.pop(timer_id, None)
        step = Step(found, True)
        if isinstance(held, HeldRetry):
            self._hand_back(step, found, held, now_ms)
        else:
            self._decide_held(step, found, held, ref or _ref(timer_id, held), now_ms)
        return _settled(step, found)

    def _unknown_tenant(self, record: UserRecord | None, event: Event, now_ms: int) -> Step:
        step = Step(record)
        error = "tenant: not in the catalog; add tenants/<tenant>.yaml or mend the event's `tenant`"
        self._bury(step, event, Reason.BAD_FIELD, error, now_ms)
        return step

    def _duplicate(self, record: UserRecord, event: Event, now_ms: int, first: str) -> Step:
        """Say that an event is a duplicate; a copy of the very same record has its words already."""
        step = Step(record)
        if first != str(event.origin):
            detail: Detail = {"original": first}
            word = event_word(event, Status.SUPPRESSED, Reason.DUPLICATE, now_ms, self._version, detail)
            step.outcomes.append(word)
        return step

    def _remembered(self, seen: bytes, key: bytes, event: Event, window_ms: int, now_ms: int) -> bytes:
        return dedup.remember(
            seen, key, event.time_ms, window_ms, now_ms, event.origin, self.policy.dedup_max
        )

    def _decide_all(self, step: Step, record: UserRecord, event: Event, match: Match, now_ms: int) -> bool:
        """Decide every notification an event means; False if an expression failed and the event is dead."""
        person = record if record.version else self._inline(record, event)
        try:
            scope = scope_of(event, person, match.needs) if match.needs else _NOTHING
            chosen = match.fixed or [
                found for plan in match.plans if (found := choose(plan, scope)) is not None
            ]
        except ExpressionError as error:
            self._bury(step, event, Reason.BAD_EXPRESSION, str(error), now_ms)
            return False
        if not chosen:
            word = event_word(event, Status.SUPPRESSED, Reason.NO_MATCH, now_ms, self._version)
            step.outcomes.append(word)
        for one in chosen:
            case = Case(step, person, event, one, now_ms, self.policy)
            held = record.holds.get(NOTIFICATION_TIMER + case.notification_id) if record.holds else None
            if held is not None:
                # An id used again beyond the window: the notification it names is still to come.
                step.outcomes += self._duplicate(record, event, now_ms, held.origin).outcomes
            elif one.plan.dedup_key is None or self._is_first(record, case, one):
                decide(case)
        return True

    def _is_first(self, record: UserRecord, case: Case, chosen: Chosen) -> bool:
        """Look a catalog's dedup key up, and remember it."""
        event, now_ms, window_ms = case.event, case.now_ms, chosen.plan.dedup_window_ms
        key = dedup.key_of(chosen.plan.name, chosen.dedup_key)
        first = dedup.original(record.keys, key, event.time_ms, window_ms, now_ms)
        if first:
            say(case, Status.SUPPRESSED, Reason.DUPLICATE_KEY, {"original": first})
            return False
        record.keys = self._remembered(record.keys, key, event, window_ms, now_ms)
        return True

    def _decide_held(
        self, step: Step, record: UserRecord, held: HeldNotification, ref: HoldRef, now_ms: int
    ) -> None:
        """Decide a held notification again, unless its user, cause or place in the catalog is gone."""
        event = held.event
        plan = self.catalog.plan(event.tenant, held.notification)
        if not record.version and event.recipient is None:
            step.outcomes.append(self._last(event, ref, Status.SUPPRESSED, Reason.ERASED, now_ms))
            return
        person = record if record.version else self._inline(record, event)
        try:
            chosen = choose(plan, scope_of(event, person, plan.needs)) if plan else None
        except ExpressionError as error:
            self._forget(record, event)
            step.outcomes.append(self._last(event, ref, Status.DEAD, Reason.BAD_EXPRESSION, now_ms))
            step.dead.append(_dead(event, Reason.BAD_EXPRESSION, str(error)))
            return
        if chosen is None:
            step.outcomes.append(self._last(event, ref, Status.CANCELLED, Reason.NO_MATCH, now_ms))
            return
        decide(Case(step, person, event, chosen, now_ms, self.policy, held.round))

    def _hand_back(self, step: Step, record: UserRecord, held: HeldRetry, now_ms: int) -> None:
        message = held.retry.message
        plan = self.catalog.plan(message.tenant, message.notification)
        handback.decide_again(handback.HandBack(step, record, held, plan, now_ms, self._version, self.policy))

    def _last(self, event: Event, ref: HoldRef, status: Status, reason: Reason, now_ms: int) -> Outcome:
        return held_word(ref, event.tenant, event.user, status, reason, now_ms, self._version)

    def _inline(self, record: UserRecord, event: Event) -> UserRecord:
        """View of someone without a profile: contacts and the tenant's defaults over the record's windows."""
        recipient = event.recipient or Recipient()
        return UserRecord(
            points=route.recipient_points(recipient),
            locale=recipient.locale,
            timezone=recipient.timezone,
            off=preferences.switched_off(Preferences(), self._defaults(event.tenant)),
            blocked=record.blocked,
            counts=record.counts,
            holds=record.holds,
        )

    def _defaults(self, tenant: str) -> DefaultPreferences:
        spec = self.catalog.tenant(tenant)
        return spec.preferences if spec else _NO_DEFAULTS

    def _wait(self, step: Step, record: UserRecord, event: Event, key: bytes, now_ms: int) -> None:
        """Hold an event for its user's profile; beyond the bounds it is dead at once."""
        policy, waiting = self.policy, record.waiting
        payload = encode_event(event)
        size = sum(len(one.event) for one in waiting) + len(payload)
        if len(waiting) >= policy.waiting_max or size > policy.waiting_bytes:
            error = "user: not known, and too many events wait for the profile; publish profiles first"
            self._bury(step, event, Reason.UNKNOWN_USER, error, now_ms)
            return
        record.seen = self._remembered(record.seen, key, event, policy.dedup_window_ms, now_ms)
        deadline_ms = now_ms + policy.profile_wait_ms
        record.waiting = (*waiting, Waiting(deadline_ms, payload))
        if not waiting:
            step.holds.append(Hold(PROFILE_TIMER, deadline_ms, b""))
        detail: Detail = {"due_ms": deadline_ms}
        word = event_word(event, Status.HELD, Reason.AWAITING_PROFILE, now_ms, self._version, detail)
        step.outcomes.append(word)

    def _give_up(self, record: UserRecord | None, now_ms: int) -> Step:
        """End what waited for a profile too long; the rest waits on."""
        step = Step(record)
        if record is None or not record.waiting:
            return step
        step.touched = True
        late = [one for one in record.waiting if one.deadline_ms <= now_ms]
        record.waiting = record.waiting[len(late) :]
        for one in late:
            event = decode_event(one.event)
            self._forget(record, event)
            error = "subject: no profile of this user came in time; publish it, then replay"
            self._bury(step, event, Reason.UNKNOWN_USER, error, now_ms)
        if record.waiting:
            step.holds.append(Hold(PROFILE_TIMER, record.waiting[0].deadline_ms, b""))
        return _settled(step, record)

    def _adopt(
        self, record: UserRecord | None, tenant: str, user: str, profile: Profile, now_ms: int
    ) -> Step:
        found = record if record is not None else UserRecord()
        step = Step(found)
        step.touched = profiles.adopt(found, user, profile, self._defaults(tenant))
        # Without a record nothing was ever sent to this user, so no message can be stale.
        if step.touched and record is not None:
            step.profile_version = found.version
        waiting, found.waiting = found.waiting, ()
        if waiting:
            step.touched = True
            step.releases.append((PROFILE_TIMER, waiting[0].deadline_ms))
        for one in waiting:
            self._decide_waiting(step, found, decode_event(one.event), now_ms)
        return step

    def _decide_waiting(self, step: Step, record: UserRecord, event: Event, now_ms: int) -> None:
        match = self.catalog.match(event.tenant, event.type)
        if match is None:
            error = "tenant: no longer in the catalog; add tenants/<tenant>.yaml again"
            self._bury(step, event, Reason.BAD_FIELD, error, now_ms)
        elif self._decide_all(step, record, event, match, now_ms):
            return
        self._forget(record, event)

    def _erase(self, record: UserRecord | None, tenant: str, user: str, now_ms: int) -> Step:
        """Forget a user: every held thing gets its last word, and messages on their way come back to it."""
        step = Step(None)
        if record is None:
            return step
        step.touched = True
        step.profile_version = -now_ms
        if record.waiting:
            step.releases.append((PROFILE_TIMER, record.waiting[0].deadline_ms))
        for one in record.waiting:
            event = decode_event(one.event)
            word = event_word(event, Status.SUPPRESSED, Reason.ERASED, now_ms, self._version)
            step.outcomes.append(word)
        for timer_id, ref in record.holds.items():
            step.releases.append((timer_id, ref.due_ms))
            word = held_word(ref, tenant, user, Status.SUPPRESSED, Reason.ERASED, now_ms, self._version)
            step.outcomes.append(word)
        return step

    def _bury(self, step: Step, event: Event, reason: Reason, error: str, now_ms: int) -> None:
        """End an event as a dead letter, with its word in the log."""
        step.dead.append(_dead(event, reason, error))
        detail: Detail = {"error": error}
        step.outcomes.append(event_word(event, Status.DEAD, reason, now_ms, self._version, detail))

    def _forget(self, record: UserRecord, event: Event) -> None:
        """Let a dead event come again: its replay is no duplicate."""
        record.seen = dedup.forget(record.seen, dedup.key_of(event.source, event.id))


def _settled(step: Step, record: UserRecord) -> Step:
    """Erase a record with nothing left in it."""
    step.record = None if record.is_empty() else record
    return step


def _dead(event: Event, reason: Reason, error: str) -> Dead:
    return Dead(cloudevent(event), reason, error, event.origin, event.received_ms)


def _ref(timer_id: str, held: HeldNotification) -> HoldRef:
    event = held.event
    nid = timer_id.removeprefix(NOTIFICATION_TIMER)
    return HoldRef(0, nid, held.notification, "", event.id, str(event.origin), attempt=held.round)


def _origin(text: str) -> Origin:
    topic, _, place = text.partition("/")
    partition, _, offset = place.partition("/")
    numbers = [int(part) if part.isdecimal() and len(part) < 19 else 0 for part in (partition, offset)]
    return Origin(topic or topics.RECEIPTS, *numbers)

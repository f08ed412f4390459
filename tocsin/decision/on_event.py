"""Decides an event: is it a duplicate, who is it for, which notifications match, what do the rules say?

Every event has exactly one final outcome a notification, channel and target (law 1).
"""

from collections.abc import Callable, Sequence
from typing import Any, TypeAlias

from tocsin.catalog.expressions import ExpressionError, Scope
from tocsin.catalog.loader import Candidates
from tocsin.catalog.matching import Match, choose
from tocsin.catalog.plain_matching import MATCH_FAILURES, Matcher
from tocsin.decision import asking, cancelling, dedup, replaying, waiting
from tocsin.decision.asked_time import asked_time
from tocsin.decision.context import DecisionContext
from tocsin.decision.decider import dead_letter, decide, finish
from tocsin.decision.effects import Decision, settled
from tocsin.decision.evaluation import BLOCKED, QUIET, TIMED, Evaluation, Stage
from tocsin.decision.faulty import without_catalog
from tocsin.decision.on_unsent import move_up
from tocsin.decision.recipient import Recipient, for_event, for_known
from tocsin.decision.scope import variables_of
from tocsin.decision.subjects import EventSubject, WholeEvent
from tocsin.decision.user_state import UserRecord
from tocsin.decision.verdict import Cancel, Suppress
from tocsin.model.event import CANCEL, Event
from tocsin.model.raw import RawRecord
from tocsin.model.statuses import Reason

CancelledBy: TypeAlias = Callable[[EventSubject], Cancel | None]
"""Tells the verdict on a notification that a later event cancels; None if none does."""
# Members of an enum are looked up by Python code in 3.11: hot ones are looked up once.
_EVENT = Stage.EVENT


def on_event(
    context: DecisionContext, record: UserRecord | None, event: Event, now_ms: int, raw: RawRecord
) -> Decision:
    """Decide an event; one whose user is not known yet waits for the profile.

    An event of a type that no notification asks for waits for nobody.

    Args:
        context: the catalog in force.
        record: the user's, or None.
        event: the decoded event.
        now_ms: the time of the decision.
        raw: the record of the event as it was read: what is held keeps it, and a dead letter is it.
    """
    catalog = context.catalog
    if event.asked is None:
        candidates = catalog.candidates(event.tenant, event.type)
    else:
        candidates = catalog.answering(event)
    if candidates is None:
        return _unknown_tenant(context, record, event, now_ms, raw)
    policy, window_ms = context.policy, context.policy.dedup_window_ms
    key = dedup.key_of(event.source, event.id)
    if record is None:
        record = UserRecord()
    elif record.seen and (
        first := dedup.original(record.seen, key, event.time_ms, window_ms, now_ms, record.declared)
        if event.replay is None
        else replaying.original(record, event, event.replay, window_ms, now_ms)
    ):
        decision = Decision(record)
        _duplicate(context, decision, event, now_ms, first)
        return decision
    decision = Decision(record, True)
    defaults = context.defaults[event.tenant]
    recipient = for_known(record, defaults) if record.version else for_event(record, event, defaults)
    accepted = True
    if not candidates.notifications:
        accepted = _unasked(context, decision, record, event, now_ms, raw, candidates)
    elif recipient is None:
        accepted = waiting.wait(decision, record, _whole(context, event, now_ms), raw, policy)
    else:
        accepted = _decide_all(context, decision, record, recipient, event, raw, candidates, now_ms)
    if not accepted:
        return settled(decision, record)
    if event.replay is None:
        record.seen = dedup.remember(
            record.seen,
            key,
            event.time_ms,
            window_ms + policy.late_ms,
            now_ms,
            event.origin,
            policy.dedup_max,
            record.declared if event.origin.topic in dedup.OWN_TOPICS else record.naming(event.origin),
        )
    else:
        keep_ms = window_ms + policy.late_ms
        record.seen = replaying.remember(
            record, event, event.replay, window_ms, keep_ms, now_ms, policy.dedup_max
        )
    return decision


def decide_waiting(
    context: DecisionContext,
    decision: Decision,
    record: UserRecord,
    waited: waiting.Waited,
    now_ms: int,
    cancelled: CancelledBy | None = None,
) -> None:
    """Decide an event whose profile has come; `cancelled` tells whether a later event has cancelled it."""
    event, raw = waited.event, waited.held.raw
    candidates = context.catalog.answering(event)
    recipient = for_event(record, event, context.defaults_for(event.tenant))
    assert recipient is not None, "the profile has come"
    whole = _whole(context, event, now_ms)
    if waited.error is not None:
        dead_letter(decision, whole, raw, event, waited.error.reason, str(waited.error))
    elif candidates is None:
        reason, error = without_catalog(context.catalog, event.tenant)
        dead_letter(decision, whole, raw, event, reason, error)
    elif _decide_all(context, decision, record, recipient, event, raw, candidates, now_ms, cancelled):
        return
    waiting.forget(record, event)


def decide_notification(
    context: DecisionContext,
    decision: Decision,
    record: UserRecord,
    recipient: Recipient,
    subject: EventSubject,
    stage: Stage,
    waited_for: str = "",
) -> None:
    """Ask the rules about one notification, or one channel of it, and let the verdict's handler act.

    Args:
        context: the catalog in force.
        decision: takes the effects.
        record: the user's.
        recipient: the user as of now.
        subject: what is decided.
        stage: the cause.
        waited_for: the counter of the limit that it was held for until now; empty for none.
    """
    event, notification = subject.event, subject.match.notification
    if event.asked is not None and (verdict := asking.refusal(event.asked, notification)) is not None:
        return finish(decision, subject, verdict)
    # Every notification passes here, so what follows is one function: each call less is 0.1 % of an event.
    # The times of event and catalog are joined: the earliest end, the latest time to wait for; 0 for none.
    delay_ms, own_ms = notification.delay_ms, event.expires_ms or 0
    expires_ms = notification.expires_ms
    if expires_ms:
        expires_ms += event.time_ms if subject.digest is None else subject.digest.due_ms
    if own_ms and (not expires_ms or own_ms < expires_ms):
        expires_ms = own_ms
    not_before_ms = event.send_at_ms or 0
    if delay_ms and event.time_ms + delay_ms > not_before_ms:
        not_before_ms = event.time_ms + delay_ms
    if notification.at is not None and subject.digest is None:
        asked = asked_time(notification.at, subject.match.at, event.time_ms, recipient.timezone)
        not_before_ms, expires_ms = asked.narrowed(not_before_ms, expires_ms)
    # The facts of which a rule may need one: rules that need one that does not hold are not asked.
    now_ms, snoozed_ms = subject.now_ms, recipient.snoozed_until_ms
    facts = 0 if recipient.quiet_hours is None else QUIET
    if (expires_ms or not_before_ms or snoozed_ms) and (
        0 < expires_ms < now_ms or not_before_ms > now_ms or snoozed_ms > now_ms
    ):
        facts += TIMED
    evaluation = Evaluation(
        subject,
        recipient,
        notification,
        record,
        now_ms,
        stage,
        expires_ms,
        not_before_ms,
        None,
        None,
        waited_for,
        "",
        facts + BLOCKED if recipient.blocked else facts,
    )
    if subject.match.cancel_key and stage is _EVENT and record.holds:
        cancelling.reschedule(context, decision, evaluation)
    decide(decision, evaluation, context.rules[notification][stage], context.policy)
    if evaluation.freed:
        zone, freed = recipient.timezone, evaluation.freed
        move_up(context, decision, record, event.tenant, freed, zone, now_ms)
    return None


def _decide_all(
    context: DecisionContext,
    decision: Decision,
    record: UserRecord,
    recipient: Recipient,
    event: Event,
    raw: RawRecord,
    candidates: Candidates,
    now_ms: int,
    cancelled: CancelledBy | None = None,
) -> bool:
    """Decide every notification an event means; False if an expression failed and the event is dead."""
    try:
        matches: Sequence[Match] = candidates.fixed if event.asked is None else ()
        matches = matches or _matches(candidates, event, recipient, now_ms)
    except ExpressionError as error:
        whole = _whole(context, event, now_ms)
        dead_letter(decision, whole, raw, event, Reason.BAD_EXPRESSION, str(error))
        return False
    if not matches:
        finish(decision, _whole(context, event, now_ms), Suppress(candidates.none, candidates.detail))
    for match in matches:
        subject = EventSubject(event, raw, match, now_ms, faults=recipient.faults)
        held = record.holds.get(subject.timer_id) if record.holds else None
        if cancelled is not None and (verdict := cancelled(subject)) is not None:
            finish(decision, subject, verdict, rule=cancelling.CANCEL_RULE)
        elif held is None:
            decide_notification(context, decision, record, recipient, subject, _EVENT)
        else:
            # A copy of a record that is forgotten already: the notification it names is still to come.
            _duplicate(context, decision, event, now_ms, held.origin)
    return True


def _unasked(
    context: DecisionContext,
    decision: Decision,
    record: UserRecord,
    event: Event,
    now_ms: int,
    raw: RawRecord,
    candidates: Candidates,
) -> bool:
    """Decide an event that no notification answers; False if it is a dead letter."""
    whole = _whole(context, event, now_ms)
    if event.type == CANCEL:
        return cancelling.on_cancel(context, decision, record, whole, raw)
    finish(decision, whole, Suppress(candidates.none, candidates.detail))
    return True


def _matches(candidates: Candidates, event: Event, recipient: Recipient, now_ms: int) -> Sequence[Match]:
    """Evaluate the expressions of all candidates; raises `ExpressionError`."""
    asked = event.asked
    variables = variables_of(event, recipient, candidates.needs, now_ms)
    if asked is None and candidates.matchers:
        found = _fused(candidates.matchers, variables)
        if found is not None:
            return found
    scope, found = Scope(variables), []
    for notification in candidates.notifications:
        if (match := choose(notification, scope, asked)) is not None:
            found.append(match)
    return found


def _fused(matchers: Sequence[Matcher], variables: dict[str, Any]) -> list[Match] | None:
    """Match with one call each; None where an expression fails, for one by one they tell what failed."""
    found: list[Match] = []
    try:
        for matcher in matchers:
            if (match := matcher(variables)) is not None:
                found.append(match)
    except MATCH_FAILURES:
        return None
    return found


def _unknown_tenant(
    context: DecisionContext, record: UserRecord | None, event: Event, now_ms: int, raw: RawRecord
) -> Decision:
    decision = Decision(record)
    reason, error = without_catalog(context.catalog, event.tenant)
    dead_letter(decision, _whole(context, event, now_ms), raw, event, reason, error)
    return decision


def _whole(context: DecisionContext, event: Event, now_ms: int) -> WholeEvent:
    return WholeEvent(event, now_ms, context.version_of(event.tenant))


def _duplicate(context: DecisionContext, decision: Decision, event: Event, now_ms: int, first: str) -> None:
    """Suppress a duplicate; a copy of the very same record has its outcomes already."""
    origin = event.origin
    if first != f"{origin.topic}/{origin.partition}/{origin.offset}":
        whole = _whole(context, event, now_ms)
        finish(decision, whole, Suppress(Reason.DUPLICATE, {"original": first}))

"""Holds a notification, a part of one, or a returned message until it is to be decided again."""

from collections.abc import Sequence

from tocsin.decision import limit_queue, limits, replacing
from tocsin.decision.effects import Decision, SetTimer
from tocsin.decision.endings import finish
from tocsin.decision.evaluation import Evaluation
from tocsin.decision.own_keys import give_back_key
from tocsin.decision.policy import GatePolicy
from tocsin.decision.replacing import Place
from tocsin.decision.subjects import EventSubject, MessageSubject
from tocsin.decision.user_state import queued_behind
from tocsin.decision.verdict import Collapse, Detail, Expire, Hold, Suppress
from tocsin.model.statuses import Reason, Status

# Members of an enum are looked up by Python code in 3.11: hot ones are looked up once.
_HELD = Status.HELD


def hold(
    decision: Decision,
    evaluation: Evaluation,
    subject: EventSubject | MessageSubject,
    verdict: Hold,
    policy: GatePolicy,
) -> bool:
    """Set a timer behind all that is held until then; what would then be too late expires at once.

    Where it would be in time only if one before it in the queue of a limit left its slot, it waits as spare.

    Args:
        decision: takes the effects.
        evaluation: the decision that ends in a hold.
        subject: what is held: that of the evaluation, or a part of it.
        verdict: until when, and why.
        policy: bounds of the user's record.

    Returns:
        Whether it is held. Otherwise its final outcome is written.
    """
    state, expires_ms, rule = evaluation.state, evaluation.expires_ms, evaluation.rule
    holds, place = state.holds, replacing.NO_PLACE
    if holds and evaluation.notification.collapse_key is not None:
        place = replacing.place_of(evaluation, subject, verdict)
        if place.newer:
            finish(decision, subject, Collapse(place.newer), rule=replacing.COLLAPSE_RULE)
            return False
    older = place.older
    due_ms, lesser = _due(evaluation, subject, verdict, place)
    is_spare = 0 < expires_ms < due_ms
    if is_spare:
        if not 0 < verdict.free_ms <= expires_ms:
            finish(decision, subject, _too_late(verdict, due_ms, expires_ms), rule=rule)
            give_back_key(evaluation, subject)
            return False
        due_ms = expires_ms
    timer_id = subject.timer_id
    is_new = timer_id not in holds
    if is_new and len(holds) - len(older) >= policy.holds_max:
        finish(decision, subject, _too_many(evaluation, policy), rule=rule)
        return False
    if older:
        replacing.collapse(decision, evaluation, older, subject.notification_id, policy, place.slot)
    holds[timer_id] = subject.hold_ref(due_ms, verdict, expires_ms, spare=is_spare)
    if lesser and not is_spare:
        _make_way(decision, evaluation, subject, lesser)
    decision.touched = True
    decision.set_timers.append(SetTimer(timer_id, due_ms, subject.payload(), is_new))
    numbers: Detail = {"due_ms": due_ms}
    if verdict.detail:
        numbers |= verdict.detail
    decision.outcomes.append(subject.outcome(_HELD, verdict.reason, numbers, rule=rule))
    return True


def _due(
    evaluation: Evaluation, subject: EventSubject | MessageSubject, verdict: Hold, place: Place
) -> tuple[int, Sequence[limit_queue.Waiting]]:
    """Find when something held is due, and what gives way to it in the queue of a limit, in order.

    It takes the slot of the first that gives way, or of one that it replaces. Without one it is due behind
    all that is held until then.
    """
    lesser: Sequence[limit_queue.Waiting] = ()
    if verdict.counter and not place.slot:
        lesser = _less_important(evaluation, subject, verdict)
        if lesser:
            return lesser[0].due_ms, lesser
    due_ms = place.due_ms or queued_behind(
        evaluation.state.holds, verdict.until_ms, subject.queue, place.older
    )
    return due_ms, lesser


def _too_late(verdict: Hold, due_ms: int, expires_ms: int) -> Expire:
    late: Detail = {"held_for": verdict.reason.value, "until_ms": due_ms, "expires_ms": expires_ms}
    return Expire(detail=late | (verdict.detail or {}))


def _too_many(evaluation: Evaluation, policy: GatePolicy) -> Suppress:
    count = len(evaluation.state.holds)
    return Suppress(Reason.LIMIT, {"counter": "held", "limit": policy.holds_max, "count": count})


def _less_important(
    evaluation: Evaluation, subject: EventSubject | MessageSubject, verdict: Hold
) -> list[limit_queue.Waiting]:
    """List what gives way in the queue of a limit to one that is new in it."""
    counter, state = verdict.counter, evaluation.state
    if not counter or counter == evaluation.waited_for or not state.holds:
        return []
    assert isinstance(subject, EventSubject), "a returned message meets no limit"
    return limit_queue.less_important(state, counter, subject.rank, verdict.until_ms)


def _make_way(
    decision: Decision,
    evaluation: Evaluation,
    subject: EventSubject | MessageSubject,
    lesser: Sequence[limit_queue.Waiting],
) -> None:
    """Let each that gives way take the slot of the next one."""
    state, zone, now_ms = evaluation.state, evaluation.recipient.timezone, evaluation.now_ms
    ref = state.holds[subject.timer_id]
    caps = limit_queue.caps_of(evaluation.notification, ref.channel, ref.counter)

    def last_ms(ahead: list[int]) -> int:
        slot_ms = max(limits.free_at(state.counts, cap, ahead, zone, now_ms) for cap in caps)
        return queued_behind(state.holds, slot_ms, subject.queue)

    limit_queue.make_way(decision, state, lesser, last_ms)

"""Dedup keys that the catalog gives to notifications: when one is remembered, and when it is given back."""

from tocsin.decision import dedup
from tocsin.decision.evaluation import Evaluation
from tocsin.decision.policy import GatePolicy
from tocsin.decision.subjects import EventSubject, MessageSubject
from tocsin.decision.verdict import Expire, Suppress, Verdict
from tocsin.model.statuses import Reason


def remember_key(evaluation: Evaluation, verdict: Verdict, policy: GatePolicy) -> None:
    """Remember a dedup key, unless it was remembered: a suppressed notification takes its key, too.

    One that has expired takes none.
    """
    if verdict is not None and (
        isinstance(verdict, Expire)
        or (isinstance(verdict, Suppress) and verdict.reason is Reason.DUPLICATE_KEY)
    ):
        return
    subject, state = evaluation.subject, evaluation.state
    assert isinstance(subject, EventSubject), "only the notification of an event has a dedup key"
    event, keep_ms = subject.event, evaluation.notification.dedup_keep_ms + policy.late_ms
    state.keys = dedup.remember_key(
        state.keys,
        subject.dedup_key,
        event.time_ms,
        keep_ms,
        evaluation.now_ms,
        event.origin,
        policy.keys_max,
        state.declared if event.origin.topic in dedup.OWN_TOPICS else state.naming(event.origin),
    )


def give_back_key(evaluation: Evaluation, subject: EventSubject | MessageSubject) -> None:
    """Let the next notification with the dedup key be no duplicate: this one has expired, and told nobody."""
    if evaluation.notification.dedup_key is None or not isinstance(subject, EventSubject):
        return
    if not subject.part and subject.digest is None:
        state, origin = evaluation.state, subject.event.origin
        state.keys = dedup.forget(state.keys, subject.dedup_key, origin, state.declared)

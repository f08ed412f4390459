"""Duplicate keys: one notification for each dedup key of the catalog within its window of event time.

`tocsin.decision.own_keys` remembers the key of everything else, whatever the other rules say about it.
"""

from tocsin.decision import dedup, replaying
from tocsin.decision.evaluation import Evaluation
from tocsin.decision.subjects import EventSubject
from tocsin.decision.verdict import PASS, Suppress, Verdict
from tocsin.model.statuses import Reason


def duplicate_key(evaluation: Evaluation) -> Verdict:
    """Suppress a notification whose key came before, unless a replay brings it again.

    The detail names the origin of the first.
    """
    subject, state = evaluation.subject, evaluation.state
    if not state.keys:
        return PASS
    assert isinstance(subject, EventSubject), "the registry asks this rule about events only"
    window_ms, time_ms = evaluation.notification.dedup_window_ms, subject.event.time_ms
    first = dedup.original(
        state.keys, subject.dedup_key, time_ms, window_ms, evaluation.now_ms, state.declared
    )
    if not first or replaying.is_own_key(subject.event.replay, first):
        return PASS
    return Suppress(Reason.DUPLICATE_KEY, {"original": first})

"""Limits: at most so many notifications a user in a rolling window, and so many on one channel.

A notification is counted once, when it is admitted. A returned message was counted; no limit is asked again.
A critical notification meets no limit. It is counted like any other, except by limits of scope `user`.
"""

from tocsin.catalog.caps import Cap
from tocsin.decision import limit_queue, limits
from tocsin.decision.evaluation import Evaluation
from tocsin.decision.user_state import UserRecord
from tocsin.decision.verdict import PASS, Detail, Hold, Suppress, Verdict
from tocsin.model.statuses import Reason


def notification_limits(evaluation: Evaluation) -> Verdict:
    """Suppress or hold where a limit is reached. Limits that drop come before limits that hold.

    A notification that has waited for a limit is first in its queue; another one goes to the end.
    """
    state, now_ms = evaluation.state, evaluation.now_ms
    due_ms, counter, free_ms = 0, "", 0
    for cap in evaluation.notification.caps:
        first_ms = limits.room_at(state.counts, cap, now_ms)
        if not first_ms:
            continue
        if not cap.hold:
            return Suppress(Reason.LIMIT, _numbers(state, cap, now_ms))
        free_ms = max(free_ms, first_ms)
        own_ms = first_ms if cap.counter == evaluation.waited_for else limit_queue.slot_at(state, cap)
        due_ms, counter = max((due_ms, counter), (own_ms, cap.counter))
    return Hold(due_ms, Reason.LIMIT_HOLD, counter, free_ms) if due_ms else PASS


def channel_limits(evaluation: Evaluation) -> Verdict:
    """Suppress on one channel where a limit of the channel is reached."""
    channel, state, now_ms = evaluation.channel, evaluation.state, evaluation.now_ms
    for cap in channel.caps if channel is not None else ():
        if limits.room_at(state.counts, cap, now_ms):
            return Suppress(Reason.LIMIT, _numbers(state, cap, now_ms))
    return PASS


def _numbers(state: UserRecord, cap: Cap, now_ms: int) -> Detail:
    return {
        "counter": cap.counter,
        "limit": cap.max,
        "window_s": cap.window_ms / 1000,
        "count": limits.count_in(state.counts, cap, now_ms),
    }

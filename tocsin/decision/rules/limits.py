"""Limits: at most so many notifications a user in a rolling window, and so many on one channel.

A notification is counted once, when it is admitted. A returned message was counted; no limit is asked again.
"""

from tocsin.catalog.caps import Cap
from tocsin.decision import limits
from tocsin.decision.evaluation import Evaluation
from tocsin.decision.user_state import UserRecord
from tocsin.decision.verdict import PASS, Detail, Hold, Suppress, Verdict
from tocsin.model.statuses import Reason


def notification_limits(evaluation: Evaluation) -> Verdict:
    """Suppress or hold where a limit is reached. Limits that drop come before limits that hold."""
    state, now_ms = evaluation.state, evaluation.now_ms
    due_ms, counter = 0, ""
    for cap in evaluation.notification.caps:
        free_ms = limits.room_at(state.counts, cap, now_ms)
        if not free_ms:
            continue
        if not cap.hold:
            return Suppress(Reason.LIMIT, _numbers(state, cap, now_ms))
        free_ms += _waiting(state, cap) // cap.max * cap.window_ms
        due_ms, counter = max((due_ms, counter), (free_ms, cap.counter))
    return Hold(due_ms, Reason.LIMIT_HOLD, counter) if due_ms else PASS


def channel_limits(evaluation: Evaluation) -> Verdict:
    """Suppress on one channel where a limit of the channel is reached."""
    channel, state, now_ms = evaluation.channel, evaluation.state, evaluation.now_ms
    for cap in channel.caps if channel is not None else ():
        if limits.room_at(state.counts, cap, now_ms):
            return Suppress(Reason.LIMIT, _numbers(state, cap, now_ms))
    return PASS


def _waiting(state: UserRecord, cap: Cap) -> int:
    """Count the notifications that wait for this limit: they fill the next windows."""
    return sum(ref.counter == cap.counter for ref in state.holds.values())


def _numbers(state: UserRecord, cap: Cap, now_ms: int) -> Detail:
    return {
        "counter": cap.counter,
        "limit": cap.max,
        "window_s": cap.window_ms / 1000,
        "count": limits.count_in(state.counts, cap, now_ms),
    }

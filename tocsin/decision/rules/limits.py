"""Limits: at most so many notifications a user in a window, and so many on one channel.

A notification is counted once, when it is admitted. A returned message was counted; no limit is asked again.
A critical notification meets no limit. It is counted like any other, except by limits of scope `user`.
"""

from collections.abc import Sequence

from tocsin.catalog.caps import Cap
from tocsin.decision import digests, limit_queue, limits
from tocsin.decision.evaluation import Evaluation
from tocsin.decision.subjects import EventSubject
from tocsin.decision.user_state import UserRecord
from tocsin.decision.verdict import PASS, Detail, Hold, Suppress, Verdict
from tocsin.model.statuses import Reason


def notification_limits(evaluation: Evaluation) -> Verdict:
    """Suppress or hold where a limit is reached. Limits that drop come before limits that hold.

    A notification that has waited for a limit is first in its queue; another one goes behind all that are as
    important.
    """
    counts, now_ms = evaluation.state.counts, evaluation.now_ms
    caps = evaluation.notification.caps
    return _objection(evaluation, caps) if limits.is_full(counts, caps, now_ms) else PASS


def channel_limits(evaluation: Evaluation) -> Verdict:
    """Suppress on one channel, or hold that channel, where a limit of it is reached."""
    channel, counts, now_ms = evaluation.channel, evaluation.state.counts, evaluation.now_ms
    if channel is None or not channel.caps or not limits.is_full(counts, channel.caps, now_ms):
        return PASS
    return _objection(evaluation, channel.caps)


def _objection(evaluation: Evaluation, caps: Sequence[Cap]) -> Verdict:
    """Drop or merge where a limit that is reached says so; else hold for the one that takes longest.

    A digest and a channel that is held apart go into no digest: they are held.
    """
    state, now_ms = evaluation.state, evaluation.now_ms
    full = [(cap, at_ms) for cap in caps if (at_ms := limits.room_at(state.counts, cap, now_ms))]
    for cap, _ in full:
        if cap.overflow == "drop":
            return Suppress(Reason.LIMIT, numbers(state, cap, now_ms))
    first = full[0]
    if first[0].overflow == "digest":
        cause = numbers(state, first[0], now_ms)
        merged = digests.overflow(evaluation, _slot_at(evaluation, *first), cause)
        if merged is not None:
            return merged
    due_ms, cap = max(((_slot_at(evaluation, cap, at_ms), cap) for cap, at_ms in full), key=_by_time)
    free_ms = max(at_ms for _, at_ms in full)
    return Hold(due_ms, Reason.LIMIT_HOLD, cap.counter, free_ms, numbers(state, cap, now_ms))


def _slot_at(evaluation: Evaluation, cap: Cap, first_ms: int) -> int:
    if cap.counter == evaluation.waited_for:
        return first_ms
    subject, zone = evaluation.subject, evaluation.recipient.timezone
    assert isinstance(subject, EventSubject), "the registry asks this rule about events only"
    return limit_queue.slot_at(evaluation.state, cap, subject.rank, zone, evaluation.now_ms)


def _by_time(slot: tuple[int, Cap]) -> tuple[int, str]:
    return slot[0], slot[1].counter


def numbers(state: UserRecord, cap: Cap, now_ms: int) -> Detail:
    """Name the counter, the limit, the window and how many it holds."""
    window = limits.window(state.counts, cap, now_ms)
    spelled: Detail = {"calendar": cap.period} if cap.period else {"window_s": cap.window_ms / 1000}
    return {
        "counter": cap.counter,
        "limit": cap.max,
        **spelled,
        "count": window.number,
        "window_start_ms": window.start_ms,
        "window_end_ms": window.end_ms,
    }

"""Lets what a snooze holds go when the user ends the snooze early."""

from msgspec.structs import replace

from tocsin.decision.effects import Decision, move_timer
from tocsin.decision.user_state import UserRecord
from tocsin.model.statuses import Reason


def end_snooze_early(decision: Decision, record: UserRecord, before_ms: int, now_ms: int) -> None:
    """Decide what the snooze holds at its new end, in its order.

    Args:
        decision: takes the moved timers.
        record: the user's, with the new profile.
        before_ms: the end of the snooze until now; 0 for none.
        now_ms: the time of the decision.
    """
    if record.snoozed_until_ms >= before_ms:
        return
    due_ms = max(record.snoozed_until_ms, now_ms)
    snoozed = [(ref.due_ms, one) for one, ref in record.holds.items() if ref.reason == Reason.SNOOZED]
    for late, (old_ms, timer_id) in enumerate(sorted(snoozed)):
        if due_ms + late < old_ms:
            move_timer(decision, timer_id, old_ms, due_ms + late)
            record.holds[timer_id] = replace(record.holds[timer_id], due_ms=due_ms + late)

"""The queue of a limit that holds: each notification waits for the first slot that those before it leave.

A slot that its notification does not take goes to the next one, and so on. A notification that would expire
before a slot of its own is free is spare: it waits until it expires for one that becomes free.
"""

from msgspec.structs import replace

from tocsin.catalog.caps import Cap
from tocsin.decision import limits
from tocsin.decision.effects import Decision, MoveTimer
from tocsin.decision.user_state import HoldRef, UserRecord


def slot_at(record: UserRecord, cap: Cap) -> int:
    """Return when a slot of a full limit is free for one more, behind all that wait for it."""
    ahead = [ref.due_ms for ref in record.holds.values() if ref.counter == cap.counter and not ref.spare]
    return limits.free_at(record.counts, cap, ahead)


def pass_on(decision: Decision, record: UserRecord, ended: HoldRef, now_ms: int) -> None:
    """Give a slot that was not taken to the next in the queue, and the slot of that one to the one after it.

    Args:
        decision: takes the moved timers.
        record: of the user; what has ended is not held any more.
        ended: has the slot.
        now_ms: the time of the slot.
    """
    free_ms = now_ms
    queue = sorted((ref.due_ms, timer_id) for timer_id, ref in record.holds.items() if _waits(ref, ended))
    for due_ms, timer_id in queue:
        ref = record.holds[timer_id]
        decision.moved_timers.append(MoveTimer(timer_id, due_ms, free_ms))
        record.holds[timer_id] = replace(ref, due_ms=free_ms, spare=False)
        if ref.spare:
            return
        free_ms = due_ms


def _waits(ref: HoldRef, ended: HoldRef) -> bool:
    return ref.counter == ended.counter

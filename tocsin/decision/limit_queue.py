"""The queue of a limit that holds: each notification waits for the first slot that those before it leave.

More important ones come first; of one priority, those whose event came first. A more important one takes the
slot of the first that is less important, which takes the slot of the next one, and so on.

A slot that its notification does not take goes to the next one, and so on. A notification that would expire
before a slot of its own is free is spare: it waits until it expires for one that becomes free.
"""

from collections.abc import Callable, Sequence
from typing import NamedTuple

from msgspec.structs import replace

from tocsin.catalog.caps import Cap
from tocsin.catalog.compile import CompiledNotification
from tocsin.decision import limits
from tocsin.decision.effects import Decision, move_timer
from tocsin.decision.user_state import HoldRef, UserRecord


class Waiting(NamedTuple):
    """One in the queue; they sort in its order."""

    rank: int
    due_ms: int
    timer_id: str


def slot_at(record: UserRecord, cap: Cap, rank: int, zone: str, now_ms: int) -> int:
    """Return when a slot of a full limit is free for one more, behind all that are as important."""
    return limits.free_at(record.counts, cap, _ahead(record, cap.counter, rank), zone, now_ms)


def caps_of(notification: CompiledNotification, channel: str, counter: str) -> Sequence[Cap]:
    """Return the limits that a notification, or one channel of it, waits for with a counter."""
    found = notification.channel(channel)
    caps = found.caps if found is not None else notification.caps
    return [cap for cap in caps if cap.counter == counter and cap.overflow != "drop"]


def less_important(record: UserRecord, counter: str, rank: int, slot_ms: int) -> list[Waiting]:
    """List those in the queue that give way to one of a rank whose slot is free at `slot_ms`."""
    return [
        one for one in _queue(record, counter)
        if one.rank > rank and one.due_ms >= slot_ms and not record.holds[one.timer_id].spare
    ]  # fmt: skip


def make_way(
    decision: Decision, record: UserRecord, lesser: Sequence[Waiting], last_ms: Callable[[list[int]], int]
) -> None:
    """Let each one take the slot of the next; the last takes a new one. What would expire there is spare.

    Args:
        decision: takes the moved timers.
        record: of the user; it holds the one that has taken the first slot already.
        lesser: those that give way, in order.
        last_ms: tells when one more slot is free behind some that wait.
    """
    counter = record.holds[lesser[0].timer_id].counter
    for one, after in zip(lesser, [*lesser[1:], None], strict=True):
        ref = record.holds[one.timer_id]
        slot_ms = after.due_ms if after else last_ms(_ahead(record, counter, one.rank, one.timer_id))
        spare = 0 < ref.expires_ms < slot_ms
        _move(decision, record, one, ref.expires_ms if spare else slot_ms, spare=spare)
        if spare:
            return


def pass_on(decision: Decision, record: UserRecord, ended: HoldRef, now_ms: int) -> None:
    """Give a slot that was not taken to the next in the queue, and the slot of that one to the one after it.

    Args:
        decision: takes the moved timers.
        record: of the user; what has ended is not held any more.
        ended: has the slot.
        now_ms: the time of the slot.
    """
    free_ms = now_ms
    for one in _queue(record, ended.counter):
        if one.due_ms <= free_ms:
            continue
        was_spare = record.holds[one.timer_id].spare
        _move(decision, record, one, free_ms)
        if was_spare:
            return
        free_ms = one.due_ms


def resettle(
    decision: Decision,
    record: UserRecord,
    counter: str,
    limits_of: Callable[[HoldRef], Sequence[Cap]],
    zone: str,
    now_ms: int,
) -> None:
    """Give each one in the queue the first slot that is free for it, because one has come back.

    Args:
        decision: takes the moved timers.
        record: of the user.
        counter: has room again.
        limits_of: returns the limits that something held waits for.
        zone: of the user's calendar.
        now_ms: the time of the decision.
    """
    ahead: list[int] = []
    for one in _queue(record, counter):
        ref = record.holds[one.timer_id]
        slots = [limits.free_at(record.counts, cap, ahead, zone, now_ms) for cap in limits_of(ref)]
        slot_ms = max(slots, default=one.due_ms)
        if ahead:
            slot_ms = max(slot_ms, ahead[-1] + 1)
        if slot_ms < one.due_ms:
            _move(decision, record, one, slot_ms)
        if slot_ms < one.due_ms or not ref.spare:
            ahead.append(min(slot_ms, one.due_ms))


def _queue(record: UserRecord, counter: str) -> list[Waiting]:
    return sorted(
        Waiting(ref.rank, ref.due_ms, timer_id)
        for timer_id, ref in record.holds.items()
        if ref.counter == counter
    )


def _ahead(record: UserRecord, counter: str, rank: int, but: str = "") -> list[int]:
    """List the slots that are taken by what is as important."""
    return [
        ref.due_ms
        for timer_id, ref in record.holds.items()
        if ref.counter == counter and ref.rank <= rank and not ref.spare and timer_id != but
    ]


def _move(decision: Decision, record: UserRecord, one: Waiting, due_ms: int, *, spare: bool = False) -> None:
    move_timer(decision, one.timer_id, one.due_ms, due_ms)
    record.holds[one.timer_id] = replace(record.holds[one.timer_id], due_ms=due_ms, spare=spare)

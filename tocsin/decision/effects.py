"""Decisions: all effects of one input on one user, to be applied as a whole or not at all.

A `Decision` is one struct with a list for each kind of effect, not a list of tagged effects. The operator
writes each kind elsewhere, so it would have to take a tagged list apart again: that costs 1 µs an event.
"""

import msgspec
from msgspec.structs import replace

from tocsin.decision.user_state import UserRecord
from tocsin.formats.profile_corrections import Correction, ProfileText
from tocsin.model.audit import AuditRecord
from tocsin.model.message import Message
from tocsin.model.outcome import Outcome
from tocsin.model.raw import RawRecord
from tocsin.model.statuses import Reason


class SetTimer(msgspec.Struct, frozen=True, gc=False):
    """Wake at `due_ms` with this payload. A timer of the same user and id is replaced.

    `is_new` tells that the record before the decision held nothing of this id: there is none to replace.
    """

    timer_id: str
    due_ms: int
    payload: bytes
    is_new: bool = False


class CancelTimer(msgspec.Struct, frozen=True, gc=False):
    """Drop a timer that is due at `due_ms`."""

    timer_id: str
    due_ms: int


class MoveTimer(msgspec.Struct, frozen=True, gc=False):
    """Let a timer that is due at `due_ms` be due at `new_ms`; its payload stays."""

    timer_id: str
    due_ms: int
    new_ms: int


class Keep(msgspec.Struct, frozen=True, gc=False):
    """Keep something beside a timer, as number `number` from 0 on, until the timer fires or is cancelled."""

    timer_id: str
    number: int
    payload: bytes


class DeadLetter(msgspec.Struct, frozen=True, gc=False):
    """Dead-letter a record: `raw` is the record as it was first read, byte for byte."""

    raw: RawRecord
    reason: Reason
    error: str


class Decision(msgspec.Struct, gc=False):
    """The effects of one input.

    Attributes:
        record: the user's record; None if nothing of the user is left.
        touched: whether the record must be written (or, if None, erased).
        messages: to be sent, one a contact point.
        outcomes: to be logged.
        set_timers: timers to set; `cancelled_timers` to cancel before; `moved_timers` to set anew, too.
        kept: what to keep beside timers.
        dead_letters: records that nothing can be done with.
        profile_version: what to note for the ledger (law 3): the profile's version, or minus the time (ms) of
            an erasure; None for no note. With `keeps_user` that time only calls back what is queued.
        profile_text: the text of the profile to keep for corrections, or `NO_TEXT`; None for no change.
        correction: what to change in the profile for its owner; None for nothing.
        audit: what to enter into the audit log; None for nothing.
    """

    record: UserRecord | None
    touched: bool = False
    messages: list[Message] = []
    outcomes: list[Outcome] = []
    set_timers: list[SetTimer] = []
    cancelled_timers: list[CancelTimer] = []
    moved_timers: list[MoveTimer] = []
    dead_letters: list[DeadLetter] = []
    profile_version: int | None = None
    kept: list[Keep] = []
    profile_text: ProfileText | None = None
    correction: Correction | None = None
    audit: AuditRecord | None = None
    keeps_user: bool = False


def cancel_timer(decision: Decision, timer_id: str, due_ms: int) -> None:
    """Drop a timer that is due at `due_ms`, also one that this decision has set or moved."""
    decision.kept = [kept for kept in decision.kept if kept.timer_id != timer_id]
    others = [timer for timer in decision.set_timers if timer.timer_id != timer_id]
    if len(others) < len(decision.set_timers):
        decision.set_timers = others
        return
    before = _unmoved(decision, timer_id)
    decision.cancelled_timers.append(CancelTimer(timer_id, due_ms if before is None else before))


def move_timer(decision: Decision, timer_id: str, due_ms: int, new_ms: int) -> None:
    """Let a timer that is due at `due_ms` be due at `new_ms`, also one that this decision has set."""
    for at, timer in enumerate(decision.set_timers):
        if timer.timer_id == timer_id:
            decision.set_timers[at] = replace(timer, due_ms=new_ms)
            return
    before = _unmoved(decision, timer_id)
    decision.moved_timers.append(MoveTimer(timer_id, due_ms if before is None else before, new_ms))


def _unmoved(decision: Decision, timer_id: str) -> int | None:
    """Take back a move of a timer; return when it was due before, None if it was not moved."""
    for at, moved in enumerate(decision.moved_timers):
        if moved.timer_id == timer_id:
            del decision.moved_timers[at]
            return moved.due_ms
    return None


def settled(decision: Decision, record: UserRecord) -> Decision:
    """Set the record of a decision; one with nothing left in it is erased."""
    decision.record = None if record.is_empty() else record
    return decision

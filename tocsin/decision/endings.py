"""Writes final outcomes: of what a rule ends, of what is dead, of what is held and ends before its time."""

from collections.abc import Mapping
from typing import Final, NamedTuple

from tocsin.catalog.compile import CompiledChannel
from tocsin.decision import limit_queue
from tocsin.decision.effects import DeadLetter, Decision, cancel_timer
from tocsin.decision.subjects import HeldSubject, Subject
from tocsin.decision.timers import HeldEvent
from tocsin.decision.user_state import ContactPoint, HoldRef, UserRecord
from tocsin.decision.verdict import Cancel, Collapse, Expire, FinalVerdict, Merge, Suppress
from tocsin.formats.forwarded import as_cloudevent, first_read
from tocsin.model.event import Event
from tocsin.model.raw import RawRecord
from tocsin.model.statuses import Reason, Status

_DEAD = Status.DEAD
_STATUS: Final[Mapping[type[FinalVerdict], Status]] = {
    Suppress: Status.SUPPRESSED,
    Expire: Status.EXPIRED,
    Cancel: Status.CANCELLED,
    Merge: Status.MERGED,
    Collapse: Status.MERGED,
}


class Ending(NamedTuple):
    """Whose holds end, when, and under which catalog."""

    tenant: str
    user: str
    now_ms: int
    version: str


def finish(
    decision: Decision,
    subject: Subject,
    verdict: FinalVerdict,
    channel: CompiledChannel | None = None,
    point: ContactPoint | None = None,
    rule: str = "",
) -> None:
    """Write the final outcome of a subject, one of its channels, or one contact point."""
    status = _STATUS[type(verdict)]
    decision.outcomes.append(subject.outcome(status, verdict.reason, verdict.detail, channel, point, rule))


def dead_letter(
    decision: Decision,
    subject: Subject,
    raw: RawRecord,
    first: Event | HeldEvent,
    reason: Reason,
    error: str,
) -> None:
    """Dead-letter the record of an event, and write the outcome of its subject.

    Args:
        decision: takes the effects.
        subject: what the outcome is about.
        raw: the record as it was read.
        first: has the place and time at which it was first read.
        reason: why.
        error: a sentence that names field and cure and has no content of the event.
    """
    if isinstance(first, Event):
        raw = as_cloudevent(first, raw)
    letter = first_read(raw, first.origin, first.received_ms)
    decision.dead_letters.append(DeadLetter(letter, reason, error))
    decision.outcomes.append(subject.outcome(_DEAD, reason, {"error": error}))


def end_held(
    decision: Decision,
    record: UserRecord,
    timer_id: str,
    verdict: FinalVerdict,
    ending: Ending,
    *,
    rule: str = "",
    leaves_slot: bool = True,
) -> HoldRef:
    """End something held before its time, and return what it was.

    Args:
        decision: takes the effects.
        record: the user's.
        timer_id: of its timer.
        verdict: why it ends.
        ending: whose it is, and when it ends.
        rule: the name of the rule or word of the catalog by which it ends; empty for none.
        leaves_slot: whether its slot in the queue of a limit goes to the next one.
    """
    ref = record.holds.pop(timer_id)
    decision.touched = True
    cancel_timer(decision, timer_id, ref.due_ms)
    finish(decision, HeldSubject(ref, *ending), verdict, rule=rule)
    if leaves_slot and ref.counter and not ref.spare:
        limit_queue.pass_on(decision, record, ref, max(ref.due_ms, ending.now_ms))
    return ref

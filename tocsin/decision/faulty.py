"""Tenants without a catalog: their files had mistakes when the process started. Nothing is decided for them.

Nothing is lost meanwhile. Events are dead letters that can be replayed, profiles and receipts are applied,
and what is held or returned is held on until the files are fixed.
"""

from typing import Final

from msgspec.structs import replace

from tocsin.catalog.catalog import Catalog
from tocsin.decision.effects import Decision, Keep, MoveTimer, SetTimer
from tocsin.decision.subjects import MessageSubject
from tocsin.decision.timers import DueTimer, TimerKind
from tocsin.decision.user_state import UserRecord
from tocsin.decision.verdict import Hold
from tocsin.model.statuses import Reason, Status

LOOK_AGAIN_MS: Final = 60_000
_ORDERED: Final = (TimerKind.NOTIFICATION.value, TimerKind.PART.value, TimerKind.MESSAGE.value)
EVENT_ERROR: Final = "tenant: its catalog has mistakes, `tocsin check` names them; fix them, then replay"


def without_catalog(catalog: Catalog, tenant: str) -> tuple[Reason, str]:
    """Say why nothing can be decided for a tenant."""
    if tenant in catalog.faults:
        return Reason.BAD_CATALOG, EVENT_ERROR
    return (
        Reason.BAD_FIELD,
        "tenant: not in the catalog; add tenants/<tenant>.yaml or correct the event's `tenant`",
    )


def hold_on(record: UserRecord, due: DueTimer) -> Decision:
    """Hold what is due for another minute; it has its outcome `held` already.

    What else of the user is due within that minute is put off by as much, so that nothing overtakes.
    """
    decision, until_ms = Decision(record, True), due.now_ms + LOOK_AGAIN_MS
    for timer_id, ref in record.holds.items():
        if timer_id.startswith(_ORDERED) and timer_id != due.timer_id and ref.due_ms <= until_ms:
            later_ms = ref.due_ms + LOOK_AGAIN_MS
            decision.moved_timers.append(MoveTimer(timer_id, ref.due_ms, later_ms))
            record.holds[timer_id] = replace(ref, due_ms=later_ms)
    record.holds[due.timer_id] = replace(record.holds[due.timer_id], due_ms=until_ms)
    decision.set_timers.append(SetTimer(due.timer_id, until_ms, due.payload))
    decision.kept += [Keep(due.timer_id, number, payload) for number, payload in enumerate(due.kept)]
    return decision


def hold_message(decision: Decision, record: UserRecord, subject: MessageSubject) -> None:
    """Hold a returned message for a minute, or until its next attempt."""
    until_ms = max(subject.now_ms + LOOK_AGAIN_MS, subject.retry.due_ms)
    verdict, expires_ms = Hold(until_ms, Reason.BAD_CATALOG), subject.retry.message.expires_ms
    record.holds[subject.timer_id] = subject.hold_ref(until_ms, verdict, expires_ms)
    decision.touched = True
    decision.set_timers.append(SetTimer(subject.timer_id, until_ms, subject.payload()))
    decision.outcomes.append(subject.outcome(Status.HELD, Reason.BAD_CATALOG, {"due_ms": until_ms}))

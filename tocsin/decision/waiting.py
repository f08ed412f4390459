"""Waiting: an event of a user who is not known yet waits a short while for the profile.

It waits in the user's record, bounded in number and bytes. A profile releases all that waits, in order; an
event that waits too long becomes a dead letter.
"""

from typing import NamedTuple

import msgspec

from tocsin.decision import dedup
from tocsin.decision.decider import dead_letter
from tocsin.decision.effects import Decision, SetTimer, settled
from tocsin.decision.policy import GatePolicy
from tocsin.decision.subjects import WholeEvent
from tocsin.decision.timers import HeldEvent, decode_waiting, encode_event, event_of
from tocsin.decision.user_state import PROFILE_TIMER, UserRecord, Waiting
from tocsin.errors import DecodeError
from tocsin.model.event import Event
from tocsin.model.raw import RawRecord
from tocsin.model.statuses import Reason, Status


class Waited(NamedTuple):
    """An event that waited, decoded again; `error` says why this release does not accept it any more."""

    event: Event
    held: HeldEvent
    error: DecodeError | None = None


def wait(
    decision: Decision,
    record: UserRecord,
    whole: WholeEvent,
    raw: RawRecord,
    policy: GatePolicy,
    cancelled: int = 0,
) -> bool:
    """Hold an event for its user's profile; beyond the bounds it is dead at once.

    A cancel event has `cancelled` so many notifications already.

    Returns:
        Whether it waits.
    """
    event, before = whole.event, record.waiting
    payload = encode_event(event, raw, hold_count=cancelled)
    size = sum(len(one.event) for one in before) + len(payload)
    if len(before) >= policy.waiting_max or size > policy.waiting_bytes:
        error = "user: not known, and too many events wait for the profile; publish profiles first"
        dead_letter(decision, whole, raw, event, Reason.UNKNOWN_USER, error)
        return False
    deadline_ms = whole.now_ms + policy.profile_wait_ms
    record.waiting = (*before, Waiting(deadline_ms, payload))
    if not before:
        decision.set_timers.append(SetTimer(PROFILE_TIMER, deadline_ms, b""))
    decision.outcomes.append(whole.outcome(Status.HELD, Reason.AWAITING_PROFILE, {"due_ms": deadline_ms}))
    return True


def end_wait(record: UserRecord | None, tenant: str, user: str, now_ms: int, version: str) -> Decision:
    """End what waited for a profile too long; the rest waits on."""
    decision = Decision(record)
    if record is None or not record.waiting:
        return decision
    decision.touched = True
    late = [one for one in record.waiting if one.deadline_ms <= now_ms]
    record.waiting = record.waiting[len(late) :]
    error = "subject: no profile of this user came in time; publish it, then replay"
    for one in late:
        event, held, _ = read(one.event, tenant, user)
        forget(record, event)
        dead_letter(decision, WholeEvent(event, now_ms, version), held.raw, event, Reason.UNKNOWN_USER, error)
    if record.waiting:
        decision.set_timers.append(SetTimer(PROFILE_TIMER, record.waiting[0].deadline_ms, b""))
    return settled(decision, record)


def read(payload: bytes, tenant: str, user: str) -> Waited:
    """Decode an event that waited. One that is not accepted any more keeps its owner and origin."""
    held = decode_waiting(payload)
    try:
        return Waited(event_of(held), held)
    except DecodeError as error:
        event = Event(
            tenant=tenant, id="", source="", type="", user=user, time_ms=held.received_ms,
            data=msgspec.Raw(b"{}"), origin=held.origin, received_ms=held.received_ms,
        )  # fmt: skip
        return Waited(event, held, error)


def forget(record: UserRecord, event: Event) -> None:
    """Let a dead event come again: its replay is no duplicate.

    Of one that this release does not accept only the place is known. A dead cancel event cancels nothing
    more.
    """
    if record.cancelled:
        record.cancelled = dedup.forget_origin(record.cancelled, event.origin, record.declared)
    if not event.id:
        record.seen = dedup.forget_origin(record.seen, event.origin, record.declared)
        return
    key = dedup.key_of(event.source, event.id)
    record.seen = dedup.forget(record.seen, key, event.origin, record.declared)

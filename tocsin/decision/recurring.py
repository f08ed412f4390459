"""Recurring schedules: which occurrence is next, what an occurrence raises, and what was missed.

A schedule belongs to one key group, which has a timer for its next occurrence. The occurrence raises one
event with an id of its own: a broadcast, or an event for a topic. A copy that a crash leaves is a duplicate.
"""

from typing import Final, NamedTuple

import msgspec

from tocsin.catalog.cron import last_ms, next_ms, spelled
from tocsin.catalog.schedules import CompiledSchedule
from tocsin.decision.broadcast_parts import LATE_MS
from tocsin.decision.subjects import WholeEvent
from tocsin.decision.verdict import Detail
from tocsin.model.event import Broadcast, Event, Origin
from tocsin.model.ids import digest
from tocsin.model.outcome import Outcome
from tocsin.model.statuses import Reason, Status

TIMER: Final = "r"
"""Id of the timer of a schedule's next occurrence. It belongs to no user."""
SOURCE: Final = "/tocsin/schedules"
"""The source of all events that schedules raise."""
TOPIC: Final = "schedules"
"""Stands for a topic in the origin of an occurrence that raised nothing."""
AHEAD_MS: Final = 15 * 3_600_000
"""A time of each user's own clock comes first where it is 14 hours ahead of UTC; the walk has an hour."""
_BEHIND_MS: Final = 12 * 3_600_000
"""The last clock to show a time is 12 hours behind UTC."""


def schedule_key(tenant: str, name: str) -> str:
    """Return the key of the record of a schedule: no user's id has a control character."""
    return f"{tenant}/\x04{name}"


class Occurrence(NamedTuple):
    """One occurrence of a schedule.

    Attributes:
        due_ms: when it is raised.
        local_ms: the time of each user's own clock, read as if it were UTC; 0 if it is the same for all.
        name: its time, as in the id of its event.
    """

    due_ms: int
    local_ms: int
    name: str


class Firing(NamedTuple):
    """What a due occurrence leads to.

    Attributes:
        raised: the event, if one is raised.
        missed: occurrences that were missed and raise nothing: the first of them; None if there is none.
        following: the next occurrence.
    """

    raised: Event | None
    missed: Occurrence | None
    following: Occurrence | None


def first_after(schedule: CompiledSchedule, after_ms: int) -> Occurrence | None:
    """Return the first occurrence behind a time; None if there is none."""
    if schedule.is_local:
        local_ms = next_ms(schedule.cron, "UTC", after_ms + AHEAD_MS)
        return None if local_ms is None else occurrence_at(schedule, local_ms - AHEAD_MS)
    due_ms = next_ms(schedule.cron, schedule.zone, after_ms)
    return None if due_ms is None else occurrence_at(schedule, due_ms)


def occurrence_at(schedule: CompiledSchedule, due_ms: int) -> Occurrence:
    """Return the occurrence that is due at a time."""
    if schedule.is_local:
        local_ms = due_ms + AHEAD_MS
        return Occurrence(due_ms, local_ms, spelled(local_ms, "UTC").removesuffix("Z"))
    return Occurrence(due_ms, 0, spelled(due_ms, schedule.zone))


def fire(schedule: CompiledSchedule, due_ms: int, actual_ms: int) -> Firing:
    """Decide what the occurrence of `due_ms` raises at `actual_ms`.

    Of several that were missed only the newest is raised, late or not at all, as the schedule says.
    """
    first, newest = occurrence_at(schedule, due_ms), _newest(schedule, due_ms, actual_ms)
    following = first_after(schedule, max(newest.due_ms, due_ms))
    is_late = not schedule.is_local and schedule.skips and actual_ms - newest.due_ms > LATE_MS
    raised = None if is_late else event_of(schedule, newest)
    missed = first if is_late or newest != first else None
    return Firing(raised, missed, following)


def _newest(schedule: CompiledSchedule, due_ms: int, actual_ms: int) -> Occurrence:
    """Return the newest occurrence that is due; a local one is not replaced while some clock is before it."""
    if not schedule.is_local:
        return occurrence_at(schedule, last_ms(schedule.cron, schedule.zone, due_ms, actual_ms))
    local_ms = due_ms + AHEAD_MS
    over_ms = actual_ms - _BEHIND_MS
    if local_ms > over_ms:
        return occurrence_at(schedule, due_ms)
    return occurrence_at(schedule, last_ms(schedule.cron, "UTC", local_ms, over_ms) - AHEAD_MS)


def event_of(schedule: CompiledSchedule, occurrence: Occurrence) -> Event:
    """Build the event of an occurrence. The same occurrence has the same event on every machine."""
    event = Event(
        tenant=schedule.tenant,
        id=f"{schedule.name}/{occurrence.name}",
        source=SOURCE,
        type=schedule.type,
        user="",
        time_ms=occurrence.due_ms,
        data=msgspec.Raw(schedule.data),
        origin=Origin(TOPIC, 0, occurrence.due_ms),
        received_ms=occurrence.due_ms,
        bulk=True,
    )
    if schedule.topic:
        return msgspec.structs.replace(event, topic=schedule.topic)
    skips = schedule.skips and schedule.is_local
    broadcast = Broadcast(schedule.segment, schedule.rate, occurrence.local_ms, skips)
    return msgspec.structs.replace(event, broadcast=broadcast)


def missed_outcome(
    schedule: CompiledSchedule, occurrence: Occurrence, raised: Event | None, now_ms: int, version: str
) -> Outcome:
    """Write the outcome of an occurrence that was missed; those up to the one that is raised have none."""
    detail: Detail = {"schedule": schedule.name, "late_s": (now_ms - occurrence.due_ms) // 1000}
    if raised is not None:
        detail["instead"] = raised.id
    event = event_of(schedule, occurrence)
    whole = WholeEvent(event, now_ms, version).outcome(Status.SUPPRESSED, Reason.MISSED, detail)
    return msgspec.structs.replace(
        whole,
        outcome_id=digest("missed occurrence", event.tenant, event.id),
        notification_id=digest("occurrence", event.tenant, event.id),
    )

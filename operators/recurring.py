"""Recurring schedules of one key group: a timer for the next occurrence of each that belongs to it.

Which key group that is follows from the schedule's name, as the home of a user follows from the user's. An
occurrence writes its event to the topic of bulk, where it is an event like any other.
"""

from collections.abc import Callable

from msgspec.structs import replace

from operators.broadcasts import Applier, Out
from sources.partitioner import key_group_of, partition_of
from tocsin.catalog.schedules import CompiledSchedule
from tocsin.decision import recurring
from tocsin.decision.effects import Decision
from tocsin.decision.faulty import LOOK_AGAIN_MS
from tocsin.decision.gate import Gate
from tocsin.decision.policy import GatePolicy
from tocsin.decision.recurring import TIMER, Occurrence, schedule_key
from tocsin.decision.user_state import HoldRef, UserRecord
from tocsin.formats.forwarded import CONTENT_TYPE, rewritten
from tocsin.model import topics
from tocsin.model.broadcast import owner_key
from tocsin.model.event import Event
from tocsin.model.raw import OutRecord
from tocsin.store.key_group import KeyGroup
from tocsin.store.timers import Timer


class Recurring:
    """The schedules of one key group.

    Args:
        key_group: its store.
        gate: gives the gate of the catalog in force.
        applier: writes outcomes.
    """

    def __init__(self, key_group: KeyGroup[UserRecord], gate: Callable[[], Gate], applier: Applier) -> None:
        self._key_group = key_group
        self._gate = gate
        self._applier = applier

    def plan(self, gate: Gate, now_ms: int) -> None:
        """Set the timers of the schedules in force.

        A schedule whose times have not changed keeps its next occurrence. Another one has its first
        occurrence after `now_ms`.
        """
        for tenant in gate.catalog.tenants.values():
            for schedule in tenant.schedules.values():
                if self._is_own(schedule, gate.policy):
                    self._adopt(schedule, now_ms)

    def _is_own(self, schedule: CompiledSchedule, policy: GatePolicy) -> bool:
        key = schedule_key(schedule.tenant, schedule.name).encode()
        home = f"{partition_of(key, policy.partitions)}.{key_group_of(key, policy.key_groups)}"
        return home == self._key_group.key

    def _adopt(self, schedule: CompiledSchedule, now_ms: int) -> None:
        key = schedule_key(schedule.tenant, schedule.name)
        record = self._key_group.get(key)
        before = record.holds.get(TIMER) if record else None
        if before is not None and schedule.is_active and before.notification == schedule.times:
            return
        if before is not None:
            self._key_group.release(key, TIMER, before.due_ms)
        following = recurring.first_after(schedule, now_ms) if schedule.is_active else None
        self._hold(schedule, following)

    def _hold(self, schedule: CompiledSchedule, following: Occurrence | None) -> None:
        key = schedule_key(schedule.tenant, schedule.name)
        if following is None:
            self._key_group.put(key, None)
            return
        ref = HoldRef(following.due_ms, following.name, schedule.times, "", "", "")
        self._key_group.put(key, UserRecord(holds={TIMER: ref}))
        self._key_group.hold(key, TIMER, following.due_ms, b"")

    def due(self, timer: Timer, actual_ms: int, out: Out) -> None:
        """Raise the event of an occurrence, or log that it was missed; set the timer of the next one.

        While the files of its tenant have mistakes it waits.

        Args:
            timer: that has fired.
            actual_ms: the present; later than the timer if the shard was away.
            out: takes the records.
        """
        tenant, _, name = timer.user.partition("/\x04")
        gate = self._gate()
        found = gate.catalog.tenants.get(tenant)
        schedule = found.schedules.get(name) if found else None
        if tenant in gate.context.faulty:
            self._wait(timer, actual_ms)
            return
        if schedule is None or not schedule.is_active:
            self._key_group.put(timer.user, None)
            return
        firing = recurring.fire(schedule, _planned_ms(timer), actual_ms)
        self._hold(schedule, firing.following)
        if firing.missed is not None:
            outcome = recurring.missed_outcome(
                schedule, firing.missed, firing.raised, actual_ms, gate.catalog.version
            )
            decision = Decision(None, outcomes=[outcome])
            self._applier.write(f"{tenant}/{name}", decision, actual_ms, out)
        if firing.raised is not None:
            out.append(_record(firing.raised, gate.policy))

    def _wait(self, timer: Timer, actual_ms: int) -> None:
        """Look again in a minute; the payload keeps the time for which the occurrence was planned."""
        record, due_ms = self._key_group.get(timer.user), actual_ms + LOOK_AGAIN_MS
        assert record is not None, "a schedule that has a timer has a record"
        record.holds[TIMER] = replace(record.holds[TIMER], due_ms=due_ms)
        self._key_group.put(timer.user, record)
        self._key_group.hold(timer.user, TIMER, due_ms, str(_planned_ms(timer)).encode())


def _planned_ms(timer: Timer) -> int:
    return int(timer.payload) if timer.payload else timer.due_ms


def _record(event: Event, policy: GatePolicy) -> OutRecord:
    """Write an event to the partition where it is at home, as a producer would."""
    key = (owner_key(event.tenant, event.id) if event.broadcast else f"{event.tenant}/{event.topic}").encode()
    value = rewritten(event).value
    return OutRecord(topics.BULK, partition_of(key, policy.partitions), key, value, (CONTENT_TYPE,))

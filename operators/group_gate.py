"""The gate of one key group: fires timers, decides inputs, and applies the decisions to the store.

Before a record at *t* is decided, the key group's timers due by *t* fire, each with its due time as `now`
(law 2). An epoch must stay small, so where very many are due, only so many fire at once. All timers of the
record's own user fire, and the others change no decision about that user. Between records, `Timing` says how
far timers may fire.
"""

from collections.abc import Sequence
from typing import Final

from msgspec.structs import replace

from operators.broadcasts import BroadcastItem, Broadcasts
from operators.corrections import Corrections
from operators.effects import Effects, MakeEffects, has_items, next_due
from operators.gate_parts import SHARED, GateInput, GateParts, Out
from operators.recurring import Recurring
from operators.suppressions import Suppressions
from tocsin.decision import corrections
from tocsin.decision.broadcast_lists import TIMER as LIST_TIMER
from tocsin.decision.broadcast_parts import TIMER as BROADCAST_TIMER
from tocsin.decision.corrections import SUPPRESSED
from tocsin.decision.effects import Decision
from tocsin.decision.gate import Gate
from tocsin.decision.on_event import on_event
from tocsin.decision.recurring import TIMER as SCHEDULE_TIMER
from tocsin.decision.suppressions import AddressReport, keys_of, keys_of_due
from tocsin.decision.user_state import UserRecord
from tocsin.formats.codec import ProfileChange
from tocsin.model.event import Event
from tocsin.model.message import Retry
from tocsin.model.outcome import ReceiptEvent
from tocsin.model.raw import RawRecord
from tocsin.store.deltas import Delta
from tocsin.store.timers import Timer

TIMERS_A_TURN: Final = 200
"""Timers that fire before a batch, or in a turn between batches."""
_POSTPONED_MS = 200
"""A turn of a broadcast that has no share of time left is looked at again after so long. Each look writes."""


class GroupGate:
    """Decides everything about the users of one key group.

    Args:
        key: the name of the key group, `<partition>.<number>`.
        delta: the row that the recovery store has of it; None for none.
        parts: the store, the gate and the time.
        effects: makes what applies its decisions.

    Attributes:
        key: as given.
        partition: the partition of the key group.
        key_group: its store.
    """

    def __init__(
        self, key: str, delta: Delta | None, parts: GateParts, effects: MakeEffects = Effects
    ) -> None:
        self.key = key
        self.partition = int(key.split(".")[0])
        self.key_group = parts.key_group(key, delta)
        self._gate = parts.gate
        self._timing = parts.timing
        self._pace = parts.pace
        self._broadcast_pace = parts.broadcast_pace
        self._now_ms = 0
        self._planned: Gate | None = None
        self._suppressions = Suppressions.of(self.key_group, self._gate)
        self._broadcasts = Broadcasts(self.key_group, self._gate, self)
        self._recurring = Recurring(self.key_group, self._gate, self)
        self._corrections = Corrections(self.key_group, self.partition)
        self._effects = effects(self.key_group, self.partition, self._corrections, parts.tally)

    def decide(self, inputs: Sequence[GateInput], out: list[Out], room: int) -> int:
        """Decide inputs in order, each after what is due before it.

        Args:
            inputs: none only wakes the key group.
            out: takes the records.
            room: how many timers of other users may fire.

        Returns:
            How many more of these may fire.
        """
        key_group, gate = self.key_group, self._gate()
        if gate is not self._planned:
            self._plan(gate, inputs[0].now_ms if inputs else 0)
        due_ms = key_group.next_due()
        for entry in inputs:
            if entry.now_ms > self._now_ms:
                self._now_ms = entry.now_ms
            now_ms, item = self._now_ms, entry.item
            if due_ms is not None and due_ms <= now_ms:
                room = self._fire_before(entry, out, room)
                due_ms = key_group.next_due()
            if isinstance(item, Event):  # by far the most: no call in between
                record = key_group.get(entry.user_key)
                if self._suppressions:
                    record = self._with_suppressions(entry.user_key, record, keys_of(record, item), out)
                decision = on_event(gate.context, record, item, now_ms, entry.raw)
            elif type(item) in SHARED:
                self._share(entry, out)
                due_ms = key_group.next_due()
                continue
            else:
                decision = self._decide_other(gate, entry, out)
            if self._effects.apply(entry.user_key, decision, now_ms, out):
                due_ms = next_due(key_group, decision, due_ms)
        return room

    def wake(self, until_ms: int, out: list[Out]) -> None:
        """Fire timers due by `until_ms` although no input came."""
        if self._gate() is not self._planned:
            self._plan(self._gate(), until_ms)
        self.fire(until_ms, out, TIMERS_A_TURN)

    def fire(self, until_ms: int, out: list[Out], most: int) -> int:
        """Fire timers due by `until_ms` in order of due time, each at its own time; tell how many."""
        fired, pace = 0, self._pace
        if not most or not pace.begins():
            return fired
        while timer := self.key_group.pop_due(until_ms):
            self._fire_timer(timer, until_ms, out)
            fired += 1
            if fired == most or not pace.goes_on():
                break
        return fired

    def decide_one(
        self, user_key: str, record: UserRecord, event: Event, raw: RawRecord, now_ms: int, out: list[Out]
    ) -> Decision:
        """Decide an event of a user of this key group, and apply the decision."""
        if self._suppressions:
            record = self._with_suppressions(user_key, record, keys_of(record, event), out) or record
        decision = self._gate().on_event(record, event, now_ms, raw)
        self._effects.apply(user_key, decision, now_ms, out)
        return decision

    def write(self, user_key: str, decision: Decision, now_ms: int, out: list[Out]) -> None:
        """Write the outcomes and dead letters of a decision that concerns no record."""
        self._effects.apply(user_key, replace(decision, touched=False), now_ms, out)

    def _decide_other(self, gate: Gate, entry: GateInput, out: list[Out]) -> Decision:
        """Decide an input of one user that is no event."""
        item, record = entry.item, self.key_group.get(entry.user_key)
        if self._suppressions:
            record = self._with_suppressions(entry.user_key, record, keys_of(record, item), out)
        own = self._own_correction(record, entry, out) if type(item) is ProfileChange else None
        return own or _decided(gate, record, entry, self._now_ms)

    def _share(self, entry: GateInput, out: list[Out]) -> None:
        """Apply an input that is about no user, or about many."""
        item = entry.item
        if isinstance(item, AddressReport):
            self._suppress(entry, item, out)
            return
        assert isinstance(item, BroadcastItem), "what is shared is a report of an address, or of a broadcast"
        self._broadcasts.take(entry.user_key, item, entry.raw, self._now_ms, out)

    def _suppress(self, entry: GateInput, report: AddressReport, out: list[Out]) -> None:
        """Apply a receipt without a user to the record of its address."""
        record = self.key_group.get(entry.user_key)
        decision = self._gate().on_address_report(record, report, self._now_ms, entry.raw)
        if decision.touched:
            self.key_group.put(entry.user_key, decision.record)
            self._suppressions = self._suppressions or Suppressions.first(self.key_group, self._gate)
        self.write(f"{report.receipt.tenant}/{report.target}", decision, self._now_ms, out)

    def _with_suppressions(
        self, user_key: str, record: UserRecord | None, keys: list[str], out: list[Out]
    ) -> UserRecord | None:
        """Take suppressions over into a user's record; new ones correct the profile."""
        assert self._suppressions is not None, "there are some"
        record, new = self._suppressions.adopt(user_key, record, keys)
        tenant = user_key.partition("/")[0]
        if new and record is not None and record.has_text and tenant in self._gate().context.correcting:
            about = corrections.blocked(record, new, SUPPRESSED, self._now_ms)
            out += self._corrections.correct(user_key, about)
        return record

    def _own_correction(self, record: UserRecord | None, entry: GateInput, out: list[Out]) -> Decision | None:
        """Decide a corrected profile of our own that is read; None for anything else."""
        assert isinstance(entry.item, ProfileChange), "a correction is a profile"
        decision, records = self._corrections.on_own(entry.user_key, record, entry.item, entry.raw)
        out += records
        return decision

    def _fire_before(self, entry: GateInput, out: list[Out], room: int) -> int:
        """Fire what is due before an input, at most `room` timers of other users; return the room left."""
        room -= self.fire(self._now_ms, out, room)
        due_ms = self.key_group.next_due()
        if due_ms is not None and due_ms <= self._now_ms:
            self._fire_own(entry.user_key, out)
        return room

    def _fire_own(self, user_key: str, out: list[Out]) -> None:
        """Fire what one user is still owed by now, in order; what that holds anew may be due, too."""
        key_group = self.key_group
        while (record := key_group.get(user_key)) is not None and (due := record.first_due(self._now_ms)):
            due_ms, timer_id = due
            payload = key_group.pop(user_key, timer_id, due_ms)
            if payload is None:
                return
            self._fire_timer(Timer(due_ms, user_key, timer_id, payload), self._now_ms, out)

    def _fire_timer(self, timer: Timer, until_ms: int, out: list[Out]) -> None:
        """Do what a timer is for. All kinds but three are of users (`tocsin.decision.timers.TimerKind`)."""
        kind = timer.timer_id[0]
        if kind == BROADCAST_TIMER:
            self._take_turn(timer, until_ms, out)
        elif kind == LIST_TIMER:
            self._broadcasts.forget_list(timer)
        elif kind == SCHEDULE_TIMER:
            self._recurring.due(timer, self._present_ms(timer.due_ms), out)
        else:
            self._now_ms = max(self._now_ms, timer.due_ms)
            self._decide_due(timer, out)

    def _decide_due(self, timer: Timer, out: list[Out]) -> None:
        """Decide again what was held of a user."""
        tenant, _, user = timer.user.partition("/")
        record = self.key_group.get(timer.user)
        if self._suppressions:
            record = self._with_suppressions(timer.user, record, keys_of_due(record, timer.payload), out)
        kept = self.key_group.take_kept(timer.user, timer.timer_id) if has_items(timer.timer_id) else ()
        decision = self._gate().on_timer(
            record, tenant, user, timer.timer_id, timer.payload, timer.due_ms, kept
        )
        self._effects.apply(timer.user, decision, timer.due_ms, out)

    def _take_turn(self, timer: Timer, until_ms: int, out: list[Out]) -> None:
        """Take a turn of a broadcast.

        Under the wall clock no user's time runs backwards by it, and it waits if broadcasts have had their
        share of the worker's time.
        """
        if self._gate().policy.stream_clock:
            self._broadcasts.turns.take(timer, timer.due_ms, until_ms, out)
        elif self._broadcast_pace.begins():
            self._broadcasts.turns.take(timer, max(self._now_ms, timer.due_ms), until_ms, out)
            self._broadcast_pace.goes_on()
        else:
            self._broadcasts.turns.postpone(timer, until_ms + _POSTPONED_MS)

    def _plan(self, gate: Gate, now_ms: int) -> None:
        """Set the timers of the schedules of a new catalog, as soon as the time is known."""
        present_ms = self._present_ms(now_ms)
        if present_ms:
            self._planned = gate
            self._recurring.plan(gate, present_ms)

    def _present_ms(self, stream_ms: int) -> int:
        """Return the wall clock, or under the stream clock the time that is given."""
        is_stream = self._gate().policy.stream_clock
        return stream_ms if is_stream else int(self._timing.utc_now().timestamp() * 1000)


def _decided(gate: Gate, record: UserRecord | None, entry: GateInput, now_ms: int) -> Decision:
    """Decide one input that is no event."""
    item = entry.item
    if isinstance(item, ProfileChange):
        return gate.on_profile_change(record, item, now_ms, entry.raw)
    if isinstance(item, Retry):
        return gate.on_retry(record, item, now_ms)
    assert isinstance(item, ReceiptEvent), "topics go to the fan-out; what is shared was applied before"
    return gate.on_receipt(record, item, now_ms, entry.raw)

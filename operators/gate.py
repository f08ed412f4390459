"""Gate: the pure decisions of `tocsin.decision.gate` over the exact store, one key group at a time.

Before a record at *t* is decided, the key group's timers due by *t* fire, each with its due time as `now`
(law 2). An epoch must stay small, so where very many are due, only so many fire at once. All timers of the
record's own user fire, and the others change no decision about that user. Between records, `Timing` says how
far timers may fire.
Nothing is emitted between the end of an epoch and its durability (docs/engine.md, fact 11).
"""

from collections.abc import Iterator
from datetime import datetime, timedelta
from functools import cache

import bytewax.operators as op
import msgspec
from bytewax.dataflow import operator
from bytewax.operators import KeyedStream, StatefulBatchLogic
from msgspec.structs import replace

from operators.broadcasts import BroadcastItem, Broadcasts
from operators.corrections import Corrections
from operators.gate_parts import SHARED, GateInput, GateParts, GroupBatch, Item, Out, Stored, Timing
from operators.recurring import Recurring
from operators.suppressions import Suppressions
from operators.sweep import Sweep
from tocsin.decision import corrections
from tocsin.decision.broadcast_lists import TIMER as LIST_TIMER
from tocsin.decision.broadcast_parts import TIMER as BROADCAST_TIMER
from tocsin.decision.corrections import SUPPRESSED
from tocsin.decision.effects import Decision
from tocsin.decision.gate import Gate
from tocsin.decision.on_event import on_event
from tocsin.decision.recurring import TIMER as SCHEDULE_TIMER
from tocsin.decision.suppressions import AddressReport, keys_of, keys_of_due
from tocsin.decision.timers import TimerKind
from tocsin.decision.user_state import UserRecord
from tocsin.formats.codec import ProfileChange, dead_letter, encode
from tocsin.formats.forwarded import tombstone
from tocsin.model import topics
from tocsin.model.event import Event
from tocsin.model.message import Retry
from tocsin.model.outcome import ReceiptEvent
from tocsin.model.raw import OutRecord, RawRecord, VersionNote
from tocsin.model.statuses import Reason
from tocsin.store.deltas import Delta
from tocsin.store.key_group import KeyGroup
from tocsin.store.timers import Timer

__all__ = ["GateInput", "GateLogic", "GateParts", "GroupBatch", "Item", "Out", "Timing", "decide"]
_POLL_S = 0.002
# Between records a key group looks this often whether time has passed its next timer.
_IDLE_POLL_S = 0.05
_TIMERS_A_TURN = 200
# A turn of a broadcast that waits for its share of time is looked at again after so long. Each look writes.
_POSTPONED_MS = 200


class GateLogic(StatefulBatchLogic[GroupBatch, list[Out], Stored]):
    """One key group: fires timers, decides inputs, applies decisions to the store."""

    def __init__(self, stored: Stored | None, parts: GateParts) -> None:
        self._open_key_group = parts.key_group
        self._gate = parts.gate
        self._timing = parts.timing
        self._tally = parts.tally
        self._pace = parts.pace
        self._broadcast_pace = parts.broadcast_pace
        self._now_ms = 0
        self._key = ""
        self._partition = 0
        self._key_group: KeyGroup[UserRecord] | None = None
        self._sweep = Sweep()
        self._suppressions: Suppressions | None = None
        self._broadcasts: Broadcasts | None = None
        self._recurring: Recurring | None = None
        self._planned: Gate | None = None
        self._corrections: Corrections | None = None
        if stored is not None:
            self._open(*stored)

    def _open(self, key: str, delta: Delta | None) -> KeyGroup[UserRecord]:
        self._key = key
        self._partition = int(key.split(".")[0])
        self._key_group = self._open_key_group(key, delta)
        self._suppressions = Suppressions.of(self._key_group, self._gate)
        self._broadcasts = Broadcasts(self._key_group, self._gate, self)
        self._recurring = Recurring(self._key_group, self._gate, self)
        self._corrections = Corrections(self._key_group, self._partition)
        return self._key_group

    def on_batch(self, values: list[GroupBatch]) -> tuple[list[list[Out]], bool]:
        """Decide bundles in order; an empty one only wakes the key group."""
        out: list[Out] = []
        room, gate = _TIMERS_A_TURN, self._gate()
        for batch in values:
            key_group = self._key_group or self._open(batch.key_group, None)
            if gate is not self._planned:
                self._plan(gate, batch.inputs[0].now_ms if batch.inputs else 0)
            due_ms = key_group.next_due()
            for entry in batch.inputs:
                if entry.now_ms > self._now_ms:
                    self._now_ms = entry.now_ms
                now_ms, item = self._now_ms, entry.item
                if due_ms is not None and due_ms <= now_ms:
                    room = self._fire_before(key_group, entry, out, room)
                    due_ms = key_group.next_due()
                if type(item) in SHARED:
                    self._share(key_group, entry, out)
                    due_ms = key_group.next_due()
                    continue
                record = key_group.get(entry.user_key)
                if self._suppressions:
                    record = self._adopted(entry.user_key, record, keys_of(record, item), out)
                if isinstance(item, Event):  # by far the most: no call in between
                    decision = on_event(gate.context, record, item, now_ms, entry.raw)
                else:
                    own = self._own_correction(record, entry, out) if type(item) is ProfileChange else None
                    decision = own or _decided(gate, record, entry, now_ms)
                self._apply(key_group, entry.user_key, decision, self._now_ms, out)
                if decision.set_timers or decision.cancelled_timers or decision.moved_timers:
                    due_ms = _next_due(key_group, decision, due_ms)
        return ([out] if out else []), False

    def on_notify(self) -> tuple[list[list[Out]], bool]:
        """Fire what is due although nothing came, and sweep a few users."""
        key_group = self._key_group
        if key_group is None or self._timing.in_gap():
            return [], False
        out: list[Out] = []
        until_ms = self._timing.fire_until(self._partition)
        if self._gate() is not self._planned:
            self._plan(self._gate(), until_ms)
        self._fire(key_group, until_ms, out, _TIMERS_A_TURN)
        self._sweep.turn(key_group, until_ms, self._timing.utc_now().timestamp())
        return ([out] if out else []), False

    def notify_at(self) -> datetime | None:
        """Wake for the next timer or sweep, or look again soon where time is not up to the wall."""
        if self._key_group is None:
            return None
        now = self._timing.utc_now()
        wall_s = now.timestamp()
        wake_s = max(self._sweep.next_s, wall_s + _POLL_S)
        due_ms = self._key_group.next_due()
        if due_ms is not None:
            wake_s = min(wake_s, self._wake_s(due_ms, wall_s))
        return now + timedelta(seconds=wake_s - wall_s)

    def _wake_s(self, due_ms: int, wall_s: float) -> float:
        """Tell when to look at a timer again, wall time in seconds."""
        if due_ms <= self._timing.fire_until(self._partition):
            return wall_s + max(_POLL_S, self._pace.rest_s())
        wait_s = due_ms / 1000 - wall_s
        return wall_s + (wait_s if _IDLE_POLL_S < wait_s < 60 else _IDLE_POLL_S)

    def snapshot(self) -> Stored:
        """Return what this epoch changed; the rest is in the base."""
        key_group = self._key_group
        assert key_group is not None, "Bytewax builds a logic only for an item or a stored row"
        self._pace.end_epoch()
        self._broadcast_pace.end_epoch()
        return self._key, key_group.snapshot()

    def _fire_before(
        self, key_group: KeyGroup[UserRecord], entry: GateInput, out: list[Out], room: int
    ) -> int:
        """Fire what is due before an input, at most `room` timers of other users; return the room left."""
        room -= self._fire(key_group, self._now_ms, out, room)
        due_ms = key_group.next_due()
        if due_ms is not None and due_ms <= self._now_ms:
            self._fire_own(key_group, entry.user_key, out)
        return room

    def _fire(self, key_group: KeyGroup[UserRecord], until_ms: int, out: list[Out], most: int) -> int:
        """Fire timers due by `until_ms` in order of due time, each at its own time; tell how many."""
        fired, pace = 0, self._pace
        if not most or not pace.begins():
            return fired
        while timer := key_group.pop_due(until_ms):
            self._fire_timer(key_group, timer, until_ms, out)
            fired += 1
            if fired == most or not pace.goes_on():
                break
        return fired

    def _fire_timer(
        self, key_group: KeyGroup[UserRecord], timer: Timer, until_ms: int, out: list[Out]
    ) -> None:
        kind = timer.timer_id[0]
        if kind == BROADCAST_TIMER:
            self._take_turn(timer, until_ms, out)
            return
        if kind == LIST_TIMER:
            assert self._broadcasts is not None, "the key group is open"
            self._broadcasts.forget_list(timer)
            return
        if kind == SCHEDULE_TIMER:
            assert self._recurring is not None, "the key group is open"
            self._recurring.due(timer, self._present_ms(timer.due_ms), out)
            return
        self._now_ms = max(self._now_ms, timer.due_ms)
        self._decide_due(key_group, timer, out)

    def _plan(self, gate: Gate, now_ms: int) -> None:
        """Set the timers of the schedules of a new catalog, as soon as the time is known."""
        assert self._recurring is not None, "the key group is open"
        present_ms = self._present_ms(now_ms)
        if present_ms:
            self._planned = gate
            self._recurring.plan(gate, present_ms)

    def _present_ms(self, stream_ms: int) -> int:
        """Return the wall clock, or under the stream clock the time that is given."""
        is_stream = self._gate().policy.stream_clock
        return stream_ms if is_stream else int(self._timing.utc_now().timestamp() * 1000)

    def _take_turn(self, timer: Timer, until_ms: int, out: list[Out]) -> None:
        """Take a turn of a broadcast.

        Under the wall clock no user's time runs backwards by it, and it waits if broadcasts have had their
        share of the worker's time.
        """
        assert self._broadcasts is not None, "the key group is open"
        if self._gate().policy.stream_clock:
            self._broadcasts.turn(timer, timer.due_ms, until_ms, out)
        elif self._broadcast_pace.begins():
            self._broadcasts.turn(timer, max(self._now_ms, timer.due_ms), until_ms, out)
            self._broadcast_pace.goes_on()
        else:
            self._broadcasts.postpone(timer, until_ms + _POSTPONED_MS)

    def _fire_own(self, key_group: KeyGroup[UserRecord], user_key: str, out: list[Out]) -> None:
        """Fire what one user is still owed by now, in order; what that holds anew may be due, too."""
        while (record := key_group.get(user_key)) is not None and (due := record.first_due(self._now_ms)):
            due_ms, timer_id = due
            payload = key_group.pop(user_key, timer_id, due_ms)
            if payload is None:
                return
            timer = Timer(due_ms, user_key, timer_id, payload)
            self._fire_timer(key_group, timer, self._now_ms, out)

    def _decide_due(self, key_group: KeyGroup[UserRecord], timer: Timer, out: list[Out]) -> None:
        tenant, _, user = timer.user.partition("/")
        record = key_group.get(timer.user)
        if self._suppressions:
            record = self._adopted(timer.user, record, keys_of_due(record, timer.payload), out)
        kept = key_group.take_kept(timer.user, timer.timer_id) if _keeps(timer.timer_id) else ()
        decision = self._gate().on_timer(
            record, tenant, user, timer.timer_id, timer.payload, timer.due_ms, kept
        )
        self._apply(key_group, timer.user, decision, timer.due_ms, out)

    def _share(self, key_group: KeyGroup[UserRecord], entry: GateInput, out: list[Out]) -> None:
        """Apply an input that is about no user, or about many."""
        item = entry.item
        if isinstance(item, AddressReport):
            self._suppress(key_group, entry, item, out)
            return
        assert self._broadcasts is not None, "the key group is open"
        assert isinstance(item, BroadcastItem), "what is shared is a report of an address, or of a broadcast"
        self._broadcasts.take(entry.user_key, item, entry.raw, self._now_ms, out)

    def decide_one(
        self, user_key: str, record: UserRecord, event: Event, raw: RawRecord, now_ms: int, out: list[Out]
    ) -> Decision:
        """Decide an event of a user of this key group, and apply the decision."""
        key_group = self._key_group
        assert key_group is not None, "the key group is open"
        if self._suppressions:
            record = self._adopted(user_key, record, keys_of(record, event), out) or record
        decision = self._gate().on_event(record, event, now_ms, raw)
        self._apply(key_group, user_key, decision, now_ms, out)
        return decision

    def write(self, user_key: str, decision: Decision, now_ms: int, out: list[Out]) -> None:
        """Write the outcomes and dead letters of a decision that concerns no record."""
        assert self._key_group is not None, "the key group is open"
        self._apply(self._key_group, user_key, replace(decision, touched=False), now_ms, out)

    def _own_correction(self, record: UserRecord | None, entry: GateInput, out: list[Out]) -> Decision | None:
        """Decide a corrected profile of our own that is read; None for anything else."""
        assert isinstance(entry.item, ProfileChange), "a correction is a profile"
        assert self._corrections is not None, "the key group is open"
        decision, records = self._corrections.on_own(entry.user_key, record, entry.item, entry.raw)
        out += records
        return decision

    def _adopted(
        self, user_key: str, record: UserRecord | None, keys: list[str], out: list[Out]
    ) -> UserRecord | None:
        """Take suppressions over into a user's record; new ones correct the profile."""
        assert self._suppressions is not None, "there are some"
        record, new = self._suppressions.adopt(user_key, record, keys)
        tenant = user_key.partition("/")[0]
        if new and record is not None and record.has_text and tenant in self._gate().context.correcting:
            assert self._corrections is not None, "the key group is open"
            about = corrections.blocked(record, new, SUPPRESSED, self._now_ms)
            out += self._corrections.correct(user_key, about)
        return record

    def _suppress(
        self, key_group: KeyGroup[UserRecord], entry: GateInput, report: AddressReport, out: list[Out]
    ) -> None:
        """Apply a receipt without a user to the record of its address."""
        record = key_group.get(entry.user_key)
        decision = self._gate().on_address_report(record, report, self._now_ms, entry.raw)
        if decision.touched:
            key_group.put(entry.user_key, decision.record)
            self._suppressions = self._suppressions or Suppressions.first(key_group, self._gate)
        owner = f"{report.receipt.tenant}/{report.target}"
        self._apply(key_group, owner, msgspec.structs.replace(decision, touched=False), self._now_ms, out)

    def _apply(
        self, key_group: KeyGroup[UserRecord], user_key: str, decision: Decision, now_ms: int, out: list[Out]
    ) -> None:
        """Apply a decision as a whole: state and timers to the store, records to the outbox."""
        if decision.touched:
            key_group.put(user_key, decision.record)
        if decision.set_timers or decision.cancelled_timers or decision.moved_timers or decision.kept:
            _apply_timers(key_group, user_key, decision)
        if decision.profile_text is not None or decision.correction is not None:
            assert self._corrections is not None, "the key group is open"
            out += self._corrections.apply(user_key, decision)
        key, partition, add = user_key.encode(), self._partition, out.append
        for message in decision.messages:
            topic = _topic(message.channel, message.priority == "low")
            add(OutRecord(topic, partition, key, encode(message)))
        tally = self._tally
        for outcome in decision.outcomes:
            tally[outcome.status, outcome.channel, outcome.reason] += 1
            add(OutRecord(topics.OUTCOMES, partition, key, encode(outcome)))
        if decision.dead_letters:
            out += _dead_letters(decision, partition, now_ms)
        if decision.profile_version is not None:
            add(VersionNote(user_key, decision.profile_version, decision.keeps_user))
        if decision.audit is not None:
            add(OutRecord(topics.AUDIT, partition, key, encode(decision.audit)))


def _apply_timers(key_group: KeyGroup[UserRecord], user_key: str, decision: Decision) -> None:
    """Cancel, move and set timers, and keep what belongs beside them."""
    for cancelled in decision.cancelled_timers:
        key_group.release(user_key, cancelled.timer_id, cancelled.due_ms)
        if _keeps(cancelled.timer_id):
            key_group.take_kept(user_key, cancelled.timer_id)
    for moved in decision.moved_timers:
        payload = key_group.pop(user_key, moved.timer_id, moved.due_ms)
        assert payload is not None, "what the user's record holds has a timer"
        key_group.hold(user_key, moved.timer_id, moved.new_ms, payload)
    for timer in decision.set_timers:
        key_group.hold(user_key, timer.timer_id, timer.due_ms, timer.payload, is_new=timer.is_new)
    for kept in decision.kept:
        key_group.keep(user_key, kept.timer_id, kept.number, kept.payload)


def _dead_letters(decision: Decision, partition: int, now_ms: int) -> Iterator[OutRecord]:
    for dead in decision.dead_letters:
        if dead.reason is Reason.OUTDATED and decision.record and not decision.record.version:
            # Otherwise compaction keeps this copy as the latest profile of a user who was erased.
            yield tombstone(dead.raw, partition)
        letter = dead_letter(dead.raw, "gate", dead.reason, dead.error, last_ms=now_ms)
        yield replace(letter, partition=partition)


@cache
def _topic(channel: str, bulk: bool) -> str:  # a keyword costs time for each message
    return topics.messages(channel, bulk=bulk)


def _decided(gate: Gate, record: UserRecord | None, entry: GateInput, now_ms: int) -> Decision:
    """Decide one input."""
    item = entry.item
    if isinstance(item, Event):
        return gate.on_event(record, item, now_ms, entry.raw)
    if isinstance(item, ProfileChange):
        return gate.on_profile_change(record, item, now_ms, entry.raw)
    if isinstance(item, Retry):
        return gate.on_retry(record, item, now_ms)
    if isinstance(item, ReceiptEvent):
        return gate.on_receipt(record, item, now_ms, entry.raw)
    assert isinstance(item, AddressReport), "subscriptions go to the fan-out, broadcasts to all key groups"
    return gate.on_address_report(record, item, now_ms, entry.raw)


def _next_due(key_group: KeyGroup[UserRecord], decision: Decision, before_ms: int | None) -> int | None:
    """Tell when the earliest timer is due after a decision; it was due at `before_ms` before."""
    timers = decision.set_timers
    if len(timers) == 1 and timers[0].is_new and not (decision.cancelled_timers or decision.moved_timers):
        due_ms = timers[0].due_ms
        return due_ms if before_ms is None or due_ms < before_ms else before_ms
    return key_group.next_due()


def _keeps(timer_id: str) -> bool:
    """Return whether something may be kept beside a timer."""
    return timer_id[0] == TimerKind.DIGEST


@operator
def decide(
    step_id: str,
    up: KeyedStream[GroupBatch],
    *,
    parts: GateParts,
) -> KeyedStream[list[Out]]:
    """Decide events, profiles, receipts and retries, exactly once each, in order per user.

    Args:
        step_id: names the step in the recovery store: never change it.
        up: bundles by key group (`<partition>.<number>`); an empty bundle wakes a key group at start.
        parts: the store, the gate and the time.
    """
    # "lanes" is an old name of key groups. Recovery stores hold it, so it stays.
    return op.stateful_batch("lanes", up, lambda stored: GateLogic(stored, parts))

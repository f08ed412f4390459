"""Turns of broadcasts in one key group: each walks over some users, and decides the event for each of them.

A turn is a timer that has fired (`tocsin.decision.broadcast_parts`). All that it changes is part of the
epoch's changes: users, cursor and reports become durable together, or never were.
"""

from collections.abc import Callable
from typing import NamedTuple

import msgspec

from operators.broadcast_index import Applier, Out, PartIndex, is_paused, marked
from operators.broadcast_lists import UserLists
from sources.partitioner import partition_of
from tocsin.catalog.expressions import ExpressionError
from tocsin.decision import broadcast_parts as parts
from tocsin.decision.broadcast_parts import Part
from tocsin.decision.decider import dead_letter
from tocsin.decision.effects import Decision
from tocsin.decision.faulty import LOOK_AGAIN_MS
from tocsin.decision.gate import Gate
from tocsin.decision.recipient import for_known
from tocsin.decision.subjects import WholeEvent
from tocsin.decision.user_state import HoldRef, UserRecord
from tocsin.formats.codec import encode
from tocsin.formats.forwarded import rewritten
from tocsin.model import topics
from tocsin.model.broadcast import REPORT, Ending, Order, Report, owner_key
from tocsin.model.event import Event
from tocsin.model.raw import OutRecord, RawRecord
from tocsin.model.statuses import Reason
from tocsin.store.key_group import KeyGroup
from tocsin.store.timers import Timer


class Turn(NamedTuple):
    """One turn of a part: its order, cursor and counts, and the time of its decisions."""

    order: Order
    part: Part
    now_ms: int
    out: Out


class BroadcastTurns:
    """Takes the turns of all parts of one key group.

    Args:
        key_group: its store.
        gate: gives the gate of the catalog in force.
        applier: decides and applies events.
        index: the parts.
        lists: the lists of users that broadcasts go to.
    """

    def __init__(
        self,
        key_group: KeyGroup[UserRecord],
        gate: Callable[[], Gate],
        applier: Applier,
        index: PartIndex,
        lists: UserLists,
    ) -> None:
        self._key_group = key_group
        self._gate = gate
        self._applier = applier
        self._index = index
        self._lists = lists

    def take(self, timer: Timer, now_ms: int, until_ms: int, out: Out) -> None:
        """Take one turn of a part whose timer has fired; it waits while its tenant's files have mistakes.

        Args:
            timer: that has fired.
            now_ms: the time of the decisions.
            until_ms: the time up to which timers fire now.
            out: takes the records.
        """
        tenant, policy = timer.user.partition("/")[0], self._gate().policy
        index = self._index.of(tenant)
        turn = Turn(self._index.order(tenant, timer.timer_id), parts.decode_part(timer.payload), now_ms, out)
        running = sum(self._is_running(tenant, one, ref, now_ms) for one, ref in index.holds.items())
        pace = parts.pace(turn.order.rate, running, policy)
        event = turn.order.event
        is_over = event is not None and event.expires_ms and now_ms > event.expires_ms
        if turn.part.ending:
            self.end(index, timer.timer_id, turn, turn.part.ending)
        elif is_over or self._index.awaits_list(turn.order):
            self.end(index, timer.timer_id, turn, "expired")
        elif tenant in self._gate().context.faulty:
            self.postpone(timer, (timer.due_ms if policy.stream_clock else until_ms) + LOOK_AGAIN_MS)
        elif self._walk(tenant, turn, pace.users):
            due_ms = parts.next_turn(timer.due_ms, until_ms, pace.every_ms, policy)
            ref = index.holds[timer.timer_id]
            self._index.hold(index, tenant, timer.timer_id, ref, turn.part, due_ms)
        else:
            self.end(index, timer.timer_id, turn, "finished")

    def postpone(self, timer: Timer, due_ms: int) -> None:
        """Set the timer of a turn anew, untouched: there is no time for it now."""
        tenant = timer.user.partition("/")[0]
        index = self._index.of(tenant)
        ref, part = index.holds[timer.timer_id], parts.decode_part(timer.payload)
        self._index.hold(index, tenant, timer.timer_id, ref, part, due_ms)

    def _is_running(self, tenant: str, timer_id: str, ref: HoldRef, now_ms: int) -> bool:
        """Tell whether a part takes of the rate now; one that waits for its time or list does not."""
        if is_paused(ref):
            return False
        order = self._index.order(tenant, timer_id)
        return order.start_ms <= now_ms and not self._index.awaits_list(order)

    def _walk(self, tenant: str, turn: Turn, users: int) -> bool:
        """Decide the next users; return whether there may be more."""
        if key := parts.list_of(turn.order):
            return self._walk_list(key, turn, users)
        after = turn.part.cursor or parts.first_key(tenant)
        found = self._key_group.scan(f"{after}\0", parts.last_key(tenant), users)
        for user_key, record in found:
            turn.part.cursor = user_key
            if record.version:
                turn.part.counts.users += 1
                self._decide(user_key, record, turn)
        return len(found) == users

    def _walk_list(self, key: str, turn: Turn, most: int) -> bool:
        """Decide the next users of a list, with or without a profile; return whether there may be more."""
        part, tenant = turn.part, turn.order.tenant
        users, at = self._lists.next_users(key, int(part.cursor or 0), most)
        part.cursor = str(at)
        for user in users:
            user_key = f"{tenant}/{user}"
            part.counts.users += 1
            self._decide(user_key, self._key_group.get(user_key) or UserRecord(), turn)
        return len(users) == most

    def _decide(self, user_key: str, record: UserRecord, turn: Turn) -> None:
        """Decide the event for one user, if the user is in the segment."""
        order, counts, now_ms = turn.order, turn.part.counts, turn.now_ms
        recipient = for_known(record, self._gate().context.defaults_for(order.tenant))
        user = user_key[len(order.tenant) + 1 :]
        try:
            if not parts.is_in_segment(order.expression, user, recipient):
                return
        except ExpressionError as error:
            self._fail(user_key, turn, str(error))
            return
        event = parts.event_for(order, user, recipient, now_ms)
        if event is None:
            counts.missed += 1
            return
        decision = self._applier.decide_one(user_key, record, event, _record_of(event), now_ms, turn.out)
        parts.count(counts, decision)

    def _fail(self, user_key: str, turn: Turn, error: str) -> None:
        """Dead-letter the event for one user: the segment's expression failed on the profile."""
        started = turn.order.event
        assert started is not None, "a start has its event"
        event = msgspec.structs.replace(started, user=user_key.partition("/")[2])
        decision = Decision(None)
        whole = WholeEvent(event, turn.now_ms, self._gate().catalog.version)
        dead_letter(decision, whole, rewritten(event), event, Reason.BAD_EXPRESSION, error)
        turn.part.counts.reached += 1
        self._applier.write(user_key, decision, turn.now_ms, turn.out)

    def end(self, index: UserRecord, timer_id: str, turn: Turn, ending: Ending) -> None:
        """End a part: its outcome, and the report to the owner.

        What is left of its list goes first, in turns of their own.
        """
        order, gate = turn.order, self._gate()
        if (users := parts.list_of(order)) and not self._lists.end(users):
            turn.part.ending = ending
            self._index.hold(index, order.tenant, timer_id, index.holds[timer_id], turn.part, turn.now_ms + 1)
            return
        self._index.remove(index, order.tenant, timer_id, parts.note(order, turn.now_ms, gate.policy))
        key, version = f"{order.tenant}/{order.event_id}", gate.catalog.version
        outcome = parts.ended(order, turn.part, self._key_group.key, ending, turn.now_ms, version)
        self._applier.write(key, Decision(None, outcomes=[outcome]), turn.now_ms, turn.out)
        self._report(turn, ending)

    def _report(self, turn: Turn, ending: Ending) -> None:
        """Tell the owner of the broadcast how the part has ended."""
        order = turn.order
        assert order.event is not None, "a start has its event"
        report = Report(
            tenant=order.tenant,
            broadcast=order.broadcast,
            event_id=order.event_id,
            key_group=self._key_group.key,
            ending=ending,
            at_ms=turn.now_ms,
            counts=turn.part.counts,
        )
        owner = owner_key(order.tenant, order.event_id).encode()
        partition = partition_of(owner, self._gate().policy.partitions)
        key, headers = f"{order.tenant}/{order.event_id}".encode(), marked(str(order.event.origin), REPORT)
        turn.out.append(OutRecord(topics.EVENTS, partition, key, encode(report), headers))


def _record_of(event: Event) -> RawRecord:
    """Name the place of a broadcast's event. For one user, its record is written anew where it is kept."""
    place = event.origin
    return RawRecord(topics.BULK, place.partition, place.offset, event.received_ms, None, b"", ())

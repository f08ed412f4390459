"""Broadcasts in one key group: applies the owner's rulings and orders, and walks over the users in turns.

A turn is a timer that has fired (`tocsin.decision.broadcast_parts`). All that it changes is part of the
epoch's changes: users, cursor and reports become durable together, or never were.
"""

from collections.abc import Callable
from typing import NamedTuple, Protocol

import msgspec

from operators.broadcast_lists import UserLists, key_of
from sources.partitioner import partition_of
from tocsin.catalog.expressions import ExpressionError
from tocsin.decision import broadcast_parts as parts
from tocsin.decision import broadcasts
from tocsin.decision.broadcast_parts import NEVER_MS, Part, body_key, index_key
from tocsin.decision.broadcasts import BroadcastEvent, Ruling
from tocsin.decision.decider import dead_letter
from tocsin.decision.effects import Decision
from tocsin.decision.faulty import LOOK_AGAIN_MS
from tocsin.decision.gate import Gate
from tocsin.decision.recipient import for_known
from tocsin.decision.subjects import WholeEvent
from tocsin.decision.user_state import HoldRef, UserRecord, Waiting
from tocsin.formats.codec import dead_letter as letter_of
from tocsin.formats.codec import encode
from tocsin.formats.forwarded import ORIGIN_HEADER, place_of, rewritten
from tocsin.model import topics
from tocsin.model.broadcast import ORDER, ORDER_HEADER, REPORT, Ending, Order, Report, decode_order, owner_key
from tocsin.model.broadcast_list import Members
from tocsin.model.event import Event
from tocsin.model.raw import OutRecord, RawRecord, VersionNote
from tocsin.model.statuses import Reason
from tocsin.store.key_group import KeyGroup
from tocsin.store.timers import Timer

Out = list[OutRecord | VersionNote]
BroadcastItem = BroadcastEvent | Order | Report | Members
BROADCAST_ITEMS = frozenset({BroadcastEvent, Order, Report, Members})


class Applier(Protocol):
    """Decides and applies as the key group does for every input."""

    def decide_one(
        self, user_key: str, record: UserRecord, event: Event, raw: RawRecord, now_ms: int, out: Out
    ) -> Decision:
        """Decide an ordinary event of a user of this key group, and apply the decision."""
        ...

    def write(self, user_key: str, decision: Decision, now_ms: int, out: Out) -> None:
        """Write the outcomes and dead letters of a decision that concerns no record."""
        ...


class Turn(NamedTuple):
    """One turn of a part: its order, cursor and counts, and the time of its decisions."""

    order: Order
    part: Part
    now_ms: int
    out: Out


class Broadcasts:
    """The broadcasts of one key group.

    Args:
        key_group: its store.
        gate: gives the gate of the catalog in force.
        applier: decides and applies events.
    """

    def __init__(self, key_group: KeyGroup[UserRecord], gate: Callable[[], Gate], applier: Applier) -> None:
        self._key_group = key_group
        self._gate = gate
        self._applier = applier
        self._orders: dict[str, Order] = {}
        self._lists = UserLists(key_group)

    def take(self, user_key: str, item: BroadcastItem, raw: RawRecord, now_ms: int, out: Out) -> None:
        """Apply an input: an event or a report for the owner; for this key group, an order or a list."""
        if isinstance(item, Order):
            self._obey(item, now_ms, out)
            return
        if isinstance(item, Members):
            self._enlist(item, raw, now_ms, out)
            return
        gate, record = self._gate(), self._key_group.get(user_key)
        if isinstance(item, Report):
            ruling = broadcasts.on_report(record, item, gate.catalog.version, gate.policy)
            tenant, name = item.tenant, item.event_id
        else:
            ruling = broadcasts.on_event(record, item, now_ms, raw, gate.catalog, gate.policy)
            tenant, name = item.event.tenant, item.event.id
        if ruling.decision.touched:
            self._key_group.put(user_key, ruling.decision.record)
        self._applier.write(f"{tenant}/{name}", ruling.decision, now_ms, out)
        self._spread(ruling, raw, out)

    def _spread(self, ruling: Ruling, raw: RawRecord, out: Out) -> None:
        """Send orders to every partition; there, the decode step gives them to every key group."""
        for order in ruling.orders:
            key, value = f"{order.tenant}/{order.event_id}".encode(), encode(order)
            for partition in range(self._gate().policy.partitions):
                out.append(OutRecord(topics.EVENTS, partition, key, value, _marked(place_of(raw), ORDER)))

    def _obey(self, order: Order, now_ms: int, out: Out) -> None:
        key, timer_id = index_key(order.tenant), f"{parts.TIMER}{order.broadcast}"
        index = self._key_group.get(key) or UserRecord()
        ref = index.holds.get(timer_id)
        if order.act == "start":
            if ref is None and not self._is_known(order):
                self._start(index, order, timer_id, now_ms)
            return
        if ref is None:
            return
        payload = self._key_group.pop(key, timer_id, ref.due_ms)
        assert payload is not None, "what the index lists has a timer"
        part = parts.decode_part(payload)
        if order.act == "cancel":
            self._end(
                index, timer_id, Turn(self._order(order.tenant, timer_id), part, now_ms, out), "cancelled"
            )
            return
        due_ms, wants_pause = ref.due_ms, order.act == "pause"
        if wants_pause != _is_paused(ref) and not part.ending:
            due_ms = self._due(self._order(order.tenant, timer_id), now_ms, is_paused=wants_pause)
        ref = msgspec.structs.replace(ref, reason=Reason.PAUSED.value if wants_pause else "")
        self._hold(index, key, timer_id, ref, part, due_ms)

    def _due(self, order: Order, now_ms: int, *, is_paused: bool) -> int:
        """Return when a part goes on, or ends if nothing lets it go on."""
        if is_paused or self._awaits_list(order):
            return parts.waits_until(order, is_paused=is_paused)
        return max(now_ms, order.start_ms)

    def _awaits_list(self, order: Order) -> bool:
        key = parts.list_of(order)
        return bool(key) and self._lists.awaited(key)

    def _enlist(self, members: Members, raw: RawRecord, now_ms: int, out: Out) -> None:
        """Keep users of a list. Its end lets the part begin."""
        if not self._lists.take(members, now_ms):
            if members.users:
                error = "users: the list was closed before; send a broadcast of its own to them"
                letter = letter_of(raw, "gate", Reason.BAD_FIELD, error, last_ms=now_ms)
                out.append(msgspec.structs.replace(letter, partition=raw.partition))
            return
        if not members.closes:
            return
        key, members_key = index_key(members.tenant), key_of(members)
        index = self._key_group.get(key) or UserRecord()
        for timer_id, ref in list(index.holds.items()):
            order = self._order(members.tenant, timer_id)
            if parts.list_of(order) == members_key and not _is_paused(ref):
                self._move(index, key, timer_id, ref, self._due(order, now_ms, is_paused=False))

    def _move(self, index: UserRecord, key: str, timer_id: str, ref: HoldRef, due_ms: int) -> None:
        """Let the next turn of a part be due at another time."""
        payload = self._key_group.pop(key, timer_id, ref.due_ms)
        assert payload is not None, "what the index lists has a timer"
        part = parts.decode_part(payload)
        self._hold(index, key, timer_id, ref, part, ref.due_ms if part.ending else due_ms)

    def forget_list(self, timer: Timer) -> None:
        """Forget a list that no broadcast goes to, some time after its last record."""
        tenant = timer.user.partition("/")[0]
        index = self._key_group.get(index_key(tenant)) or UserRecord()
        used = {parts.list_of(self._order(tenant, timer_id)) for timer_id in index.holds}
        self._lists.forget(timer, in_use=timer.user in used)

    def _start(self, index: UserRecord, order: Order, timer_id: str, now_ms: int) -> None:
        event = order.event
        assert event is not None, "a start has its event"
        body = UserRecord(waiting=(Waiting(order.start_ms, encode(order)),))
        self._key_group.put(body_key(order.tenant, order.broadcast), body)
        ref = HoldRef(0, order.broadcast, "", "", event.id, str(event.origin))
        due_ms = parts.first_turn(order, self._key_group.key, now_ms, self._gate().policy)
        if self._awaits_list(order):
            due_ms = parts.waits_until(order, is_paused=False)
        self._hold(index, index_key(order.tenant), timer_id, ref, Part(), due_ms)

    def _is_known(self, order: Order) -> bool:
        """Tell whether the part was started before: a crash leaves copies of orders."""
        return self._key_group.get(body_key(order.tenant, order.broadcast)) is not None

    def _hold(
        self, index: UserRecord, key: str, timer_id: str, ref: HoldRef, part: Part, due_ms: int
    ) -> None:
        index.holds[timer_id] = msgspec.structs.replace(ref, due_ms=due_ms)
        self._key_group.hold(key, timer_id, due_ms, parts.encode_part(part))
        self._key_group.put(key, index)

    def turn(self, timer: Timer, now_ms: int, until_ms: int, out: Out) -> None:
        """Take one turn of a part whose timer has fired; it waits while its tenant's files have mistakes.

        Args:
            timer: that has fired.
            now_ms: the time of the decisions.
            until_ms: the time up to which timers fire now.
            out: takes the records.
        """
        tenant, policy = timer.user.partition("/")[0], self._gate().policy
        index = self._key_group.get(timer.user)
        assert index is not None, "a part that has a timer is in the index"
        turn = Turn(self._order(tenant, timer.timer_id), parts.decode_part(timer.payload), now_ms, out)
        running = sum(self._is_running(tenant, one, ref, now_ms) for one, ref in index.holds.items())
        pace = parts.pace(turn.order.rate, running, policy)
        event = turn.order.event
        is_over = event is not None and event.expires_ms and now_ms > event.expires_ms
        if turn.part.ending:
            self._end(index, timer.timer_id, turn, turn.part.ending)
        elif is_over or self._awaits_list(turn.order):
            self._end(index, timer.timer_id, turn, "expired")
        elif tenant in self._gate().context.faulty:
            self.postpone(timer, (timer.due_ms if policy.stream_clock else until_ms) + LOOK_AGAIN_MS)
        elif self._walk(tenant, turn, pace.users):
            due_ms = parts.next_turn(timer.due_ms, until_ms, pace.every_ms, policy)
            ref = index.holds[timer.timer_id]
            self._hold(index, timer.user, timer.timer_id, ref, turn.part, due_ms)
        else:
            self._end(index, timer.timer_id, turn, "finished")

    def _is_running(self, tenant: str, timer_id: str, ref: HoldRef, now_ms: int) -> bool:
        """Tell whether a part takes of the rate now; one that waits for its time or list does not."""
        if _is_paused(ref):
            return False
        order = self._order(tenant, timer_id)
        return order.start_ms <= now_ms and not self._awaits_list(order)

    def postpone(self, timer: Timer, due_ms: int) -> None:
        """Set the timer of a turn anew, untouched: there is no time for it now."""
        index = self._key_group.get(timer.user)
        assert index is not None, "a part that has a timer is in the index"
        ref, part = index.holds[timer.timer_id], parts.decode_part(timer.payload)
        self._hold(index, timer.user, timer.timer_id, ref, part, due_ms)

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

    def _end(self, index: UserRecord, timer_id: str, turn: Turn, ending: Ending) -> None:
        """End the part: its outcome, and the report to the owner. A short note of it stays.

        What is left of its list goes first, in turns of their own.
        """
        order, gate, key_group = turn.order, self._gate(), self._key_group
        if (users := parts.list_of(order)) and not self._lists.end(users):
            turn.part.ending = ending
            ref = index.holds[timer_id]
            self._hold(index, index_key(order.tenant), timer_id, ref, turn.part, turn.now_ms + 1)
            return
        del index.holds[timer_id]
        key_group.put(index_key(order.tenant), index if index.holds else None)
        key_group.put(body_key(order.tenant, order.broadcast), parts.note(order, turn.now_ms, gate.policy))
        self._orders.pop(timer_id, None)
        version = gate.catalog.version
        outcome = parts.ended(order, turn.part, key_group.key, ending, turn.now_ms, version)
        key = f"{order.tenant}/{order.event_id}"
        self._applier.write(key, Decision(None, outcomes=[outcome]), turn.now_ms, turn.out)
        report = Report(
            tenant=order.tenant,
            broadcast=order.broadcast,
            event_id=order.event_id,
            key_group=key_group.key,
            ending=ending,
            at_ms=turn.now_ms,
            counts=turn.part.counts,
        )
        assert order.event is not None, "a start has its event"
        owner = partition_of(owner_key(order.tenant, order.event_id).encode(), gate.policy.partitions)
        headers = _marked(str(order.event.origin), REPORT)
        turn.out.append(OutRecord(topics.EVENTS, owner, key.encode(), encode(report), headers))

    def _order(self, tenant: str, timer_id: str) -> Order:
        found = self._orders.get(timer_id)
        if found is None:
            body = self._key_group.get(body_key(tenant, timer_id[1:]))
            assert body is not None, "a part that has a timer has its order"
            found = self._orders[timer_id] = decode_order(body.waiting[0].event)
        return found


def _is_paused(ref: HoldRef) -> bool:
    """Tell whether a part is paused; records of before have no reason. It has a timer until it expires."""
    return ref.reason == Reason.PAUSED or ref.due_ms == NEVER_MS


def _record_of(event: Event) -> RawRecord:
    """Name the place of a broadcast's event. For one user, its record is written anew where it is kept."""
    place = event.origin
    return RawRecord(topics.BULK, place.partition, place.offset, event.received_ms, None, b"", ())


def _marked(origin: str, kind: bytes) -> tuple[tuple[str, bytes], ...]:
    """Return the headers of an order or report: as a copy, it is no event of its own for the audit."""
    return (ORIGIN_HEADER, origin.encode()), (ORDER_HEADER, kind)

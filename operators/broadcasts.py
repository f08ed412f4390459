"""Broadcasts in one key group: applies the owner's rulings and orders, and keeps lists of users.

What an order starts is a part, which walks over the users in turns (`operators.broadcast_turns`).
"""

from collections.abc import Callable

import msgspec

from operators.broadcast_index import Applier, Out, PartIndex, is_paused, marked
from operators.broadcast_lists import UserLists, key_of
from operators.broadcast_turns import BroadcastTurns, Turn
from tocsin.decision import broadcast_parts as parts
from tocsin.decision import broadcasts
from tocsin.decision.broadcast_parts import Part, body_key
from tocsin.decision.broadcasts import BroadcastEvent, Ruling
from tocsin.decision.gate import Gate
from tocsin.decision.user_state import HoldRef, UserRecord, Waiting
from tocsin.formats.codec import dead_letter as letter_of
from tocsin.formats.codec import encode
from tocsin.formats.forwarded import place_of
from tocsin.model import topics
from tocsin.model.broadcast import ORDER, Order, Report
from tocsin.model.broadcast_list import Members
from tocsin.model.raw import OutRecord, RawRecord
from tocsin.model.statuses import Reason
from tocsin.store.key_group import KeyGroup
from tocsin.store.timers import Timer

__all__ = ["BROADCAST_ITEMS", "Applier", "BroadcastItem", "Broadcasts", "Out"]
BroadcastItem = BroadcastEvent | Order | Report | Members
BROADCAST_ITEMS = frozenset({BroadcastEvent, Order, Report, Members})


class Broadcasts:
    """The broadcasts of one key group.

    Args:
        key_group: its store.
        gate: gives the gate of the catalog in force.
        applier: decides and applies events.

    Attributes:
        turns: takes the turns of its parts.
    """

    def __init__(self, key_group: KeyGroup[UserRecord], gate: Callable[[], Gate], applier: Applier) -> None:
        self._key_group = key_group
        self._gate = gate
        self._applier = applier
        self._lists = UserLists(key_group)
        self._index = PartIndex(key_group, self._lists)
        self.turns = BroadcastTurns(key_group, gate, applier, self._index, self._lists)

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
                out.append(OutRecord(topics.EVENTS, partition, key, value, marked(place_of(raw), ORDER)))

    def _obey(self, order: Order, now_ms: int, out: Out) -> None:
        """Start, pause, resume or cancel a part; an order for a part that is not there changes nothing."""
        tenant, timer_id = order.tenant, f"{parts.TIMER}{order.broadcast}"
        index = self._index.of(tenant)
        ref = index.holds.get(timer_id)
        if order.act == "start":
            if ref is None and not self._is_known(order):
                self._start(index, order, timer_id, now_ms)
            return
        if ref is None:
            return
        part, started = self._index.pop(tenant, timer_id, ref.due_ms), self._index.order(tenant, timer_id)
        if order.act == "cancel":
            self.turns.end(index, timer_id, Turn(started, part, now_ms, out), "cancelled")
            return
        due_ms, wants_pause = ref.due_ms, order.act == "pause"
        if wants_pause != is_paused(ref) and not part.ending:
            due_ms = self._index.due(started, now_ms, is_paused=wants_pause)
        ref = msgspec.structs.replace(ref, reason=Reason.PAUSED.value if wants_pause else "")
        self._index.hold(index, tenant, timer_id, ref, part, due_ms)

    def _is_known(self, order: Order) -> bool:
        """Tell whether the part was started before: a crash leaves copies of orders."""
        return self._key_group.get(body_key(order.tenant, order.broadcast)) is not None

    def _start(self, index: UserRecord, order: Order, timer_id: str, now_ms: int) -> None:
        """Keep the order, and set the timer of the first turn."""
        event = order.event
        assert event is not None, "a start has its event"
        body = UserRecord(waiting=(Waiting(order.start_ms, encode(order)),))
        self._key_group.put(body_key(order.tenant, order.broadcast), body)
        ref = HoldRef(0, order.broadcast, "", "", event.id, str(event.origin))
        due_ms = parts.first_turn(order, self._key_group.key, now_ms, self._gate().policy)
        if self._index.awaits_list(order):
            due_ms = parts.waits_until(order, is_paused=False)
        self._index.hold(index, order.tenant, timer_id, ref, Part(), due_ms)

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
        tenant, members_key = members.tenant, key_of(members)
        index = self._index.of(tenant)
        for timer_id, ref in list(index.holds.items()):
            order = self._index.order(tenant, timer_id)
            if parts.list_of(order) == members_key and not is_paused(ref):
                part = self._index.pop(tenant, timer_id, ref.due_ms)
                due_ms = ref.due_ms if part.ending else self._index.due(order, now_ms, is_paused=False)
                self._index.hold(index, tenant, timer_id, ref, part, due_ms)

    def forget_list(self, timer: Timer) -> None:
        """Forget a list that no broadcast goes to, some time after its last record."""
        tenant = timer.user.partition("/")[0]
        holds = self._index.of(tenant).holds
        used = {parts.list_of(self._index.order(tenant, timer_id)) for timer_id in holds}
        self._lists.forget(timer, in_use=timer.user in used)

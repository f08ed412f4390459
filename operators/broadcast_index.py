"""The parts of broadcasts in one key group: an index of them, their orders, and the timers of their turns."""

from typing import Protocol

import msgspec

from operators.broadcast_lists import UserLists
from tocsin.decision import broadcast_parts as parts
from tocsin.decision.broadcast_parts import NEVER_MS, Part, body_key, index_key
from tocsin.decision.effects import Decision
from tocsin.decision.user_state import HoldRef, UserRecord
from tocsin.formats.forwarded import ORIGIN_HEADER
from tocsin.model.broadcast import ORDER_HEADER, Order, decode_order
from tocsin.model.event import Event
from tocsin.model.raw import OutRecord, RawRecord, VersionNote
from tocsin.model.statuses import Reason
from tocsin.store.key_group import KeyGroup

Out = list[OutRecord | VersionNote]


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


class PartIndex:
    """The parts that a tenant's broadcasts have in one key group, each with its order and its timer.

    Args:
        key_group: its store.
        lists: the lists of users that broadcasts go to.
    """

    def __init__(self, key_group: KeyGroup[UserRecord], lists: UserLists) -> None:
        self._key_group = key_group
        self._lists = lists
        self._orders: dict[str, Order] = {}

    def of(self, tenant: str) -> UserRecord:
        """Return the record whose holds are the parts of a tenant."""
        return self._key_group.get(index_key(tenant)) or UserRecord()

    def order(self, tenant: str, timer_id: str) -> Order:
        """Return the order of a part."""
        found = self._orders.get(timer_id)
        if found is None:
            body = self._key_group.get(body_key(tenant, timer_id[1:]))
            assert body is not None, "a part that has a timer has its order"
            found = self._orders[timer_id] = decode_order(body.waiting[0].event)
        return found

    def awaits_list(self, order: Order) -> bool:
        """Tell whether a part waits for its list to be complete."""
        key = parts.list_of(order)
        return bool(key) and self._lists.awaited(key)

    def due(self, order: Order, now_ms: int, *, is_paused: bool) -> int:
        """Return when a part goes on, or ends if nothing lets it go on."""
        if is_paused or self.awaits_list(order):
            return parts.waits_until(order, is_paused=is_paused)
        return max(now_ms, order.start_ms)

    def hold(
        self, index: UserRecord, tenant: str, timer_id: str, ref: HoldRef, part: Part, due_ms: int
    ) -> None:
        """Set the timer of the next turn of a part."""
        key = index_key(tenant)
        index.holds[timer_id] = msgspec.structs.replace(ref, due_ms=due_ms)
        self._key_group.hold(key, timer_id, due_ms, parts.encode_part(part))
        self._key_group.put(key, index)

    def pop(self, tenant: str, timer_id: str, due_ms: int) -> Part:
        """Take the timer of a part off, and return the part; `hold` sets it again."""
        payload = self._key_group.pop(index_key(tenant), timer_id, due_ms)
        assert payload is not None, "what the index lists has a timer"
        return parts.decode_part(payload)

    def remove(self, index: UserRecord, tenant: str, timer_id: str, note: UserRecord) -> None:
        """Remove a part that has ended. A short note of it takes the place of its order."""
        broadcast = timer_id[1:]
        del index.holds[timer_id]
        self._key_group.put(index_key(tenant), index if index.holds else None)
        self._key_group.put(body_key(tenant, broadcast), note)
        self._orders.pop(timer_id, None)


def is_paused(ref: HoldRef) -> bool:
    """Tell whether a part is paused; records of before have no reason. It has a timer until it expires."""
    return ref.reason == Reason.PAUSED or ref.due_ms == NEVER_MS


def marked(origin: str, kind: bytes) -> tuple[tuple[str, bytes], ...]:
    """Return the headers of an order or report: as a copy, it is no event of its own for the audit."""
    return (ORIGIN_HEADER, origin.encode()), (ORDER_HEADER, kind)

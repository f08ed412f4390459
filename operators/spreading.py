"""Gives records that are about no user of their own to all key groups of a partition."""

from msgspec.structs import replace

from operators.decode_parts import Bundles, Clocks, DecodePolicy, record_time
from operators.forwarding import marked_copy
from operators.gate_parts import GateInput, Item
from operators.homes import Homes
from tocsin.decision.broadcast_parts import index_key
from tocsin.decision.suppressions import AddressReport, record_key, targets_of
from tocsin.formats.forwarded import is_forwarded
from tocsin.model.broadcast import Order
from tocsin.model.broadcast_list import Members
from tocsin.model.outcome import ReceiptEvent
from tocsin.model.raw import OutRecord, RawRecord


class Spreader:
    """Spreads orders of broadcasts, their lists of users, and receipts that name an address and no user.

    Args:
        policy: how records are read.
        clocks: the time of each partition, which a record moves.
        homes: where users live.
    """

    def __init__(self, policy: DecodePolicy, clocks: Clocks, homes: Homes) -> None:
        self._policy = policy
        self._clocks = clocks
        self._homes = homes

    def spread(self, raw: RawRecord, item: Item, gate: Bundles, out: list[OutRecord]) -> None:
        """Add a record to the bundles of all key groups, or its copies for all partitions to `out`."""
        if isinstance(item, Order):
            self._order(raw, item, gate)
        elif isinstance(item, Members):
            self._members(raw, item, gate)
        else:
            assert isinstance(item, ReceiptEvent), "all others have a user"
            self._receipt(raw, item, gate, out)

    def _order(self, raw: RawRecord, order: Order, gate: Bundles) -> None:
        key, now_ms = index_key(order.tenant), self._advance(raw, order)
        for name in self._homes.names[raw.partition]:
            gate.setdefault(name, []).append(GateInput(now_ms, key, order, raw))

    def _members(self, raw: RawRecord, members: Members, gate: Bundles) -> None:
        """Give each key group its users of a list, also where it has none: a slice may replace another."""
        found = self._homes.split(members.tenant, members.users, raw.partition)
        now_ms = self._advance(raw, members)
        for name, users in zip(self._homes.names[raw.partition], found, strict=True):
            own = replace(members, users=users)
            gate.setdefault(name, []).append(GateInput(now_ms, index_key(members.tenant), own, raw))

    def _receipt(self, raw: RawRecord, receipt: ReceiptEvent, gate: Bundles, out: list[OutRecord]) -> None:
        """Send a receipt without a user to all partitions; there, give it to every key group."""
        targets = targets_of(receipt)
        owner = f"{receipt.tenant}/{targets[0]}"
        if not is_forwarded(raw):
            count = self._policy.partitions
            out += [marked_copy(raw, partition, owner.encode()) for partition in range(count)]
            return
        now_ms = self._advance(raw, receipt)
        logs = self._homes.of(owner)
        for name in self._homes.names[raw.partition]:
            bundle = gate.setdefault(name, [])
            for number, target in enumerate(targets):
                report = AddressReport(receipt, target, number == 0 and logs == (raw.partition, name))
                bundle.append(GateInput(now_ms, record_key(receipt.tenant, target), report, raw))

    def _advance(self, raw: RawRecord, item: Item) -> int:
        """Move the clock of the record's partition; return the partition's time."""
        at_ms = record_time(raw, item, self._clocks, stream_clock=self._policy.stream_clock)
        return self._clocks.advance(raw.partition, at_ms)

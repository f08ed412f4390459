"""What the gate works with: inputs as the decode step bundles them, the time between records, its parts."""

from collections import Counter
from collections.abc import Callable
from datetime import datetime
from typing import NamedTuple, Protocol

import msgspec

from operators.broadcasts import BROADCAST_ITEMS, BroadcastItem
from operators.pace import UNPACED, Pace
from tocsin.decision.gate import Gate
from tocsin.decision.suppressions import AddressReport
from tocsin.decision.user_state import UserRecord
from tocsin.formats.profiles import ProfileChange
from tocsin.model.event import Event
from tocsin.model.message import Retry
from tocsin.model.outcome import ReceiptEvent
from tocsin.model.raw import OutRecord, RawRecord, VersionNote
from tocsin.model.subscription import FanOutReport, SubscriptionChange
from tocsin.store.deltas import Delta
from tocsin.store.key_group import KeyGroup

Out = OutRecord | VersionNote
TopicItem = SubscriptionChange | FanOutReport
Item = Event | ProfileChange | ReceiptEvent | Retry | AddressReport | BroadcastItem | TopicItem
# What is for no user of its own.
SHARED = BROADCAST_ITEMS | {AddressReport}


class GateInput(msgspec.Struct, frozen=True, gc=False):
    """One decoded record for a key group.

    Attributes:
        now_ms: the partition's monotone time.
        user_key: `tenant/user`.
        item: the decoded record.
        raw: the record as it was read, for dead letters.
    """

    now_ms: int
    user_key: str
    item: Item
    raw: RawRecord


class Timing(Protocol):
    """The time between records, as a key group may know it."""

    def fire_until(self, partition: int) -> int:
        """Timers due by this time (ms) may fire now although no record came."""
        ...

    def in_gap(self) -> bool:
        """Whether an epoch has ended and is not durable yet."""
        ...

    def utc_now(self) -> datetime:
        """Wall time, for waking up only."""
        ...


class GroupBatch(NamedTuple):
    """A bundle for one key group. Bytewax does not tell a logic its key, so the bundle does."""

    key_group: str
    inputs: list[GateInput]


Stored = tuple[str, Delta]
OpenKeyGroup = Callable[[str, Delta | None], KeyGroup[UserRecord]]


class GateParts(NamedTuple):
    """What the gate works with.

    Attributes:
        key_group: opens a key group with its stored delta (`tocsin.store.shard.Shard.key_group`).
        gate: gives the gate of the catalog in force.
        timing: the time between records.
        tally: counts outcomes by (status, channel, reason), for metrics.
        pace: bounds the worker's time that timers take.
        broadcast_pace: bounds the part of it that broadcasts take, under the wall clock.
    """

    key_group: OpenKeyGroup
    gate: Callable[[], Gate]
    timing: Timing
    tally: Counter[tuple[str, str, str]]
    pace: Pace = UNPACED
    broadcast_pace: Pace = UNPACED

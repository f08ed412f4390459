"""Decides the inputs of one partition without a flow: the real decode step, gate and fan-out over a store.

The store is a folder of its own that is thrown away afterwards. Nothing is written to Kafka, Redis or a
provider: what the gate puts out is returned to the caller, and nobody else sees it.
"""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

from operators.corrections import Corrections
from operators.decode import Decoder
from operators.decode_parts import DecodePolicy, Routed
from operators.effects import Effects, Tally
from operators.fan_out import FanOutLogic
from operators.fan_out_parts import EpochQuota, FanOutParts, FanOutTally
from operators.gate_parts import GateInput, GateParts, GroupBatch, Out
from operators.group_gate import TIMERS_A_TURN, GroupGate
from operators.parsing import Reader
from tocsin.catalog.loader import Catalog
from tocsin.decision.effects import Decision
from tocsin.decision.fan_out import FanOutPolicy
from tocsin.decision.gate import Gate
from tocsin.decision.policy import GatePolicy
from tocsin.decision.user_state import RecordCodec, UserRecord
from tocsin.errors import SourceError
from tocsin.formats.cloudevents import EventLimits
from tocsin.formats.marks import Marks
from tocsin.model.outcome import Outcome
from tocsin.model.raw import RawRecord, packed, unpacked, unpacked_1
from tocsin.store import Identity, Shard
from tocsin.store.key_group import KeyGroup
from tocsin.store.keys import ROWS_GROUP, parse_key_group
from tocsin.store.outbox import Form

_ENDLESS = 1 << 30


class Bounds(NamedTuple):
    """How the recorded process read and decided, apart from its catalog.

    Attributes:
        partitions: partitions of every keyed topic.
        key_groups: key groups of a partition.
        policy: windows and bounds of the gate.
        limits: sizes and times an event must keep to.
        epoch_ms: how long an epoch lasted.
        cache_users: users of a partition that are kept decoded in memory.
    """

    partitions: int
    key_groups: int
    policy: GatePolicy
    limits: EventLimits
    epoch_ms: int = 50
    cache_users: int = 20_000

    @property
    def stream_clock(self) -> bool:
        """Tell whether only the events' own time moves the clock."""
        return self.policy.stream_clock


class _OwnTimes:
    """Gives each record its own time, 0 where it has none: the simulation keeps the clocks."""

    def advance(self, partition: int, ms: int) -> int:
        """Return the record's own time."""
        return ms

    def now(self, partition: int) -> int:
        """Return 0, so that a wait counts from the time at which it is played."""
        return 0


class _Lenient:
    """Reads on however many records cannot be decoded; each has a dead letter."""

    def decoded(self, topic: str, partition: int, count: int) -> None:
        """Watch nothing: the recorded process went on, too."""

    def failed(self, topic: str, partition: int) -> None:
        """Watch nothing: the recorded process went on, too."""


class _Nowhere:
    """Publishes nothing, for nothing is handed to the outbox."""

    def publish(self, records: Sequence[Any]) -> None:
        """Refuse records: a simulation has no side effects."""
        assert not records, "nothing was handed to the outbox"

    def confirm(self, timeout_s: float) -> None:
        """Confirm at once: nothing is on its way."""


class _Timing:
    """Time as the simulation moves it."""

    def __init__(self) -> None:
        self.now_ms = 0

    def fire_until(self, partition: int) -> int:
        """Return the present."""
        return self.now_ms

    def in_gap(self) -> bool:
        """Tell that no epoch is about to become durable."""
        return False

    def utc_now(self) -> datetime:
        """Return the present of the history."""
        return datetime.fromtimestamp(self.now_ms / 1_000, UTC)


class _Unwritten(Effects):
    """Applies decisions without encoding their messages and outcomes: nobody reads them from a topic."""

    def __init__(
        self,
        key_group: KeyGroup[UserRecord],
        partition: int,
        corrections: Corrections,
        tally: Tally,
        *,
        decided: list[Outcome],
    ) -> None:
        super().__init__(key_group, partition, corrections, tally)
        self._decided = decided

    def apply(self, user_key: str, decision: Decision, now_ms: int, out: list[Out]) -> bool:
        """Apply a decision, and keep its outcomes."""
        messages, outcomes = decision.messages, decision.outcomes
        decision.messages, decision.outcomes = [], []
        has_timers = super().apply(user_key, decision, now_ms, out)
        decision.messages, decision.outcomes = messages, outcomes
        self._decided += outcomes
        return has_timers


def decoder(bounds: Bounds, marks: Marks | None, declared: Mapping[str, Reader]) -> Decoder:
    """Make the decode step; the times of its inputs are the records' own."""
    policy = DecodePolicy(bounds.partitions, bounds.key_groups, bounds.limits, bounds.stream_clock)
    return Decoder(policy, _OwnTimes(), _Lenient(), None, marks, declared, _no_schema)


def _no_schema(_rest: Sequence[RawRecord], sentence: str) -> None:
    msg = f"{sentence}; the simulation needs the schema registry"
    raise SourceError(msg)


class Machine:
    """Decides the inputs of one partition under one catalog.

    Args:
        folder: where the store is made; the caller removes it.
        catalog: in force all the time.
        bounds: as of the recorded process.
    """

    def __init__(self, folder: Path, catalog: Catalog, bounds: Bounds) -> None:
        self._gate = Gate(catalog, bounds.policy)
        self._shard: Shard[UserRecord] = Shard.open(
            folder,
            identity=Identity(
                cluster="simulation", topics={}, partitions=bounds.partitions, key_groups=bounds.key_groups
            ),
            codec=RecordCodec(),
            cache_users=bounds.cache_users * bounds.partitions,
            publish=_Nowhere(),
            form=Form(packed, unpacked, unpacked_1),
        )
        self._shard.resume(None)
        self._timing = _Timing()
        window_ms = bounds.policy.dedup_window_ms
        self._parts = GateParts(self._shard.key_group, self._present, self._timing, Counter())
        self._fan_out = FanOutParts(
            self._shard.rows,
            self._present,
            FanOutPolicy(bounds.partitions, window_ms, window_ms + bounds.policy.late_ms),
            self._timing,
            EpochQuota(lambda: False, _ENDLESS, _ENDLESS),
            FanOutTally(),
            Counter(),
        )
        self._decided: list[Outcome] = []
        self._groups: dict[str, GroupGate] = {}
        self._rows: dict[str, FanOutLogic] = {}

    def _present(self) -> Gate:
        return self._gate

    def play(self, key_group: str, entry: GateInput) -> Sequence[Out]:
        """Decide one input after the timers due by its time; give what the flow would write beside."""
        self._timing.now_ms = entry.now_ms
        if parse_key_group(key_group)[1] == ROWS_GROUP:
            lists, _ = self._topics(key_group).on_batch([GroupBatch(key_group, [entry])])
            return lists[0] if lists else []
        out: list[Out] = []
        self._users(key_group).decide([entry], out, TIMERS_A_TURN)
        return out

    def decided(self) -> list[Outcome]:
        """Hand out the outcomes of the gate since the last call."""
        if not self._decided:
            return []
        found = self._decided[:]
        self._decided.clear()
        return found

    def fire(self, key_group: str, until_ms: int) -> list[Out]:
        """Fire the timers of a key group that are due by a time."""
        group = self._groups.get(key_group)
        if group is None:
            return []
        self._timing.now_ms = until_ms
        out: list[Out] = []
        while group.fire(until_ms, out, _ENDLESS):
            continue
        return out

    def fire_all(self, until_ms: int) -> list[Out]:
        """Fire the timers of all key groups that are due by a time."""
        return [record for name in sorted(self._groups) for record in self.fire(name, until_ms)]

    def _users(self, key_group: str) -> GroupGate:
        """Return the gate of a key group of users."""
        found = self._groups.get(key_group)
        if found is None:
            effects = partial(_Unwritten, decided=self._decided)
            found = self._groups[key_group] = GroupGate(key_group, None, self._parts, effects)
        return found

    def _topics(self, key_group: str) -> FanOutLogic:
        """Return the fan-out of a partition's topics."""
        if key_group not in self._rows:
            self._rows[key_group] = FanOutLogic(None, self._fan_out)
        return self._rows[key_group]

    def epoch(self) -> None:
        """Write what changed to the store, so that memory does not grow."""
        self._shard.closing()
        for group in self._groups.values():
            group.key_group.snapshot()
        for rows in self._rows.values():
            rows.snapshot()
        self._shard.outbox_snapshot()
        self._shard.durable()

    def close(self) -> None:
        """Close the store."""
        self._shard.close()


Decode = Callable[[list[RawRecord]], list[Routed]]

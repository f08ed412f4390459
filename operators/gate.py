"""Gate: the pure decisions of `tocsin.decision.gate` over the exact store, one key group at a time.

Nothing is emitted between the end of an epoch and its durability (docs/engine.md, fact 11).
"""

from datetime import datetime, timedelta

import bytewax.operators as op
from bytewax.dataflow import operator
from bytewax.operators import KeyedStream, StatefulBatchLogic

from operators.gate_parts import GateParts, GroupBatch, Out, Stored
from operators.group_gate import TIMERS_A_TURN, GroupGate
from operators.sweep import Sweep

_POLL_S = 0.002
# Between records a key group looks this often whether time has passed its next timer.
_IDLE_POLL_S = 0.05
# A timer that is so far ahead of the wall clock is looked at seldom: each look writes a row. New schedules of
# the catalog begin at such a look. Under the stream clock any event may bring time as far as that.
_FAR_S, _FAR_POLL_S = 60.0, 1.0


class GateLogic(StatefulBatchLogic[GroupBatch, list[Out], Stored]):
    """Hangs the gate of one key group into Bytewax, and wakes it for its timers and its sweep."""

    def __init__(self, stored: Stored | None, parts: GateParts) -> None:
        self._parts = parts
        self._timing = parts.timing
        self._pace = parts.pace
        self._sweep = Sweep()
        # Bytewax does not tell a logic its key: a new key group learns it from its first bundle.
        self._group = None if stored is None else GroupGate(*stored, parts)

    def on_batch(self, values: list[GroupBatch]) -> tuple[list[list[Out]], bool]:
        """Decide bundles in order; an empty one only wakes the key group."""
        out: list[Out] = []
        room = TIMERS_A_TURN
        for batch in values:
            if self._group is None:
                self._group = GroupGate(batch.key_group, None, self._parts)
            room = self._group.decide(batch.inputs, out, room)
        return ([out] if out else []), False

    def on_notify(self) -> tuple[list[list[Out]], bool]:
        """Fire what is due although nothing came, and sweep a few users."""
        group = self._group
        if group is None or self._timing.in_gap():
            return [], False
        out: list[Out] = []
        until_ms = self._timing.fire_until(group.partition)
        group.wake(until_ms, out)
        self._sweep.turn(group.key_group, until_ms, self._timing.utc_now().timestamp())
        return ([out] if out else []), False

    def notify_at(self) -> datetime | None:
        """Wake for the next timer or sweep, or look again soon where time is not up to the wall."""
        if self._group is None:
            return None
        now = self._timing.utc_now()
        wall_s = now.timestamp()
        wake_s = max(self._sweep.next_s, wall_s + _POLL_S)
        due_ms = self._group.key_group.next_due()
        if due_ms is not None:
            wake_s = min(wake_s, self._wake_s(self._group.partition, due_ms, wall_s))
        return now + timedelta(seconds=wake_s - wall_s)

    def _wake_s(self, partition: int, due_ms: int, wall_s: float) -> float:
        """Tell when to look at a timer again, wall time in seconds."""
        if due_ms <= self._timing.fire_until(partition):
            return wall_s + max(_POLL_S, self._pace.rest_s())
        wait_s = due_ms / 1000 - wall_s
        if _IDLE_POLL_S < wait_s < _FAR_S:
            return wall_s + wait_s
        is_far = wait_s >= _FAR_S and not self._parts.gate().policy.stream_clock
        return wall_s + (_FAR_POLL_S if is_far else _IDLE_POLL_S)

    def snapshot(self) -> Stored:
        """Return what this epoch changed; the rest is in the base."""
        assert self._group is not None, "Bytewax builds a logic only for an item or a stored row"
        self._pace.end_epoch()
        self._parts.broadcast_pace.end_epoch()
        return self._group.key, self._group.key_group.snapshot()


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

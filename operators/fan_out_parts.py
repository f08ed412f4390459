"""What the fan-out works with: its store, its bounds, and what it counts for metrics."""

from collections import Counter
from collections.abc import Callable
from typing import NamedTuple

from operators.gate_parts import Timing
from tocsin.decision.fan_out import FanOutPolicy, Totals
from tocsin.decision.gate import Gate
from tocsin.store.deltas import Delta
from tocsin.store.key_group import KeyGroup

A_TURN = 128
"""Subscriptions that one turn looks at."""
AN_EPOCH = 2_000
"""Subscriptions that all turns of an epoch look at."""
_BEHIND = 8
"""While events wait in this process, a turn is so many times smaller."""
OpenRows = Callable[[str, Delta | None], KeyGroup[bytes]]


class EpochQuota:
    """Bounds how many subscriptions an epoch looks at, so that other events do not wait.

    Args:
        is_behind: tells whether events wait in this process.
        a_turn: most in a turn.
        an_epoch: most in an epoch.
    """

    def __init__(self, is_behind: Callable[[], bool], a_turn: int = A_TURN, an_epoch: int = AN_EPOCH) -> None:
        self._is_behind = is_behind
        self._a_turn = a_turn
        self._an_epoch = self._left = an_epoch

    def take(self) -> int:
        """Take what the next turn may look at; 0 if the epoch has had enough."""
        most = max(1, self._a_turn // _BEHIND) if self._is_behind() else self._a_turn
        taken = min(most, self._left)
        self._left -= taken
        return taken

    def refill(self) -> None:
        """Begin an epoch."""
        self._left = self._an_epoch


class FanOutTally:
    """Counts for metrics.

    Attributes:
        totals: subscribers and open events, by key group.
        behind_s: age of the event that had the last turn, by key group; 0 if none is open.
        reached: events that subscribers got.
    """

    def __init__(self) -> None:
        self.totals: dict[str, Totals] = {}
        self.behind_s: dict[str, float] = {}
        self.reached = 0


class FanOutParts(NamedTuple):
    """What the fan-out works with.

    Attributes:
        rows: opens the rows of a partition (`tocsin.store.shard.Shard.rows`).
        gate: gives the gate of the catalog in force.
        policy: bounds.
        timing: the time between records.
        quota: bounds an epoch.
        tally: counts the fan-out; `outcomes` those by (status, channel, reason).
    """

    rows: OpenRows
    gate: Callable[[], Gate]
    policy: FanOutPolicy
    timing: Timing
    quota: EpochQuota
    tally: FanOutTally
    outcomes: Counter[tuple[str, str, str]]

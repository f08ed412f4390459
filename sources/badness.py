"""The limit of undecodable records, per topic partition: a drain into dead letters is stopped instead."""

from collections import deque
from collections.abc import Callable

import msgspec


class BadPolicy(msgspec.Struct, frozen=True):
    """When a partition has had enough.

    Attributes:
        run: undecodable records in a row.
        ratio: share of undecodable records in the last `window`, once that many were seen.
        window: how many records the ratio looks back.
    """

    run: int = 1_000
    ratio: float = 0.5
    window: int = 2_000


class _Tally:
    __slots__ = ("bad", "run", "seen")

    def __init__(self) -> None:
        self.seen = 0
        self.run = 0
        self.bad: deque[int] = deque()


class Badness:
    """Counts records of each topic partition and calls `pause` with a sentence when a limit is passed.

    Counts start anew with the process; what is paused is kept by the source until it is accepted.
    """

    def __init__(self, policy: BadPolicy, pause: Callable[[str, int, str], None]) -> None:
        self._policy = policy
        self._pause = pause
        self._tallies: dict[tuple[str, int], _Tally] = {}

    def note(self, topic: str, partition: int, *, ok: bool) -> None:
        """Count one record."""
        tally = self._tallies.get((topic, partition))
        if tally is None:
            tally = self._tallies[topic, partition] = _Tally()
        tally.seen += 1
        if ok:
            tally.run = 0
        else:
            tally.run += 1
            tally.bad.append(tally.seen)
            self._judge(topic, partition, tally)

    def _judge(self, topic: str, partition: int, tally: _Tally) -> None:
        policy, bad = self._policy, tally.bad
        while bad[0] <= tally.seen - policy.window:
            bad.popleft()
        if tally.run >= policy.run:
            fault = f"{tally.run} undecodable records in a row"
        elif tally.seen >= policy.window and len(bad) > policy.ratio * policy.window:
            fault = f"{len(bad)} of the last {policy.window} records undecodable"
        else:
            return
        cure = "fix the producer, then start with TOCSIN_ACCEPT_BAD=true"
        self._pause(topic, partition, f"{topic}/{partition} is paused: {fault}; {cure}")

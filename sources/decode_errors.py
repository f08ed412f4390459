"""Limits decode errors per topic partition: pauses a partition that would drain into dead letters."""

from collections import deque
from collections.abc import Callable

import msgspec


class DecodeErrorPolicy(msgspec.Struct, frozen=True):
    """Says when a partition has too many records that cannot be decoded.

    Attributes:
        run: decode errors in a row that pause it.
        ratio: share of decode errors in the last `window` records that pauses it, once that many were read.
        window: records that the ratio looks back.
    """

    run: int = 1_000
    ratio: float = 0.5
    window: int = 2_000


class _Tally:
    __slots__ = ("failed", "run", "seen")

    def __init__(self) -> None:
        self.seen = 0
        self.run = 0
        self.failed: deque[int] = deque()


class DecodeErrorLimit:
    """Counts records of each topic partition and pauses a partition that passes a limit.

    Counts start at zero with the process. The pause itself is part of the source's state and survives
    restarts until it is accepted.

    Args:
        policy: the limits.
        pause: called with topic, partition and a sentence for `/healthz`.
    """

    def __init__(self, policy: DecodeErrorPolicy, pause: Callable[[str, int, str], None]) -> None:
        self._policy = policy
        self._pause = pause
        self._tallies: dict[tuple[str, int], _Tally] = {}

    def decoded(self, topic: str, partition: int, count: int) -> None:
        """Count records that were decoded, one after another; 0 changes nothing."""
        if count:
            tally = self._tally(topic, partition)
            tally.seen += count
            tally.run = 0

    def failed(self, topic: str, partition: int) -> None:
        """Count one record that could not be decoded."""
        tally = self._tally(topic, partition)
        tally.seen += 1
        tally.run += 1
        tally.failed.append(tally.seen)
        self._compare(topic, partition, tally)

    def _tally(self, topic: str, partition: int) -> _Tally:
        tally = self._tallies.get((topic, partition))
        if tally is None:
            tally = self._tallies[topic, partition] = _Tally()
        return tally

    def _compare(self, topic: str, partition: int, tally: _Tally) -> None:
        policy, failed = self._policy, tally.failed
        while failed[0] <= tally.seen - policy.window:
            failed.popleft()
        if tally.run >= policy.run:
            fault = f"{tally.run} undecodable records in a row"
        elif tally.seen >= policy.window and len(failed) > policy.ratio * policy.window:
            fault = f"{len(failed)} of the last {policy.window} records undecodable"
        else:
            return
        cure = "fix the producer, then start with TOCSIN_ACCEPT_BAD=true"
        self._pause(topic, partition, f"{topic}/{partition} is paused: {fault}; {cure}")

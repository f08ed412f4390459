"""Reads the topics of one partition: inputs in batches, and outcomes with the keys of what led to them."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import NamedTuple

import msgspec

from flows.simulation.decided import Decided, decode, is_decision
from flows.simulation.pending import keys_in
from tocsin.model.raw import RawRecord

Batches = Iterator[list[RawRecord]]


class Found(NamedTuple):
    """A recorded outcome.

    Attributes:
        written_ms: Kafka's time of it.
        decided: the outcome.
        keys: by which its input is known.
        is_decision: whether the gate decided it; other outcomes are of attempts and receipts.
    """

    written_ms: int
    decided: Decided
    keys: tuple[str, str]
    is_decision: bool


class Named:
    """When outcomes are written, by their keys, a little ahead; gathered only where somebody asks."""

    def __init__(self, found: Sequence[Found]) -> None:
        self._found = found
        self._written_ms: dict[str, list[int]] | None = None

    def between(self, key: str, first_ms: int, last_ms: int) -> bool:
        """Tell whether an outcome with a key is written in a span of time."""
        if self._written_ms is None:
            self._written_ms = {}
            for each in self._found:
                for known in each.keys:
                    self._written_ms.setdefault(known, []).append(each.written_ms)
        return any(first_ms <= at_ms <= last_ms for at_ms in self._written_ms.get(key, ()))


class Stream:
    """Reads one topic of the partition in batches."""

    def __init__(self, batches: Batches, stop_ms: int, note: Callable[[int], None]) -> None:
        self._batches = batches
        self._stop_ms = stop_ms
        self._note = note
        self.ended = False

    def take(self) -> list[RawRecord]:
        """Return the next records; none at the end, or once they are of a later time by Kafka."""
        batch = next(self._batches, [])
        self._note(len(batch))
        if batch and batch[0].timestamp_ms >= self._stop_ms:
            batch = []
        self.ended = not batch
        return batch


def decoded(outcomes: Iterable[RawRecord]) -> Iterator[Found]:
    """Decode recorded outcomes; what is none has a dead letter and counts for nothing."""
    for raw in outcomes:
        try:
            each = decode(raw.value or b"")
        except msgspec.MsgspecError:
            continue
        yield Found(raw.timestamp_ms, each, keys_in(each), is_decision(each))

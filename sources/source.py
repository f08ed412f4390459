"""Implements the Bytewax source of a shard.

It has one Bytewax partition for all topics, because the `next_batch` of that partition proves an epoch
durable. In each epoch Bytewax calls `next_batch` many times, then `snapshot` once. The first `next_batch`
after that comes only when the epoch is durable (docs/engine.md, fact 7).
"""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from threading import Event as Flag
from typing import NamedTuple, Protocol

from bytewax.inputs import FixedPartitionedSource, StatefulSourcePartition

from sources.consumer import KafkaConsumer
from sources.state import SourceState, Stored, read_stored
from tocsin.errors import StateError
from tocsin.model.raw import RawRecord

PARTITION = "hub"  # stored in every recovery store

PAUSE = timedelta(milliseconds=2)
"""How long an empty source sleeps. Bytewax asks again after 1 ms by itself: a thousand times a second the
worker then takes the interpreter lock from the thread that calls providers, only to find nothing.
"""
FULL_PAUSE = timedelta(milliseconds=3)
"""How long a source sleeps that has records for full channels only. A send takes some 50 ms. Shorter sleeps
wake the worker for nothing, longer ones make sends wait (docs/performance.md).
"""


class Epochs(Protocol):
    """Names the part of the exact store that the source drives (`tocsin.store.shard.Shard`)."""

    def resume(self, epoch: int | None) -> None:
        """Start after this durable epoch (None: first start); `StateError` if the base disagrees."""
        ...

    def closing(self) -> int:
        """End an epoch: wait until the records of the one before are published; return this one's number."""
        ...

    def durable(self) -> None:
        """Note that the ended epoch is durable: publish its records, apply its changes."""
        ...


class Wake(NamedTuple):
    """Makes Bytewax build every key group, so that all timers run: the first item after a start.

    Bytewax builds the logic of a key only for an item or a stored row (docs/exact-store.md, trap 3).

    Attributes:
        partitions: the shard's partitions.
        key_groups: keys of all their key groups, `<partition>.<key group>`.
    """

    partitions: tuple[int, ...]
    key_groups: tuple[str, ...]


def wake_all(partitions: tuple[int, ...], key_groups: int) -> Wake:
    """Make the item for partitions with `key_groups` key groups each."""
    return Wake(partitions, tuple(f"{p}.{group}" for p in partitions for group in range(key_groups)))


Item = list[RawRecord] | Wake
Emit = Callable[[Item], list[object]]


def as_it_is(item: Item) -> list[object]:
    """Emit items undecoded."""
    return [item]


class ShardSourcePartition(StatefulSourcePartition[object, Stored]):
    """Runs the epoch protocol around `KafkaConsumer.take`."""

    def __init__(
        self, consumer: KafkaConsumer, epochs: Epochs, stop: Flag, wake: Wake | None, emit: Emit
    ) -> None:
        self._consumer = consumer
        self._epochs = epochs
        self._stop = stop
        self._wake = wake
        self._emit = emit
        self._closed: SourceState | None = None
        self._awake: datetime | None = None

    def next_batch(self) -> list[object]:
        """Hand out the next batch or an empty list. The first call of an epoch completes the one before.

        Raises:
            StopIteration: the stop flag is set.
        """
        if self._closed is not None:
            closed, self._closed = self._closed, None
            self._epochs.durable()
            self._consumer.durable(closed)
        if self._stop.is_set():
            raise StopIteration
        if self._wake is not None:
            wake, self._wake = self._wake, None
            return self._emit(wake)
        batch = self._consumer.take()
        if batch:
            self._awake = None
            return self._emit(batch)
        self._awake = datetime.now(UTC) + (FULL_PAUSE if self._consumer.held_back else PAUSE)
        return []

    def next_awake(self) -> datetime | None:
        """Ask Bytewax for the next call at once after a batch, and after a pause without one."""
        return self._awake

    def snapshot(self) -> Stored:
        """End the epoch; Kafka must have acknowledged the records of the epoch before by now."""
        self._closed = self._consumer.state(self._epochs.closing())
        return self._closed.stored()

    def close(self) -> None:
        """Close the connection to Kafka; Bytewax calls this at an orderly end only."""
        self._consumer.close()


class ShardSource(FixedPartitionedSource[object, Stored]):
    """Reads all topics of a process as one Bytewax partition.

    Its first item is a `Wake` if one is given; all others are lists of `RawRecord`. Offsets are part of the
    recovery store, so every record is in exactly one durable epoch. After a crash, reading resumes at the end
    of the last durable epoch.

    Args:
        consumer: reads the topics.
        epochs: the exact store of the shard.
        stop: ends the flow in order when set: a last snapshot, exit code 0, no record read twice.
        wake: key groups to build at the start; None in flows without the gate.
        accept_bad: read partitions again that decode errors had paused.
        emit: turns an item into the items of the stream. Decoding here, instead of in a later step, moves the
            clocks before the snapshot: Bytewax may take that before a later step sees the last batch.
    """

    def __init__(
        self,
        consumer: KafkaConsumer,
        epochs: Epochs,
        *,
        stop: Flag,
        wake: Wake | None = None,
        accept_bad: bool = False,
        emit: Emit = as_it_is,
    ) -> None:
        self._consumer = consumer
        self._epochs = epochs
        self._stop = stop
        self._wake = wake
        self._accept_bad = accept_bad
        self._emit = emit

    def list_parts(self) -> list[str]:
        """List the one partition."""
        return [PARTITION]

    def build_part(self, step_id: str, for_part: str, resume_state: Stored | None) -> ShardSourcePartition:
        """Resume or start.

        Raises:
            StateError: decisions would be lost or made twice.
            SourceError: Kafka does not answer or refuses.
        """
        if for_part != PARTITION:
            msg = f"{step_id}: the recovery store has a source partition {for_part!r}; it is of another flow"
            raise StateError(msg)
        state = None if resume_state is None else read_stored(resume_state)
        self._epochs.resume(None if state is None else state.epoch)
        self._consumer.start(state, accept_bad=self._accept_bad)
        return ShardSourcePartition(self._consumer, self._epochs, self._stop, self._wake, self._emit)

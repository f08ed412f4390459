"""The Bytewax source over the hub: one partition, so that its `next_batch` proves an epoch durable.

Per epoch Bytewax calls `next_batch` again and again, then `snapshot` once; the first `next_batch` after
that comes only when the epoch is durable (docs/engine.md, fact 7).
"""

from collections.abc import Callable
from threading import Event as Flag
from typing import NamedTuple, Protocol

from bytewax.inputs import FixedPartitionedSource, StatefulSourcePartition

from sources.hub import KafkaHub
from sources.position import HubState, Stored, read_stored
from tocsin.errors import StateError
from tocsin.model.raw import RawRecord

PARTITION = "hub"


class Epochs(Protocol):
    """What the source tells the exact store (`tocsin.store.shard.Shard`)."""

    def resume(self, epoch: int | None) -> None:
        """Start after this durable epoch, None on a first start; `StateError` if the base disagrees."""
        ...

    def closing(self) -> int:
        """End an epoch: confirm what the one before started, and return the number of this one."""
        ...

    def durable(self) -> None:
        """The epoch that ended is durable: show its records, apply its changes."""
        ...


class Wake(NamedTuple):
    """The first item after a start: every lane is built, so that its timers are awake.

    Bytewax builds a lane only for an item or a stored row (docs/engine.md, fact 6).
    """

    partitions: tuple[int, ...]
    lanes: tuple[str, ...]


def wake_all(partitions: tuple[int, ...], lanes: int) -> Wake:
    """Name every lane of these partitions, `<partition>.<lane>`."""
    return Wake(partitions, tuple(f"{p}.{lane}" for p in partitions for lane in range(lanes)))


Item = list[RawRecord] | Wake
Emit = Callable[[Item], list[object]]


def as_it_is(item: Item) -> list[object]:
    """Emit items undecoded."""
    return [item]


class HubPartition(StatefulSourcePartition[object, Stored]):
    """Epoch protocol around `KafkaHub.take`."""

    def __init__(self, hub: KafkaHub, epochs: Epochs, stop: Flag, wake: Wake | None, emit: Emit) -> None:
        self._hub = hub
        self._epochs = epochs
        self._stop = stop
        self._wake = wake
        self._emit = emit
        self._closed: HubState | None = None

    def next_batch(self) -> list[object]:
        """Hand out the next batch, or nothing; the first call of an epoch settles the one before.

        Raises:
            StopIteration: the stop flag is set.
        """
        if self._closed is not None:
            closed, self._closed = self._closed, None
            self._epochs.durable()
            self._hub.durable(closed)
        if self._stop.is_set():
            raise StopIteration
        if self._wake is not None:
            wake, self._wake = self._wake, None
            return self._emit(wake)
        batch = self._hub.take()
        return self._emit(batch) if batch else []

    def snapshot(self) -> Stored:
        """End the epoch; what the epoch before showed must be acknowledged by now."""
        self._closed = self._hub.state(self._epochs.closing())
        return self._closed.stored()

    def close(self) -> None:
        """Leave Kafka; called at a graceful end only."""
        self._hub.close()


class HubSource(FixedPartitionedSource[object, Stored]):
    """All topics of a process as one Bytewax source partition.

    Items are lists of `RawRecord`, and one `Wake` at the start. Offsets are part of the recovery store, so
    every record is in exactly one durable epoch; after a crash reading resumes at the end of the last one.

    Args:
        hub: the consumer.
        epochs: the exact store of the shard.
        stop: set it to end in order: a last snapshot, exit code 0, nothing read twice.
        wake: lanes to wake at the start; None in flows without the gate.
        accept_bad: read partitions again that too many bad records had paused.
        emit: what becomes of an item. A function that decodes here, instead of in a step, moves the stream
            clock before the snapshot: Bytewax may snapshot a source before its last batch is decoded.
    """

    def __init__(
        self,
        hub: KafkaHub,
        epochs: Epochs,
        *,
        stop: Flag,
        wake: Wake | None = None,
        accept_bad: bool = False,
        emit: Emit = as_it_is,
    ) -> None:
        self._hub = hub
        self._epochs = epochs
        self._stop = stop
        self._wake = wake
        self._accept_bad = accept_bad
        self._emit = emit

    def list_parts(self) -> list[str]:
        """Name the one partition."""
        return [PARTITION]

    def build_part(self, step_id: str, for_part: str, resume_state: Stored | None) -> HubPartition:
        """Resume, or start; raises `StateError` where that would lose or repeat decisions."""
        if for_part != PARTITION:
            msg = f"{step_id}: the recovery store has a source partition {for_part!r}; it is of another flow"
            raise StateError(msg)
        state = None if resume_state is None else read_stored(resume_state)
        self._epochs.resume(None if state is None else state.epoch)
        self._hub.start(state, accept_bad=self._accept_bad)
        return HubPartition(self._hub, self._epochs, self._stop, self._wake, self._emit)

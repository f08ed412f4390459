"""The outbox: a sink that publishes nothing itself.

Records of an epoch are collected, stored by Bytewax with the epoch's offsets and deltas, and published by
the shard when the epoch is durable (docs/engine.md, fact 9).
"""

from collections.abc import Sequence
from typing import Any, Protocol

from bytewax.outputs import FixedPartitionedSink, StatefulSinkPartition

from tocsin.errors import StateError

PARTITION = "outbox"

Stored = tuple[Any, ...]


class Outbox(Protocol):
    """The part of `tocsin.store.shard.Shard` that keeps an epoch's records."""

    def collect(self, records: list[Any]) -> None:
        """Add records to the epoch."""
        ...

    def outbox_snapshot(self) -> Stored:
        """Return the epoch's records, and all that are not confirmed yet."""
        ...

    def outbox_resume(self, stored: Stored | None) -> None:
        """Take over what was stored; it is published again."""
        ...


class OutboxPartition(StatefulSinkPartition[list[Any], Stored]):
    """Hands everything to the shard."""

    def __init__(self, outbox: Outbox) -> None:
        self._outbox = outbox

    def write_batch(self, values: Sequence[list[Any]]) -> None:
        """Collect lists of records; nothing is visible yet."""
        for records in values:
            self._outbox.collect(records)

    def snapshot(self) -> Stored:
        """Return the epoch's records for the recovery store."""
        return self._outbox.outbox_snapshot()


class OutboxSink(FixedPartitionedSink[list[Any], Stored]):
    """Takes `(any key, list of records)`; its snapshot holds them until they are confirmed.

    Each record is published at least once, in the order of its epoch, and never before the epoch is durable;
    copies after a crash are equal byte for byte.
    """

    def __init__(self, outbox: Outbox) -> None:
        self._outbox = outbox

    def list_parts(self) -> list[str]:
        """Name the one partition."""
        return [PARTITION]

    def part_fn(self, item_key: str) -> int:
        """All keys go to the one partition."""
        return 0

    def build_part(self, step_id: str, for_part: str, resume_state: Stored | None) -> OutboxPartition:
        """Resume with what was stored but perhaps never published."""
        if for_part != PARTITION:
            msg = f"{step_id}: the recovery store has a sink partition {for_part!r}; it is of another flow"
            raise StateError(msg)
        self._outbox.outbox_resume(resume_state)
        return OutboxPartition(self._outbox)

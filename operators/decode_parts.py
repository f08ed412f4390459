"""What decoding works with, and what it returns."""

from typing import NamedTuple, Protocol

import msgspec

from operators.gate_parts import GateInput, GroupBatch, Item
from tocsin.decision.broadcasts import BroadcastEvent
from tocsin.formats import codec
from tocsin.model.event import Event
from tocsin.model.raw import OutRecord, RawRecord

Bundles = dict[str, list[GateInput]]
"""The inputs of a batch by key group, in order."""


class Clocks(Protocol):
    """The monotone time of each partition."""

    def advance(self, partition: int, ms: int) -> int:
        """Move a partition's time forward to `ms`, never back; returns it."""
        ...

    def now(self, partition: int) -> int:
        """Time of a partition."""
        ...


class ErrorLimit(Protocol):
    """Watches the share of records of a partition that cannot be decoded."""

    def decoded(self, topic: str, partition: int, count: int) -> None:
        """Count records that were decoded, one after another."""
        ...

    def failed(self, topic: str, partition: int) -> None:
        """Count one that was not."""
        ...


class DecodePolicy(msgspec.Struct, frozen=True):
    """How records are read.

    Attributes:
        partitions: partitions of every keyed topic.
        key_groups: key groups a partition.
        stream_clock: time moves by the events' own time instead of Kafka's timestamps.
        limits: sizes and times an event must keep to.
    """

    partitions: int
    key_groups: int
    limits: codec.EventLimits
    stream_clock: bool = False


class Routed(NamedTuple):
    """A bundle and the step it is for: `gate`, `fan_out`, a channel's name, `track` or `outbox`."""

    step: str
    key: str
    bundle: GroupBatch | list[RawRecord] | list[OutRecord]


def record_time(raw: RawRecord, item: Item, clocks: Clocks, *, stream_clock: bool) -> int:
    """Return what moves a partition's clock: Kafka's time, or the time of events and nothing else."""
    if not stream_clock:
        return raw.timestamp_ms
    event = item.event if isinstance(item, BroadcastEvent) else item
    return event.time_ms if isinstance(event, Event) else clocks.now(raw.partition)

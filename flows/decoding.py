"""Decoding of a shard's input, by its settings and the catalog's declared topics."""

import time
from collections.abc import Callable, Mapping
from typing import Any

from operators.decode import DecodePolicy, Decoder, Routed
from sources.consumer import KafkaConsumer
from sources.decode_errors import DecodeErrorLimit, DecodeErrorPolicy
from sources.source import Item, Wake
from tocsin.app.settings import Settings
from tocsin.catalog.sources import SourceSpec
from tocsin.formats.cloudevents import EventLimits
from tocsin.formats.declared import readers
from tocsin.formats.marks import Marks


def decoder(settings: Settings, consumer: KafkaConsumer, sources: Mapping[str, SourceSpec]) -> Decoder:
    """Make the decoder that moves a consumer's clocks and pauses its partitions.

    Args:
        settings: as resolved at the edge.
        consumer: has the clocks and the partitions.
        sources: the declared topics.
    """
    stream = settings.clock == "stream"
    limits = EventLimits(settings.max_record_bytes, settings.max_past_s, settings.max_future_s, not stream)
    policy = DecodePolicy(settings.partitions, settings.key_groups, limits, stream)
    errors = DecodeErrorLimit(DecodeErrorPolicy(settings.bad_run, settings.bad_ratio), consumer.pause)
    marks = Marks(settings.secret_bytes())
    wall_ms = None if stream else lambda: time.time_ns() // 1_000_000
    return Decoder(policy, consumer.clocks, errors, wall_ms, marks, readers(sources, limits))


def emitter(decode: Decoder) -> Callable[[Item], list[Any]]:
    """Make the source's `emit`: it decodes, so that the snapshot's clocks include every emitted record."""

    def emit(item: Item) -> list[Routed]:
        return decode.wake(iter(item.partitions)) if isinstance(item, Wake) else decode(item)

    return emit

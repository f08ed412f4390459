"""Decoding of a shard's input, by its settings and the catalog's declared topics."""

import time
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

from operators.decode import Decoder
from operators.decode_parts import DecodePolicy, Routed
from sources.consumer import KafkaConsumer
from sources.decode_errors import DecodeErrorLimit, DecodeErrorPolicy
from sources.source import Item, Wake
from tocsin.app.settings import Settings
from tocsin.catalog.sources import SourceSpec
from tocsin.errors import SettingsError
from tocsin.formats.cloudevents import EventLimits
from tocsin.formats.declared import readers
from tocsin.formats.marks import Marks
from tocsin.formats.registry import Decode

if TYPE_CHECKING:
    from sources.schemas import SchemaRegistry

_REGISTRY_PACKAGES = ("fastavro", "jsonschema", "google.protobuf", "httpx2", "cachetools")


def decoder(
    settings: Settings, consumer: KafkaConsumer, sources: Mapping[str, SourceSpec], stack: ExitStack
) -> Decoder:
    """Make the decoder that moves a consumer's clocks and pauses its partitions.

    Args:
        settings: as resolved at the edge.
        consumer: has the clocks and the partitions.
        sources: the declared topics.
        stack: closes the connection to the schema registry.

    Raises:
        SettingsError: a topic needs a schema registry, and there is none.
    """
    stream = settings.clock == "stream"
    limits = EventLimits(settings.max_record_bytes, settings.max_past_s, settings.max_future_s, not stream)
    policy = DecodePolicy(settings.partitions, settings.key_groups, limits, stream)
    errors = DecodeErrorLimit(DecodeErrorPolicy(settings.bad_run, settings.bad_ratio), consumer.pause)
    marks = Marks(settings.secret_bytes())
    wall_ms = None if stream else lambda: time.time_ns() // 1_000_000
    declared = readers(sources, limits, _schemas(settings, sources, stack))
    return Decoder(policy, consumer.clocks, errors, wall_ms, marks, declared, consumer.put_back)


def _schemas(settings: Settings, sources: Mapping[str, SourceSpec], stack: ExitStack) -> Decode | None:
    registry = open_registry(settings, sources)
    if registry is None:
        return None
    stack.callback(registry.close)
    return registry.decode


def open_registry(settings: Settings, sources: Mapping[str, SourceSpec]) -> "SchemaRegistry | None":
    """Open the schema registry if a declared topic needs one.

    Raises:
        SettingsError: no registry is set, its packages are not installed, or its client refuses an option.
    """
    topic = next((topic for topic, spec in sources.items() if spec.format == "registry"), None)
    if topic is None:
        return None
    _check_registry(settings, topic)
    from sources.schemas import SchemaRegistry  # its packages are an extra

    return SchemaRegistry(settings.schema_registry, settings.schema_registry_options)


def _check_registry(settings: Settings, topic: str) -> None:
    if not settings.schema_registry:
        msg = f"TOCSIN_SCHEMA_REGISTRY: not set, but sources.yaml declares {topic} with format: registry"
        raise SettingsError(msg)
    if any(find_spec(package) is None for package in _REGISTRY_PACKAGES):
        msg = f"sources.yaml: {topic} has format: registry: pip install '.[registry]' in Tocsin's folder"
        raise SettingsError(msg)


def emitter(decode: Decoder, also: Callable[[], list[Routed]] = list) -> Callable[[Item], list[Any]]:
    """Make the source's `emit`: it decodes, so that the snapshot's clocks include every emitted record.

    What `also` gives goes out with the records of the same epoch.
    """

    def emit(item: Item) -> list[Routed]:
        routed = decode.wake(iter(item.partitions)) if isinstance(item, Wake) else decode(item)
        return routed + also()

    return emit

"""Declared topics: one reader for each, by its format."""

from collections.abc import Callable, Mapping

from tocsin.catalog.sources import SourceSpec
from tocsin.errors import DecodeError
from tocsin.formats.body import Tombstone
from tocsin.formats.cloudevents import EventLimits, decode_event
from tocsin.formats.debezium import debezium
from tocsin.formats.mapped import mapped
from tocsin.formats.registry import Decode, registry
from tocsin.model import topics
from tocsin.model.event import Event
from tocsin.model.raw import RawRecord
from tocsin.model.statuses import Reason

Reader = Callable[[RawRecord], Event]


def readers(
    specs: Mapping[str, SourceSpec], limits: EventLimits, decode: Decode | None = None
) -> dict[str, Reader]:
    """Make the reader of each declared topic, by Tocsin's name of the topic.

    A reader raises `DecodeError`, `Tombstone` for a record that is no event, or `NotYet` for one whose schema
    is not there.

    Args:
        specs: the declared topics.
        limits: sizes and times that are accepted.
        decode: decodes values that are framed for a schema registry; needed by topics of that format.
    """
    return {topics.declared(topic): _reader(topic, spec, limits, decode) for topic, spec in specs.items()}


def _reader(topic: str, spec: SourceSpec, limits: EventLimits, decode: Decode | None) -> Reader:
    if spec.format == "cloudevents":
        read = _cloudevents(spec, limits)
    elif spec.format == "registry":
        assert decode is not None, "a topic of this format needs a schema registry"
        read = registry(topic, spec, limits, decode)
    else:
        read = (debezium if spec.format == "debezium" else mapped)(topic, spec, limits)
    skips = spec.tombstones or ("refuse" if spec.format == "cloudevents" else "skip")
    return read if skips == "skip" else _refusing(read)


def _cloudevents(spec: SourceSpec, limits: EventLimits) -> Reader:
    tenant = spec.tenant or "default"

    def read(raw: RawRecord) -> Event:
        if not raw.value:
            raise Tombstone
        return decode_event(raw, limits, tenant)

    return read


def _refusing(read: Reader) -> Reader:
    """Make tombstones an error."""

    def refuse(raw: RawRecord) -> Event:
        try:
            return read(raw)
        except Tombstone:
            text = "value: empty or null; write an event, or set `tombstones: skip` in sources.yaml"
            raise DecodeError(Reason.BAD_JSON, text) from None

    return refuse

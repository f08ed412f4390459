"""Plain JSON of any shape, mapped to events by the expressions of a declared topic."""

from collections.abc import Callable

from tocsin.catalog.sources import SourceSpec
from tocsin.formats.body import json_value
from tocsin.formats.cloudevents import EventLimits
from tocsin.formats.mapping import FieldMap
from tocsin.model.event import Event
from tocsin.model.raw import RawRecord


def mapped(topic: str, spec: SourceSpec, limits: EventLimits) -> Callable[[RawRecord], Event]:
    """Make the reader of a topic of plain JSON; it raises `DecodeError` or `Tombstone`."""
    event = FieldMap(topic, spec, limits).event
    return lambda raw: event(raw, json_value(raw, limits))

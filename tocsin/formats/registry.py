"""Confluent's framing: the value names its schema, and a schema registry has it.

The value begins with a zero byte and the schema's id, or with a byte of one and its GUID. Or a header has the
GUID, of Protobuf with the message's indexes behind it.
"""

from collections.abc import Callable
from typing import Any, Final

from tocsin.catalog.sources import SourceSpec
from tocsin.errors import DecodeError
from tocsin.formats.body import Tombstone
from tocsin.formats.cloudevents import EventLimits, check_size
from tocsin.formats.mapping import FieldMap
from tocsin.model.event import Event
from tocsin.model.raw import RawRecord
from tocsin.model.statuses import Reason

Decode = Callable[[RawRecord], Any]
"""Decodes a framed value to plain data; raises `DecodeError`, or `NotYet` while its schema is not there."""
SCHEMA_HEADER: Final = "__value_schema_id"
_ID_BYTES, _GUID_BYTES = 5, 17


def frame_of(raw: RawRecord) -> bytes:
    """Return the bytes that name the schema of a record.

    Raises:
        DecodeError: it has none.
    """
    for name, data in raw.headers:
        if name == SCHEMA_HEADER and len(data) >= _GUID_BYTES:
            return data[:_GUID_BYTES]
    value = raw.value or b""
    size = {0: _ID_BYTES, 1: _GUID_BYTES}.get(value[0] if value else -1, 0)
    if not size or len(value) < size:
        text = (
            "value: names no schema, but its topic is declared with format: registry;"
            " declare it as mapped, or let the producer use a serializer of the registry"
        )
        raise DecodeError(Reason.BAD_JSON, text)
    return value[:size]


def registry(
    topic: str, spec: SourceSpec, limits: EventLimits, decode: Decode
) -> Callable[[RawRecord], Event]:
    """Make the reader of a topic; it raises `DecodeError`, `Tombstone` or `NotYet`."""
    event = FieldMap(topic, spec, limits).event

    def read(raw: RawRecord) -> Event:
        if not raw.value:
            raise Tombstone
        check_size(raw.value, limits)
        found = decode(raw)
        if found is None:
            raise Tombstone
        return event(raw, found)

    return read

"""Debezium's outbox event router, JSON: what it writes, in all the ways that its converters allow.

The event router (`io.debezium.transforms.outbox.EventRouter`) writes one record for each row of the outbox
table. The key is the aggregate's id, the value is the payload column, the header `id` is the row's id. Other
columns are headers or fields of an envelope, as `table.fields.additional.placement` says.

Source: https://debezium.io/documentation/reference/stable/transformations/outbox-event-router.html
"""

from collections.abc import Callable
from typing import Any, Final

import msgspec

from tocsin.catalog.sources import SourceSpec
from tocsin.errors import DecodeError
from tocsin.formats.body import Tombstone, inner_json, json_value, unwrapped
from tocsin.formats.cloudevents import EventLimits
from tocsin.formats.mapping import FieldMap
from tocsin.model.event import Event
from tocsin.model.raw import RawRecord
from tocsin.model.statuses import Reason

DEFAULTS: Final = {"id": "headers.id", "user": "key", "type_from": "headers.eventType"}
"""What the router's own defaults mean, and the usual name of the header with the event's type."""


def debezium(topic: str, spec: SourceSpec, limits: EventLimits) -> Callable[[RawRecord], Event]:
    """Make the reader of a topic of the outbox event router; it raises `DecodeError` or `Tombstone`.

    Where the mapping is silent, the id is the header `id`, the user is the key, and the type is the header
    `eventType`. A payload that is a text is parsed.
    """
    event = FieldMap(topic, _complete(spec), limits).event
    return lambda raw: event(raw, payload(raw, limits))


def _complete(spec: SourceSpec) -> SourceSpec:
    wanted = {name: source for name, source in DEFAULTS.items() if getattr(spec, name) is None}
    if spec.type is not None:
        wanted.pop("type_from", None)
    return spec.model_copy(update=wanted | {"parse_data": True})


def payload(raw: RawRecord, limits: EventLimits) -> Any:
    """Return the payload of a record, without the converter's envelope and out of its text.

    Raises:
        Tombstone: there is no payload.
        DecodeError: it is no JSON.
    """
    found = unwrapped(json_value(raw, limits))
    if isinstance(found, str):
        found = _inside(found)
    if found is None:
        raise Tombstone
    return found


def _inside(text: str) -> Any:
    try:
        return inner_json(text) if text else None
    except (msgspec.MsgspecError, RecursionError) as error:
        fault = "value: a text that is not JSON; write JSON into the payload column, as json or text"
        raise DecodeError(Reason.BAD_JSON, fault) from error

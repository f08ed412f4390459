"""The outbox event router of Debezium: each way it writes the same row gives the same event.

The bytes are written by hand, after the documented forms of Debezium 3.6 (page "Outbox Event Router"): no
Debezium runs here. Where a converter wraps text, it does so as `org.apache.kafka.connect.json.JsonConverter`.
"""

import json
from typing import Any

import msgspec
import pytest

from tocsin.catalog.sources import SourceSpec
from tocsin.errors import DecodeError
from tocsin.formats.body import Tombstone, is_tombstone
from tocsin.formats.cloudevents import EventLimits
from tocsin.formats.declared import readers
from tocsin.model.event import Event
from tocsin.model.raw import RawRecord

NOW = 1_700_000_000_000
LIMITS = EventLimits(100_000, 86_400, 3_600, check_time=True)
ROW = {"orderId": 4711, "status": "shipped"}
TEXT = json.dumps(ROW)
STRING_SCHEMA = {"type": "string", "optional": False}
HEADERS = (
    ("id", b"406c07f3-26f0-4eea-a50c-109940064b8f"),
    ("eventType", b"OrderShipped"),
    ("__debezium.context.connectorName", b"postgresql"),
)
QUOTED = tuple((name, json.dumps(data.decode()).encode()) for name, data in HEADERS)
WRAPPED = tuple(
    (name, json.dumps({"schema": STRING_SCHEMA, "payload": data.decode()}).encode()) for name, data in HEADERS
)


def record(value: object, key: bytes = b"ada", headers: Any = HEADERS) -> RawRecord:
    body = value if isinstance(value, bytes | None) else json.dumps(value).encode()
    return RawRecord("source:outbox.event.order", 0, 9, NOW, key, body, headers)


def read(raw: RawRecord, **fields: Any) -> Event:
    spec = SourceSpec(format="debezium", **fields)
    return readers({"outbox.event.order": spec}, LIMITS)["source:outbox.event.order"](raw)


def summary(event: Event) -> tuple[str, str, str, object]:
    return event.id, event.type, event.user, msgspec.json.decode(event.data)


WANTED = ("406c07f3-26f0-4eea-a50c-109940064b8f", "OrderShipped", "ada", ROW)


@pytest.mark.parametrize(
    "raw",
    [
        pytest.param(record(TEXT.encode()), id="StringConverter, or ByteArrayConverter"),
        pytest.param(record(TEXT), id="JsonConverter, schemas.enable=false, payload as text"),
        pytest.param(record({"schema": STRING_SCHEMA, "payload": TEXT}), id="JsonConverter with schemas"),
        pytest.param(record(ROW), id="expanded, schemas.enable=false"),
        pytest.param(record({"schema": {"type": "struct"}, "payload": ROW}), id="expanded with schemas"),
        pytest.param(record(ROW, b'"ada"', QUOTED), id="key and headers in JSON quotes"),
        pytest.param(
            record(ROW, b'{"schema": {"type": "string"}, "payload": "ada"}', WRAPPED),
            id="key and headers in envelopes",
        ),
    ],
)
def test_every_converter_gives_the_same_event(raw: RawRecord) -> None:
    assert summary(read(raw)) == WANTED


@pytest.mark.parametrize("payload", [TEXT, ROW])
@pytest.mark.parametrize("schemas", [False, True])
def test_fields_in_the_envelope_are_mapped(payload: object, *, schemas: bool) -> None:
    envelope: object = {"payload": payload, "eventType": "OrderShipped"}
    body = {"schema": {"type": "struct"}, "payload": envelope} if schemas else envelope
    event = read(record(body), type_from="value.eventType", data="value.payload")
    assert summary(event) == WANTED


def test_a_fixed_type_and_a_user_in_the_payload_win_over_the_routers_defaults() -> None:
    event = read(record(ROW | {"customer": 7}), type="order.shipped", user="value.customer")
    assert (event.type, event.user) == ("order.shipped", "7")


@pytest.mark.parametrize(
    "value", [None, b"", b"null", b'{"schema": null, "payload": null}', b'{"schema": {}, "payload": ""}']
)
def test_tombstones_and_null_values_are_skipped(value: bytes | None) -> None:
    assert is_tombstone(record(value))
    with pytest.raises(Tombstone):
        read(record(value))


def test_a_row_is_no_tombstone() -> None:
    assert not any(is_tombstone(record(value)) for value in (TEXT, ROW, b"{broken", b"0", b"\xff"))


@pytest.mark.parametrize(
    ("raw", "sentence"),
    [
        (record(ROW, headers=HEADERS[:1]), "type_from: missing or null; correct the record, or `type_from:"),
        (record(ROW, headers=()), "id: missing or null; correct the record, or `id: headers.id` of outbox"),
        (record("plain words"), "value: a text that is not JSON; write JSON into the payload column"),
        (record([1]), "data: not an object"),
    ],
)
def test_what_the_router_was_not_told_to_write(raw: RawRecord, sentence: str) -> None:
    with pytest.raises(DecodeError) as caught:
        read(raw)
    assert str(caught.value).startswith(sentence)

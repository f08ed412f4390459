"""CloudEvents as the SDKs write them: `fixtures/` holds bytes that each library and version wrote."""

import json
from typing import Any

import msgspec
import pytest

from tests.formats.sdk_records import LINES, MIDNIGHT, Line
from tocsin.errors import DecodeError
from tocsin.formats.codec import EventLimits, decode_event
from tocsin.model.event import Event, Origin, Recipient
from tocsin.model.raw import RawRecord

BEFORE = MIDNIGHT - 877  # 2025-12-31T23:59:59.123Z
DAY = 86_400_000
LIMITS = EventLimits(max_bytes=10_000, max_past_s=86_400, max_future_s=3_600, check_time=True)
ORDER = {"order": 7, "total": "12.50 €", "items": [{"name": "tea"}], "note": None}
ANN = Recipient(email="ann@example.org", locale="de-AT")


# The id of each event that each library was given; most events were written in both modes.
IDS = {
    "cloudevents-python-2.2.0": {
        "object": "p1", "object-without-content-type": "p2", "bytes": "p3", "extensions": "p4",
        "recipient-object": "p5", "send-at-datetime": "p6", "no-data": "p7", "text": "p8", "list": "p9",
        "bytes-no-json": "p10",
    },
    "cloudevents-javascript-10.0.0": {
        "object": "j1", "object-without-content-type": "j2", "bytes": "j3", "uint8array": "j4",
        "extensions": "j5", "recipient-object": "j6", "no-data": "j7", "text": "j8", "list": "j9",
        "bytes-no-json": "j10",
    },
    "cloudevents-java-4.0.1": {
        "object": "v1", "pojo": "v2", "bytes": "v3", "bytes-without-content-type": "v4", "extensions": "v5",
        "whole-minute": "v6", "zone-with-name": "v7", "no-data": "v8", "text": "v9", "list": "v10",
        "bytes-no-json": "v11", "no-time": "v12", "old-version": "v13", "number": "v14",
    },
    "cloudevents-go-2.16.2": {
        "object": "g1", "bytes": "g2", "extensions": "g3", "number": "g5", "recipient-bytes": "g6",
        "no-data": "g7", "text": "g8", "list": "g9", "bytes-no-json": "g10", "no-time": "g11",
    },
}  # fmt: skip
IDS["cloudevents-go-confluent-09883253"] = IDS["cloudevents-go-2.16.2"]

# What differs from the event of most cases: its time is `BEFORE`, its data are `ORDER`.
CHANGES: dict[str, dict[str, Any]] = {
    "object": {"time_ms": MIDNIGHT + 500},
    "whole-minute": {"time_ms": MIDNIGHT},
    "zone-with-name": {"time_ms": MIDNIGHT},
    "no-time": {"time_ms": MIDNIGHT},
    "pojo": {"data": {"order": 7}},
    "no-data": {"data": {}},
    "number": {"tenant": "7"},
    "send-at-datetime": {"send_at_ms": MIDNIGHT + DAY},
    "recipient-object": {"recipient": ANN},
    "extensions": {
        "tenant": "acme",
        "recipient": ANN,
        "send_at_ms": MIDNIGHT + DAY,
        "expires_ms": MIDNIGHT + 2 * DAY,
    },
}

_OBJECT = "send one JSON object whose numbers fit a double and whose nesting is shallow"
_RECIPIENT = (
    "recipient: not JSON of one; send an object with email (a bare address) or phone"
    " (E.164, like +4915112345678), in a header as JSON text"
)
REFUSED = {
    "text": f"data: a text that holds JSON: send it unquoted; {_OBJECT}",
    "list": f"data: a list, not an object; {_OBJECT}",
    "binary/bytes-no-json": "content-type: not JSON; send data as application/json",
    "structured/bytes-no-json": "datacontenttype: not JSON; send the data as application/json",
    # The old API of Python leaves `datacontenttype` out of the value and puts it into the content-type.
    "v1-structured/bytes-no-json": "data_base64: not base64 of JSON; send base64 of one JSON object,"
    " or the object itself in `data`",
    "recipient-bytes": _RECIPIENT,
    # Python writes an object in a header as its own repr.
    "binary/recipient-object": _RECIPIENT,
    "old-version": 'specversion: not 1.x; send CloudEvents 1.0: specversion "1.0"',
}
# A text is written as it is: the caller's JSON is an object again.
TEXT_AS_IT_IS = {("cloudevents-python-2.2.0", "binary"), ("cloudevents-javascript-10.0.0", "binary")}


def refusal(line: Line) -> str | None:
    if line.name == "text" and (line.library, line.mode) in TEXT_AS_IT_IS:
        return None
    return REFUSED.get(f"{line.mode}/{line.name}") or REFUSED.get(line.name)


def expected(line: Line) -> Event:
    event = Event(
        tenant="default",
        id=IDS[line.library][line.name],
        source="/shop/orders",
        type="order.shipped",
        user="ann",
        time_ms=BEFORE,
        data=msgspec.Raw(b""),
        origin=Origin("events", 3, 42),
        received_ms=line.record.timestamp_ms,
    )
    changes = {name: value for name, value in CHANGES.get(line.name, {}).items() if name != "data"}
    return msgspec.structs.replace(event, **changes)


@pytest.mark.parametrize("line", LINES, ids=lambda line: f"{line.library}-{line.mode}-{line.name}")
def test_each_record_becomes_the_event_that_was_written_or_is_refused_with_its_cure(line: Line) -> None:
    if said := refusal(line):
        with pytest.raises(DecodeError) as caught:
            decode_event(line.record, LIMITS)
        assert str(caught.value) == said
        return
    event = decode_event(line.record, LIMITS)
    assert json.loads(bytes(event.data)) == CHANGES.get(line.name, {}).get("data", ORDER)
    assert msgspec.structs.replace(event, data=msgspec.Raw(b"")) == expected(line)


def test_every_case_of_every_library_is_there() -> None:
    found = {library: {line.name for line in LINES if line.library == library} for library in IDS}
    assert found == {library: set(ids) for library, ids in IDS.items()}
    assert {line.library for line in LINES} == set(IDS)
    for library in IDS:
        assert {"binary", "structured"} <= {line.mode for line in LINES if line.library == library}


@pytest.mark.parametrize("line", [line for line in LINES if line.name == "extensions"], ids=str)
def test_the_key_is_the_partition_key_that_the_caller_gave(line: Line) -> None:
    assert line.record.key == b"acme/ann"


def test_headers_of_the_older_binding_of_go_begin_otherwise() -> None:
    lines = [line for line in LINES if "confluent" in line.library and line.mode == "binary"]
    assert all("ce-id" in dict(line.record.headers) for line in lines)


@pytest.mark.parametrize(
    ("given", "tenant"), [(b"0", "0"), (b"-7", "-7"), (b"7", "7"), (b"9223372036854775807", str(2**63 - 1))]
)
def test_a_tenant_may_be_a_whole_number(given: bytes, tenant: str) -> None:
    value = b'{"specversion":"1.0","id":"1","source":"s","type":"t","subject":"u","tenant":' + given + b"}"
    assert decode_event(RawRecord("events", 3, 42, MIDNIGHT, None, value, ()), LIMITS).tenant == tenant


@pytest.mark.parametrize("given", [b"7.5", b"true", b"[7]", b"1" * 5_000, b'""'])
def test_a_tenant_is_nothing_else_than_text_or_a_whole_number(given: bytes) -> None:
    value = b'{"specversion":"1.0","id":"1","source":"s","type":"t","subject":"u","tenant":' + given + b"}"
    with pytest.raises(DecodeError, match="tenant"):
        decode_event(RawRecord("events", 3, 42, MIDNIGHT, None, value, ()), LIMITS)

"""Plain JSON of any shape becomes an event by the mapping of its topic, or an error names field and cure."""

import json
from datetime import UTC, datetime
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tocsin.catalog.sources import SourceSpec
from tocsin.errors import DecodeError
from tocsin.formats.body import Tombstone
from tocsin.formats.cloudevents import EventLimits, decode_event
from tocsin.formats.declared import readers
from tocsin.formats.forwarded import rewritten
from tocsin.formats.mapping import FieldMap
from tocsin.model.event import Event, Origin, Recipient
from tocsin.model.raw import RawRecord
from tocsin.model.statuses import Reason

NOW = 1_700_000_000_000
LIMITS = EventLimits(100_000, 86_400, 3_600, check_time=True)
ORDER = {
    "order": {"id": 4711, "status": "shipped", "lines": [{"sku": "a"}]},
    "customer": {"id": "ada"},
    "changed_at": NOW - 1_000,
}
SPEC = {
    "format": "mapped",
    "tenant": "shop",
    "id": "value.order.id",
    "type_from": "'order.' ~ value.order.status",
    "source": "/shop/orders",
    "user": "value.customer.id",
    "time": "value.changed_at",
    "data": "value.order",
}


def record(value: object, key: bytes | None = None, **headers: bytes) -> RawRecord:
    body = value if isinstance(value, bytes) else json.dumps(value).encode()
    return RawRecord("source:shop.orders", 3, 42, NOW, key, body, tuple(headers.items()))


def read(raw: RawRecord, **changes: Any) -> Event:
    spec = SourceSpec.model_validate({name: v for name, v in (SPEC | changes).items() if v is not None})
    return readers({"shop.orders": spec}, LIMITS)["source:shop.orders"](raw)


def refused(raw: RawRecord, **changes: Any) -> str:
    with pytest.raises(DecodeError) as caught:
        read(raw, **changes)
    return str(caught.value)


def test_every_field_comes_from_where_the_mapping_says() -> None:
    event = read(record(ORDER))
    assert (event.tenant, event.id, event.source) == ("shop", "4711", "/shop/orders")
    assert (event.type, event.user, event.time_ms) == ("order.shipped", "ada", NOW - 1_000)
    assert msgspec.json.decode(event.data) == ORDER["order"]
    assert (event.origin, event.received_ms) == (Origin("source:shop.orders", 3, 42), NOW)


def test_what_the_mapping_leaves_out_comes_from_the_record() -> None:
    event = read(record(ORDER), tenant=None, id=None, source=None, time=None, data=None)
    assert (event.tenant, event.id, event.source) == ("default", "shop.orders/3/42", "/shop.orders")
    assert (event.time_ms, msgspec.json.decode(event.data)) == (NOW, ORDER)


@pytest.mark.parametrize("key", [b"ada", b'"ada"', b'{"schema": {"type": "string"}, "payload": "ada"}'])
def test_a_key_is_the_same_however_a_converter_wrote_it(key: bytes) -> None:
    assert read(record(ORDER, key), user="key").user == "ada"


def test_headers_and_the_place_of_a_record_can_be_mapped() -> None:
    raw = record(ORDER, **{"event-type": b"order.paid"})
    event = read(raw, type_from="headers['event-type']", tenant=None, tenant_from="topic", id="offset")
    assert (event.type, event.tenant, event.id) == ("order.paid", "source:shop.orders", "42")


@pytest.mark.parametrize(
    ("unit", "number"),
    [("s", NOW // 1000), ("ms", NOW), ("us", NOW * 1_000), ("ns", NOW * 1_000_000), ("s", NOW / 1000)],
)
def test_a_time_is_a_text_or_a_number_in_its_unit(unit: str, number: float) -> None:
    assert read(record(ORDER | {"changed_at": number}), time_unit=unit).time_ms == NOW
    assert read(record(ORDER | {"changed_at": "2023-11-14T22:13:20Z"}), time_unit=unit).time_ms == NOW


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"customer": {}}, "user: missing or null; correct the record, or `user: value.customer.id` of shop"),
        ({"customer": {"id": None}}, "user: missing or null"),
        ({"customer": "ada"}, "user: missing or null"),
        ({"customer": {"id": ""}}, "user: empty"),
        ({"customer": {"id": True}}, "user: neither a text nor a whole number"),
        ({"customer": {"id": "a\nb"}}, "user: holds control characters"),
        ({"customer": {"id": "a" * 600}}, "user: 600 characters, more than 512"),
        ({"order": {"id": 1}}, "type_from: `'order.' ~ value.order.status`: `status` is missing"),
        ({"order": {"id": 1, "status": None}}, "type_from: `'order.' ~ value.order.status`: `status` is"),
        ({"changed_at": "yesterday"}, "time: not RFC 3339 and no number"),
        ({"changed_at": True}, "time: not RFC 3339 and no number"),
        ({"changed_at": -1}, "time: before 1970"),
        ({"changed_at": NOW // 1000}, "time: 1698300000 s before Kafka's"),
    ],
)
def test_an_error_names_field_place_and_cure(change: dict[str, Any], sentence: str) -> None:
    assert refused(record(ORDER | change)).startswith(sentence)


def test_json_in_a_text_is_parsed_only_where_the_mapping_says_so() -> None:
    raw = record(ORDER | {"body": '{"gate": "B7"}', "words": "hello"})
    assert msgspec.json.decode(read(raw, data="value.body", parse_data=True).data) == {"gate": "B7"}
    assert "a text that holds JSON: set parse_data: true" in refused(raw, data="value.body")
    assert "data: not an object;" in refused(raw, data="value.words")
    assert "data: a text that is not JSON" in refused(raw, data="value.words", parse_data=True)
    assert "data: not an object" in refused(raw, data="value.order.lines")


def test_people_without_a_profile_are_named_by_their_contact() -> None:
    raw = record(ORDER | {"email": "ada@example.org"})
    event = read(raw, user=None, recipient="{'email': value.email}")
    assert event.recipient == Recipient(email="ada@example.org")
    assert event.user.startswith("contact-")
    assert "recipient: not an object" in refused(raw, user=None, recipient="value.email")
    assert "user: absent, and no recipient" in refused(raw, user=None, recipient="{'locale': 'de'}")


@pytest.mark.parametrize("value", [b"", b"null", b" null "])
def test_a_tombstone_is_no_event_unless_the_topic_has_none(value: bytes) -> None:
    with pytest.raises(Tombstone):
        read(record(value))
    assert "set `tombstones: skip`" in refused(record(value), tombstones="refuse")


@pytest.mark.parametrize(
    ("value", "reason", "sentence"),
    [
        (b"{broken", Reason.BAD_JSON, "value: "),
        (b"\xff\xfe", Reason.BAD_JSON, "value: "),
        (b'{"a": "\xff"}', Reason.BAD_UTF8, "value: not UTF-8"),
        (b'{"a": ' + b"[" * 500 + b"]" * 500 + b', "b": "' + b"x" * 999 + b'"}', Reason.BAD_FIELD, "nested"),
        (b"x" * 100_001, Reason.TOO_LARGE, "100001 bytes"),
        (b"\x00\x00\x00\x00\x07{}", Reason.BAD_JSON, "framed for a schema registry (schema id 7)"),
    ],
)
def test_a_value_that_is_no_json(value: bytes, reason: Reason, sentence: str) -> None:
    with pytest.raises(DecodeError) as caught:
        read(record(value))
    assert (caught.value.reason, sentence in str(caught.value)) == (reason, True)


def test_a_byte_order_mark_is_no_mistake() -> None:
    assert read(record(b"\xef\xbb\xbf" + json.dumps(ORDER).encode())).id == "4711"


def test_an_event_reads_the_same_as_the_cloudevent_that_is_forwarded() -> None:
    event = read(record(ORDER | {"email": "ada@example.org"}), recipient="{'email': value.email}")
    assert decode_event(rewritten(event), LIMITS) == event


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=9),
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(sorted(ORDER)), inner),
        max_leaves=9,
    )
)
def test_any_json_gives_an_event_or_a_decode_error(value: object) -> None:
    try:
        event = read(record(value))
    except (DecodeError, Tombstone):
        return
    assert event.user


def test_a_declared_topic_of_cloudevents_names_the_tenant_of_events_without_one() -> None:
    body = {"specversion": "1.0", "id": "1", "source": "/s", "type": "t", "subject": "ada", "data": {}}
    spec = {"format": "cloudevents", "tenant": "shop"} | dict.fromkeys(SPEC.keys() - {"format", "tenant"})
    assert read(record(body), **spec).tenant == "shop"
    assert read(record(body | {"tenant": "other"}), **spec).tenant == "other"
    assert "empty or null" in refused(record(b""), **spec)
    with pytest.raises(Tombstone):
        read(record(b""), **spec | {"tombstones": "skip"})


def test_a_framed_record_on_a_topic_of_cloudevents_says_what_to_declare() -> None:
    with pytest.raises(DecodeError, match=r"schema id 258.*declare it in sources.yaml"):
        decode_event(record(b"\x00\x00\x00\x01\x02" + b'{"a": 1}'), LIMITS)


@pytest.mark.parametrize("more", [{}, {"phone": None}, {"phone": ""}])
def test_a_contact_may_lack_a_part(more: dict[str, Any]) -> None:
    raw = record(ORDER | {"email": "ada@example.org"} | more)
    event = read(raw, user=None, recipient="{'email': value.email, 'phone': value.phone}")
    assert event.recipient == Recipient(email="ada@example.org")


def test_an_object_of_the_mapping_has_null_where_the_record_has_nothing() -> None:
    event = read(record(ORDER), data="{'id': value.order.id, 'note': value.note, 'all': [value.none]}")
    assert msgspec.json.decode(event.data) == {"id": 4711, "note": None, "all": [None]}


def test_a_local_time_without_an_offset_is_refused() -> None:
    """Avro's decoder gives such times for local-timestamp-millis; each machine would read another moment."""
    spec = SourceSpec.model_validate(SPEC)
    field_map = FieldMap("shop.orders", spec, LIMITS)
    at = datetime.fromtimestamp(NOW / 1000, UTC)
    assert field_map.event(record(ORDER), ORDER | {"changed_at": at}).time_ms == NOW
    with pytest.raises(DecodeError, match="time: a local time without an offset"):
        field_map.event(record(ORDER), ORDER | {"changed_at": at.replace(tzinfo=None)})


@pytest.mark.parametrize("time", ["-1e308 * 10", "1e308 * 10 - 1e308 * 10"])
def test_a_time_that_is_no_number_is_refused(time: str) -> None:
    assert refused(record(ORDER), time=time).startswith("time: infinite, or no number")


@pytest.mark.parametrize("depth", [101, 400])
def test_json_in_a_text_is_as_shallow_as_all_data(depth: int) -> None:
    """The event is parsed again when it is forwarded: there it would be refused."""
    deep = '{"a": ' * depth + "1" + "}" * depth + " " * 1_000
    assert "nested too deeply" in refused(record(ORDER | {"body": deep}), data="value.body", parse_data=True)


def test_json_in_a_text_may_begin_with_a_byte_order_mark() -> None:
    raw = record(ORDER | {"body": '\ufeff{"gate": "B7"}'})
    assert msgspec.json.decode(read(raw, data="value.body", parse_data=True).data) == {"gate": "B7"}


@pytest.mark.parametrize("key", [b"Jos\xe9", b"Jos\xe8", b"\x8b\xff\xfe"])
def test_a_key_that_is_no_text_is_nobody(key: bytes) -> None:
    """Read with replacement characters, two users would become one."""
    assert refused(record(ORDER, key), user="key").startswith("user: neither a text")
    assert read(record(ORDER, key)).user == "ada"
    assert read(record(ORDER, trace=key)).user == "ada"


def test_an_envelope_of_connect_around_null_is_a_tombstone() -> None:
    with pytest.raises(Tombstone):
        read(record({"schema": None, "payload": None}))

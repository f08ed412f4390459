"""Values framed for a schema registry, written by confluent-kafka 2.16.1's own serializers, become events."""

import time
from collections.abc import Callable, Iterator
from typing import Any

import msgspec
import pytest
from confluent_kafka.schema_registry import (
    SchemaRegistryClient,
    header_schema_id_serializer,
    prefix_schema_id_serializer,
)
from confluent_kafka.schema_registry.avro import AvroSerializer
from confluent_kafka.schema_registry.json_schema import JSONSerializer
from confluent_kafka.schema_registry.protobuf import ProtobufSerializer
from confluent_kafka.serialization import MessageField, SerializationContext
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

from sources.schemas import SchemaRegistry
from tests.sources.fake_registry import FakeRegistry
from tests.waiting import PATIENCE_S, until
from tocsin.catalog.sources import SourceSpec
from tocsin.errors import DecodeError, SettingsError
from tocsin.formats.body import NotYet, Tombstone
from tocsin.formats.cloudevents import EventLimits
from tocsin.formats.declared import readers
from tocsin.model.event import Event
from tocsin.model.raw import RawRecord

NOW = 1_700_000_000_000
LIMITS = EventLimits(100_000, 86_400, 3_600, check_time=True)
SPEC = SourceSpec(format="registry", id="value.id", type="order.changed", user="value.user", time="value.at")
ORDER = {"id": "o1", "user": "ada", "at": NOW - 1_000, "gate": "B7"}
AVRO = """{"type": "record", "name": "Order", "fields": [
  {"name": "id", "type": "string"}, {"name": "user", "type": "string"}, {"name": "gate", "type": "string"},
  {"name": "at", "type": {"type": "long", "logicalType": "timestamp-millis"}}]}"""
JSON = """{"$schema": "http://json-schema.org/draft-07/schema#", "title": "Order", "type": "object",
  "properties": {"id": {"type": "string"}, "at": {"type": "integer"}}, "required": ["id"]}"""
SCHEMA_IDS = pytest.mark.parametrize("schema_id", [prefix_schema_id_serializer, header_schema_id_serializer])


@pytest.fixture
def fake() -> Iterator[FakeRegistry]:
    registry = FakeRegistry("ann:secret")
    yield registry
    registry.close()


@pytest.fixture
def registry(fake: FakeRegistry) -> Iterator[SchemaRegistry]:
    opened = SchemaRegistry(fake.url, {"basic.auth.user.info": "ann:secret", "cache.capacity": "100"})
    yield opened
    opened.close()


def message_class(index: int) -> Any:
    """The class of a message of a file with three, of which the last is nested."""
    file = descriptor_pb2.FileDescriptorProto(name="orders.proto", package="shop", syntax="proto3")
    for name in ("Other", "Order"):
        message = file.message_type.add(name=name)
        for number, field in enumerate(("id", "user", "gate"), 1):
            message.field.add(name=field, number=number, type=9, label=1)
        message.field.add(name="at", number=4, type=3, label=1)
    nested = file.message_type[0].nested_type.add()
    nested.CopyFrom(file.message_type[1])
    nested.name = "Inner"
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    name = ("shop.Other", "shop.Order", "shop.Other.Inner")[index]
    return message_factory.GetMessageClass(pool.FindMessageTypeByName(name))


def framed(fake: FakeRegistry, make: Callable[[SchemaRegistryClient], Any], value: Any) -> RawRecord:
    """Let a real serializer write a value."""
    client = SchemaRegistryClient({"url": fake.url, "basic.auth.user.info": "ann:secret"})
    headers: list[Any] = []
    data = make(client)(value, SerializationContext("shop.orders", MessageField.VALUE, headers))
    return RawRecord("source:shop.orders", 0, 5, NOW, b"ada", data, tuple(headers))


def read(registry: SchemaRegistry, raw: RawRecord, within_s: float = PATIENCE_S) -> Event:
    reader = readers({"shop.orders": SPEC}, LIMITS, registry.decode)["source:shop.orders"]
    end = time.monotonic() + within_s
    while True:
        try:
            return reader(raw)
        except NotYet:
            assert time.monotonic() < end, registry.problem
            time.sleep(0.01)


def problem_of(registry: SchemaRegistry, raw: RawRecord) -> str:
    """Read until the registry has a problem; the record waits meanwhile."""
    reader = readers({"shop.orders": SPEC}, LIMITS, registry.decode)["source:shop.orders"]

    def told() -> str:
        with pytest.raises(NotYet):
            reader(raw)
        return registry.problem

    until(told, "the problem")
    return registry.problem


def check(event: Event) -> None:
    assert (event.id, event.user, event.time_ms) == ("o1", "ada", NOW - 1_000)
    assert msgspec.json.decode(event.data)["gate"] == "B7"


@SCHEMA_IDS
def test_avro(fake: FakeRegistry, registry: SchemaRegistry, schema_id: Any) -> None:
    conf = {"schema.id.serializer": schema_id}
    check(read(registry, framed(fake, lambda client: AvroSerializer(client, AVRO, conf=conf), ORDER)))


@SCHEMA_IDS
def test_json_schema(fake: FakeRegistry, registry: SchemaRegistry, schema_id: Any) -> None:
    conf = {"schema.id.serializer": schema_id}
    check(read(registry, framed(fake, lambda client: JSONSerializer(JSON, client, conf=conf), ORDER)))


@SCHEMA_IDS
@pytest.mark.parametrize("index", [0, 1, 2])
def test_protobuf_messages_of_any_index(
    fake: FakeRegistry, registry: SchemaRegistry, index: int, schema_id: Any
) -> None:
    made = message_class(index)
    conf = {"use.deprecated.format": False, "schema.id.serializer": schema_id}
    check(read(registry, framed(fake, lambda client: ProtobufSerializer(made, client, conf), made(**ORDER))))


def json_record(fake: FakeRegistry, value: object) -> RawRecord:
    return framed(fake, lambda client: JSONSerializer(JSON, client), value)


def test_a_schema_is_asked_for_once(fake: FakeRegistry, registry: SchemaRegistry) -> None:
    raw = json_record(fake, ORDER)
    read(registry, raw)
    asked = fake.asked
    for _ in range(20):
        check(read(registry, raw))
    assert fake.asked == asked


@pytest.mark.parametrize("status", [401, 429, 500, 503])
def test_while_the_registry_is_away_a_record_waits_and_then_goes_on(
    fake: FakeRegistry, registry: SchemaRegistry, status: int
) -> None:
    raw = json_record(fake, ORDER)
    fake.answer = status
    assert f"answers {status}: check TOCSIN_SCHEMA_REGISTRY" in problem_of(registry, raw)
    fake.answer = 0
    check(read(registry, raw))
    assert registry.problem == ""


def test_a_registry_that_nobody_runs_is_waited_for(fake: FakeRegistry) -> None:
    raw = json_record(fake, ORDER)
    nowhere = SchemaRegistry("http://127.0.0.1:9", {})
    assert "does not answer" in problem_of(nowhere, raw)
    nowhere.close()


def test_a_wrong_password_is_waited_for_too(fake: FakeRegistry) -> None:
    raw = json_record(fake, ORDER)
    wrong = SchemaRegistry(fake.url, {"basic.auth.user.info": "ann:wrong"})
    assert "answers 401" in problem_of(wrong, raw)
    wrong.close()


@pytest.mark.parametrize(
    ("value", "sentence"),
    [
        (b"\x00\x00\x00\x03\xe7{}", "value: the schema registry has no schema with id 999; is TOCSIN_SCHEMA"),
        (b"\x01" + bytes(16) + b"{}", "no schema with GUID 00000000-0000-0000-0000-000000000000"),
        (b'{"id": 1}', "value: names no schema, but its topic is declared with format: registry"),
        (b"\x00\x00", "value: names no schema"),
        (b"\x00" * 100_001, "value: 100001 bytes"),
    ],
)
def test_what_no_registry_can_decode_is_refused(
    registry: SchemaRegistry, value: bytes, sentence: str
) -> None:
    with pytest.raises(DecodeError) as caught:
        read(registry, RawRecord("source:shop.orders", 0, 5, NOW, None, value, ()))
    assert sentence in str(caught.value)


def test_a_schema_that_is_registered_late_is_found(fake: FakeRegistry, registry: SchemaRegistry) -> None:
    raw = json_record(fake, ORDER)
    (schema,), fake.schemas = fake.schemas, []
    with pytest.raises(DecodeError, match="no schema with id 1"):
        read(registry, raw)
    fake.schemas.append(schema)
    check(read(registry, raw))


def test_a_value_that_does_not_fit_its_schema_is_refused_without_its_content(
    fake: FakeRegistry, registry: SchemaRegistry
) -> None:
    raw = json_record(fake, ORDER)
    broken = raw._replace(value=(raw.value or b"")[:5] + b'{"user": "secret"}')
    with pytest.raises(DecodeError) as caught:
        read(registry, broken)
    assert str(caught.value).startswith("value: does not fit its schema (")
    assert "secret" not in str(caught.value)
    check(read(registry, raw))


def test_tombstones_are_skipped(registry: SchemaRegistry) -> None:
    with pytest.raises(Tombstone):
        read(registry, RawRecord("source:shop.orders", 0, 5, NOW, None, None, ()))


def test_a_check_says_whether_the_registry_answers(fake: FakeRegistry, registry: SchemaRegistry) -> None:
    assert registry.check() == ""
    fake.answer = 503
    assert registry.check().startswith("the schema registry answers 503: check TOCSIN_SCHEMA_REGISTRY")


def test_an_unknown_option_is_refused(fake: FakeRegistry) -> None:
    with pytest.raises(SettingsError, match=r"TOCSIN_SCHEMA_REGISTRY_OPTIONS: .*; correct or remove"):
        SchemaRegistry(fake.url, {"no.such.option": "1"})

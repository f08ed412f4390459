"""Schemas: values framed for a schema registry, decoded by confluent-kafka's own deserializers.

The registry is asked in a thread of its own, so a slow registry never blocks the flow. Until the answer
comes, a record is not decoded, and its topic waits. Schemas never change, so an answer holds for the life of
the process.
"""

from collections.abc import Callable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, NamedTuple

import httpx2
from confluent_kafka.schema_registry import SchemaRegistryClient
from confluent_kafka.schema_registry.avro import AvroDeserializer
from confluent_kafka.schema_registry.error import OAuthTokenError, SchemaRegistryError
from confluent_kafka.schema_registry.json_schema import JSONDeserializer
from confluent_kafka.schema_registry.protobuf import ProtobufDeserializer
from confluent_kafka.schema_registry.serde import SchemaId
from confluent_kafka.serialization import MessageField, SerializationContext
from google.protobuf.empty_pb2 import Empty
from google.protobuf.json_format import MessageToDict
from google.protobuf.message_factory import GetMessageClass

from tocsin.errors import DecodeError, SettingsError
from tocsin.formats.body import NotYet
from tocsin.formats.registry import frame_of
from tocsin.model.raw import RawRecord
from tocsin.model.statuses import Reason

_TIMEOUT_S = 5.0
_NOT_FOUND = 404
_AWAY = (SchemaRegistryError, OAuthTokenError, httpx2.HTTPError)
_GUID_FRAME = 1
_NO_SUBJECT = {"subject.name.strategy": lambda _context, _name: None}
_Deserializer = Callable[[bytes, SerializationContext], Any]


class _AnyMessage(ProtobufDeserializer):
    """Decodes any message of a schema; confluent-kafka's own needs the compiled class of one message."""

    def __init__(self, client: SchemaRegistryClient) -> None:
        any_message: Any = Empty  # its stub asks for a message, the code for a class
        super().__init__(any_message, dict(_NO_SUBJECT), client)

    def read(self, data: bytes, context: SerializationContext) -> object:
        """Decode a message to plain data, as protobuf's JSON mapping says, with the names of its fields."""
        schema_id = SchemaId("PROTOBUF")
        payload = self._schema_id_deserializer(data, context, schema_id)
        file, pool = self._get_parsed_schema(self._get_writer_schema(schema_id, None, fmt="serialized"))
        found = self._get_message_desc(pool, pool.FindFileByName(file.name), schema_id.message_indexes or [0])
        message = GetMessageClass(found)()
        message.ParseFromString(payload.read())
        return MessageToDict(
            message, preserving_proto_field_name=True, always_print_fields_with_no_presence=True
        )


class _Answer(NamedTuple):
    """The registry's answer about one schema: a deserializer, or why there is none."""

    deserializer: _Deserializer | None
    fault: str = ""


class SchemaRegistry:
    """Decodes framed values of all declared topics.

    Args:
        url: addresses of the registry, with commas between them.
        options: further options of confluent-kafka's client: authentication, TLS, sizes.

    Attributes:
        problem: why the registry gives no schema now; empty if it does.

    Raises:
        SettingsError: the client refuses an option.
    """

    def __init__(self, url: str, options: Mapping[str, str]) -> None:
        config = {"url": url, "timeout": _TIMEOUT_S, "max.retries": 0, **_numbers(options)}
        try:
            # Each kind of deserializer asks for its own form of a schema, and a client keeps one of each.
            self._looks, text, binary = (SchemaRegistryClient(config) for _ in range(3))
        except (ValueError, TypeError, OSError) as error:
            msg = f"TOCSIN_SCHEMA_REGISTRY_OPTIONS: {error}; correct or remove that option"
            raise SettingsError(msg) from error
        self._deserializers: Mapping[str, _Deserializer] = {
            "AVRO": AvroDeserializer(text, conf=dict(_NO_SUBJECT)),
            "JSON": JSONDeserializer(None, schema_registry_client=text, conf=dict(_NO_SUBJECT)),
            "PROTOBUF": _AnyMessage(binary).read,
        }
        self._answers: dict[bytes, _Answer] = {}
        self._found: dict[bytes, _Deserializer] = {}
        self._asked: dict[bytes, Future[_Answer]] = {}
        self._thread = ThreadPoolExecutor(1, "schemas")
        self.problem = ""

    def close(self) -> None:
        """Stop asking."""
        self._thread.shutdown(wait=False, cancel_futures=True)

    def check(self) -> str:
        """Ask the registry for something simple; return why it does not answer, empty if it does."""
        try:
            self._looks.get_schema_types()
        except SchemaRegistryError as error:
            return _waits(f"answers {error.http_status_code}")
        except (OAuthTokenError, httpx2.HTTPError) as error:
            return _waits(f"does not answer ({type(error).__name__})")
        return ""

    def decode(self, raw: RawRecord) -> Any:
        """Decode the value of a record to plain data; never blocks.

        Raises:
            NotYet: the registry has not answered yet.
            DecodeError: the registry has no such schema, or the value does not fit it.
        """
        frame = frame_of(raw)
        answer = self._answers.get(frame) or self._await(frame, raw)
        if answer.deserializer is None:
            raise DecodeError(Reason.BAD_FIELD, answer.fault)
        try:
            return answer.deserializer(raw.value or b"", _context(raw))
        except _AWAY:
            del self._answers[frame]
            raise NotYet(self.problem or _waits("has not answered yet")) from None
        except Exception as error:  # a library of each format fails in its own ways
            text = f"value: does not fit its schema ({type(error).__name__}); correct its producer"
            raise DecodeError(Reason.BAD_FIELD, text) from error

    def _await(self, frame: bytes, raw: RawRecord) -> _Answer:
        asked = self._asked.get(frame)
        if asked is None:
            asked = self._asked[frame] = self._thread.submit(self._ask, frame, raw)
        if not asked.done():
            raise NotYet(self.problem or _waits("has not answered yet"))
        del self._asked[frame]
        answer = self._after(frame, asked)
        if answer.deserializer is None and not answer.fault:
            raise NotYet(self.problem)
        self.problem = ""
        if not answer.fault:  # a schema that is not there may be registered yet
            self._answers[frame] = answer
        return answer

    def _after(self, frame: bytes, asked: "Future[_Answer]") -> _Answer:
        """Return an answer; a value that does not fit its schema ends the question with its error."""
        error = asked.exception()
        if error is None:
            return asked.result()
        found = self._found.get(frame)
        return _Answer(found) if found else self._away(f"gives no schema ({type(error).__name__})")

    def _ask(self, frame: bytes, raw: RawRecord) -> _Answer:
        """Ask for a schema and all that it refers to, by decoding the record once."""
        try:
            deserializer = self._found[frame] = self._deserializers[self._kind(frame)]
            deserializer(raw.value or b"", _context(raw))
        except SchemaRegistryError as error:
            if error.http_status_code == _NOT_FOUND:
                return _Answer(None, _unknown(frame))
            return self._away(f"answers {error.http_status_code}")
        except (OAuthTokenError, httpx2.HTTPError) as error:
            return self._away(f"does not answer ({type(error).__name__})")
        return _Answer(deserializer)

    def _kind(self, frame: bytes) -> str:
        if frame[0] == _GUID_FRAME:
            schema = self._looks.get_schema_by_guid(_guid(frame))
        else:
            schema = self._looks.get_schema(int.from_bytes(frame[1:], "big"))
        return str(schema.schema_type or "AVRO").upper()

    def _away(self, what: str) -> _Answer:
        self.problem = _waits(what)
        return _Answer(None)


def _waits(what: str) -> str:
    return f"the schema registry {what}: check TOCSIN_SCHEMA_REGISTRY and its options"


def _unknown(frame: bytes) -> str:
    name = f"GUID {_guid(frame)}" if frame[0] == _GUID_FRAME else f"id {int.from_bytes(frame[1:], 'big')}"
    return f"value: the schema registry has no schema with {name}; is TOCSIN_SCHEMA_REGISTRY its producer's?"


def _guid(frame: bytes) -> str:
    digits = frame[1:].hex()
    return "-".join((digits[:8], digits[8:12], digits[12:16], digits[16:20], digits[20:]))


def _context(raw: RawRecord) -> SerializationContext:
    return SerializationContext(raw.topic, MessageField.VALUE, list(raw.headers))


def _numbers(options: Mapping[str, str]) -> dict[str, str | int]:
    return {name: int(value) if value.isdigit() else value for name, value in options.items()}

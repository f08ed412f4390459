"""Mapping: the fields of an event out of a parsed record, by the expressions of a declared topic."""

from base64 import b64encode
from collections.abc import Callable, Mapping
from datetime import datetime
from functools import partial, reduce
from operator import getitem
from typing import Any, NoReturn

import msgspec

from tocsin.catalog.expressions import Expression, ExpressionError, Scope
from tocsin.catalog.sandbox import without_nulls
from tocsin.catalog.sources import VARIABLES, SourceSpec
from tocsin.errors import DecodeError
from tocsin.formats.body import inner_json, plain
from tocsin.formats.cloudevents import (
    EventLimits,
    GivenRecipient,
    check_time,
    contact_user,
    name_fault,
    read_recipient,
)
from tocsin.formats.shapes import MAX_TEXT
from tocsin.model.event import Event, Origin, Recipient
from tocsin.model.raw import RawRecord
from tocsin.model.rfc3339 import CURE as TIME_CURE
from tocsin.model.rfc3339 import LATEST_MS, rfc3339_ms
from tocsin.model.statuses import Reason

Variables = dict[str, Any]
Lookup = Callable[[Variables], Any]
_PER_MS = {"s": 1_000.0, "ms": 1.0, "us": 1e-3, "ns": 1e-6}
_MAX_NANOSECONDS = 1 << 63
_BUILT: Mapping[str, Callable[[RawRecord], Any]] = {
    "key": lambda raw: None if raw.key is None else plain(raw.key),
    "headers": lambda raw: {name: plain(data) for name, data in raw.headers},
    "topic": lambda raw: raw.topic,
    "partition": lambda raw: raw.partition,
    "offset": lambda raw: raw.offset,
    "timestamp_ms": lambda raw: raw.timestamp_ms,
}


def _as_json(value: object) -> str:
    """Write what JSON has no type for: bytes in base64, decimals and all else as a text."""
    return b64encode(value).decode() if isinstance(value, bytes | bytearray) else str(value)


_encode = msgspec.json.Encoder(enc_hook=_as_json).encode


class FieldMap:
    """Makes events by the mapping of one declared topic.

    Args:
        topic: its name, for errors and as the source where the mapping names none.
        spec: the mapping, free of mistakes (`tocsin.catalog.sources`).
        limits: sizes and times that are accepted.
    """

    def __init__(self, topic: str, spec: SourceSpec, limits: EventLimits) -> None:
        self._topic = topic
        self._spec = spec
        self._limits = limits
        self._fixed_source = spec.source or f"/{topic}"
        sources = {name: getattr(spec, name) for name in _FIELDS if getattr(spec, name) is not None}
        expressions = {name: Expression(source, VARIABLES) for name, source in sources.items()}
        self._lookups: dict[str, Lookup] = {name: _lookup(one) for name, one in expressions.items()}
        needs = frozenset().union(*(one.needs for one in expressions.values()))
        self._built = [(name, build) for name, build in _BUILT.items() if name in needs]

    def event(self, raw: RawRecord, value: Any) -> Event:
        """Make the event of a record.

        Args:
            raw: the record.
            value: its parsed value.

        Raises:
            DecodeError: the text names field, expression and cure, and holds no content.
        """
        variables = {"value": value}
        for name, build in self._built:
            variables[name] = build(raw)
        topic, partition, offset, received_ms = raw[:4]
        recipient = self._recipient(variables)
        tenant = self._name("tenant_from", variables) or self._spec.tenant or "default"
        if "/" in tenant:
            self._refuse("tenant_from", "holds '/'")
        return Event(
            tenant,
            self._name("id", variables) or f"{self._topic}/{partition}/{offset}",
            self._name("source_from", variables) or self._fixed_source,
            self._name("type_from", variables) or self._spec.type or "",
            self._name("user", variables) or self._contact(recipient),
            self._time_ms(received_ms, variables),
            self._data(variables),
            Origin(topic, partition, offset),
            received_ms,
            recipient,
        )

    def _found(self, field: str, variables: Variables) -> Any:
        """Evaluate a field of the mapping; it must be there."""
        try:
            found = self._lookups[field](variables)
        except ExpressionError as error:
            raise DecodeError(Reason.BAD_FIELD, f"{field}: {error}; {self._cure(field)}") from error
        if found is None:
            self._refuse(field, "missing or null")
        return found

    def _name(self, field: str, variables: Variables) -> str:
        """Return a text that is there and sound; empty where the mapping has no such field."""
        lookup = self._lookups.get(field)
        if lookup is None:
            return ""
        try:
            found = lookup(variables)
        except ExpressionError:
            return self._unusual_name(field, variables)
        if type(found) is str and 0 < len(found) <= MAX_TEXT and found.isprintable():
            return found
        return self._unusual_name(field, variables)

    def _unusual_name(self, field: str, variables: Variables) -> str:
        found = self._found(field, variables)
        text = found if type(found) is str else self._text(field, found)
        if not text:
            self._refuse(field, "empty")
        if fault := name_fault(text):
            self._refuse(field, fault)
        return text

    def _text(self, field: str, found: Any) -> str:
        if isinstance(found, bool | float | dict | list | bytes):
            self._refuse(field, "neither a text nor a whole number")
        return str(found)

    def _contact(self, recipient: Recipient | None) -> str:
        user = "" if recipient is None else contact_user(recipient)
        if not user:
            text = f"user: absent, and no recipient; {self._cure('user')}"
            raise DecodeError(Reason.NO_SUBJECT, text)
        return user

    def _recipient(self, variables: Variables) -> Recipient | None:
        if "recipient" not in self._lookups:
            return None
        found = without_nulls(self._found("recipient", variables))
        try:
            return read_recipient(msgspec.convert(found, GivenRecipient))
        except msgspec.ValidationError:
            self._refuse("recipient", "not an object with email or phone")

    def _time_ms(self, received_ms: int, variables: Variables) -> int:
        if "time" not in self._lookups:
            return received_ms
        time_ms = min(self._read_time(self._found("time", variables)), LATEST_MS)
        if time_ms < 0:
            text = f"time: before 1970; {self._cure('time')} or its time_unit"
            raise DecodeError(Reason.TIME_OUT_OF_RANGE, text)
        if self._limits.check_time:
            check_time(time_ms, received_ms, self._limits)
        return time_ms

    def _read_time(self, found: Any) -> int:
        if isinstance(found, datetime):
            if found.tzinfo is None:  # it would be read in the zone of whichever machine reads it
                self._refuse("time", "a local time without an offset, like Avro's local-timestamp-millis")
            return int(found.timestamp() * 1000)
        if isinstance(found, str) and found.isdigit():
            found = int(found)  # a 64-bit number, as JSON of Protobuf has it
        if isinstance(found, int | float) and not isinstance(found, bool):
            return self._in_ms(found)
        try:
            return rfc3339_ms(found)
        except (ValueError, TypeError) as error:
            text = f"time: not RFC 3339 and no number; {TIME_CURE}, or {self._cure('time')}"
            raise DecodeError(Reason.BAD_FIELD, text) from error

    def _in_ms(self, number: float) -> int:
        try:
            return int(min(number, _MAX_NANOSECONDS) * _PER_MS[self._spec.time_unit])
        except (OverflowError, ValueError):
            self._refuse("time", "infinite, or no number")

    def _data(self, variables: Variables) -> msgspec.Raw:
        found = self._found("data", variables) if "data" in self._lookups else variables["value"]
        if self._spec.parse_data and isinstance(found, str):
            found = self._parsed(found)
        if not isinstance(found, dict):
            inside = isinstance(found, str) and found.lstrip()[:1] in {"{", "["}
            hint = " but a text that holds JSON: set parse_data: true" if inside else ""
            self._refuse("data", f"not an object{hint}")
        try:
            return msgspec.Raw(_encode(found))
        except (TypeError, OverflowError, ValueError, RecursionError):
            self._refuse("data", "holds what JSON cannot say")

    def _parsed(self, text: str) -> Any:
        try:
            return inner_json(text)
        except (msgspec.MsgspecError, RecursionError):
            self._refuse("data", "a text that is not JSON")

    def _refuse(self, field: str, fault: str) -> NoReturn:
        raise DecodeError(Reason.BAD_FIELD, f"{field}: {fault}; {self._cure(field)}")

    def _cure(self, field: str) -> str:
        source = getattr(self._spec, field)
        named = f"`{field}: {source}`" if source else f"`{field}`"
        return f"correct the record, or {named} of {self._topic} in sources.yaml"


_FIELDS = ("id", "user", "time", "data", "recipient", "tenant_from", "type_from", "source_from")


def _lookup(expression: Expression) -> Lookup:
    """Compile a field: a plain path walks the record, which takes a tenth of an evaluation."""
    path = expression.path
    if path is not None:
        return partial(_walk, path)
    return lambda variables: expression.value(Scope(without_nulls(variables)))


def _walk(path: tuple[str | int, ...], found: Any) -> Any:
    try:
        return reduce(getitem, path, found)
    except (LookupError, TypeError):
        return None

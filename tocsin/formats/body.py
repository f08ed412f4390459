"""Values, keys and headers of records as Kafka Connect and plain producers write them."""

from collections.abc import Sequence
from typing import Any

import msgspec

from tocsin.errors import DecodeError
from tocsin.formats.cloudevents import (
    SHALLOW_BYTES,
    EventLimits,
    decode_error,
    framed,
    is_deep,
    plain_value,
)
from tocsin.model.raw import RawRecord
from tocsin.model.statuses import Reason

_decode = msgspec.json.Decoder().decode
_ENVELOPE = {"schema", "payload"}
# An envelope around a null has the schema with it.
_TOMBSTONE_BYTES = 4_096
_TOO_DEEP = "value: nested too deeply; flatten it"
_JSON_BEGINNINGS = (b'"', b"{", b"[")


class Tombstone(Exception):
    """The record has no value and its topic is one where that is normal: it is no event."""


class NotYet(Exception):
    """The record cannot be decoded yet: its schema is not there. The text says why; its topic waits.

    Attributes:
        decoded: how many records before it were decoded, as far as the error limit was not told.
        rest: this record and those behind it.
    """

    decoded: int = 0
    rest: Sequence[RawRecord] = ()


def json_value(raw: RawRecord, limits: EventLimits) -> Any:
    """Parse a value that is JSON.

    Raises:
        Tombstone: there is no value: a null, no bytes, JSON's null, or an envelope around that.
        DecodeError: it is too large, no JSON, nested too deep, or framed for a schema registry.
    """
    value = plain_value(raw, limits)
    if not value:
        raise Tombstone
    try:
        found = _decode(value)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise (framed(value) or decode_error(error, {})) from error
    if unwrapped(found) is None:
        raise Tombstone
    if len(value) > SHALLOW_BYTES and is_deep(value, found):
        raise DecodeError(Reason.BAD_FIELD, _TOO_DEEP)
    return found


def inner_json(text: str) -> Any:
    """Parse JSON that a text of a record holds, such as a text column of an outbox.

    Raises:
        msgspec.MsgspecError: it is no JSON.
        DecodeError: it is nested too deep.
    """
    found = _decode(text.removeprefix("\ufeff"))
    if len(text) > SHALLOW_BYTES and is_deep(text.encode(), found):
        raise DecodeError(Reason.BAD_FIELD, _TOO_DEEP)
    return found


def is_tombstone(raw: RawRecord) -> bool:
    """Tell whether a record has no value, as the formats of declared topics see it."""
    if raw.value is None or len(raw.value) > _TOMBSTONE_BYTES:
        return raw.value is None
    try:
        return not raw.value or unwrapped(_decode(raw.value)) in (None, "")
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return False


def unwrapped(value: Any) -> Any:
    """Return the payload of an envelope that Connect's JsonConverter writes with `schemas.enable`.

    >>> unwrapped({"schema": None, "payload": {"id": 1}}), unwrapped({"id": 1})
    ({'id': 1}, {'id': 1})
    """
    return value["payload"] if isinstance(value, dict) and value.keys() == _ENVELOPE else value


def plain(data: bytes) -> Any:
    """Read a key or a header: a text, what JSON says where a converter wrote JSON, or else its bytes.

    Bytes that are no text stay bytes: two users whose names are not UTF-8 must not become one.

    >>> plain(b"ada"), plain(b'"ada"'), plain(b'{"schema": {"type": "string"}, "payload": "ada"}')
    ('ada', 'ada', 'ada')
    """
    if data.startswith(_JSON_BEGINNINGS):
        try:
            return unwrapped(_decode(data))
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
            pass
    try:
        return data.decode()
    except UnicodeDecodeError:
        return data

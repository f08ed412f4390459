"""Edits the text of a profile. Fields that are not changed keep their bytes, also unknown ones. Pure."""

from collections.abc import Iterable, Mapping
from hashlib import blake2b
from typing import Any, Final

import msgspec

from tocsin.errors import DecodeError
from tocsin.formats.profiles import decode_profile
from tocsin.model import topics
from tocsin.model.profile import Profile
from tocsin.model.raw import RawRecord

Fields = dict[str, msgspec.Raw]
"""The fields of a profile as JSON; unknown ones too."""

_BOM: Final = b"\xef\xbb\xbf"
_ENVELOPE: Final = frozenset({"schema", "payload"})
_fields = msgspec.json.Decoder(Fields).decode
_encode = msgspec.json.Encoder().encode


def fields_of(text: bytes) -> Fields:
    """Return the fields of a profile; none for an empty text. An envelope of Kafka Connect is opened."""
    if not text:
        return {}
    found = _fields(text.removeprefix(_BOM))
    return _fields(found["payload"]) if found.keys() == _ENVELOPE else found


def text_of(fields: Mapping[str, msgspec.Raw]) -> bytes:
    """Write the fields of a profile."""
    return _encode(fields)


def with_fields(text: bytes, changes: Mapping[str, Any]) -> bytes:
    """Replace fields of a profile by values that msgspec can encode; None removes a field.

    >>> with_fields(b'{"email":"a@b.example", "vip":1}', {"email": None, "locale": "de"})
    b'{"vip":1,"locale":"de"}'
    """
    fields = fields_of(text)
    for name, value in changes.items():
        if value is None:
            fields.pop(name, None)
        else:
            fields[name] = msgspec.Raw(_encode(value))
    return text_of(fields)


def merged(theirs: bytes, ours: bytes, names: Iterable[str]) -> bytes:
    """Put some fields of our text into theirs; a field that ours has not is removed.

    >>> merged(b'{"email":"new@b.example"}', b'{"email":"old@b.example","devices":[]}', ["devices"])
    b'{"email":"new@b.example","devices":[]}'
    """
    fields, changed = fields_of(theirs), fields_of(ours)
    for name in names:
        if name in changed:
            fields[name] = changed[name]
        else:
            fields.pop(name, None)
    return text_of(fields)


def read(text: bytes) -> Profile:
    """Read a profile as the gate does: what is not sound is left out."""
    return _decoded(text) or Profile()


def is_profile(text: bytes) -> bool:
    """Return whether the gate takes a text as a profile."""
    return _decoded(text) is not None


def _decoded(text: bytes) -> Profile | None:
    try:
        return decode_profile(RawRecord(topics.PROFILES, 0, 0, 0, b"t/u", text, ())).profile
    except DecodeError:
        return None


def faults_of(text: bytes) -> tuple[str, ...]:
    """Return a sentence with place and cure for each field that the gate would leave out."""
    return decode_profile(RawRecord(topics.PROFILES, 0, 0, 0, b"t/u", text, ())).faults


def tag_of(*parts: bytes) -> str:
    """Return the entity tag of a content, in quotes (RFC 9110, 8.8.3)."""
    hasher = blake2b(digest_size=9)
    for part in parts:
        hasher.update(len(part).to_bytes(4, "big") + part)
    return f'"{hasher.hexdigest()}"'

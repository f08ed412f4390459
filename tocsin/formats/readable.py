"""Reads the names in a record that cannot be decoded, so that its outcome is found by them.

Each name is read by itself: a wrong time or recipient hides neither the event's id nor its user.
"""

from typing import Any, NamedTuple

import msgspec

from tocsin.errors import DecodeError
from tocsin.formats.cloudevents import BOM, PREFIXES, name_fault
from tocsin.formats.profiles import owner_of
from tocsin.model import topics
from tocsin.model.raw import RawRecord

_EVENTS = frozenset({topics.EVENTS, topics.BULK})


class Names(NamedTuple):
    """What could be read of a record; empty what could not."""

    event_id: str = ""
    event_source: str = ""
    event_type: str = ""
    user: str = ""
    tenant: str = ""


class _Attributes(msgspec.Struct, gc=False):
    """Attributes in whatever form; the rest, such as `data`, is passed over."""

    id: Any = None
    source: Any = None
    type: Any = None
    subject: Any = None
    tenant: Any = None
    tocsintopic: Any = None
    tocsinfanout: Any = None


_decode = msgspec.json.Decoder(_Attributes).decode
_NONE = _Attributes()


def names_of(raw: RawRecord) -> Names:
    """Read the names of an event, or of a profile by its key; none of another topic's record."""
    if raw.topic == topics.PROFILES:
        return _of_profile(raw.key)
    if raw.topic not in _EVENTS:
        return Names()
    found = _in_headers(raw) or _in_value(raw.value or b"")
    tenant = _text(found.tenant)
    # The subject of an event that names a topic says what it is about, and names no user.
    has_user = found.tocsintopic is None or found.tocsinfanout is not None
    return Names(
        _text(found.id),
        _text(found.source),
        _text(found.type),
        _text(found.subject) if has_user else "",
        "" if "/" in tenant else tenant,
    )


def _of_profile(key: bytes | None) -> Names:
    try:
        tenant, user = owner_of(key)
    except DecodeError:
        return Names()
    return Names(user=user, tenant=tenant)


def _in_headers(raw: RawRecord) -> _Attributes | None:
    """Read the attributes of binary mode; None if the record has none."""
    lower = {name.lower(): data for name, data in raw.headers}
    given = {
        name[len(PREFIXES[0]) :]: data.decode("utf-8", "replace")
        for name, data in lower.items()
        if name.startswith(PREFIXES)
    }
    known = _Attributes.__struct_fields__
    return _Attributes(**{name: given[name] for name in known if name in given}) if given else None


def _in_value(value: bytes) -> _Attributes:
    try:
        return _decode(value.removeprefix(BOM))
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return _NONE


def _text(value: object) -> str:
    """Return a name as text, a number too; empty for what can be none.

    >>> _text(42), _text("order-7"), _text(True)
    ('42', 'order-7', '')
    """
    if not isinstance(value, str | int) or isinstance(value, bool):
        return ""
    text = str(value)
    return "" if name_fault(text) or "\ufffd" in text else text

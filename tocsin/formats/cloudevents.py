"""Reads CloudEvents 1.0 from Kafka records, structured and binary mode, into `Event`.

Whatever the bytes, `decode_event` returns an event or raises `DecodeError`. Where the standards leave it
open: the last of two equal JSON keys or headers counts, attributes that are not listed here are ignored,
a missing or null `data` is `{}`, a missing `time` is Kafka's timestamp. `data` is one JSON object: catalogs
read its fields, and a text, number or list would silently have none.
"""

from base64 import b64decode
from typing import Annotated, NamedTuple, NoReturn

import msgspec
from msgspec.structs import replace

from tocsin.errors import DecodeError
from tocsin.formats import asked, broadcasts
from tocsin.formats.replays import read_replay
from tocsin.formats.shapes import MAX_TEXT, are_contacts, has_control, is_email, is_phone
from tocsin.model import topics
from tocsin.model.event import Event, Origin, Recipient
from tocsin.model.ids import digest
from tocsin.model.locales import resolve as resolve_locale
from tocsin.model.raw import RawRecord
from tocsin.model.rfc3339 import CURE as TIME_CURE
from tocsin.model.rfc3339 import LATEST_MS, rfc3339_ms
from tocsin.model.statuses import Reason
from tocsin.model.zones import resolve as resolve_zone

STRUCTURED = "application/cloudevents+json"
PREFIXES = ("ce_", "ce-")
"""Of headers: the Kafka binding's own, and what Spring and another binding of Go write."""
BOM = b"\xef\xbb\xbf"
"""Byte order mark of UTF-8, which some writers put first."""
# Data is parsed and walked again under deeper stacks, whose recursion limit is 1,000 for all.
_MAX_DEPTH = 100
SHALLOW_BYTES = 1_000
"""Values up to this size are not searched for depth."""
# Confluent's framing: a zero byte, then the schema's id as four bytes.
_MAGIC, _FRAME_BYTES = b"\0", 5
_NO_DATA = msgspec.Raw(b"{}")
_Text = Annotated[str, msgspec.Meta(min_length=1)]


class EventLimits(NamedTuple):
    """Limits events. Times are checked against Kafka's timestamp, and only with `check_time`."""

    max_bytes: int
    max_past_s: int
    max_future_s: int
    check_time: bool


class GivenRecipient(msgspec.Struct, frozen=True, gc=False):
    """Inline contact of an event for people without a profile. Null is the same as left out."""

    email: str | None = None
    phone: str | None = None
    locale: str | None = None
    timezone: str | None = None
    contacts: dict[str, str] | None = None


class Envelope(msgspec.Struct, gc=False):
    """What is read of a CloudEvent; its fields are the published contract (`flows.contracts`)."""

    specversion: str
    id: _Text
    source: _Text
    type: _Text
    subject: _Text | None = None
    time: str | None = None
    tenant: _Text | int | None = None
    recipient: GivenRecipient | str | None = None
    tocsinsendat: str | None = None
    tocsinexpires: str | None = None
    datacontenttype: str | None = None
    data: msgspec.Raw = _NO_DATA
    data_base64: str | None = None
    tocsintopic: _Text | None = None
    tocsinfanout: _Text | None = None
    tocsinsegment: _Text | None = None
    tocsinrate: str | int | None = None
    tocsinlocaltime: str | None = None
    tocsinmissed: str | None = None
    tocsinnotification: _Text | None = None
    tocsinchannels: list[str] | str | None = None
    tocsincancelkey: str | int | None = None


_decode_envelope = msgspec.json.Decoder(Envelope).decode
_decode_recipient = msgspec.json.Decoder(GivenRecipient).decode
_decode_any = msgspec.json.Decoder().decode

_CURES = {
    "specversion": 'send CloudEvents 1.0: specversion "1.0"',
    "id": "give each event of a source its own non-empty id",
    "source": "name the producer, like /shop/orders",
    "type": "name the kind of event, like order.shipped",
    "subject": "put the user id there, or leave it out and name a recipient",
    "tenant": "use a name without '/', or leave it out for `default`",
    "recipient": "send an object with email (a bare address) or phone (E.164, like +4915112345678)"
    ", in a header as JSON text",
    "time": TIME_CURE,
    "tocsinsendat": TIME_CURE,
    "tocsinexpires": TIME_CURE,
    "tocsintopic": "name the topic whose subscribers get the event, or leave it out and name a user",
    "tocsinfanout": "leave it out; only Tocsin writes it",
    "data": "send one JSON object whose numbers fit a double and whose nesting is shallow",
    "datacontenttype": "send the data as application/json",
    "data_base64": "send base64 of one JSON object, or the object itself in `data`",
    **broadcasts.CURES,
    **asked.CURES,
}


def decode_event(raw: RawRecord, limits: EventLimits, tenant: str = "default") -> Event:
    """Read one record that is a CloudEvent.

    Args:
        raw: the record; headers decide between binary and structured mode, structured without headers.
        limits: sizes and times that are accepted; a replay may be of any time.
        tenant: the tenant of events that name none.

    Raises:
        DecodeError: with the reason; the text names field, place and cure and holds no content.
    """
    value = raw.value or b""
    if value[:1] != b"{" or len(value) > limits.max_bytes:
        value = plain_value(raw, limits)
    replay = read_replay(raw.headers) if raw.headers else None
    if replay is not None:
        limits = limits._replace(check_time=False)
    try:
        envelope = _from_headers(raw, value) if raw.headers else _structured(value)
        parsed = None if envelope.data is _NO_DATA else _parsed(envelope)
        if len(value) > SHALLOW_BYTES and is_deep(bytes(envelope.data), parsed):
            _refuse("data", f"nested more than {_MAX_DEPTH} deep")
        event = _event(raw, envelope, limits, tenant)
        return event if replay is None else replace(event, replay=replay)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise (framed(value) or decode_error(error, _CURES)) from error


def plain_value(raw: RawRecord, limits: EventLimits) -> bytes:
    """Return the bytes of a value without a byte order mark; raises `DecodeError` if they are too many."""
    value = (raw.value or b"").removeprefix(BOM)
    check_size(value, limits)
    return value


def check_size(value: bytes, limits: EventLimits) -> None:
    """Raise `DecodeError` if a value has too many bytes."""
    if len(value) > limits.max_bytes:
        text = f"value: {len(value)} bytes, more than the {limits.max_bytes} allowed; send a reference"
        raise DecodeError(Reason.TOO_LARGE, text)


_DECLARE = (
    "its topic is not declared so; declare it in sources.yaml with format: registry,"
    " or let the producer write plain JSON"
)


def framed(value: bytes, cure: str = _DECLARE) -> DecodeError | None:
    """Make the error of a value that is framed for a schema registry; None if it is not."""
    if value[:1] != _MAGIC or len(value) < _FRAME_BYTES:
        return None
    schema_id = int.from_bytes(value[1:_FRAME_BYTES], "big")
    text = f"value: framed for a schema registry (schema id {schema_id}), but {cure}"
    return DecodeError(Reason.BAD_JSON, text)


def decode_error(error: Exception, cures: dict[str, str]) -> DecodeError:
    """Turn what msgspec raises into a `DecodeError` that names place and cure, without content."""
    if isinstance(error, UnicodeDecodeError) or _is_about_utf8(error):
        return DecodeError(Reason.BAD_UTF8, "value: not UTF-8; encode JSON as UTF-8")
    if isinstance(error, RecursionError):
        return DecodeError(Reason.BAD_JSON, "value: nested too deeply; flatten it")
    if not isinstance(error, msgspec.ValidationError):
        return DecodeError(Reason.BAD_JSON, f"value: {error}; send one JSON object in UTF-8")
    said = _without_content(str(error))
    field = next((name for name in cures if f"$.{name}" in said or f"`{name}`" in said), "")
    return DecodeError(Reason.BAD_FIELD, f"{said}; {cures.get(field, 'send the type that is expected')}")


def _is_about_utf8(error: Exception) -> bool:
    """Tell by msgspec's text: since its version 0.23 it has no error of its own for that."""
    return not isinstance(error, msgspec.ValidationError) and "UTF-8" in str(error)


def _without_content(text: str) -> str:
    start, end = text.find("'"), text.rfind("'")
    return text if start < 0 else text[:start] + "(not shown)" + text[end + 1 :]


def _refuse(field: str, fault: str) -> NoReturn:
    raise DecodeError(Reason.BAD_FIELD, f"{field}: {fault}; {_CURES[field]}")


def _structured(value: bytes) -> Envelope:
    if not value:
        text = "value: empty or null; a topic of events has no tombstones: send one JSON object"
        raise DecodeError(Reason.BAD_JSON, text)
    if not value.isascii():
        value.decode()
    envelope = _decode_envelope(value)
    if envelope.datacontenttype is not None and not _is_json(envelope.datacontenttype):
        _refuse("datacontenttype", "not JSON")
    if envelope.data_base64 is not None:
        envelope.data = _from_base64(envelope)
    return envelope


def _is_json(content_type: str) -> bool:
    """Tell whether a media type is JSON; parameters and case do not count."""
    plain = content_type.partition(";")[0].strip().lower()
    return plain in {"", "application/json", "text/json"} or plain.endswith("+json")


def _from_base64(envelope: Envelope) -> msgspec.Raw:
    """Read `data_base64`, as SDKs write data that they are given as bytes."""
    if envelope.data is not _NO_DATA:
        _refuse("data_base64", "beside `data`")
    try:
        data = b64decode(envelope.data_base64 or "", validate=True).removeprefix(BOM)
        data.decode()
        _decode_any(data)
    except (ValueError, msgspec.MsgspecError):
        _refuse("data_base64", "not base64 of JSON")
    return msgspec.Raw(data)


def _from_headers(raw: RawRecord, value: bytes) -> Envelope:
    attributes: dict[str, str] = {}
    content_type = ""
    for name, data in raw.headers:
        lower = name.lower()
        if lower.startswith(PREFIXES):
            attributes[lower[len(PREFIXES[0]) :]] = _header_text(lower, data)
        elif lower == "content-type":
            content_type = _header_text(lower, data).partition(";")[0].strip().lower()
    if content_type.startswith("application/cloudevents") and content_type != STRUCTURED:
        text = f"content-type: not read here; send {STRUCTURED}, one event a record, or binary mode"
        raise DecodeError(Reason.BAD_FIELD, text)
    if attributes and content_type != STRUCTURED:
        return _binary(attributes, content_type, value)
    return _structured(value)


def _header_text(name: str, data: bytes) -> str:
    try:
        return data.decode()
    except UnicodeDecodeError as error:
        text = f"header {name if name.isidentifier() else '(odd name)'}: not UTF-8; encode it as UTF-8"
        raise DecodeError(Reason.BAD_UTF8, text) from error


def _binary(attributes: dict[str, str], content_type: str, value: bytes) -> Envelope:
    if not _is_json(content_type):
        text = "content-type: not JSON; send data as application/json"
        raise DecodeError(Reason.BAD_FIELD, text)
    known = {name: text for name, text in attributes.items() if name in _BINARY_FIELDS}
    envelope = msgspec.convert(known, Envelope)
    if value:
        envelope.data = msgspec.Raw(value)
    return envelope


_BINARY_FIELDS = frozenset(Envelope.__struct_fields__) - {"datacontenttype", "data", "data_base64"}


def _parsed(envelope: Envelope) -> object:
    """Parse `data`, so that whoever does so later cannot fail: skipping does not check numbers."""
    try:
        parsed = _decode_any(envelope.data)
    except msgspec.ValidationError as error:
        raise DecodeError(Reason.BAD_FIELD, f"data: {error}; {_CURES['data']}") from error
    if parsed is None:
        envelope.data = _NO_DATA
    elif not isinstance(parsed, dict):
        _refuse("data", _KINDS.get(type(parsed), "a number") + _hint(parsed))
    return parsed


_KINDS = {str: "a text", list: "a list", bool: "true or false"}


def _hint(parsed: object) -> str:
    """Name the usual mistake: JSON that was written as a text, as from a text column of an outbox."""
    inside = isinstance(parsed, str) and parsed.lstrip()[:1] in {"{", "["}
    return " that holds JSON: send it unquoted" if inside else ", not an object"


def is_deep(data: bytes, parsed: object) -> bool:
    """Tell whether JSON is nested so deep that others could not walk it."""
    if data.count(b"[") + data.count(b"{") <= _MAX_DEPTH:
        return False
    depth, level = 0, [parsed]
    while level := [item for item in level if isinstance(item, dict | list)]:
        depth += 1
        level = [child for item in level for child in (item.values() if isinstance(item, dict) else item)]
    return depth > _MAX_DEPTH


def _event(raw: RawRecord, envelope: Envelope, limits: EventLimits, default_tenant: str) -> Event:
    raw_topic, partition, offset, received_ms, _, _, _ = raw
    version = envelope.specversion
    if version != "1.0" and version != "1" and not version.startswith("1."):
        _refuse("specversion", "not 1.x")
    # SDKs for Java and Go write a numeric extension as a number in JSON, and as text in a header.
    tenant = default_tenant if envelope.tenant is None else str(envelope.tenant)
    topic, fanned_out = envelope.tocsintopic, envelope.tocsinfanout
    if topic is None and fanned_out is None:
        user = envelope.subject or _other_user(envelope)
        joined = f"{envelope.id}{envelope.source}{envelope.type}{user}{tenant}"
    else:
        user = _topic_user(envelope)
        joined = f"{envelope.id}{envelope.source}{envelope.type}{user}{tenant}{topic}{fanned_out}"
    if len(joined) > MAX_TEXT or not joined.isprintable() or "/" in tenant:
        _check_names(envelope, tenant, user)
    time_ms = received_ms if envelope.time is None else _time("time", envelope.time)
    late_ms = received_ms - time_ms
    if limits.check_time and not -limits.max_future_s <= late_ms / 1000 <= limits.max_past_s:
        check_time(time_ms, received_ms, limits)
    sends, expires, recipient = envelope.tocsinsendat, envelope.tocsinexpires, envelope.recipient
    event = Event(  # by position, in the order of its fields: by name it takes twice as long
        tenant,
        envelope.id,
        envelope.source,
        envelope.type,
        user,
        time_ms,
        envelope.data,
        Origin(raw_topic, partition, offset),
        received_ms,
        None if recipient is None else read_recipient(recipient),
        None if sends is None else _time("tocsinsendat", sends),
        None if expires is None else _time("tocsinexpires", expires),
        raw_topic == topics.BULK,
        topic or "",
        fanned_out or "",
    )
    notification, channels = envelope.tocsinnotification, envelope.tocsinchannels
    if notification is not None or channels is not None or envelope.tocsincancelkey is not None:
        given = asked.read_asked(notification, channels, envelope.tocsincancelkey)
        event = replace(event, asked=given)
    return event if envelope.tocsinsegment is None else _broadcast(event, envelope, envelope.tocsinsegment)


def _broadcast(event: Event, envelope: Envelope, segment: str) -> Event:
    """Make an event a broadcast; its messages travel in bulk, whatever topic it came on."""
    if event.user or event.recipient is not None:
        _refuse("tocsinsegment", "beside a subject or recipient")
    given = envelope.tocsinrate, envelope.tocsinlocaltime, envelope.tocsinmissed
    return replace(event, bulk=True, broadcast=broadcasts.read_broadcast(segment, *given))


def _topic_user(envelope: Envelope) -> str:
    """Return the subscriber that an event was fanned out to; empty for an event that names a topic.

    The subject of an event that names a topic is free: it may say what the event is about.
    """
    if envelope.tocsinfanout is None:
        if envelope.recipient is not None:
            _refuse("recipient", "beside tocsintopic, which names the recipients")
        if envelope.tocsinsegment is not None:
            _refuse("tocsinsegment", "beside tocsintopic")
        return ""
    if envelope.tocsintopic is None or envelope.subject is None:
        _refuse("tocsinfanout", "without tocsintopic and subject")
    return envelope.subject


def _check_names(envelope: Envelope, tenant: str, user: str) -> None:
    if "/" in tenant:
        _refuse("tenant", "holds '/'")
    names = {
        "id": envelope.id,
        "source": envelope.source,
        "type": envelope.type,
        "subject": user,
        "tenant": tenant,
        "tocsintopic": envelope.tocsintopic or "",
        "tocsinfanout": envelope.tocsinfanout or "",
    }
    for field, text in names.items():
        if fault := name_fault(text):
            _refuse(field, fault)


def name_fault(text: str) -> str:
    """Say what is wrong with an id, a type or another name; empty if nothing is."""
    if len(text) > MAX_TEXT:
        return f"{len(text)} characters, more than {MAX_TEXT}"
    return "holds control characters" if has_control(text) else ""


def _time(field: str, text: str) -> int:
    try:
        time_ms = rfc3339_ms(text)
    except ValueError as error:
        raise DecodeError(Reason.BAD_FIELD, f"{field}: not RFC 3339; {TIME_CURE}") from error
    if time_ms < 0:
        raise DecodeError(Reason.TIME_OUT_OF_RANGE, f"{field}: before 1970; {TIME_CURE}")
    # The largest time of many languages, which means never.
    return time_ms if time_ms < LATEST_MS else LATEST_MS


def check_time(time_ms: int, received_ms: int, limits: EventLimits) -> None:
    """Raise `DecodeError` if an event's time is too far from Kafka's."""
    late_s = (received_ms - time_ms) / 1000
    if late_s > limits.max_past_s:
        text = f"time: {late_s:.0f} s before Kafka's, more than {limits.max_past_s}; raise TOCSIN_MAX_PAST_S"
        raise DecodeError(Reason.TIME_OUT_OF_RANGE, text)
    if -late_s > limits.max_future_s:
        text = f"time: {-late_s:.0f} s after Kafka's, more than {limits.max_future_s}; correct its clock"
        raise DecodeError(Reason.TIME_OUT_OF_RANGE, text)


def _other_user(envelope: Envelope) -> str:
    """Name the user of an inline recipient. A broadcast has no user, nor has an event that controls one."""
    if envelope.tocsinsegment is not None or envelope.type == broadcasts.CONTROL_TYPE:
        return ""
    user = "" if envelope.recipient is None else contact_user(read_recipient(envelope.recipient))
    if not user:
        raise DecodeError(Reason.NO_SUBJECT, f"subject: absent, and no recipient; {_CURES['subject']}")
    return user


def contact_user(recipient: Recipient) -> str:
    """Derive the user id of someone without a profile: a hash, so that no address becomes an id.

    Empty if the recipient has no contact.
    """
    if recipient.email:
        return "contact-" + digest("contact", "email", recipient.email.lower())
    if recipient.phone:
        return "contact-" + digest("contact", "phone", recipient.phone)
    first = min(recipient.contacts.items(), default=None)
    return "contact-" + digest("contact", *first) if first else ""


def read_recipient(given: GivenRecipient | str) -> Recipient:
    """Read an inline recipient; a locale or zone that is none stays as it is, for the gate to name."""
    try:
        found = _decode_recipient(given.removeprefix("\ufeff")) if isinstance(given, str) else given
    except msgspec.MsgspecError as error:
        raise DecodeError(Reason.BAD_FIELD, f"recipient: not JSON of one; {_CURES['recipient']}") from error
    for name, is_fine in _RECIPIENT_SHAPES:
        text = getattr(found, name)
        if text and not is_fine(text):
            _refuse("recipient", f"{name} has the wrong form")
    contacts = found.contacts or {}
    if not are_contacts(contacts):
        _refuse("recipient", "contacts has an address that no channel of its own takes")
    locale, zone = found.locale or "", found.timezone or ""
    return Recipient(
        found.email or "",
        found.phone or "",
        resolve_locale(locale) or locale,
        resolve_zone(zone) or zone,
        contacts,
    )


_RECIPIENT_SHAPES = (
    ("email", is_email),
    ("phone", is_phone),
)

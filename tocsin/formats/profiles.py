"""Reads records of `profiles`: each is a profile or an erasure of one user. Pure.

A profile holds opt-outs, so a bad field never throws the rest away. What is sound is applied; what is not is
left out and named with its cure. A switch that cannot be read counts as off: nothing goes out that the
recipient may have refused (law 3).
"""

import re
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any, Final, NamedTuple

import msgspec

from tocsin.errors import DecodeError
from tocsin.formats.cloudevents import decode_error, framed
from tocsin.formats.shapes import (
    MAX_CONTACTS,
    MAX_TEXT,
    are_contacts,
    has_control,
    is_clock,
    is_contact,
    is_email,
    is_phone,
)
from tocsin.model.locales import resolve as resolve_locale
from tocsin.model.profile import Device, Preferences, Profile, QuietHours, Suppressed
from tocsin.model.raw import RawRecord
from tocsin.model.rfc3339 import rfc3339_ms
from tocsin.model.statuses import Reason
from tocsin.model.zones import NAMES, resolve

_BOM: Final = b"\xef\xbb\xbf"
# Redis compares versions as doubles, exact up to here.
_VERSIONS: Final = 1 << 53
_ENVELOPE: Final = frozenset({"schema", "payload"})

CURES: Final[Mapping[str, str]] = {
    "email": "send one bare address, or leave it out",
    "phone": "send E.164 like +4915112345678, or leave it out",
    "locale": "send a language tag like de or pt-BR, or leave it out",
    "timezone": "send an IANA name like Europe/Berlin, or Etc/GMT-3 for UTC+03:00",
    "quiet_hours": "send start and end as HH:MM",
    "devices": "send platform ios or android with a token, or web with a subscription and its endpoint;"
    " times with an offset",
    "preferences": "send switches as true and false, and times with an offset",
    "version": "send a number below 2^53 that grows with every change",
    "attributes": "send one object of few fields, those that conditions read",
    "suppressed": "send a list of objects, each with an address; times with an offset",
    "contacts": 'send one address a channel, like {"telegram": "123456789"}; e-mail, phone and devices have'
    " fields of their own",
}


def _is_tag(locale: str) -> bool:
    return resolve_locale(locale) == locale


_SHAPES: Final = (
    ("email", is_email),
    ("phone", is_phone),
    ("locale", _is_tag),
    ("timezone", NAMES.__contains__),
)

# SQL and some Java libraries write the seconds of a time of day.
_FULL_CLOCK: Final = re.compile(r"\A(\d\d:\d\d):00(?:\.0{1,9})?\Z", re.ASCII)

MAX_ATTRIBUTES: Final = 4_096
"""Bytes of the attributes of a profile, which its user's record holds."""

_encode_attributes = msgspec.json.Encoder(order="sorted").encode
_decode = msgspec.json.Decoder(Profile).decode
_decode_any = msgspec.json.Decoder().decode


class ProfileChange(NamedTuple):
    """Holds what one record of `profiles` says.

    Attributes:
        tenant: whose user.
        user: the user's id.
        profile: what is sound of it; None erases the user.
        faults: a sentence with field and cure for each thing that was left out.
    """

    tenant: str
    user: str
    profile: Profile | None
    faults: tuple[str, ...] = ()


def decode_profile(raw: RawRecord) -> ProfileChange:
    """Read one record of `profiles`: key `tenant/user`, value a profile, or nothing for an erasure.

    Read as nothing are a null value, no bytes, the JSON text `null`, and an envelope of Kafka Connect around
    null. A key in JSON quotes, as Connect, ksqlDB and REST bridges write it, is read without them.

    Raises:
        DecodeError: the key names no user, or the value is no JSON object: nothing of it can be applied.
    """
    tenant, user = owner_of(raw.key)
    value = (raw.value or b"").removeprefix(_BOM)
    if not value:
        return ProfileChange(tenant, user, None)
    try:
        if not value.isascii():
            value.decode()
        profile = _whole(value)
        return ProfileChange(tenant, user, profile) if profile else _rescued(tenant, user, value)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise (framed(value, _PLAIN) or decode_error(error, dict(CURES))) from error


def _whole(value: bytes) -> Profile | None:
    """Read a profile without faults; None if it has any, or if nothing of one is in it."""
    try:
        profile = _decode(value)
    except msgspec.ValidationError:
        return None
    return None if profile == _NOTHING or next(_wrong(profile), None) else profile


_NOTHING: Final = Profile()
_PLAIN: Final = (
    "profiles are plain JSON; let the producer write them with a JSON converter without a registry"
)
# An envelope that is not known, like that of a change event, must not replace a profile by an empty one.
_NO_FIELD: Final = (
    "value: an object without any field of a profile; send the profile itself, without an envelope around it"
)


def owner_of(key: bytes | None) -> tuple[str, str]:
    """Return tenant and user of a record's key; raises `DecodeError` if it names none."""
    try:
        text = (key or b"").decode()
        if text[:1] == text[-1:] == '"' and len(text) > 1:
            text = msgspec.json.decode(text, type=str)
        tenant, slash, user = text.partition("/")
    except (UnicodeDecodeError, msgspec.MsgspecError) as error:
        raise DecodeError(Reason.BAD_UTF8, "key: not UTF-8; encode tenant/user as UTF-8") from error
    if not slash or '"' in tenant:
        raise DecodeError(Reason.BAD_FIELD, "key: not tenant/user; set the key of the record so")
    check_owner(tenant, user)
    return tenant, user


def check_owner(tenant: str, user: str) -> None:
    """Refuse a tenant or user that cannot be one.

    Raises:
        DecodeError: it is empty, too long, or has characters that no name has.
    """
    for field, text in (("tenant", tenant), ("user", user)):
        if not 0 < len(text) <= MAX_TEXT or has_control(text):
            fault = f"empty, longer than {MAX_TEXT} or with control characters"
            raise DecodeError(Reason.BAD_FIELD, f"{field}: {fault}; name the owner of the record")
    if "/" in tenant:
        raise DecodeError(Reason.BAD_FIELD, "tenant: holds '/'; use a name without it")


def _wrong(profile: Profile) -> Any:
    """Name the fields of a decoded profile that cannot be right."""
    for name, is_fine in _SHAPES:
        text = getattr(profile, name)
        if text and not is_fine(text):
            yield name
    if profile.quiet_hours is not None and not _are_hours(profile.quiet_hours):
        yield "quiet_hours"
    if not all(map(_is_device, profile.devices)):
        yield "devices"
    if not 0 <= profile.version < _VERSIONS:
        yield "version"
    if len(attributes_json(profile.attributes)) > MAX_ATTRIBUTES:
        yield "attributes"
    if profile.contacts and not are_contacts(profile.contacts):
        yield "contacts"


def attributes_json(attributes: dict[str, Any]) -> bytes:
    """Write attributes as JSON, the same whatever the order of their producer; nothing if there are none."""
    return _encode_attributes(attributes) if attributes else b""


def _are_hours(hours: QuietHours) -> bool:
    return is_clock(hours.start) and is_clock(hours.end)


def _is_device(device: Device) -> bool:
    if device.platform == "web":
        return bool((device.subscription or {}).get("endpoint"))
    return bool(device.token) and device.token.isprintable()


def _rescued(tenant: str, user: str, value: bytes) -> ProfileChange:
    """Read a value that is no profile as a whole: field by field, out of an envelope if it is in one."""
    document = _decode_any(value)
    if isinstance(document, dict) and document.keys() == _ENVELOPE:
        document = document["payload"]
    if document is None:
        return ProfileChange(tenant, user, None)
    if not isinstance(document, dict):
        raise DecodeError(Reason.BAD_FIELD, "value: not an object; send one JSON object, or null to erase")
    if document and not document.keys() & _READ.keys():
        raise DecodeError(Reason.BAD_FIELD, _NO_FIELD)
    reader = _FieldReader()
    sound = {name: read(reader, document[name]) for name, read in _READ.items() if name in document}
    profile = Profile(**sound)
    return ProfileChange(tenant, user, profile, tuple(reader.faults))


class _FieldReader:
    """Reads single fields leniently; collects a sentence for each that is left out."""

    def __init__(self) -> None:
        self.faults: list[str] = []

    def fault(self, place: str, what: str) -> None:
        field = place.partition("[")[0].partition(".")[0]
        self.faults.append(f"{place}: {what}; {CURES[field]}")

    def text(self, name: str, value: object, is_fine: Callable[[str], bool]) -> str:
        if value is None or value == "":
            return ""
        if isinstance(value, str) and is_fine(value):
            return value
        self.fault(name, "wrong form, left out")
        return ""

    def locale(self, value: object) -> str:
        tag = resolve_locale(value) if isinstance(value, str) else ""
        if value and not tag:
            self.fault("locale", "no language tag, left out: the tenant's applies")
        return tag

    def timezone(self, value: object) -> str:
        name = resolve(value) if isinstance(value, str) else ""
        if value and not name:
            self.fault("timezone", "no zone of IANA, left out: the tenant's applies")
        return name

    def hours(self, value: object) -> QuietHours | None:
        try:
            hours = msgspec.convert(_without_seconds(value), QuietHours | None)
        except msgspec.ValidationError:
            hours = QuietHours("", "")
        if hours is None or _are_hours(hours):
            return hours
        self.fault("quiet_hours", "wrong form, left out")
        return None

    def devices(self, value: object) -> tuple[Device, ...]:
        if value is None:
            return ()
        if not isinstance(value, list):
            self.fault("devices", "not a list, left out")
            return ()
        found = [self._device(at, each) for at, each in enumerate(value)]
        return tuple(device for device in found if device is not None)

    def _device(self, at: int, value: object) -> Device | None:
        try:
            device = msgspec.convert(_readable(value), Device)
        except msgspec.ValidationError:
            device = None
        if device is None or not _is_device(device):
            self.fault(f"devices[{at}]", "not reachable, left out")
            return None
        return device

    def suppressed(self, value: object) -> tuple[Suppressed, ...]:
        if value is None:
            return ()
        if not isinstance(value, list):
            self.fault("suppressed", "not a list, left out")
            return ()
        found = [self._suppressed(at, each) for at, each in enumerate(value)]
        return tuple(one for one in found if one is not None)

    def _suppressed(self, at: int, value: object) -> Suppressed | None:
        """Read one entry; where only its address can be read, that is blocked from now on."""
        address = value.get("address") if isinstance(value, dict) else None
        if not isinstance(value, dict) or not isinstance(address, str) or not address:
            self.fault(f"suppressed[{at}]", "names no address, left out")
            return None
        try:
            return msgspec.convert({**value, "at": _read_moment(value.get("at"))}, Suppressed)
        except msgspec.ValidationError:
            self.fault(f"suppressed[{at}]", "wrong form, its address is blocked from now on")
            return Suppressed(address)

    def attributes(self, value: object) -> dict[str, Any]:
        if value is None:
            return {}
        if not isinstance(value, dict):
            self.fault("attributes", "not an object, left out")
        elif len(attributes_json(value)) > MAX_ATTRIBUTES:
            self.fault("attributes", f"over {MAX_ATTRIBUTES} bytes, left out")
        else:
            return value
        return {}

    def contacts(self, value: object) -> dict[str, str]:
        if value is None:
            return {}
        if not isinstance(value, dict):
            self.fault("contacts", "not an object, left out")
            return {}
        given = {name: _as_address(each) for name, each in value.items() if each is not None}
        found = {
            name: each for name, each in given.items() if isinstance(each, str) and is_contact(name, each)
        }
        for name in given.keys() - found.keys():
            self.fault(_in("contacts", name), "no address of this channel, left out")
        if len(found) > MAX_CONTACTS:
            self.fault("contacts", f"more than {MAX_CONTACTS}, the others left out")
        return dict(list(found.items())[:MAX_CONTACTS])

    def version(self, value: object) -> int:
        if isinstance(value, int) and not isinstance(value, bool) and 0 <= value < _VERSIONS:
            return value
        self.fault("version", "no number, negative or over 2^53, left out")
        return 0

    def preferences(self, value: object) -> Preferences:
        if value is None:
            return Preferences()
        if not isinstance(value, dict):
            self.fault("preferences", "not an object, all counts as off")
            return Preferences(enabled=False)
        given = {name: found for name, found in value.items() if found is not None}
        groups = all(isinstance(given.get(name, {}), dict) for name in _GROUPS)
        return Preferences(
            enabled=self._switch("preferences.enabled", given.get("enabled", True)) and groups,
            channels=self._switches("preferences.channels", given.get("channels", {})),
            categories=self._groups("preferences.categories", given.get("categories", {})),
            notifications=self._groups("preferences.notifications", given.get("notifications", {})),
            snoozed_until=self._moment("preferences.snoozed_until", given.get("snoozed_until")),
        )

    def _switch(self, place: str, value: object) -> bool:
        if isinstance(value, bool):
            return value
        self.fault(place, "not true or false, counts as off")
        return False

    def _switches(self, place: str, value: object) -> dict[str, bool]:
        if not isinstance(value, dict):
            self.fault(place, "not an object of switches, all counts as off")
            return {}
        return {name: self._switch(_in(place, name), on) for name, on in value.items() if on is not None}

    def _groups(self, place: str, value: object) -> dict[str, bool | dict[str, bool]]:
        if not isinstance(value, dict):
            self.fault(place, "not an object of switches, all counts as off")
            return {}
        return {name: self._group(_in(place, name), on) for name, on in value.items() if on is not None}

    def _group(self, place: str, value: object) -> bool | dict[str, bool]:
        return self._switches(place, value) if isinstance(value, dict) else self._switch(place, value)

    def _moment(self, place: str, value: object) -> Any:
        try:
            return msgspec.convert({"snoozed_until": _read_moment(value)}, Preferences).snoozed_until
        except msgspec.ValidationError:
            self.fault(place, "no time with an offset, left out")
            return None


def _as_address(value: object) -> object:
    """Read a number as its text: ids of chats are numbers in many databases."""
    return str(value) if isinstance(value, int) and not isinstance(value, bool) else value


def _read_moment(value: object) -> object:
    """Read a time as those of events are read; what is none stays as it is."""
    try:
        return datetime.fromtimestamp(rfc3339_ms(value) / 1000, UTC) if isinstance(value, str) else value
    except (ValueError, OverflowError):
        return value


def _readable(device: object) -> object:
    """Read a time as those of events are read, and a subscription as browsers give it."""
    if not isinstance(device, dict):
        return device
    read = {name: _read_moment(each) if name == "registered_at" else each for name, each in device.items()}
    given = device.get("subscription")
    if isinstance(given, dict) and isinstance(keys := given.get("keys"), dict):
        read["subscription"] = {"endpoint": given.get("endpoint"), **keys}
    return read


def _without_seconds(hours: object) -> object:
    if not isinstance(hours, dict):
        return hours
    return {name: _FULL_CLOCK.sub(r"\1", at) if isinstance(at, str) else at for name, at in hours.items()}


_GROUPS: Final = ("channels", "categories", "notifications")


def _in(place: str, name: str) -> str:
    return f"{place}.{name if name.isidentifier() and len(name) <= _MAX_NAME else '(odd name)'}"


_MAX_NAME: Final = 64
_READ: Final[Mapping[str, Callable[[_FieldReader, object], Any]]] = {
    "email": lambda reader, value: reader.text("email", value, is_email),
    "phone": lambda reader, value: reader.text("phone", value, is_phone),
    "locale": _FieldReader.locale,
    "timezone": _FieldReader.timezone,
    "devices": _FieldReader.devices,
    "preferences": _FieldReader.preferences,
    "quiet_hours": _FieldReader.hours,
    "version": _FieldReader.version,
    "attributes": _FieldReader.attributes,
    "suppressed": _FieldReader.suppressed,
    "contacts": _FieldReader.contacts,
}

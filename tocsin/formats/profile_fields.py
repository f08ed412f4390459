"""Reads the fields of a profile one by one, where it cannot be read as a whole."""

import re
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any, Final

import msgspec

from tocsin.formats.profile_checks import (
    CURES,
    MAX_ATTRIBUTES,
    VERSIONS,
    are_hours,
    attributes_json,
    is_device,
)
from tocsin.formats.shapes import MAX_CONTACTS, is_contact, is_email, is_phone
from tocsin.model.locales import resolve as resolve_locale
from tocsin.model.profile import Device, Preferences, Profile, QuietHours, Suppressed
from tocsin.model.rfc3339 import rfc3339_ms
from tocsin.model.zones import resolve

# SQL and some Java libraries write the seconds of a time of day.
_FULL_CLOCK: Final = re.compile(r"\A(\d\d:\d\d):00(?:\.0{1,9})?\Z", re.ASCII)


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
        if hours is None or are_hours(hours):
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
        if device is None or not is_device(device):
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
        if isinstance(value, int) and not isinstance(value, bool) and 0 <= value < VERSIONS:
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
FIELDS: Final = _READ.keys()
"""Fields that a profile may have."""


def read_fields(document: Mapping[str, object]) -> tuple[Profile, tuple[str, ...]]:
    """Return what is sound of a profile, and a sentence with field and cure for all that was left out."""
    reader = _FieldReader()
    sound = {name: read(reader, document[name]) for name, read in _READ.items() if name in document}
    return Profile(**sound), tuple(reader.faults)

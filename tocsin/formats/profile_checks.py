"""Says which fields of a decoded profile cannot be right, and the cure of each."""

from collections.abc import Iterator, Mapping
from typing import Any, Final

import msgspec

from tocsin.formats.shapes import are_contacts, is_clock, is_email, is_phone
from tocsin.model.locales import resolve as resolve_locale
from tocsin.model.profile import Device, Profile, QuietHours
from tocsin.model.zones import NAMES

# Redis compares versions as doubles, exact up to here.
VERSIONS: Final = 1 << 53

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

MAX_ATTRIBUTES: Final = 4_096
"""Bytes of the attributes of a profile, which its user's record holds."""

_encode_attributes = msgspec.json.Encoder(order="sorted").encode


def wrong_fields(profile: Profile) -> Iterator[str]:
    """Name the fields of a decoded profile that cannot be right."""
    for name, is_fine in _SHAPES:
        text = getattr(profile, name)
        if text and not is_fine(text):
            yield name
    if profile.quiet_hours is not None and not are_hours(profile.quiet_hours):
        yield "quiet_hours"
    if not all(map(is_device, profile.devices)):
        yield "devices"
    if not 0 <= profile.version < VERSIONS:
        yield "version"
    if len(attributes_json(profile.attributes)) > MAX_ATTRIBUTES:
        yield "attributes"
    if profile.contacts and not are_contacts(profile.contacts):
        yield "contacts"


def attributes_json(attributes: dict[str, Any]) -> bytes:
    """Write attributes as JSON, the same whatever the order of their producer; nothing if there are none."""
    return _encode_attributes(attributes) if attributes else b""


def are_hours(hours: QuietHours) -> bool:
    """Tell whether both are times of a day."""
    return is_clock(hours.start) and is_clock(hours.end)


def is_device(device: Device) -> bool:
    """Tell whether a device can be reached: a browser at its endpoint, any other by its token."""
    if device.platform == "web":
        return bool((device.subscription or {}).get("endpoint"))
    return bool(device.token) and device.token.isprintable()

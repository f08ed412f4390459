"""Writes what receipts changed about a user into the user's profile, for whoever owns the profile. Pure.

A profile is corrected as text: what is not changed keeps its bytes, also fields that Tocsin does not know.
An address that is blocked is not taken out. It is listed in `suppressed`, with reason and time, so that its
owner loses nothing and can see why; a lift takes it out of the list. `version` stays the owner's.
"""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Final, NamedTuple

import msgspec

from tocsin.model import topics
from tocsin.model.ids import digest
from tocsin.model.profile import Suppressed
from tocsin.model.raw import OutRecord, RawRecord

CORRECTED_HEADER: Final = "tocsin-corrected"
"""On a profile that Tocsin has corrected: the name of the owner's text that it is made from."""
_BOM: Final = b"\xef\xbb\xbf"
_Fields = dict[str, msgspec.Raw]
_fields = msgspec.json.Decoder(_Fields).decode
_listed = msgspec.json.Decoder(list[_Fields]).decode
_any = msgspec.json.Decoder().decode
_encode = msgspec.json.encode


class Correction(msgspec.Struct, frozen=True):
    """What is to change in a profile.

    Attributes:
        suppressed: addresses and devices that are blocked from now on.
        lifted: addresses and devices that are blocked no more.
        off: categories that are switched off; an empty name stands for everything.
    """

    suppressed: tuple[Suppressed, ...] = ()
    lifted: tuple[str, ...] = ()
    off: tuple[str, ...] = ()


class ProfileText(NamedTuple):
    """The newest text of a profile: the name of the owner's text, and the text with its corrections."""

    base: str
    text: bytes


ERASED: Final = ProfileText("erased", b"")
"""Written where a correction is found behind the erasure of its user."""
NO_TEXT: Final = ProfileText("", b"")
"""Stands for a text that is not kept any more."""


def text_of(raw: RawRecord) -> ProfileText:
    """Return the text of a profile as it was read."""
    text = raw.value or b""
    return ProfileText(corrected_from(raw) or _name(text), text)


def record_of(known: ProfileText, partition: int, key: bytes) -> OutRecord:
    """Write the record of a corrected profile; without a text, that of a tombstone."""
    return OutRecord(
        topics.PROFILES, partition, key, known.text or None, ((CORRECTED_HEADER, known.base.encode()),)
    )


def suppressed_since(address: str, channel: str, reason: str, at_ms: int) -> Suppressed:
    """Describe a block of an address."""
    return Suppressed(address, channel, reason, datetime.fromtimestamp(at_ms / 1000, UTC))


def corrected_from(raw: RawRecord) -> str:
    """Return the name of the text that a record of `profiles` was corrected from; empty for an owner's."""
    found = [value for name, value in raw.headers if name == CORRECTED_HEADER] if raw.headers else []
    return found[0].decode("ascii", "replace") if found else ""


def corrected(text: bytes, correction: Correction) -> bytes | None:
    """Return a profile's text with a correction; None if it says all of that already, or is no JSON object.

    >>> stopped = Correction(suppressed=(Suppressed("+12125550142", "sms", "recipient_opted_out"),))
    >>> text = corrected(b'{"phone": "+12125550142", "vip":  true}', stopped)
    >>> text.decode()
    '{"phone":"+12125550142","vip":true,"suppressed":[...]}'
    >>> corrected(text, stopped) is None
    True
    """
    try:
        fields = _unwrapped(_fields(text.removeprefix(_BOM)))
        before = dict(fields)
        _suppress(fields, correction)
        if correction.off:
            _switch_off(fields, correction.off)
    except (msgspec.MsgspecError, UnicodeDecodeError):
        return None
    return None if fields == before else _encode(fields)


def _name(text: bytes) -> str:
    return digest("profile", text.decode("utf-8", "replace"))


def _unwrapped(fields: _Fields) -> _Fields:
    """Open an envelope of Kafka Connect."""
    return _fields(fields["payload"]) if fields.keys() == {"schema", "payload"} else fields


def _suppress(fields: _Fields, correction: Correction) -> None:
    """Change the list of suppressed addresses, if the correction changes anything of it."""
    known = _listed(fields["suppressed"]) if _has(fields, "suppressed") else []
    by_address = {str(_any(one["address"])): one for one in known if "address" in one}
    kept = [one for address, one in by_address.items() if address not in correction.lifted]
    new = [one for one in correction.suppressed if one.address not in by_address]
    if new or len(kept) < len(by_address):
        fields["suppressed"] = _raw([*kept, *new])


def _switch_off(fields: _Fields, categories: Sequence[str]) -> None:
    preferences = _fields(fields["preferences"]) if _has(fields, "preferences") else {}
    switches = _fields(preferences["categories"]) if _has(preferences, "categories") else {}
    on = [category for category in categories if category and not _is_off(switches, category)]
    if on:
        preferences["categories"] = _raw({**switches, **dict.fromkeys(on, _OFF)})
    everything = "" in categories and not _is_off(preferences, "enabled")
    if everything:
        preferences["enabled"] = _OFF
    if on or everything:
        fields["preferences"] = _raw(preferences)


def _is_off(switches: _Fields, name: str) -> bool:
    return bytes(switches.get(name, b"")) == bytes(_OFF)


_OFF: Final = msgspec.Raw(b"false")


def _has(fields: _Fields, name: str) -> bool:
    return bytes(fields.get(name, b"null")) != b"null"


def _raw(value: object) -> msgspec.Raw:
    return msgspec.Raw(_encode(value))

"""Reads records of `profiles`: each is a profile or an erasure of one user. Pure.

A profile holds opt-outs, so a bad field never throws the rest away. What is sound is applied; what is not is
left out and named with its cure. A switch that cannot be read counts as off: nothing goes out that the
recipient may have refused (law 3).
"""

from typing import Final, NamedTuple

import msgspec

from tocsin.errors import DecodeError
from tocsin.formats.cloudevents import decode_error, framed
from tocsin.formats.profile_checks import CURES, wrong_fields
from tocsin.formats.profile_fields import FIELDS, read_fields
from tocsin.formats.shapes import MAX_TEXT, has_control
from tocsin.model.profile import Profile
from tocsin.model.raw import RawRecord
from tocsin.model.statuses import Reason

_BOM: Final = b"\xef\xbb\xbf"
_ENVELOPE: Final = frozenset({"schema", "payload"})

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
    return None if profile == _NOTHING or next(wrong_fields(profile), None) else profile


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


def _rescued(tenant: str, user: str, value: bytes) -> ProfileChange:
    """Read a value that is no profile as a whole: field by field, out of an envelope if it is in one."""
    document = _decode_any(value)
    if isinstance(document, dict) and document.keys() == _ENVELOPE:
        document = document["payload"]
    if document is None:
        return ProfileChange(tenant, user, None)
    if not isinstance(document, dict):
        raise DecodeError(Reason.BAD_FIELD, "value: not an object; send one JSON object, or null to erase")
    if document and not document.keys() & FIELDS:
        raise DecodeError(Reason.BAD_FIELD, _NO_FIELD)
    return ProfileChange(tenant, user, *read_fields(document))

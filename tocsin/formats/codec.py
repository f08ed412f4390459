"""Record bytes to models and back, pure: any bytes give a model or raise `DecodeError`, nothing else.

JSON throughout, so that any Kafka tool can read the topics. Unknown fields are ignored, so that an older
Tocsin reads what a newer one wrote. Events have a module of their own, `formats.cloudevents`; dead letters,
`formats.dead_letters`; both are handed on from here.
"""

from collections.abc import Callable
from operator import attrgetter
from typing import Generic, NamedTuple, TypeVar

import msgspec

from tocsin.errors import DecodeError
from tocsin.formats.cloudevents import EventLimits, decode_error, decode_event
from tocsin.formats.dead_letters import dead_letter, read_dead_letter
from tocsin.formats.shapes import MAX_TEXT, has_control, is_clock, is_email, is_locale, is_phone, is_timezone
from tocsin.model.message import Message, Retry
from tocsin.model.outcome import Outcome, ReceiptEvent
from tocsin.model.profile import Device, Profile
from tocsin.model.raw import RawRecord
from tocsin.model.statuses import Reason

__all__ = [
    "EventLimits",
    "ProfileChange",
    "dead_letter",
    "decode_event",
    "decode_message",
    "decode_outcome",
    "decode_profile",
    "decode_receipt",
    "decode_retry",
    "encode",
    "profile_key",
    "read_dead_letter",
]

T = TypeVar("T", bound=msgspec.Struct)

encode: Callable[[msgspec.Struct], bytes] = msgspec.json.Encoder().encode
"""`encode(record) -> bytes`: a Profile, ReceiptEvent, Retry, Message or Outcome as the value of its topic."""


class ProfileChange(NamedTuple):
    """What one record of `profiles` says; `profile` is None for an erasure."""

    tenant: str
    user: str
    profile: Profile | None


def profile_key(tenant: str, user: str) -> bytes:
    """Return the key of a user's records, `tenant/user`."""
    return f"{tenant}/{user}".encode()


def decode_profile(raw: RawRecord) -> ProfileChange:
    """Read one record of `profiles`: key `tenant/user`, value a profile or null.

    Raises:
        DecodeError: the key has another form, or a field has; nothing of a bad profile is applied.
    """
    tenant, user = _split_key(raw.key)
    if raw.value is None:
        return ProfileChange(tenant, user, None)
    profile = _profiles.decode(raw.value)
    _check_profile(profile)
    return ProfileChange(tenant, user, profile)


def decode_receipt(raw: RawRecord) -> ReceiptEvent:
    """Read one record of `receipts`; raises `DecodeError`."""
    receipt = _receipts.decode(raw.value)
    _check_owner(receipt.tenant, receipt.user)
    return receipt


def decode_retry(raw: RawRecord) -> Retry:
    """Read one record of `retries`; raises `DecodeError`."""
    retry = _retries.decode(raw.value)
    _check_numbers(retry.message, _messages.numbers)
    _check_owner(retry.message.tenant, retry.message.user)
    return retry


def decode_message(raw: RawRecord) -> Message:
    """Read one record of `messages.<channel>.*`; raises `DecodeError`."""
    message = _messages.decode(raw.value)
    _check_owner(message.tenant, message.user)
    return message


def decode_outcome(raw: RawRecord) -> Outcome:
    """Read one record of `outcomes`; raises `DecodeError`."""
    return _outcomes.decode(raw.value)


# Redis compares versions as doubles, exact up to here.
_VERSIONS = 1 << 53
_CURES = {
    "email": "send one bare address, or leave it out",
    "phone": "send E.164 like +4915112345678, or leave it out",
    "locale": "send a language tag like de or pt-BR, or leave it out",
    "timezone": "send an IANA name like Europe/Berlin, or leave it out",
    "quiet_hours": "send start and end as HH:MM",
    "devices": "send platform ios or android with a token, or web with a subscription and its endpoint;"
    " times with an offset",
    "preferences": "send switches as true and false, and times with an offset",
    "version": "send a number below 2^53 that grows with every change",
}


class _Reader(Generic[T]):
    """A compiled decoder of one record type that raises nothing but `DecodeError`."""

    def __init__(self, kind: type[T]) -> None:
        self._decode: Callable[[bytes], T] = msgspec.json.Decoder(kind).decode
        names = [f.name for f in msgspec.structs.fields(kind) if f.type is int]
        self.numbers: Callable[[T], tuple[int, ...]] = attrgetter(*names, names[0])

    def decode(self, value: bytes | None) -> T:
        try:
            if not (value or b"").isascii():
                (value or b"").decode()
            record = self._decode(value or b"")
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
            raise decode_error(error, _CURES) from error
        _check_numbers(record, self.numbers)
        return record


_profiles = _Reader(Profile)
_receipts = _Reader(ReceiptEvent)
_retries = _Reader(Retry)
_messages = _Reader(Message)
_outcomes = _Reader(Outcome)


def _check_numbers(record: T, numbers: Callable[[T], tuple[int, ...]]) -> None:
    found = numbers(record)
    if max(found) >= 1 << 63 or min(found) < -(1 << 63):
        raise DecodeError(Reason.BAD_FIELD, "a number does not fit 64 bits; send a smaller one")


def _check_owner(tenant: str, user: str) -> None:
    for field, text in (("tenant", tenant), ("user", user)):
        if not 0 < len(text) <= MAX_TEXT or has_control(text):
            fault = f"empty, longer than {MAX_TEXT} or with control characters"
            raise DecodeError(Reason.BAD_FIELD, f"{field}: {fault}; name the owner of the record")
    if "/" in tenant:
        raise DecodeError(Reason.BAD_FIELD, "tenant: holds '/'; use a name without it")


def _split_key(key: bytes | None) -> tuple[str, str]:
    try:
        tenant, slash, user = (key or b"").decode().partition("/")
    except UnicodeDecodeError as error:
        raise DecodeError(Reason.BAD_UTF8, "key: not UTF-8; encode tenant/user as UTF-8") from error
    if not slash:
        raise DecodeError(Reason.BAD_FIELD, "key: not tenant/user; set the key of the record so")
    _check_owner(tenant, user)
    return tenant, user


def _check_profile(profile: Profile) -> None:
    for name, is_fine in _SHAPES:
        text = getattr(profile, name)
        if text and not is_fine(text):
            raise DecodeError(Reason.BAD_FIELD, f"{name}: wrong form; {_CURES[name]}")
    hours = profile.quiet_hours
    if hours is not None and not (is_clock(hours.start) and is_clock(hours.end)):
        raise DecodeError(Reason.BAD_FIELD, f"quiet_hours: wrong form; {_CURES['quiet_hours']}")
    for at, device in enumerate(profile.devices):
        if not _is_device(device):
            raise DecodeError(Reason.BAD_FIELD, f"devices[{at}]: not reachable; {_CURES['devices']}")
    if not 0 <= profile.version < _VERSIONS:
        raise DecodeError(Reason.BAD_FIELD, f"version: negative or over 2^53; {_CURES['version']}")


def _is_device(device: Device) -> bool:
    if device.platform == "web":
        return bool((device.subscription or {}).get("endpoint"))
    return bool(device.token) and device.token.isprintable()


_SHAPES = (("email", is_email), ("phone", is_phone), ("locale", is_locale), ("timezone", is_timezone))

"""Reads the records of `subscriptions`: a key that names tenant, topic and user, and what holds for them."""

from typing import Final, NoReturn
from urllib.parse import unquote

import msgspec

from tocsin.errors import DecodeError
from tocsin.formats.cloudevents import BOM, decode_error, framed
from tocsin.formats.shapes import MAX_TEXT, has_control
from tocsin.model.broadcast import ORDER_HEADER
from tocsin.model.raw import RawRecord
from tocsin.model.rfc3339 import CURE as TIME_CURE
from tocsin.model.rfc3339 import rfc3339_ms
from tocsin.model.statuses import Reason
from tocsin.model.subscription import COPY, Subscription, SubscriptionChange

_KEY_CURE: Final = "set it to tenant/topic/user; in the topic write %2F for '/' and %25 for '%'"
_CURES: Final = {
    "tenant": "leave it out, or repeat the tenant of the key",
    "topic": "leave it out, or repeat the topic of the key, without escapes",
    "user": "leave it out, or repeat the user of the key",
    "since": TIME_CURE,
}
_PLAIN: Final = "subscriptions are plain JSON; let the producer write them without a registry"
_PARTS: Final = 3
_decode = msgspec.json.Decoder(Subscription | None).decode


def subscription_key(tenant: str, topic: str, user: str) -> bytes:
    """Return the key of a subscription.

    >>> subscription_key("default", "flight/UA 1545", "ann/2")
    b'default/flight%2FUA 1545/ann/2'
    """
    return f"{tenant}/{_escaped(topic)}/{user}".encode()


def decode_subscription(raw: RawRecord) -> SubscriptionChange:
    """Read one record; an empty value and the JSON text `null` unsubscribe.

    Raises:
        DecodeError: the text names field and cure.
    """
    tenant, topic, user = _names(raw.key)
    value = (raw.value or b"").removeprefix(BOM)
    try:
        if not value.isascii():
            value.decode()
        found = _decode(value) if value else None
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise (framed(value, _PLAIN) or decode_error(error, _CURES)) from error
    if found is None:
        return SubscriptionChange(tenant, topic, user, subscribed=False)
    for name, of_key in (("tenant", tenant), ("topic", topic), ("user", user)):
        if getattr(found, name) not in (None, of_key):
            _refuse(name, "not that of the key", _CURES[name])
    return SubscriptionChange(tenant, topic, user, subscribed=True, since_ms=_since_ms(found.since))


def is_copy(raw: RawRecord) -> bool:
    """Return whether a record is the copy of an event that its topic's partition made for this partition."""
    return (ORDER_HEADER, COPY) in raw.headers


def _names(key: bytes | None) -> tuple[str, str, str]:
    """Read tenant, topic and user of a key; JSON quotes around it are dropped, as bridges write them."""
    try:
        text = (key or b"").decode()
        if text[:1] == text[-1:] == '"' and len(text) > 1:
            text = msgspec.json.decode(text, type=str)
        parts = text.split("/", _PARTS - 1)
        topic = unquote(parts[1], errors="strict") if len(parts) == _PARTS else ""
    except (UnicodeDecodeError, msgspec.MsgspecError) as error:
        raise DecodeError(Reason.BAD_UTF8, f"key: not UTF-8; {_KEY_CURE}") from error
    if not topic or _escaped(topic) != parts[1]:
        _refuse("key", "not tenant/topic/user", _KEY_CURE)
    tenant, _, user = parts
    for name, part in (("tenant", tenant), ("topic", topic), ("user", user)):
        if not 0 < len(part) <= MAX_TEXT or has_control(part):
            _refuse(
                "key",
                f"{name} is empty, longer than {MAX_TEXT} or has control characters",
                "correct the name",
            )
    return tenant, topic, user


def _escaped(topic: str) -> str:
    return topic.replace("%", "%25").replace("/", "%2F")


def _since_ms(text: str | None) -> int:
    try:
        return 0 if text is None else rfc3339_ms(text)
    except ValueError:
        _refuse("since", "not RFC 3339", TIME_CURE)


def _refuse(field: str, fault: str, cure: str) -> NoReturn:
    raise DecodeError(Reason.BAD_FIELD, f"{field}: {fault}; {cure}")

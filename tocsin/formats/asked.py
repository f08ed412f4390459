"""Reads what an event asks for beyond its type: one notification by name, fewer channels, a cancel key."""

from typing import Final, NoReturn

from tocsin.errors import DecodeError
from tocsin.formats.shapes import MAX_TEXT, has_control
from tocsin.model.channels import is_channel_name
from tocsin.model.event import Asked
from tocsin.model.statuses import Reason

MAX_CHANNELS: Final = 32
CURES: Final = {
    "tocsinnotification": "name one notification of the tenant's catalog, or leave it out: the type decides",
    "tocsinchannels": "name channels with commas between them, like push,email, or leave it out",
    "tocsincancelkey": f"send a text of 1 to {MAX_TEXT} characters, or leave it out",
}


def read_asked(
    notification: str | None, channels: list[str] | str | None, cancel_key: str | int | None
) -> Asked:
    """Read the extensions by which an event asks for something.

    CloudEvents has no lists: channels are a text with commas. A JSON list is read, too.

    Raises:
        DecodeError: one of them has the wrong form; the text names it and the cure.
    """
    key = "" if cancel_key is None else str(cancel_key)
    if cancel_key is not None and not key:
        _refuse("tocsincancelkey", "empty")
    for field, text in (("tocsinnotification", notification or ""), ("tocsincancelkey", key)):
        if len(text) > MAX_TEXT:
            _refuse(field, f"{len(text)} characters, more than {MAX_TEXT}")
        if has_control(text):
            _refuse(field, "holds control characters")
    return Asked(notification or "", () if channels is None else _channels(channels), key)


def _channels(given: list[str] | str) -> tuple[str, ...]:
    names = [name.strip() for name in given.split(",")] if isinstance(given, str) else given
    found = tuple(dict.fromkeys(names))
    if not 0 < len(found) <= MAX_CHANNELS or not all(map(is_channel_name, found)):
        _refuse("tocsinchannels", f"not 1 to {MAX_CHANNELS} names of channels")
    return found


def _refuse(field: str, fault: str) -> NoReturn:
    raise DecodeError(Reason.BAD_FIELD, f"{field}: {fault}; {CURES[field]}")

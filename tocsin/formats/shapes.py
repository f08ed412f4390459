"""Checks the form of contact fields, so that an impossible address is refused when it is read."""

import re
from collections.abc import Mapping

from tocsin.model.channels import CHANNELS, LENT, ContactKind, is_channel_name

MAX_TEXT = 512
MAX_CONTACTS = 32
"""Contacts of one profile that have no field of their own: each is kept in the user's record."""
MAX_CONTACT = 2_048
"""Characters of one of them: a URL is the longest."""
_NOT_IN_ADDRESS = r"\s\x00-\x1f\x7f@<>()\[\],;:\\\""
_QUOTED = r'(?=.{3,64}@)"(?:[^"\\\r\n\x00-\x1f\x7f]|\\[ -~])+"'
_EMAIL = re.compile(
    rf"(?:[^{_NOT_IN_ADDRESS}]{{1,64}}|{_QUOTED})@(?:[^{_NOT_IN_ADDRESS}]{{1,253}}|\[[0-9A-Za-z.:]{{2,64}}\])"
)
_PHONE = re.compile(r"\+[1-9][0-9]{1,14}")
_CLOCK = re.compile(r"([01][0-9]|2[0-3]):[0-5][0-9]")


def is_email(text: str) -> bool:
    """Tell whether `text` looks like one bare address: no display name, no line breaks.

    >>> is_email("ada@example.org"), is_email("Ada <ada@example.org>")
    (True, False)
    >>> is_email('"a b"@example.org'), is_email("ada@[192.0.2.1]")  # RFC 5321, 4.1.2
    (True, True)
    """
    return _EMAIL.fullmatch(text) is not None


def is_phone(text: str) -> bool:
    """Tell whether `text` has the form of E.164: a plus sign and up to 15 digits."""
    return _PHONE.fullmatch(text) is not None


def is_clock(text: str) -> bool:
    """Tell whether `text` is a time of day, `HH:MM`."""
    return _CLOCK.fullmatch(text) is not None


def is_contact(channel: str, address: object) -> bool:
    """Tell whether a channel may have its address in `contacts`, and this one.

    >>> is_contact("telegram", "123456789"), is_contact("whatsapp", "+4915112345678")
    (True, True)
    >>> is_contact("email", "ada@example.org")  # it has a field of its own
    False
    """
    spec = CHANNELS.get(channel)
    if not isinstance(address, str) or not 0 < len(address) <= MAX_CONTACT or not address.isprintable():
        return False
    if spec is None or spec.contacts is ContactKind.NAMED:
        return is_channel_name(channel)
    return channel in LENT and is_phone(address)


def are_contacts(contacts: Mapping[str, object]) -> bool:
    """Tell whether all of `contacts` are fit, and not too many."""
    return len(contacts) <= MAX_CONTACTS and all(is_contact(*each) for each in contacts.items())


def has_control(text: str) -> bool:
    """Tell whether `text` holds control characters (C0, DEL, C1)."""
    return not text.isprintable() and any(c < " " or "\x7f" <= c <= "\x9f" for c in text)

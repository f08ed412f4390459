"""Extra headers of e-mails: what the content asks for, made safe."""

import re
from collections.abc import Mapping, Set

from tocsin.errors import Rejected

AUTOMATIC = {"Auto-Submitted": "auto-generated"}
"""Stops out-of-office answers to every notification."""

ADDRESSING = frozenset({"to", "from", "subject", "reply-to", "cc", "bcc"})
"""Headers that adapters write from the message itself."""

_BREAKS = re.compile(r"[\s\x00-\x1f\x7f-\x9f\u2028\u2029]+")
_NAME = re.compile(r"[!-9;-~]{1,76}")


def extra_headers(asked: Mapping[str, str], reserved: Set[str]) -> dict[str, str]:
    r"""Take the headers that content may set: none that is reserved, none that could inject another.

    Line ends and other control characters become spaces; a name that is no header name is dropped, and
    of names that differ in case only the last is kept.

    >>> extra_headers({"X-A": "1\r\nBcc: x", "Bcc": "y"}, frozenset({"bcc"}))
    {'Auto-Submitted': 'auto-generated', 'X-A': '1 Bcc: x'}
    """
    taken = {name.lower(): (name, value) for name, value in (AUTOMATIC | dict(asked)).items()}
    return {
        name: one_line(value)
        for lower, (name, value) in taken.items()
        if _NAME.fullmatch(name) and lower not in reserved
    }


def one_line(value: str) -> str:
    """Replace every run of control characters and blanks by one space."""
    return _BREAKS.sub(" ", value).strip()


def mailbox(address: str, name: str = "") -> str:
    r"""Write a mailbox as JSON and form APIs take it: Unicode, the name quoted.

    >>> mailbox("a@b.example", 'Ada "Countess" \\ Lovelace'), mailbox("a@b.example")
    ('"Ada \\"Countess\\" \\\\ Lovelace" <a@b.example>', 'a@b.example')
    """
    name = one_line(name)
    quoted = name.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{quoted}" <{address}>' if name else address


def check_complete(subject: str, text: str, html: str) -> None:
    """Refuse what no API of mail takes.

    Raises:
        Rejected: there is no subject, or neither text nor HTML.
    """
    if subject and (text or html):
        return
    msg = "the e-mail has no text" if subject else "the e-mail has no subject"
    raise Rejected(msg, code="empty")

"""Reads one mail by the standard library's parser, guarded against what would make it slow. Pure."""

import re
from collections.abc import Iterator
from email import message_from_bytes, policy
from email.errors import HeaderParseError
from email.header import decode_header, make_header
from email.message import Message
from html import unescape
from itertools import takewhile
from typing import NamedTuple

MAX_BYTES = 10_000_000
"""A report with a returned mail is far smaller; a larger one is not read."""
MAX_PARTS = 200
"""Boundaries and nested mails that a mail may name: the parser calls itself for each level."""
MAX_HEADER_LINES = 2_000
MAX_BLANK_LINES = 20_000
"""Each ends a group of fields in a report, and the parser makes a mail of each."""
MAX_PARAMETERS = 100
"""Of one Content-Type: each costs the parser the length of all that follow it."""
MAX_HEADER_CHARS = 10_000
"""Of one header of the mail itself: encoded words cost the parser the square of their number."""
MAX_TEXT_CHARS = 200_000
"""Characters of one part that are read; a report says what it has to say before."""

_STRUCTURE = re.compile(rb"boundary\s*=|message/(?:rfc822|global|partial|external-body)", re.IGNORECASE)
_CONTENT_TYPE = re.compile(
    rb"(?:^|[\r\n])content-type:[^\r\n]*(?:(?:\r\n|\r|\n)[ \t][^\r\n]*)*", re.IGNORECASE
)
_HEAD_END = re.compile(rb"\r?\n\r?\n")
_TAG = re.compile(r"<[^<>]{0,2000}>")
_TEXTS = frozenset({"text/plain", "text/rfc822-headers", "message/global-headers", "text/html"})
_POLICY = policy.compat32
_ENCODED = frozenset({"base64", "quoted-printable"})


class UnreadableMailError(ValueError):
    """Says why a mail is not read; the text holds nothing of it."""


class Mail(NamedTuple):
    """A mail that was read.

    Attributes:
        parts: it and all its parts, outermost first, those of a returned mail included.
        raw: its bytes.
    """

    parts: tuple[Message, ...]
    raw: bytes

    @property
    def top(self) -> Message:
        """Return the mail itself."""
        return self.parts[0]

    def header(self, name: str) -> str:
        """Return a header of the mail itself on one line, its encoded words read; empty without it."""
        value = header(self.top, name)[:MAX_HEADER_CHARS]
        if "=?" not in value:
            return value
        try:
            return str(make_header(decode_header(value)))
        except (ValueError, LookupError, HeaderParseError):
            return value

    def first(self, *kinds: str) -> Message | None:
        """Return the first part of these content types."""
        return next((part for part in self.parts if part.get_content_type() in kinds), None)

    def human_text(self) -> str:
        """Return the text that a person reads of a report: the first one before a returned mail.

        A mail whose boundary is lost is all text.
        """
        own = takewhile(lambda part: part.get_content_maintype() != "message", self.parts)
        texts = [part for part in own if part.get_content_maintype() == "text"]
        plain = next((part for part in texts if part.get_content_type() == "text/plain"), None)
        if plain is not None:
            return text_of(plain)
        if texts:
            return unescape(_TAG.sub("\n", text_of(texts[0])))
        return "" if self.top.is_multipart() else text_of(self.top)

    def texts(self) -> Iterator[str]:
        """Give the whole mail as text, then each text part that a transfer encoding hides."""
        yield self.raw.decode("ascii", "replace")
        for part in self.parts:
            if part.get_content_type() in _TEXTS and header(part, "Content-Transfer-Encoding") in _ENCODED:
                yield text_of(part)


def read_mail(raw: bytes) -> Mail:
    """Read a mail.

    Raises:
        UnreadableMailError: it is larger or deeper than the limits, empty, or the parser refuses it.
    """
    _check(raw)
    try:
        top = message_from_bytes(raw, policy=_POLICY)
        parts = tuple(top.walk())
    except (ValueError, LookupError, RecursionError, AttributeError, TypeError) as error:
        msg = f"the parser gives up ({type(error).__name__})"
        raise UnreadableMailError(msg) from None
    return Mail(parts, raw)


def _check(raw: bytes) -> None:
    msg = ""
    if len(raw) > MAX_BYTES:
        msg = f"larger than {MAX_BYTES} bytes"
    elif not raw.strip():
        msg = "empty"
    elif len(_STRUCTURE.findall(raw)) > MAX_PARTS:
        msg = f"more than {MAX_PARTS} parts"
    elif raw.count(b"\n\n") + raw.count(b"\r\n\r\n") > MAX_BLANK_LINES:
        msg = f"more than {MAX_BLANK_LINES} blank lines"
    elif any(field[0].count(b";") > MAX_PARAMETERS for field in _CONTENT_TYPE.finditer(raw)):
        msg = f"more than {MAX_PARAMETERS} parameters of a part"
    elif _HEAD_END.split(raw, maxsplit=1)[0].count(b"\n") > MAX_HEADER_LINES:
        msg = f"more than {MAX_HEADER_LINES} lines of headers"
    if msg:
        raise UnreadableMailError(msg)


def fields_of(part: Message) -> Iterator[tuple[str, str]]:
    """Give the headers of a part, each on one line; they may be UTF-8 (RFC 6532)."""
    for name, value in part.raw_items():
        text = str(value).encode("utf-8", "surrogateescape").decode("utf-8", "replace")
        yield name, " ".join(text.split())


def header(part: Message, name: str) -> str:
    """Return a header on one line; empty without it."""
    return next((value for each, value in fields_of(part) if each.lower() == name.lower()), "")


def text_of(part: Message) -> str:
    """Return a part as text, its transfer encoding undone; unknown characters are replaced."""
    payload = part.get_payload(decode=True)
    if not isinstance(payload, bytes):
        return ""
    try:
        text = payload.decode(part.get_content_charset() or "utf-8", "replace")
    except (LookupError, ValueError):
        text = payload.decode("latin-1")
    return text[:MAX_TEXT_CHARS].replace("\r\n", "\n")

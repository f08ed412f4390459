"""An e-mail as bytes (RFC 5322, 2045-2047), the same for every attempt at a message.

The standard library's generator costs 0.5 ms a mail, folds a long link to an empty first line or, with the
newer policy, into encoded words, which breaks List-Unsubscribe. A notification needs two shapes of mail, so
they are written here; the tests let the library's parser judge the result.
"""

from base64 import b64encode
from binascii import b2a_qp
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from email.utils import format_datetime, formataddr
from urllib.parse import quote

from tocsin.formats.marks import MARK_HEADER
from tocsin.model.content import Attachment, EmailContent
from tocsin.model.domains import ascii_address
from tocsin.model.message import Message
from tocsin.providers.mail_headers import ADDRESSING, extra_headers, one_line

RESERVED = ADDRESSING | {
    MARK_HEADER.lower(),
    "date",
    "message-id",
    "mime-version",
    "content-type",
    "content-transfer-encoding",
    "sender",
    "received",
    "return-path",
    "dkim-signature",
}

LINE = 78
LONGEST = 998
"""Octets of one line (RFC 5322, 2.1.1)."""

BASE64_LINE = 76
_NO_QUOTES = str.maketrans('"\\', "--")

WORD_BYTES = 45
"""Bytes in one encoded word: in base64 with its frame 72 characters, and 75 are allowed (RFC 2047)."""


def mime_bytes(
    message: Message, content: EmailContent, mark: str = "", attachments: Sequence[Attachment] = ()
) -> bytes:
    """Build the mail: plain text first, then HTML; CRLF; lines of 78, long links aside.

    Images that the HTML shows follow it (multipart/related), other attachments follow all.

    It is ASCII throughout, except where an address has a local part beyond ASCII (then it needs SMTPUTF8).

    Message-ID, Date and boundary derive from the message, so a repeat is byte for byte the same and receivers
    can recognise the copy. The mark is a header, which a returned mail and a complaint report quote.

    Args:
        message: names the recipient, the id and the date.
        content: subject, texts, sender and further headers.
        mark: leads reports to the message; empty for none.
        attachments: those with a content id are images of the HTML.

    Returns:
        the mail, as SMTP carries it after DATA, without the final dot.
    """
    lines = [fold(name, value) for name, value in _headers(message, content)]
    if 0 < len(mark) < LONGEST - len(MARK_HEADER) - 2:
        lines.append(f"{MARK_HEADER}: {mark}")
    parts = [
        _part(text, subtype) for text, subtype in ((content.text, "plain"), (content.html, "html")) if text
    ]
    body = _combined("alternative", f"=_{message.message_id}", parts or [_part("", "plain")])
    for kind, brought in (
        ("related", [each for each in attachments if each.cid]),
        ("mixed", [each for each in attachments if not each.cid]),
    ):
        body = _combined(kind, f"=_{kind}_{message.message_id}", [body, *map(_attached, brought)])
    return "\r\n".join([*lines, body]).encode()


def _combined(kind: str, boundary: str, entities: Sequence[str]) -> str:
    """Write several entities as one; a single one stays as it is."""
    if len(entities) == 1:
        return entities[0]
    opened = [f"--{boundary}\r\n{entity}" for entity in entities]
    return "\r\n".join(
        [f'Content-Type: multipart/{kind}; boundary="{boundary}"\r\n', *opened, f"--{boundary}--", ""]
    )


def _attached(attachment: Attachment) -> str:
    """Write an attachment; its name goes beyond ASCII as RFC 2231 has it."""
    name = one_line(attachment.name).translate(_NO_QUOTES)
    named = f'filename="{name}"' if name.isascii() else f"filename*=utf-8''{quote(name, safe='')}"
    encoded = b64encode(attachment.content).decode("ascii")
    lines = [encoded[at : at + BASE64_LINE] for at in range(0, len(encoded), BASE64_LINE)]
    head = [
        f"Content-Type: {attachment.type}",
        "Content-Transfer-Encoding: base64",
        f"Content-Disposition: {'inline' if attachment.cid else 'attachment'};\r\n {named}",
        *([f"Content-ID: <{attachment.cid}>"] if attachment.cid else []),
    ]
    return "\r\n".join([*head, "", *lines])


def ascii_domain(address: str) -> str:
    """Write an address with its domain in ASCII; one that cannot be written so comes back as it is.

    >>> ascii_domain("post@bücher.example")
    'post@xn--bcher-kva.example'
    """
    address = address.strip() if address.isprintable() else one_line(address)  # blanks count in quotes
    return address if address.isascii() else ascii_address(address)


def fold(name: str, value: str) -> str:
    """Write one header, folded at blanks so that lines keep to 78 characters where they can.

    No line is longer than 998 octets: a word that would be is broken. In List headers receivers take
    blanks out of a URL (RFC 2369, 2); in the others the word becomes encoded words.
    """
    lines = [f"{name}:"]
    for word in _words(name, value):
        if len(lines[-1]) + 1 + len(word) > LINE and lines[-1] != f"{name}:":
            lines.append("")
        lines[-1] += f" {word}"
    return "\r\n".join(lines)


def _words(name: str, value: str) -> Iterator[str]:
    for word in value.split(" "):
        if len(word.encode()) < LONGEST - len(name) - 1:
            yield word
        elif name.lower().startswith("list-"):
            yield from (word[at : at + LINE - 1] for at in range(0, len(word), LINE - 1))
        else:
            yield from [f"=?utf-8?b?{b64encode(chunk).decode()}?=" for chunk in _chunks(word)]


def encoded_words(text: str) -> str:
    """Write text beyond ASCII as encoded words of whole characters (RFC 2047); ASCII stays as it is.

    >>> encoded_words("Grüße")
    '=?utf-8?b?R3LDvMOfZQ==?='
    """
    text = one_line(text)
    return text if text.isascii() else _encoded(text)


def _encoded(text: str) -> str:
    return " ".join([f"=?utf-8?b?{b64encode(chunk).decode()}?=" for chunk in _chunks(text)])


def _chunks(text: str) -> Iterator[bytes]:
    chunk = b""
    for char in text:
        data = char.encode("utf-8", "replace")
        if len(chunk) + len(data) > WORD_BYTES:
            yield chunk
            chunk = b""
        chunk += data
    yield chunk


def _headers(message: Message, content: EmailContent) -> Iterator[tuple[str, str]]:
    domain = ascii_domain(content.sender).rpartition("@")[2]
    yield "Date", format_datetime(datetime.fromtimestamp(message.decided_ms / 1000, UTC))
    yield "Message-ID", f"<{message.message_id}@{domain}>"
    yield "From", _party(content.sender, content.sender_name)
    yield "To", _party(message.target.address)
    yield "Subject", encoded_words(content.subject)
    if content.reply_to:
        yield "Reply-To", _party(content.reply_to)
    yield "MIME-Version", "1.0"
    for name, value in extra_headers(content.headers, RESERVED).items():
        yield name, encoded_words(value)


def _party(address: str, display: str = "") -> str:
    """Write a mailbox: a display name is quoted where it has specials, else encoded where it must be."""
    address, display = ascii_domain(address), one_line(display)
    if not display:
        return address if address.isascii() else f"<{address}>"
    return f"{_phrase(display)} <{address}>"


def _phrase(display: str) -> str:
    """Write a display name; a quoted one could be broken between two lines at its blanks alone."""
    if display.isascii() and max(map(len, display.split(" "))) < LINE:
        return formataddr((display, "a@b")).removesuffix(" <a@b>")
    return _encoded(display)


def _part(text: str, subtype: str) -> str:
    text = text.replace("\r\n", "\n").replace("\r", "\n")
    body = b2a_qp(text.encode("utf-8", "replace"), istext=True).decode("ascii").replace("\n", "\r\n")
    return (
        f'Content-Type: text/{subtype}; charset="utf-8"\r\n'
        f"Content-Transfer-Encoding: quoted-printable\r\n\r\n{body}"
    )

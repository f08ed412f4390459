"""Reads a mail: its header at once, for the send log; its parts only for the viewer."""

import re
from email import message_from_bytes, policy
from email.errors import HeaderParseError
from email.header import decode_header, make_header
from email.message import EmailMessage

from tocsin.devkit.sandbox.content import Attached, Mail

_FOLD = re.compile(rb"\r\n[ \t]+")
_ID = re.compile(rb"<([0-9a-f]{32})@[^>]+>")


class Head:
    """The header section of a mail; the library's parser takes fifty times as long for what is asked here."""

    def __init__(self, raw: bytes) -> None:
        block = raw.partition(b"\r\n\r\n")[0]
        lines = _FOLD.sub(b" ", block).split(b"\r\n")
        self._fields: dict[bytes, list[bytes]] = {}
        for line in lines:
            name, _, value = line.partition(b":")
            self._fields.setdefault(name.lower(), []).append(value.strip())

    def count(self, name: bytes) -> int:
        """Count the fields of a name (lower case)."""
        return len(self._fields.get(name, ()))

    def text(self, name: bytes) -> str:
        """Give a field decoded, empty if it is absent."""
        value = self._fields.get(name, [b""])[0].decode("utf-8", "replace")
        return _decoded(value) if "=?" in value else value

    def message_id(self) -> str:
        """Name our message: as its own header says, else as the Message-ID, if that is made from one."""
        found = _ID.fullmatch(self._fields.get(b"message-id", [b""])[0])
        return self.text(b"x-tocsin-message-id") or (found[1].decode() if found else "")


def _decoded(value: str) -> str:
    try:
        return str(make_header(decode_header(value)))
    except (HeaderParseError, LookupError, UnicodeError):
        return value


def read(raw: bytes, recipient: str) -> Mail:
    """Read a whole mail as a recipient's program does."""
    message = message_from_bytes(raw, policy=policy.default)
    text, html = message.get_body(("plain",)), message.get_body(("html",))
    addresses = message["From"].addresses if message["From"] else ()
    sender = addresses[0] if addresses else None
    return Mail(
        subject=str(message["Subject"] or ""),
        sender=sender.addr_spec if sender else "",
        sender_name=sender.display_name if sender else "",
        to=recipient,
        text=text.get_content() if text else "",
        html=html.get_content() if html else "",
        headers=[(name, str(value)) for name, value in message.items()],
        attachments=[_attached(part) for part in message.walk() if part.get_content_disposition()],
    )


def _attached(part: EmailMessage) -> Attached:
    content = part.get_payload(decode=True) or b""
    cid = str(part["Content-ID"] or "").strip("<>")
    size = len(content) if isinstance(content, bytes) else 0
    return Attached(part.get_filename() or "", part.get_content_type(), size, cid)

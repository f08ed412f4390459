"""Reads the machine's part of a delivery status notification (RFC 3464, 6533). Pure."""

import re
from collections.abc import Iterator, Mapping
from email.message import Message
from email.parser import HeaderParser

from tocsin.bounces.failure import Failure
from tocsin.bounces.mail import MAX_TEXT_CHARS, Mail, fields_of, header, text_of

STATUS_TYPES = ("message/delivery-status", "message/global-delivery-status")
MAX_RECIPIENTS = 500

_BLANK_LINE = re.compile(r"\n[ \t]*\n+")
_FIELD = re.compile(r"^(?:final-recipient|action)\s*:", re.IGNORECASE | re.MULTILINE)
_ACTIONS = frozenset({"failed", "delayed", "delivered", "relayed", "expanded"})
_ACTION_OF = {"2": "delivered", "4": "delayed", "5": "failed"}
_STATUS = re.compile(r"[245]\.\d{1,3}\.\d{1,3}")
_TYPE = re.compile(r"^\s*[A-Za-z][A-Za-z0-9-]*\s*;\s*")
_MAILBOX = re.compile(r"[^\s|@]+@[^\s|@]+")
_ESCAPED = re.compile(r"\+([0-9A-F]{2})|\\x\{(10[0-9A-F]{4}|[0-9A-F]{2,5})\}")
"""Of xtext (RFC 3461, 4), and of addresses beyond ASCII in a report that is ASCII (RFC 6533, 3)."""

Fields = Mapping[str, str]


def read_status(mail: Mail) -> tuple[Failure, ...] | None:
    """Read the recipients of a report; None if it has no part for machines."""
    part = mail.first(*STATUS_TYPES)
    if part is None:
        return None
    blocks = [fields for fields in _blocks(part) if "final-recipient" in fields or "action" in fields]
    return tuple(map(_failure, blocks[:MAX_RECIPIENTS]))


def read_status_in_text(mail: Mail) -> tuple[Failure, ...]:
    """Read the fields where they stand in a text: some servers write no part for them, or a broken one."""
    for text in (mail.human_text(), mail.raw[:MAX_TEXT_CHARS].decode("utf-8", "replace")):
        blocks = [fields for fields in _split(text) if "final-recipient" in fields]
        if blocks:
            return tuple(map(_failure, blocks[:MAX_RECIPIENTS]))
    return ()


def _blocks(part: Message) -> Iterator[Fields]:
    """Give the fields of each group. The parser makes the groups mails, and only those of RFC 3464."""
    payload = part.get_payload()
    groups = [group for group in payload if isinstance(group, Message)] if isinstance(payload, list) else []
    if header(part, "Content-Transfer-Encoding").lower() in ("base64", "quoted-printable"):
        text = "\n\n".join(_encoded(group) for group in groups)
        hidden = Message()
        hidden["Content-Transfer-Encoding"] = header(part, "Content-Transfer-Encoding")
        hidden.set_payload(text)
        yield from _split(text_of(hidden))
        return
    for group in groups:
        yield _fields(group)
        yield from _split(text_of(group))
    if not groups:
        yield from _split(text_of(part))


def _encoded(group: Message) -> str:
    """Return a group as it stood: the parser took encoded lines for a body, lines with `:` for fields."""
    fields = "\n".join(f"{name}: {value}" for name, value in fields_of(group))
    rest = group.get_payload()
    return "\n".join([fields, rest if isinstance(rest, str) else ""])


def _split(text: str) -> Iterator[Fields]:
    for block in _BLANK_LINE.split(text.replace("\r\n", "\n")):
        if not _FIELD.search(block):
            continue
        yield _fields(HeaderParser().parsestr(block.strip("\n") + "\n\n"))


def _fields(group: Message) -> Fields:
    """Return the fields by lower-case name, each on one line; of a field that comes twice the first."""
    found: dict[str, str] = {}
    for name, value in fields_of(group):
        found.setdefault(name.lower(), value)
    return found


def _failure(fields: Fields) -> Failure:
    status = _STATUS.search(fields.get("status", ""))
    code = status[0] if status else ""
    action = fields.get("action", "").lower().split(" ")[0].strip(".;")
    return Failure(
        *_recipients(fields),
        action if action in _ACTIONS else _ACTION_OF.get(code[:1], "failed"),
        code,
        _TYPE.sub("", fields.get("diagnostic-code", ""), count=1),
    )


def _recipients(fields: Fields) -> tuple[str, str]:
    """Return the address that was used last, and the one it was sent to.

    Sendmail names an alias as Final-Recipient, and its member that failed as X-Actual-Recipient.
    """
    final, original, actual = (
        _address(fields.get(name, ""))
        for name in ("final-recipient", "original-recipient", "x-actual-recipient")
    )
    if _MAILBOX.fullmatch(actual) and not _is_rewritten(final, actual):
        return actual, original or final
    return final, original


def _is_rewritten(final: str, actual: str) -> bool:
    """Tell whether two addresses are one mailbox, whose server has only put a host before its domain."""
    (user, _, domain), (same_user, _, inner) = (each.lower().rpartition("@") for each in (final, actual))
    return user == same_user and f".{inner}".endswith(f".{domain}")


def _address(typed: str) -> str:
    """Take an address out of its type, brackets and escapes: `rfc822;<ada+2Bx@a.example>`."""
    bare = _TYPE.sub("", typed, count=1).strip().strip("<>")
    return _ESCAPED.sub(lambda match: chr(int(match[1] or match[2], 16)), bare)

"""Reads the fields of vendors' reports: forms, JSON, times, and what they mean in a receipt. Pure."""

from typing import Any, NamedTuple

import msgspec

from tocsin.errors import ReportError
from tocsin.formats.marks import MARK_FIELD
from tocsin.formats.robots import robot_of
from tocsin.model.engagement import MACHINE
from tocsin.model.outcome import ReceiptEvent
from tocsin.providers.form import form_pairs

MAX_FIELDS = 2_000
MAX_TEXT = 200
"""Characters of a vendor's words in a receipt."""


def pairs_of(form: bytes) -> list[tuple[str, str]]:
    """Decode a form.

    Raises:
        ReportError: it is no form, or has too many fields.
    """
    try:
        return form_pairs(form, MAX_FIELDS)
    except ValueError:
        msg = "the body is no form of UTF-8 text"
        raise ReportError(msg, "unreadable") from None


def decoded(body: bytes) -> Any:
    """Decode a body of JSON.

    Raises:
        ReportError: it is none.
    """
    try:
        return msgspec.json.decode(body)
    except RecursionError:
        msg = "the body is JSON that is nested too deep"
        raise ReportError(msg, "unreadable") from None
    except (msgspec.DecodeError, UnicodeDecodeError):
        msg = "the body is no JSON"
        raise ReportError(msg, "unreadable") from None


def events_of(body: bytes) -> list[object]:
    """Decode a body of JSON that holds a list of events, or one event.

    Raises:
        ReportError: it is no JSON.
    """
    found = decoded(body)
    return found if isinstance(found, list) else [found]


def at(event: object, *path: str) -> Any:
    """Return what is at a path of objects; None where there is nothing.

    >>> at({"a": {"b": 1}}, "a", "b"), at({"a": []}, "a", "b")
    (1, None)
    """
    for name in path:
        event = event.get(name) if isinstance(event, dict) else None
    return event


def text(event: object, *path: str) -> str:
    """Return the text or number at a path, as text; empty where there is none.

    >>> text({"a": 1}, "a"), text({"a": []}, "a"), text(None, "a")
    ('1', '', '')
    """
    found = at(event, *path)
    if isinstance(found, list) and len(found) == 1:  # SES writes each tag as a list
        found = found[0]
    if isinstance(found, bool) or not isinstance(found, str | int | float):
        return ""
    return str(found)


def milliseconds(event: object, *path: str) -> int:
    """Return a time in seconds at a path, in milliseconds; 0 where there is none.

    >>> milliseconds({"ts": 1.5}, "ts"), milliseconds({"ts": "2"}, "ts"), milliseconds({}, "ts")
    (1500, 2000, 0)
    """
    try:
        found = float(text(event, *path) or 0)
    except ValueError:
        return 0
    return int(found * 1_000) if 0 < found < 1e11 else 0


def seconds(stamp: str) -> int:
    """Read a time in seconds that a forger may have written; 0 where it is none.

    >>> seconds("1700000000"), seconds("9" * 5_000), seconds("-1"), seconds("²")
    (1700000000, 0, 0, 0)
    """
    return int(stamp) if len(stamp) < 13 and stamp.isascii() and stamp.isdecimal() else 0


class About(NamedTuple):
    """Which message an event is about, out of the fields that were sent with the message."""

    mark: str
    message_id: str


def about(event: object, *path: str) -> About:
    """Read which message an event is about, in the fields at a path."""
    return About(text(event, *path, MARK_FIELD), text(event, *path, "message_id"))


def as_reason(said: str) -> str:
    """Spell a vendor's words as a reason: small letters and underscores.

    >>> as_reason("Bounced Address")
    'bounced_address'
    """
    return "_".join("".join([each if each.isalnum() else " " for each in said.lower()]).split())[:MAX_TEXT]


def unknown_kind(vendor: str, said: str) -> str:
    """Return the kind of an event that Tocsin does not know; it equals none of Tocsin's own kinds.

    >>> unknown_kind("sendgrid", "Read")
    'sendgrid_read'
    """
    return f"{vendor}_{as_reason(said)}"


def mark_robot(receipt: ReceiptEvent, user_agent: str, *, is_robot: bool = False) -> ReceiptEvent:
    """Return a receipt with its robot, where software has opened or clicked.

    Args:
        receipt: of any kind.
        user_agent: empty where the vendor does not tell.
        is_robot: whether the vendor itself says that it was software.
    """
    found = robot_of(user_agent) if user_agent else ""
    if receipt.kind not in ("opened", "clicked") or not (is_robot or found):
        return receipt
    return msgspec.structs.replace(receipt, reason=MACHINE, code=found)

"""What FCM and APNs share: the `aps` dictionary, expiry, urgency, collapse ids and the app's own data."""

from typing import Any

from tocsin.model.content import PushContent
from tocsin.model.ids import digest
from tocsin.model.message import Message

COLLAPSE_BYTES = 64
"""Longest collapse id Apple takes."""


def aps(content: PushContent) -> dict[str, Any]:
    """Build Apple's `aps` dictionary of a visible notification."""
    return {"alert": {"title": content.title, "body": content.body}, "sound": "default"}


def app_data(message: Message, content: PushContent) -> dict[str, str]:
    """Collect what the app gets beside the text: its data, the link, the id it reports openings by."""
    data = dict(content.data)
    if content.url:
        data["url"] = content.url
    data["message_id"] = message.message_id
    return data


def ttl_s(message: Message, content: PushContent, now_s: float, limit_s: int) -> int:
    """Tell how long the push service may keep it: its ttl, but not past the message's expiry.

    Args:
        message: may expire.
        content: has the ttl in seconds.
        now_s: wall time in seconds since 1970 UTC.
        limit_s: the longest time that the push service takes.

    Returns:
        seconds, 0 or more; 0 delivers at once or never.
    """
    left_s = int(message.expires_ms / 1000 - now_s) if message.expires_ms else content.ttl_s
    return max(0, min(content.ttl_s, left_s, limit_s))


def collapse_id(key: str) -> str:
    """Fit a collapse key into a header of Apple's 64 bytes: as it is, or its hash."""
    fits = len(key.encode()) <= COLLAPSE_BYTES and key.isascii() and key.isprintable()
    return key if fits else digest("collapse", key)

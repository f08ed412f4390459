"""Keys of what a user can switch: everything, a channel, a category, a notification, a channel of either.

A record keeps the keys of what is off, and of what was turned on only a digest of each key: few users meet a
default that a yes could outweigh, and pages of preferences often write every switch there is.
"""

from collections.abc import Iterable
from hashlib import blake2b
from typing import Final

ALL_OFF: Final = "*"
DIGEST_BYTES: Final = 6
"""Of 2.8e14 comparisons of two different keys one takes them for the same."""


def channel_key(channel: str) -> str:
    """Key of a channel's switch."""
    return f"channel:{channel}"


def notification_key(notification: str, channel: str = "") -> str:
    """Key of a notification's switch, or of its switch for one channel."""
    return f"notification:{notification}:{channel}" if channel else f"notification:{notification}"


def category_key(category: str, channel: str = "") -> str:
    """Key of a category's switch, or of its switch for one channel."""
    return f"category:{category}:{channel}" if channel else f"category:{category}"


def digest(key: str) -> bytes:
    """Return the digest of a key."""
    return blake2b(key.encode(), digest_size=DIGEST_BYTES).digest()


def packed(keys: Iterable[str]) -> bytes:
    """Pack the digests of keys, sorted."""
    return b"".join(sorted(digest(key) for key in keys))


def holds(digests: bytes, wanted: bytes) -> bool:
    """Return whether packed digests contain one."""
    at = digests.find(wanted)
    while at % DIGEST_BYTES and at > 0:
        at = digests.find(wanted, at + 1)
    return at >= 0

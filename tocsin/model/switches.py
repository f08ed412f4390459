"""Keys of what a user can switch off: everything, a channel, a notification, a category, a channel of one."""

from typing import Final

ALL_OFF: Final = "*"


def channel_key(channel: str) -> str:
    """Key of a channel's switch."""
    return f"channel:{channel}"


def notification_key(notification: str) -> str:
    """Key of a notification's switch."""
    return f"notification:{notification}"


def category_key(category: str, channel: str = "") -> str:
    """Key of a category's switch, or of its switch for one channel."""
    return f"category:{category}:{channel}" if channel else f"category:{category}"

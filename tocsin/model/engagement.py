"""Engagement: how far a notification has got with its user, as receipts report it."""

from collections.abc import Mapping
from enum import IntEnum
from types import MappingProxyType


class Level(IntEnum):
    """Levels in their order: each one implies those below it.

    `sent` is none of them: it says that the provider has the message, not that the user's device has it.
    """

    NONE = 0
    DELIVERED = 1
    """The device or mailbox has it."""
    OPENED = 2
    """The user has opened the mail or looked at the notification."""
    CLICKED = 3
    """The user has followed a link or an action."""
    READ = 4
    """The user has marked it as read, for instance in the inbox."""

    @property
    def label(self) -> str:
        """Return the word of the catalog and of the receipts."""
        return self.name.lower()


LEVELS: Mapping[str, Level] = MappingProxyType({level.label: level for level in Level if level})
"""The words of the catalog."""
MACHINE = "machine"
"""Reason of a receipt that software caused: a mail client that loads images, a scanner that follows links."""

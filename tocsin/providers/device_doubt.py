"""Tells whether a foreign device token is the device's fault, or that of an account of another app."""

from tocsin.errors import DeliveryError, Misconfigured, RecipientGone, Transient

FEW = 5
"""So many different devices refused without one success between them put the account in doubt."""

REMEMBERED = 10_000
"""Refused devices that are kept; the oldest is forgotten, and then only proven once more."""


class DeviceDoubt:
    """Believes that a device is gone only after the account has served another one since the first refusal.

    Until then the message is tried again, so a key of the wrong project blocks no device. State is kept for
    one process.

    >>> doubt = DeviceDoubt()
    >>> doubt.refused("a").__name__
    'Transient'
    >>> doubt.took()
    >>> doubt.refused("a").__name__
    'RecipientGone'
    """

    def __init__(self) -> None:
        self._taken = 0
        self._run: set[str] = set()
        self._first_refused: dict[str, int] = {}

    @property
    def has_served(self) -> bool:
        """Whether the account has served a device."""
        return self._taken > 0

    def took(self) -> None:
        """Count a message that the push service took: the account works."""
        self._taken += 1
        self._run.clear()

    def refused(self, device: str) -> type[DeliveryError]:
        """Class a token that is not for this account."""
        before = self._first_refused.setdefault(device, self._taken)
        if before < self._taken:
            return RecipientGone
        if len(self._first_refused) > REMEMBERED:
            del self._first_refused[next(iter(self._first_refused))]
        if len(self._run) < FEW:
            self._run.add(device)
        return Misconfigured if len(self._run) >= FEW else Transient

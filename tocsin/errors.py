"""The error tree.

TocsinError
├── DecodeError                 a record that is not what its topic holds
├── CatalogError                content that does not hold together: file, line, cure
├── RenderError                 a template that does not fit the data
├── StateError                  a state directory that must not be used: what is wrong and the cure
├── SinkError                   something was not acknowledged
├── SourceError                 Kafka cannot be read: what is wrong and the cure
├── SettingsError               a setting that is missing or wrong
└── DeliveryError               one attempt at a provider failed
    ├── Throttled               slow down (retry_after_s)
    ├── Transient               failed for now
    ├── Unknown                 cut off after the request was written: may be sent
    ├── Rejected                this message is refused for good
    │   └── Declined            by this account only: another may carry it
    ├── OptedOut                the recipient told the provider to stop
    ├── RecipientGone           the address or device does not exist
    └── Misconfigured           this provider account does not work
"""

from typing import ClassVar

from tocsin.model.statuses import Reason


class TocsinError(Exception):
    """Root of every error Tocsin raises on purpose."""


class DecodeError(TocsinError):
    """A record that cannot be decoded: `reason` for machines, the text names field and cure."""

    def __init__(self, reason: Reason, text: str) -> None:
        super().__init__(text)
        self.reason = reason


class CatalogError(TocsinError):
    """A mistake in the catalog; the text starts with `file:line`."""


class RenderError(TocsinError):
    """A template cannot be rendered; the text names template, part and variable, never its value."""


class StateError(TocsinError):
    """A state directory that must not be used; the text says why and what cures it."""


class SinkError(TocsinError):
    """A record or row was not acknowledged."""


class SourceError(TocsinError):
    """Kafka cannot be read; the text says why and what cures it."""


class SettingsError(TocsinError):
    """A setting is missing or wrong; the text names it."""


class DeliveryError(TocsinError):
    """One attempt failed.

    Attributes:
        reason: for the outcome.
        permanent: no later attempt can succeed.
        failover: another provider of the channel may be tried at once.
        code: the provider's own code (`21211`, `5.1.1`, `UNREGISTERED`), empty if it gave none.
        retry_after_s: how long the provider asked to wait, or None.

    The text is the provider's, cleaned: no address, token or message body.
    """

    reason: ClassVar[Reason] = Reason.TRANSIENT
    permanent: ClassVar[bool] = False
    failover: ClassVar[bool] = False

    def __init__(self, text: str, *, code: str = "", retry_after_s: float | None = None) -> None:
        super().__init__(text)
        self.code = code
        self.retry_after_s = retry_after_s


class Throttled(DeliveryError):
    """The provider asks to slow down; the request was not processed."""

    reason = Reason.THROTTLED


class Transient(DeliveryError):
    """The provider failed for now, and certainly did not send."""

    reason = Reason.TRANSIENT
    failover = True


class Unknown(DeliveryError):
    """Cut off after the request was written: it may have been sent."""

    reason = Reason.UNKNOWN


class Rejected(DeliveryError):
    """Refused for good: content, format or policy. The address is not to blame."""

    reason = Reason.REJECTED
    permanent = True


class Declined(Rejected):
    """This account cannot carry this message (its country, its sender, its app); it works for others.

    Another account is tried; with none left the message is rejected.
    """

    failover = True


class OptedOut(DeliveryError):
    """The recipient told the provider to stop."""

    reason = Reason.RECIPIENT_OPTED_OUT
    permanent = True


class RecipientGone(DeliveryError):
    """The address or device no longer exists; `code` is the provider's."""

    reason = Reason.RECIPIENT_GONE
    permanent = True


class Misconfigured(DeliveryError):
    """The account does not work: credentials, sender, rights. Fail over; do not burn retries."""

    reason = Reason.MISCONFIGURED
    failover = True

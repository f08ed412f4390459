"""The error tree.

TocsinError
├── DecodeError                 a record that is not what its topic holds
├── CatalogError                content that does not hold together: file, line, cure
├── RenderError                 a template that does not fit the data
├── PreviewError                a preview was asked for of what is not there: which word, and what there is
├── StateError                  a state directory that must not be used: what is wrong and the cure
├── SinkError                   something was not acknowledged
├── SourceError                 Kafka cannot be read: what is wrong and the cure
├── SettingsError               a setting that is missing or wrong
├── ExportError                 an export that did not come to its end; there is no file
├── ReportError                 a vendor's webhook that is not believed, or cannot be read
└── DeliveryError               one attempt at a provider failed
    ├── Throttled               slow down (retry_after_s)
    │   └── LimitReached        this account has sent all it may for now: another may carry it
    ├── Transient               failed for now
    ├── Unknown                 cut off after the request was written: may be sent
    ├── Rejected                this message is refused for good
    │   └── Declined            by this account only: another may carry it
    ├── OptedOut                the recipient told the provider to stop
    ├── RecipientGone           the address or device does not exist
    └── Misconfigured           this provider account does not work
"""

import traceback
from enum import Enum
from pathlib import Path
from typing import ClassVar

from tocsin.model.statuses import Reason


def kind_and_place(error: BaseException) -> str:
    """Name what nobody foresaw, for a log: its kind and where it was raised, without its text.

    The text may hold personal data. An example: `KeyError at loader.py:120`.
    """
    frames = traceback.extract_tb(error.__traceback__)
    where = f" at {Path(frames[-1].filename).name}:{frames[-1].lineno}" if frames else ""
    return type(error).__name__ + where


class About(Enum):
    """What a failed attempt is about. Only the account and the moment count against the account."""

    RECIPIENT = "recipient"
    """This address or device: greylisting, a full mailbox, one bad token."""
    MESSAGE = "message"
    """This message at this account: its content, size, sender or country."""
    ACCOUNT = "account"
    """Credentials, rights or settings of the account."""
    MOMENT = "moment"
    """The provider or the way to it, just now."""


class TocsinError(Exception):
    """Root of every error Tocsin raises on purpose."""


class DecodeError(TocsinError):
    """A record that cannot be decoded: `reason` for machines, the text names field and cure."""

    def __init__(self, reason: Reason, text: str) -> None:
        super().__init__(text)
        self.reason = reason


class CatalogError(TocsinError):
    """A mistake in the catalog; the text starts with `file:line`."""


class ReportError(TocsinError):
    """A webhook of a vendor that is not believed or cannot be read; the text holds nothing of it.

    Attributes:
        why: `forged`, `stale`, `unreadable` or `unconfigured`.
    """

    def __init__(self, text: str, why: str) -> None:
        super().__init__(text)
        self.why = why


class RenderError(TocsinError):
    """A template cannot be rendered; the text names template, part and variable, never its value."""


class PreviewError(TocsinError):
    """A preview was asked for of what is not there.

    Attributes:
        field: the word of the request that is wrong, like `channel`.
        cure: what to write there; it repeats nothing of the request.
    """

    def __init__(self, text: str, field: str, cure: str = "") -> None:
        super().__init__(text)
        self.field = field
        self.cure = cure or text


class StateError(TocsinError):
    """A state directory that must not be used; the text says why and what cures it."""


class SinkError(TocsinError):
    """A record or row was not acknowledged."""


class SourceError(TocsinError):
    """Kafka cannot be read; the text says why and what cures it."""


class SettingsError(TocsinError):
    """A setting is missing or wrong; the text names it."""


class ExportError(TocsinError):
    """An export did not come to its end; the text says why. No file is left."""


class DeliveryError(TocsinError):
    """One attempt failed.

    Attributes:
        reason: for the outcome.
        permanent: no later attempt can succeed.
        failover: another provider of the channel may be tried at once.
        maybe_sent: the provider may have taken the message all the same.
        this_account_only: `permanent` holds for this account; another one may carry the message.
        receipt: kind of the receipt that tells the gate about the recipient; empty for none.
        about: what the failure is about; set where a vendor's answer is read, else by the class.
        code: the provider's own code (`21211`, `5.1.1`, `UNREGISTERED`), empty if it gave none.
        retry_after_s: how long the provider asked to wait, or None.
        since_ms: since when the recipient is gone, as the provider says, ms since 1970; 0 for now.

    The text is the provider's, cleaned: no address, token or message body.
    """

    reason: ClassVar[Reason] = Reason.TRANSIENT
    permanent: ClassVar[bool] = False
    failover: ClassVar[bool] = False
    maybe_sent: ClassVar[bool] = False
    this_account_only: ClassVar[bool] = False
    receipt: ClassVar[str] = ""
    usually_about: ClassVar[About] = About.MOMENT

    def __init__(
        self,
        text: str,
        *,
        code: str = "",
        retry_after_s: float | None = None,
        about: About | None = None,
        since_ms: int = 0,
    ) -> None:
        super().__init__(text)
        self.code = code
        self.retry_after_s = retry_after_s
        self.about = about or self.usually_about
        self.since_ms = since_ms


class Throttled(DeliveryError):
    """The provider asks to slow down; the request was not processed."""

    reason = Reason.THROTTLED


class LimitReached(Throttled):
    """This account has sent all it may for now. Another account is tried; with none left it waits."""

    failover = True


class Transient(DeliveryError):
    """The provider failed for now, and certainly did not send."""

    reason = Reason.TRANSIENT
    failover = True


class Unknown(DeliveryError):
    """Cut off after the request was written: it may have been sent."""

    reason = Reason.UNKNOWN
    maybe_sent = True


class Rejected(DeliveryError):
    """Refused for good: content, format or policy. The address is not to blame."""

    reason = Reason.REJECTED
    permanent = True
    usually_about = About.MESSAGE


class Declined(Rejected):
    """This account cannot carry this message (its country, its sender, its app); it works for others.

    Another account is tried; with none left the message is rejected.
    """

    failover = True
    this_account_only = True


class OptedOut(DeliveryError):
    """The recipient told the provider to stop."""

    reason = Reason.RECIPIENT_OPTED_OUT
    permanent = True
    receipt = "opted_out"
    usually_about = About.RECIPIENT


class RecipientGone(DeliveryError):
    """The address or device no longer exists; `code` is the provider's."""

    reason = Reason.RECIPIENT_GONE
    permanent = True
    receipt = "gone"
    usually_about = About.RECIPIENT


class Misconfigured(DeliveryError):
    """The account does not work: credentials, sender, rights. Fail over; do not burn retries."""

    reason = Reason.MISCONFIGURED
    failover = True
    usually_about = About.ACCOUNT

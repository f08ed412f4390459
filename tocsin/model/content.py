"""Rendered content: what a recipient sees, before a provider's own format."""

from collections.abc import Callable

import msgspec

from tocsin.model.message import Message


class Content(msgspec.Struct, frozen=True, gc=False):
    """What a channel carries; each kind of content is a subclass."""


class EmailContent(Content, frozen=True, gc=False):
    """A mail. `headers` carries List-Unsubscribe and the like; values are free of CR and LF."""

    subject: str
    text: str
    html: str
    sender: str
    sender_name: str = ""
    reply_to: str = ""
    headers: dict[str, str] = {}


class SmsContent(Content, frozen=True, gc=False):
    """A text message; `segments` and `encoding` (`GSM-7` or `UCS-2`) as it will be billed."""

    text: str
    segments: int
    encoding: str
    sender: str = ""


class PushContent(Content, frozen=True, gc=False):
    """A push notification; the payload of any platform built from it stays within 4096 bytes."""

    title: str
    body: str
    data: dict[str, str] = {}
    url: str = ""
    collapse_key: str = ""
    ttl_s: int = 86_400
    urgent: bool = False


class InAppContent(Content, frozen=True, gc=False):
    """An entry of the in-app inbox."""

    title: str
    body: str
    url: str = ""


class Outgoing(msgspec.Struct, frozen=True, gc=False):
    """A message with its content: what a provider adapter is handed.

    Attributes:
        message: the message.
        content: what the recipient sees.
        mark_of: makes the message's mark, if it has one (`tocsin.formats.marks`).
    """

    message: Message
    content: Content
    mark_of: Callable[[Message], str] | None = None

    @property
    def mark(self) -> str:
        """Return what a provider shall give back with each report: opaque, without a user id or address."""
        return self.mark_of(self.message) if self.mark_of else ""

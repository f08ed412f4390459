"""Rendered content: what a recipient sees, before a provider's own format."""

from collections.abc import Callable

import msgspec

from tocsin.model.message import Message


class Content(msgspec.Struct, frozen=True, gc=False):
    """What a channel carries; each kind of content is a subclass."""


class AttachmentRef(msgspec.Struct, frozen=True, gc=False):
    """Where an attachment of a mail is, and how it is called.

    Attributes:
        source: a URL, or a file below the catalog's folder of attachments.
        is_file: which of the two.
        name: how the recipient sees it.
        type: its media type.
        cid: by which the HTML shows it; empty for what is no image of the HTML.
    """

    source: str
    is_file: bool
    name: str
    type: str
    cid: str = ""


class Attachment(msgspec.Struct, frozen=True, gc=False):
    """An attachment with its content, as `AttachmentRef` names it."""

    name: str
    type: str
    content: bytes
    cid: str = ""


class EmailContent(Content, frozen=True, gc=False):
    """A mail. `headers` carries List-Unsubscribe and the like; values are free of CR and LF.

    `attachments` are references: a sender fetches what they name, and hands it over in `Outgoing`.
    """

    subject: str
    text: str
    html: str
    sender: str
    sender_name: str = ""
    reply_to: str = ""
    headers: dict[str, str] = {}
    attachments: tuple[AttachmentRef, ...] = ()


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


class WhatsAppContent(Content, frozen=True, gc=False):
    """A WhatsApp message.

    Attributes:
        text: free text; WhatsApp takes it only within 24 hours of the recipient's last message.
        sender: the number it comes from.
        template: id of an approved template that is sent in place of the text; empty for none.
        variables: the values of the template's placeholders.
    """

    text: str
    sender: str = ""
    template: str = ""
    variables: dict[str, str] = {}


class VoiceContent(Content, frozen=True, gc=False):
    """A text that is read to whoever takes the call, in the language of `locale`."""

    text: str
    locale: str = ""
    sender: str = ""


class ChatContent(Content, frozen=True, gc=False):
    """A message to a chat: plain text of some lines, which adapters escape as their service wants it."""

    text: str
    title: str = ""
    url: str = ""
    urgent: bool = False


class WebhookContent(Content, frozen=True, gc=False):
    """What a webhook tells beside the facts of its message."""

    title: str
    body: str
    url: str = ""


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
        attachments: of a mail, with their content.
    """

    message: Message
    content: Content
    mark_of: Callable[[Message], str] | None = None
    attachments: tuple[Attachment, ...] = ()

    @property
    def mark(self) -> str:
        """Return what a provider shall give back with each report: opaque, without a user id or address."""
        return self.mark_of(self.message) if self.mark_of else ""

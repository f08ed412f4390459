"""Builds what chats, calls and webhooks carry from rendered parts."""

import re

import msgspec

from tocsin.errors import RenderError
from tocsin.model.content import ChatContent, VoiceContent, WebhookContent, WhatsAppContent
from tocsin.render.content import MAX_TITLE_BYTES, ContentContext, Parts, link
from tocsin.render.text import one_line, shorten, tidy

MAX_WHATSAPP_CHARS = 1_600  # of Twilio
_CONTENT_SID = re.compile("HX[0-9a-fA-F]{32}")
_BLANKS = re.compile(r"\s{2,}")
MAX_CALL_CHARS = 1_500
"""Some two minutes of speech: nobody listens to more."""


def chat_content(parts: Parts, context: ContentContext) -> ChatContent:
    """Build a message to a chat."""
    message = context.message
    return ChatContent(
        text=tidy(parts["chat"]),
        title=shorten(one_line(parts.get("title", "")), MAX_TITLE_BYTES),
        url=link(parts, message),
        urgent=message.priority in ("critical", "high"),
    )


def whatsapp_content(parts: Parts, context: ContentContext) -> WhatsAppContent:
    """Build a WhatsApp message.

    Raises:
        RenderError: no provider takes a text of this length, or the template is not named as it must be.
    """
    text = _fitting(tidy(parts["whatsapp"]), MAX_WHATSAPP_CHARS, "whatsapp", context)
    named = parts.get("whatsapp_template", "").strip()
    approved = _approved(named, context) if named else ApprovedTemplate("")
    return WhatsAppContent(text, context.senders.whatsapp, approved.content_sid, approved.variables)


class ApprovedTemplate(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What the part `whatsapp_template` says, in JSON: an approved template, and its values."""

    content_sid: str
    variables: dict[str, str] = {}


def _approved(text: str, context: ContentContext) -> ApprovedTemplate:
    where = f"template {context.message.template}, part whatsapp_template"
    try:
        named = msgspec.json.decode(text, type=ApprovedTemplate)
    except msgspec.DecodeError:
        cure = 'write {"content_sid": "HX…", "variables": {"1": {{ data.gate | tojson }}}}'
        msg = f"{where}: is not such JSON; {cure}, with texts as values"
        raise RenderError(msg) from None
    if not _CONTENT_SID.fullmatch(named.content_sid):
        msg = f"{where}: content_sid is HX and 32 hexadecimal digits; copy it from the approved template"
        raise RenderError(msg)
    # WhatsApp refuses a value that is empty, has a line break, or more than four blanks in a row.
    variables = {name: _BLANKS.sub(" ", one_line(value)) for name, value in named.variables.items()}
    if empty := [name for name, value in variables.items() if not value]:
        msg = f"{where}: variable {one_line(empty[0])} is empty, which WhatsApp refuses; give it a default"
        raise RenderError(msg)
    return ApprovedTemplate(named.content_sid, variables)


def voice_content(parts: Parts, context: ContentContext) -> VoiceContent:
    """Build the text of a call.

    Raises:
        RenderError: it is too long to be listened to.
    """
    text = _fitting(one_line(parts["call"]), MAX_CALL_CHARS, "call", context)
    return VoiceContent(text, context.locale or context.message.locale, context.senders.voice)


def webhook_content(parts: Parts, context: ContentContext) -> WebhookContent:
    """Build what a webhook tells beside the facts of its message."""
    title = shorten(one_line(parts["title"]), MAX_TITLE_BYTES)
    return WebhookContent(title, tidy(parts["body"]), link(parts, context.message))


def _fitting(text: str, most: int, part: str, context: ContentContext) -> str:
    if len(text) > most:
        msg = f"template {context.message.template}, part {part}: longer than {most} characters; shorten it"
        raise RenderError(msg)
    return text

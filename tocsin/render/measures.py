"""Measures rendered content against what its channel carries: lengths, segments, bytes, and what was cut."""

from collections.abc import Callable, Iterator
from typing import Any, Final

import msgspec

from tocsin.model.content import (
    ChatContent,
    Content,
    EmailContent,
    InAppContent,
    PushContent,
    SmsContent,
    VoiceContent,
    WebhookContent,
    WhatsAppContent,
)
from tocsin.model.statuses import Channel
from tocsin.render.chats import MAX_CALL_CHARS, MAX_WHATSAPP_CHARS
from tocsin.render.content import (
    MAX_PUSH_BYTES,
    MAX_SUBJECT_BYTES,
    MAX_TITLE_BYTES,
    MAX_WEB_PUSH_BYTES,
    Parts,
    push_size,
)
from tocsin.render.preheader import MAX_BYTES as MAX_PREHEADER_BYTES
from tocsin.render.sms import fill
from tocsin.render.text import json_size, one_line, tidy

GMAIL_BYTES: Final = 102_000
"""Gmail shows no more of a mail's HTML, and puts a link in place of the rest."""
_LIST_CHARS: Final = 60
"""What lists of mails show of a subject on a desktop; telephones show about 40."""
_SHOWN: Final = 24


class Measure(msgspec.Struct, frozen=True):
    """One figure of a content.

    Attributes:
        name: what was measured.
        value: how much.
        unit: of what.
        limit: how much there may be; None for any.
        note: what a writer should know; empty if all is well.
    """

    name: str
    value: int
    unit: str
    limit: int | None = None
    note: str = ""


def measured(channel: str, parts: Parts, content: Content) -> list[Measure]:
    """Measure a content.

    Args:
        channel: that carries it.
        parts: as rendered, from which the content was built.
        content: what the recipient sees.
    """
    measure = _MEASURES.get(type(content))
    return list(measure(channel, parts, content)) if measure else []


def _cut(shown: str, rendered: str, what: str) -> str:
    return f"the {what} was cut" if shown != rendered else ""


def _email(_channel: str, parts: Parts, content: EmailContent) -> Iterator[Measure]:
    cut = _cut(content.subject, one_line(parts["subject"]), "subject")
    long = f"lists of mails show about {_LIST_CHARS}, telephones fewer"
    yield Measure("subject", len(content.subject), "characters", None, cut and f"{cut} to fit a header")
    yield Measure(
        "subject size",
        json_size(content.subject),
        "bytes",
        MAX_SUBJECT_BYTES,
        long if len(content.subject) > _LIST_CHARS else "",
    )
    preheader = one_line(parts.get("preheader", ""))
    size = json_size(preheader)
    if preheader:
        cut = "the preheader was cut" if size > MAX_PREHEADER_BYTES else ""
        yield Measure("preheader", size, "bytes", MAX_PREHEADER_BYTES, cut)
    html = len(content.html.encode())
    clipped = "Gmail clips it" if html > GMAIL_BYTES else ""
    yield Measure("HTML", html, "bytes", GMAIL_BYTES, clipped)
    yield Measure("text", len(content.text), "characters")


def _sms(_channel: str, parts: Parts, content: SmsContent) -> Iterator[Measure]:
    filled = fill(content.text)
    shown = " ".join(filled.costly[:_SHOWN])
    note = f"UCS-2 because of: {shown}" if filled.costly else ""
    yield Measure("segments", content.segments, content.encoding, None, note)
    units = "septets" if content.encoding == "GSM-7" else "UTF-16 units"
    yield Measure("text", filled.units, units, filled.room)
    written = tidy(parts["sms"]).replace("\u202f", " ")
    if content.text != written:
        yield Measure(
            "as written", len(written), "characters", None, "the tenant's settings changed the text"
        )


def _push(channel: str, parts: Parts, content: PushContent) -> Iterator[Measure]:
    title, body = one_line(parts["title"]), tidy(parts["body"])
    most = MAX_WEB_PUSH_BYTES if channel == Channel.WEBPUSH else MAX_PUSH_BYTES
    yield Measure("title", json_size(title), "bytes", MAX_TITLE_BYTES, _cut(content.title, title, "title"))
    yield Measure("body", len(content.body), "characters", None, _cut(content.body, body, "body"))
    yield Measure("payload", push_size(content), "bytes", most)


def _inbox(_channel: str, parts: Parts, content: InAppContent | WebhookContent) -> Iterator[Measure]:
    title = one_line(parts["title"])
    yield Measure("title", json_size(title), "bytes", MAX_TITLE_BYTES, _cut(content.title, title, "title"))
    yield Measure("body", len(content.body), "characters")


def _chat(_channel: str, _parts: Parts, content: ChatContent) -> Iterator[Measure]:
    yield Measure("text", len(content.text), "characters")


def _whatsapp(_channel: str, _parts: Parts, content: WhatsAppContent) -> Iterator[Measure]:
    note = "" if content.template else "free text: only within 24 hours of the recipient's last message"
    yield Measure("text", len(content.text), "characters", MAX_WHATSAPP_CHARS, note)


def _voice(_channel: str, _parts: Parts, content: VoiceContent) -> Iterator[Measure]:
    yield Measure("text", len(content.text), "characters", MAX_CALL_CHARS)


_MEASURES: Final[dict[type, Callable[[str, Parts, Any], Iterator[Measure]]]] = {
    EmailContent: _email,
    SmsContent: _sms,
    PushContent: _push,
    InAppContent: _inbox,
    WebhookContent: _inbox,
    ChatContent: _chat,
    WhatsAppContent: _whatsapp,
    VoiceContent: _voice,
}

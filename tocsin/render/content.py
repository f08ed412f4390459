"""Builds what a channel carries from rendered parts, within its limits and with its headers."""

from collections.abc import Callable, Mapping

import css_inline
import msgspec

from tocsin.catalog.sms import SmsSettings
from tocsin.catalog.spec import Senders
from tocsin.errors import RenderError
from tocsin.model.content import AttachmentRef, Content, EmailContent, InAppContent, PushContent, SmsContent
from tocsin.model.ids import digest
from tocsin.model.message import Message
from tocsin.render.inline_css import inline_css
from tocsin.render.preheader import with_preheader
from tocsin.render.sms_text import MAX_SMS_CHARS, sms_text
from tocsin.render.text import header_url, json_size, mailto, one_line, printable, safe_url, shorten, tidy

MAX_SUBJECT_BYTES = 250
MAX_TITLE_BYTES = 250
# FCM, APNs and web push take 4096 bytes. The rest is for what adapters put around the content: the names of
# fields, `aps`, channel and tag, and the 103 bytes of web push encryption.
MAX_PUSH_BYTES = 4096 - 640
MAX_WEB_PUSH_BYTES = 3000 - 400
MIN_BODY_BYTES = 64
MAX_COLLAPSE_BYTES = 64  # of apns-collapse-id
DEFAULT_TTL_S = 86_400
MAX_TTL_S = 28 * 86_400  # of FCM

Parts = Mapping[str, str]


class ContentContext(msgspec.Struct, frozen=True, gc=False):
    """Holds what content is built from, beside the rendered parts.

    Attributes:
        message: the message.
        senders: of its tenant, from `clean_senders`.
        unsubscribe_url: where its recipient can unsubscribe; empty for nowhere.
        sms: how the tenant's text messages are written.
        stop_text: how to stop such messages, if their text must say so.
        locale: the language that the parts were written in.
        attachments: what the message brings, if it is a mail.
    """

    message: Message
    senders: Senders
    unsubscribe_url: str = ""
    sms: SmsSettings = SmsSettings()
    stop_text: str = ""
    locale: str = ""
    attachments: tuple[AttachmentRef, ...] = ()


Builder = Callable[[Parts, ContentContext], Content]
"""Builds what a channel carries; `tocsin.model.channels.CHANNELS` names it. Raises `RenderError`."""


def email_content(parts: Parts, context: ContentContext) -> EmailContent:
    """Build a mail; no header value can hold a line break, and rules of `<style>` are inlined.

    Raises:
        RenderError: the styles cannot be read.
    """
    senders, html = context.senders, parts["html"].replace("\r\n", "\n")
    return EmailContent(
        subject=shorten(one_line(parts["subject"]), MAX_SUBJECT_BYTES),
        text=tidy(parts["text"]) + "\n",
        html=with_preheader(_inlined(printable(html), context.message), parts.get("preheader", "")) + "\n",
        sender=senders.email,
        sender_name=senders.email_name,
        reply_to=senders.reply_to,
        headers=mail_headers(context.unsubscribe_url, senders.unsubscribe_email),
        attachments=context.attachments,
    )


def _inlined(html: str, message: Message) -> str:
    try:
        return inline_css(html).strip()
    except css_inline.InlineError:
        msg = f"template {message.template}, part html: the rules of <style> cannot be read; correct the CSS"
        raise RenderError(msg) from None


def clean_senders(senders: Senders) -> Senders:
    """Put every value on one line, since all of them end in headers."""
    clean = {name: one_line(value) for name, value in senders}
    return senders.model_copy(update=clean | {"unsubscribe_url": header_url(senders.unsubscribe_url)})


def mail_headers(unsubscribe_url: str, unsubscribe_email: str) -> dict[str, str]:
    """Build the headers of a mail: no auto-replies, and one-click unsubscribe (RFC 8058) if it has a link."""
    headers = {"Auto-Submitted": "auto-generated"}
    if unsubscribe_url:
        token = unsubscribe_url.rsplit("/", 1)[-1]
        by_mail = f", <{mailto(unsubscribe_email)}?subject={token}>" if unsubscribe_email else ""
        headers["List-Unsubscribe"] = f"<{unsubscribe_url}>{by_mail}"
        headers["List-Unsubscribe-Post"] = "List-Unsubscribe=One-Click"
    return headers


def sms_content(parts: Parts, context: ContentContext) -> SmsContent:
    """Build a text message in the tenant's way, and count what it will be billed as.

    Raises:
        RenderError: it is longer than the tenant wants, or than any provider takes.
    """
    # CLDR puts a narrow no-break space into "3:20 PM", which alone would make the text UCS-2.
    text = tidy(parts["sms"]).replace("\u202f", " ")
    text, size = sms_text(text, context.sms, context.stop_text)
    most = context.sms.max_segments
    if most is not None and size.segments > most:
        cure = f"the tenant allows {most} (`sms: {{max_segments}}`); shorten it"
        raise _too_long(context, f"{size.segments} segments of {size.encoding}, {cure}")
    if len(text) > MAX_SMS_CHARS:
        raise _too_long(context, f"longer than {MAX_SMS_CHARS} characters; shorten it")
    return SmsContent(text=text, segments=size.segments, encoding=size.encoding, sender=context.senders.sms)


def _too_long(context: ContentContext, what: str) -> RenderError:
    return RenderError(f"template {context.message.template}, part sms: {what}")


def push_content(parts: Parts, context: ContentContext) -> PushContent:
    """Build a push notification whose payload stays within 4096 bytes: a long body is cut at a word.

    Raises:
        RenderError: the link alone is too long to leave room for a body, or may not be followed.
    """
    return _push_content(parts, context, MAX_PUSH_BYTES)


def webpush_content(parts: Parts, context: ContentContext) -> PushContent:
    """Build a notification of a browser, like a push but smaller: some push services take 3 kB.

    Raises:
        RenderError: as `push_content`.
    """
    return _push_content(parts, context, MAX_WEB_PUSH_BYTES)


def _push_content(parts: Parts, context: ContentContext, most: int) -> PushContent:
    message = context.message
    title = shorten(one_line(parts["title"]), MAX_TITLE_BYTES)
    url = link(parts, message)
    data = _push_data(message)
    collapse_key = _collapse_key(message.collapse_key)
    used = _push_size(title, url, data, collapse_key)
    if most - used < MIN_BODY_BYTES:
        msg = f"template {message.template}, part url: too long for a push notification; shorten the link"
        raise RenderError(msg)
    return PushContent(
        title=title,
        body=shorten(tidy(parts["body"]), most - used),
        data=data,
        url=url,
        collapse_key=collapse_key,
        ttl_s=_ttl_s(message),
        urgent=message.priority in ("critical", "high"),
    )


def push_size(content: PushContent) -> int:
    """Count the bytes of a push notification that `MAX_PUSH_BYTES` and `MAX_WEB_PUSH_BYTES` limit."""
    around = _push_size(content.title, content.url, content.data, content.collapse_key)
    return around + json_size(content.body)


def _push_size(title: str, url: str, data: Mapping[str, str], collapse_key: str) -> int:
    """Count the bytes around the body: the link goes out in the data for the app, and where it is opened."""
    return json_size(title) + 2 * json_size(url) + len(msgspec.json.encode(data)) + json_size(collapse_key)


def inapp_content(parts: Parts, context: ContentContext) -> InAppContent:
    """Build an entry of the inbox: plain text, which whoever shows it must escape."""
    title = shorten(one_line(parts["title"]), MAX_TITLE_BYTES)
    return InAppContent(title=title, body=tidy(parts["body"]), url=link(parts, context.message))


def link(parts: Parts, message: Message) -> str:
    """Return the link of a message; empty without one.

    Raises:
        RenderError: it may not be followed.
    """
    url = parts.get("url", "").strip()
    try:
        return safe_url(url) if url else ""
    except ValueError as error:
        msg = f"template {message.template}, part url: {error}"
        raise RenderError(msg) from None


def _push_data(message: Message) -> dict[str, str]:
    return {
        "message_id": message.message_id,
        "notification_id": message.notification_id,
        "notification": message.notification,
        "category": message.category,
    }


def _collapse_key(key: str) -> str:
    """Keep a key that platforms take; a longer one is replaced by its hash, which collapses the same."""
    clean = one_line(key)
    return clean if len(clean.encode()) <= MAX_COLLAPSE_BYTES else digest("collapse", clean)


def _ttl_s(message: Message) -> int:
    if not message.expires_ms:
        return DEFAULT_TTL_S
    return max(0, min(MAX_TTL_S, (message.expires_ms - message.decided_ms) // 1000))

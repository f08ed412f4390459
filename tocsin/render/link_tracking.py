"""Leads the links of a message through the gateway, and puts the image into a mail that tells of its opening.

Only links that people follow are changed: `href` of `<a>` and `<area>`, with http or https. Links to
unsubscribe and to the gateway itself stay, and those with `data-track="off"`. What stands in comments (among
them what only Outlook reads), `<style>` and `<script>` stays, too. So does the plain text of a mail.
"""

import re
from collections.abc import Mapping
from html import escape, unescape
from itertools import count
from typing import Final

from tocsin.catalog.sms import SmsSettings
from tocsin.catalog.spec import TenantSpec
from tocsin.catalog.tracking import Tracking
from tocsin.formats.link_tokens import (
    CLICK_PATH,
    MAX_URL_CHARS,
    OPEN_END,
    OPEN_PATH,
    LinkTokens,
    TrackedLink,
)
from tocsin.formats.marks import Marked, marked_of
from tocsin.model.message import Message
from tocsin.model.statuses import Channel
from tocsin.render.sms import analyse

Parts = Mapping[str, str]

MAX_LINKS: Final = 500
"""Links of one message that are tracked."""

_TAG: Final = re.compile(
    r"<!--.*?-->|<(?:style|script|title|textarea)\b.*?</(?:style|script|title|textarea)\s*>"
    r"|(?P<link><(?:a|area)\b(?:[^>\"']|\"[^\"]*\"|'[^']*')*>)",
    re.IGNORECASE | re.DOTALL,
)
_HREF: Final = re.compile(
    r"(?P<before>\shref\s*=\s*)(?:\"(?P<double>[^\"]*)\"|'(?P<single>[^']*)')", re.IGNORECASE
)
_OPT_OUT: Final = re.compile(r"\sdata-track\s*=\s*(?:\"off\"|'off'|off)", re.IGNORECASE)
_WEB: Final = re.compile(r"https?://[^\s/?#\\\x00-\x1f\x7f][^\s\\\x00-\x1f\x7f]*", re.IGNORECASE)
"""An address that browsers and we read alike: without blanks, control characters and backslashes."""
_IN_TEXT: Final = re.compile(r"https?://[^\s<>\"]+")
_AFTER: Final = ".,;:!?)]}'"
"""Signs at the end of a link in a text that belong to the sentence."""
_BODY_END: Final = "</body"


class LinkTracking:
    """Changes the links of one tenant's messages.

    Args:
        settings: of the tenant.
        tokens: makes the tokens.
        base: public address of the gateway, without a slash at its end.
        kept: beginnings of addresses that are never changed.
    """

    def __init__(self, settings: Tracking, tokens: LinkTokens, base: str, kept: tuple[str, ...] = ()) -> None:
        self._settings = settings
        self._tokens = tokens
        self._base = settings.url.rstrip("/") or base
        self._kept = tuple(each for each in (base, self._base, *kept) if each)

    def changed(self, parts: Parts, message: Message, sms: SmsSettings) -> Parts:
        """Return the parts of a message with its links changed as the tenant wants it.

        They are the same for each attempt at the message.
        """
        settings = self._settings
        if message.category in settings.except_categories:
            return parts
        if message.channel == Channel.EMAIL and "html" in parts:
            return {**parts, "html": self._html(parts["html"], message)}
        if message.channel == Channel.SMS and settings.sms:
            return {**parts, "sms": self._text(parts["sms"], message, sms)}
        return parts

    def _html(self, html: str, message: Message) -> str:
        owner = marked_of(message)
        if self._settings.clicks:
            numbers = count(1)
            html = _TAG.sub(lambda found: self._tag(found, message, owner, numbers), html)
        if not self._settings.opens:
            return html
        address = escape(f"{self._base}{OPEN_PATH}{self._token(message, owner)}{OPEN_END}")
        image = f'<img src="{address}" width="1" height="1" alt="" style="border:0">'
        end = html.lower().rfind(_BODY_END)
        return f"{html[:end]}{image}{html[end:]}" if end >= 0 else f"{html}{image}"

    def _tag(self, found: re.Match[str], message: Message, owner: Marked, numbers: "count[int]") -> str:
        tag = found["link"]
        if not tag:
            return found[0]
        if _OPT_OUT.search(tag):
            return _OPT_OUT.sub("", tag, count=1)
        href = _HREF.search(tag)
        url = unescape(href["double"] or href["single"] or "").strip() if href else ""
        if href is None or not self._is_tracked(url) or (number := next(numbers)) > MAX_LINKS:
            return tag
        address = escape(f"{self._base}{CLICK_PATH}{self._token(message, owner, url, number)}")
        return f'{tag[: href.start()]}{href["before"]}"{address}"{tag[href.end() :]}'

    def _text(self, text: str, message: Message, sms: SmsSettings) -> str:
        """Change the links of a text message, unless it then is longer than the tenant allows."""
        numbers = count(1)
        changed = _IN_TEXT.sub(lambda found: self._link(found[0], message, numbers), text)
        most = sms.max_segments
        return text if most is not None and analyse(changed).segments > most else changed

    def _link(self, word: str, message: Message, numbers: "count[int]") -> str:
        url = word.rstrip(_AFTER)
        if not self._is_tracked(url):
            return word
        token = self._token(message, None, url, next(numbers))
        return f"{self._base}{CLICK_PATH}{token}{word[len(url) :]}"

    def _is_tracked(self, url: str) -> bool:
        return len(url) <= MAX_URL_CHARS and bool(_WEB.fullmatch(url)) and not url.startswith(self._kept)

    def _token(self, message: Message, owner: Marked | None, url: str = "", number: int = 0) -> str:
        expires_ms = message.decided_ms + self._settings.expires_ms
        link = TrackedLink(message.message_id, owner, url, number, message.decided_ms, expires_ms)
        return self._tokens.make(link)


def tracking_of(spec: TenantSpec, secret: bytes, gateway_url: str) -> LinkTracking | None:
    """Return what tracks a tenant's links; None if it wants none, or nobody knows where the gateway is."""
    if not spec.tracking.is_on() or not (spec.tracking.url or gateway_url):
        return None
    kept = (gateway_url, spec.senders.unsubscribe_url.rstrip("/"))
    return LinkTracking(spec.tracking, LinkTokens(secret), gateway_url, kept)

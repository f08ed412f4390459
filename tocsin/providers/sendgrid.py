"""SendGrid v3 Mail Send: one e-mail, one request."""

from collections.abc import Mapping
from typing import Any, Literal

import msgspec
from pydantic import SecretStr

from tocsin.errors import DeliveryError, Misconfigured, Rejected, Throttled, Transient
from tocsin.model.content import EmailContent, Outgoing
from tocsin.model.engagement import Level
from tocsin.model.message import Message
from tocsin.model.statuses import Channel
from tocsin.providers.base import Limits, Receipt
from tocsin.providers.clean import clean
from tocsin.providers.http import MAX_RETRY_AFTER_S, Clock, Response, Transport, retry_after_s
from tocsin.providers.mail_headers import ADDRESSING, extra_headers
from tocsin.providers.mime import ascii_domain
from tocsin.providers.registry import provider
from tocsin.providers.vendor import HttpAccount, Url, check_size, content_of, marked

LIMITS = Limits(max_bytes=30_000_000, timeout_s=10)

ERRORS: Mapping[int, type[DeliveryError]] = {
    400: Rejected,
    401: Misconfigured,
    403: Misconfigured,
    404: Rejected,
    405: Rejected,
    413: Rejected,
    429: Throttled,
    500: Transient,
    502: Transient,
    503: Transient,
    504: Transient,
}
"""HTTP status to error.

A 400 blocks nobody, also where its field is the recipient's address: SendGrid looks at the spelling, and has
not asked the recipient's server. Only the event webhook tells that a mailbox is gone.
"""

RESERVED = ADDRESSING | {
    "x-sg-id",
    "x-sg-eid",
    "received",
    "dkim-signature",
    "content-type",
    "content-transfer-encoding",
}
"""Headers that SendGrid refuses in `headers`."""


class SendGridAccount(HttpAccount):
    """Settings of a SendGrid account; `validate_only` checks requests and sends nothing (sandbox mode)."""

    vendor: Literal["sendgrid"]
    api_key: SecretStr
    base_url: Url = "https://api.sendgrid.com"
    validate_only: bool = False


@provider(
    "sendgrid",
    Channel.EMAIL,
    SendGridAccount,
    reports={Level.DELIVERED, Level.OPENED, Level.CLICKED},
)
class SendGrid:
    """Sends e-mail. A 202 means accepted; whether it arrived, only events tell.

    The message's id and mark travel in `custom_args`, so that every event has them.
    """

    channel = Channel.EMAIL

    def __init__(self, name: str, account: SendGridAccount, transport: Transport, clock: Clock) -> None:
        self.name = name
        self.limits = account.limits(LIMITS)
        self._settings = {"sandbox_mode": {"enable": True}} if account.validate_only else None
        self._transport = transport
        self._clock = clock
        self._url = f"{account.base_url}/v3/mail/send"
        self._headers = {
            "authorization": f"Bearer {account.api_key.get_secret_value()}",
            "content-type": "application/json",
        }

    def accepts(self, message: Message) -> bool:
        """Carry every e-mail."""
        return message.channel == Channel.EMAIL

    async def send(self, outgoing: Outgoing) -> Receipt:
        """Hand over one e-mail; see `Provider.send`."""
        document = mail_document(outgoing.message, content_of(outgoing, EmailContent), outgoing.mark)
        if self._settings:
            document["mail_settings"] = self._settings
        body = msgspec.json.encode(document)
        check_size(len(body), self.limits.max_bytes, "the request in bytes")
        answer = await self._transport.request("POST", self._url, self._headers, body, self.limits.timeout_s)
        if 200 <= answer.status < 300:
            return Receipt(answer.headers.get("x-message-id", ""), str(answer.status))
        raise _error(answer, outgoing, self._clock())

    async def close(self) -> None:
        """Close the connections."""
        await self._transport.close()


def mail_document(message: Message, content: EmailContent, mark: str = "") -> dict[str, Any]:
    """Build the body of `POST /v3/mail/send`.

    Raises:
        Rejected: there is no subject or no text at all, which SendGrid refuses.
    """
    parts = _parts(content)
    headers = extra_headers(content.headers, RESERVED)
    document: dict[str, Any] = {
        "personalizations": [{"to": [_party(message.target.address)], "custom_args": marked(message, mark)}],
        "from": _party(content.sender, content.sender_name),
        "subject": content.subject,
        "content": parts,
        "headers": headers,
        "categories": [message.notification[:255]],
    }
    if content.reply_to:
        document["reply_to"] = _party(content.reply_to)
    if "List-Unsubscribe" in headers:
        # SendGrid would put its own link in place of ours.
        document["tracking_settings"] = {"subscription_tracking": {"enable": False}}
    return document


def _parts(content: EmailContent) -> list[dict[str, str]]:
    texts = [("text/plain", content.text), ("text/html", content.html)]
    parts = [{"type": kind, "value": value} for kind, value in texts if value]
    if not parts or not content.subject:
        msg = "the e-mail has no subject" if parts else "the e-mail has no text"
        raise Rejected(msg, code="empty")
    return parts


def _party(email: str, name: str = "") -> dict[str, str]:
    written = ascii_domain(email)
    return {"email": written, "name": name} if name else {"email": written}


class _Refusal(msgspec.Struct):
    message: str = ""
    field: str | None = None


class _Refusals(msgspec.Struct):
    errors: list[_Refusal] = []


def _error(answer: Response, outgoing: Outgoing, now_s: float) -> DeliveryError:
    refusal = _first_refusal(answer.body)
    kind = ERRORS.get(answer.status) or _fallback(answer.status)
    field = refusal.field or ""
    text = clean(f"{field} {refusal.message}".strip(), outgoing) or f"HTTP {answer.status}"
    wait_s = _wait_s(answer, now_s) if kind in (Throttled, Transient) else None
    return kind(text, code=str(answer.status), retry_after_s=wait_s)


def _first_refusal(body: bytes) -> _Refusal:
    try:
        errors = msgspec.json.decode(body, type=_Refusals).errors
    except (msgspec.DecodeError, UnicodeDecodeError):
        errors = []
    return errors[0] if errors else _Refusal()


def _fallback(status: int) -> type[DeliveryError]:
    if status >= 500:
        return Transient
    return Rejected if status >= 400 else Misconfigured  # a redirect: the base URL is wrong


def _wait_s(answer: Response, now_s: float) -> float | None:
    """Read Retry-After if it is there, else `X-RateLimit-Reset` (unix seconds)."""
    asked = retry_after_s(answer.headers, now_s)
    reset = answer.headers.get("x-ratelimit-reset", "")
    if asked is None and answer.status == 429 and reset.isascii() and reset.isdigit():
        return min(max(0.0, float(reset) - now_s), MAX_RETRY_AFTER_S)
    return asked

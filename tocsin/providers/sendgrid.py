"""SendGrid v3 Mail Send: an e-mail or a batch of them in one request."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Annotated, Any, Literal

import msgspec
from pydantic import AfterValidator, Field, SecretStr

from tocsin.errors import DeliveryError, Misconfigured, Rejected, Throttled, Transient
from tocsin.model.content import Attachment, EmailContent, Outgoing
from tocsin.model.engagement import Level
from tocsin.model.message import Message
from tocsin.model.statuses import Channel
from tocsin.providers.answers import read_json, read_search, wait_s
from tocsin.providers.base import BatchLimits, Limits, Receipt
from tocsin.providers.clean import clean_of_all
from tocsin.providers.form import form_text
from tocsin.providers.http import MAX_RETRY_AFTER_S, Clock, Response, Transport
from tocsin.providers.mail_batch import Tags, check_unique, mail_key, share
from tocsin.providers.mail_headers import ADDRESSING, check_complete, extra_headers
from tocsin.providers.mime import ascii_domain
from tocsin.providers.registry import provider
from tocsin.providers.sendgrid_signature import verification_key
from tocsin.providers.vendor import HttpAccount, Url, check_mail_size, check_size, content_of, marked

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


MAX_RECIPIENTS = 1000

MAX_OWN_BYTES = 10_000
"""Bytes that a recipient of a batch may have of their own: texts that differ, and custom arguments."""

_TAGS = Tags(write="~tocsin.{}~".format, opening="~tocsin.", apart="~")


class SendGridAccount(HttpAccount):
    """Settings of a SendGrid account.

    Attributes:
        api_key: with the right to send; to be asked for messages, it needs that of Email Activity, too.
        base_url: `https://api.eu.sendgrid.com` for a subuser in the EU.
        max_batch: messages in one request; 1 sends each alone.
        validate_only: SendGrid checks requests and sends nothing (sandbox mode).
        ask_after_s: how long after a call without an answer SendGrid is asked for the message. Its activity
            feed is minutes behind.
        webhook_key: verification key of the event webhook, as SendGrid shows it; empty takes no events.
    """

    vendor: Literal["sendgrid"]
    api_key: SecretStr
    base_url: Url = "https://api.sendgrid.com"
    max_batch: int = Field(100, ge=1, le=MAX_RECIPIENTS)
    validate_only: bool = False
    ask_after_s: float = Field(300, ge=0, le=86_400)
    webhook_key: Annotated[str, AfterValidator(verification_key)] = ""


@provider(
    "sendgrid",
    Channel.EMAIL,
    SendGridAccount,
    reports={Level.DELIVERED, Level.OPENED, Level.CLICKED},
)
class SendGrid:
    """Sends e-mail. A 202 means accepted; whether it arrived, only events tell.

    The message's id and mark travel in `custom_args`, so that every event has them. In a batch each recipient
    has a personalization: SendGrid puts in what differs (`substitutions`), and makes a mail for each.
    """

    channel = Channel.EMAIL

    def __init__(self, name: str, account: SendGridAccount, transport: Transport, clock: Clock) -> None:
        self.name = name
        self.limits = account.limits(LIMITS)
        self.batch = BatchLimits(account.max_batch)
        self._settings = {"sandbox_mode": {"enable": True}} if account.validate_only else None
        self._transport = transport
        self._clock = clock
        self.ask_after_s = account.ask_after_s
        self._base = f"{account.base_url}/v3"
        self._headers = {
            "authorization": f"Bearer {account.api_key.get_secret_value()}",
            "content-type": "application/json",
        }

    def accepts(self, message: Message) -> bool:
        """Carry every e-mail."""
        return message.channel == Channel.EMAIL

    async def send(self, outgoing: Outgoing) -> Receipt:
        """Hand over one e-mail; see `Provider.send`."""
        content = content_of(outgoing, EmailContent)
        document = mail_document(outgoing.message, content, outgoing.mark)
        if outgoing.attachments:
            document["attachments"] = [_attached(each) for each in outgoing.attachments]
        return await self._post(document, outgoing)

    def batch_key(self, outgoing: Outgoing) -> str:
        """Name what a request must have in common; see `BatchProvider.batch_key`."""
        return mail_key(outgoing, _TAGS)

    async def send_batch(self, batch: Sequence[Outgoing]) -> Sequence[Receipt]:
        """Hand over several e-mails in one request; see `BatchProvider.send_batch`.

        One wrong address makes SendGrid refuse all of them: that error is raised, and the batch taken apart.
        """
        receipt = await self._post(batch_document(batch), *batch)
        return [receipt] * len(batch)

    async def verify(self) -> str:
        """Ask for the key's rights.

        Raises:
            DeliveryError: the key does not work, or may not send.
        """
        answer = await self._request("GET", "/scopes", b"")
        if answer.status != 200:
            raise _error(answer, (), self._clock())
        if "mail.send" not in read_json(answer.body, _Scopes).scopes:
            msg = "the key may not send; give it the right Mail Send in SendGrid's settings of API keys"
            raise Misconfigured(msg, code="mail.send")
        return "the key may send mail"

    async def find(self, outgoing: Outgoing, since_ms: int) -> Receipt | None:
        """Ask the activity feed for the message's id; see `AskableProvider.find`.

        The feed is an add-on to pay for: without it SendGrid answers 403, and cannot be asked.
        """
        asked = f"(unique_args['message_id']=\"{outgoing.message.message_id}\")"
        answer = await self._request("GET", f"/messages?{form_text({'limit': '1', 'query': asked})}", b"")
        if answer.status != 200:
            raise _error(answer, [outgoing], self._clock())
        found = read_search(answer.body, _Activity, "the activity feed", "activity").messages
        return Receipt(found[0].msg_id.partition(".")[0], "found") if found else None

    async def close(self) -> None:
        """Close the connections."""
        await self._transport.close()

    async def _post(self, document: dict[str, Any], *outgoing: Outgoing) -> Receipt:
        if self._settings:
            document["mail_settings"] = self._settings
        body = msgspec.json.encode(document)
        check_mail_size(len(body), self.limits.max_bytes, outgoing[0])
        answer = await self._request("POST", "/mail/send", body)
        if 200 <= answer.status < 300:
            return Receipt(answer.headers.get("x-message-id", ""), str(answer.status))
        raise _error(answer, outgoing, self._clock())

    async def _request(self, method: str, path: str, body: bytes) -> Response:
        url = f"{self._base}{path}"
        return await self._transport.request(method, url, self._headers, body, self.limits.timeout_s)


def mail_document(message: Message, content: EmailContent, mark: str = "") -> dict[str, Any]:
    """Build the body of `POST /v3/mail/send`.

    Raises:
        Rejected: there is no subject or no text at all, which SendGrid refuses.
    """
    envelope = {"to": [_party(message.target.address)], "custom_args": marked(message, mark)}
    headers = extra_headers(content.headers, RESERVED)
    document = _shared(message, content, content.text, content.html)
    return document | {"personalizations": [envelope], "subject": content.subject, "headers": headers}


def batch_document(batch: Sequence[Outgoing]) -> dict[str, Any]:
    """Build the body for several mails: subject, headers and what differs in the texts belong to a recipient.

    Raises:
        Rejected: the mails cannot share a request: two are for one address, or too much of one differs.
    """
    contents = [content_of(outgoing, EmailContent) for outgoing in batch]
    check_unique([ascii_domain(outgoing.message.target.address) for outgoing in batch])
    (text, html), bodies = share([(each.text, each.html) for each in contents], _TAGS)
    envelopes = [
        _envelope(outgoing, content, {_TAGS.write(number): value for number, value in body.items()})
        for outgoing, content, body in zip(batch, contents, bodies, strict=True)
    ]
    return _shared(batch[0].message, contents[0], text, html) | {"personalizations": envelopes}


def _envelope(outgoing: Outgoing, content: EmailContent, substitutions: dict[str, str]) -> dict[str, Any]:
    check_complete(content.subject, content.text, content.html)
    own = marked(outgoing.message, outgoing.mark)
    texts = [*own, *own.values(), *substitutions, *substitutions.values()]
    check_size(len("".join(texts).encode()), MAX_OWN_BYTES, "what differs in a batch in bytes")
    return {
        "to": [_party(outgoing.message.target.address)],
        "subject": content.subject,
        "headers": extra_headers(content.headers, RESERVED),
        "custom_args": own,
        "substitutions": substitutions,
    }


def _shared(message: Message, content: EmailContent, text: str, html: str) -> dict[str, Any]:
    check_complete(content.subject, content.text, content.html)
    texts = [("text/plain", text), ("text/html", html)]
    document: dict[str, Any] = {
        "from": _party(content.sender, content.sender_name),
        "content": [{"type": kind, "value": value} for kind, value in texts if value],
        "categories": [message.notification[:255]],
    }
    if content.reply_to:
        document["reply_to"] = _party(content.reply_to)
    if "List-Unsubscribe" in content.headers:
        # SendGrid would put its own link in place of ours.
        document["tracking_settings"] = {"subscription_tracking": {"enable": False}}
    return document


def _attached(attachment: Attachment) -> dict[str, Any]:
    """Write an attachment; the encoder writes bytes as base64."""
    document = {"content": attachment.content, "filename": attachment.name, "type": attachment.type}
    if attachment.cid:
        return document | {"disposition": "inline", "content_id": attachment.cid}
    return document | {"disposition": "attachment"}


def _party(email: str, name: str = "") -> dict[str, str]:
    written = ascii_domain(email)
    return {"email": written, "name": name} if name else {"email": written}


class _Sent(msgspec.Struct):
    msg_id: str = ""


class _Activity(msgspec.Struct):
    messages: list[_Sent]


class _Refusal(msgspec.Struct):
    message: str = ""
    field: str | None = None


class _Refusals(msgspec.Struct):
    errors: list[_Refusal] = []


class _Scopes(msgspec.Struct):
    scopes: list[str] = []


def _error(answer: Response, outgoing: Iterable[Outgoing], now_s: float) -> DeliveryError:
    refusal = _first_refusal(answer.body)
    kind = ERRORS.get(answer.status) or _fallback(answer.status)
    field = refusal.field or ""
    text = clean_of_all(f"{field} {refusal.message}".strip(), outgoing) or f"HTTP {answer.status}"
    seconds = wait_s(kind, answer, now_s, _seconds_to_reset(answer, now_s))
    return kind(text, code=str(answer.status), retry_after_s=seconds)


def _first_refusal(body: bytes) -> _Refusal:
    errors = read_json(body, _Refusals).errors
    return errors[0] if errors else _Refusal()


def _fallback(status: int) -> type[DeliveryError]:
    if status >= 500:
        return Transient
    return Rejected if status >= 400 else Misconfigured  # a redirect: the base URL is wrong


def _seconds_to_reset(answer: Response, now_s: float) -> float | None:
    """Read the seconds to wait out of `X-RateLimit-Reset`, which is a Unix time in seconds."""
    reset = answer.headers.get("x-ratelimit-reset", "")
    if answer.status != 429 or not (reset.isascii() and reset.isdigit()):
        return None
    return min(max(0.0, float(reset) - now_s), MAX_RETRY_AFTER_S)

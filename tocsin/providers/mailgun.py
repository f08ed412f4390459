"""Mailgun: e-mail as a form, to the region that the domain belongs to."""

import re
from base64 import b64encode
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Annotated, Any, Literal

import msgspec
from pydantic import Field, SecretStr, StringConstraints

from tocsin.errors import DeliveryError, LimitReached, Misconfigured, Rejected, Throttled, Transient
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
from tocsin.providers.mail_headers import ADDRESSING, check_complete, extra_headers, mailbox
from tocsin.providers.mime import ascii_domain
from tocsin.providers.multipart import FormFile, multipart_form
from tocsin.providers.registry import provider
from tocsin.providers.vendor import HttpAccount, Url, check_mail_size, check_size, content_of, marked

LIMITS = Limits(max_bytes=25_000_000, timeout_s=10)

MAX_OPTIONS = 16_384
"""Bytes of options, headers and variables of one request together."""

MAX_RECIPIENTS = 1000

REGIONS: Mapping[str, str] = {"us": "https://api.mailgun.net", "eu": "https://api.eu.mailgun.net"}

ERRORS: Mapping[int, type[DeliveryError]] = {
    400: Rejected,
    401: Misconfigured,
    402: Misconfigured,
    403: Misconfigured,
    404: Misconfigured,
    413: Rejected,
    429: Throttled,
    500: Transient,
    502: Transient,
    503: Transient,
    504: Transient,
}
"""HTTP status to error. A 400 may be about the account, and a 429 about its limit: see `_kind`.

A 400 blocks nobody: Mailgun looks at the spelling, and has not asked the recipient's server.
"""

RESERVED = ADDRESSING | {"content-type", "content-transfer-encoding", "mime-version", "dkim-signature"}

_ACCOUNT = re.compile(r"not allowed to send|authorized recipients|not activated|account .*disabled", re.I)
_WAIT = re.compile(r"after (\d{1,6}) (second|minute|hour)", re.I)
_SECONDS = {"second": 1, "minute": 60, "hour": 3600}
_TAGS = Tags(write="%recipient.t{}%".format, opening="%recipient", apart="%")


class MailgunAccount(HttpAccount):
    """Settings of a sending domain at Mailgun.

    Attributes:
        domain: that sends, as Mailgun's console names it.
        api_key: of the account, or a sending key of the domain.
        region: where the domain was made; the other region does not know it.
        base_url: empty for the region's own.
        max_batch: messages in one request; 1 sends each alone.
        validate_only: Mailgun takes and bills messages, and delivers none (test mode).
        ask_after_s: how long after a call without an answer Mailgun is asked for the message. Its events are
            behind.
        webhook_key: the account's HTTP webhook signing key, which is no API key; empty takes no webhooks.
    """

    vendor: Literal["mailgun"]
    domain: Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9.-]+\.[A-Za-z0-9-]+$")]
    api_key: SecretStr
    region: Literal["us", "eu"] = "us"
    base_url: Url | Literal[""] = ""
    max_batch: int = Field(100, ge=1, le=MAX_RECIPIENTS)
    validate_only: bool = False
    ask_after_s: float = Field(120, ge=0, le=86_400)
    webhook_key: SecretStr = SecretStr("")

    @property
    def endpoint(self) -> str:
        """Return the URL of the region's API."""
        return self.base_url or REGIONS[self.region]


@provider("mailgun", Channel.EMAIL, MailgunAccount, reports={Level.DELIVERED, Level.OPENED, Level.CLICKED})
class Mailgun:
    """Sends e-mail. A 200 means queued; whether it arrived, only events tell.

    The message's id and mark travel as variables (`v:`), so that every event has them. Each recipient of a
    batch gets a mail of its own: Mailgun puts in what differs (`recipient-variables`).
    """

    channel = Channel.EMAIL

    def __init__(self, name: str, account: MailgunAccount, transport: Transport, clock: Clock) -> None:
        self.name = name
        self.limits = account.limits(LIMITS)
        self.batch = BatchLimits(account.max_batch)
        self.ask_after_s = account.ask_after_s
        self._transport = transport
        self._clock = clock
        self._domain = account.domain
        self._base = f"{account.endpoint}/v3"
        self._options = [("o:testmode", "yes")] if account.validate_only else []
        login = b64encode(f"api:{account.api_key.get_secret_value()}".encode()).decode("ascii")
        self._authorization = {"authorization": f"Basic {login}"}

    def accepts(self, message: Message) -> bool:
        """Carry every e-mail."""
        return message.channel == Channel.EMAIL

    async def send(self, outgoing: Outgoing) -> Receipt:
        """Hand over one e-mail; see `Provider.send`."""
        content = content_of(outgoing, EmailContent)
        fields = mail_fields(outgoing.message, content, outgoing.mark)
        return await self._post([*fields, *self._options], outgoing)

    def batch_key(self, outgoing: Outgoing) -> str:
        """Name what a request must have in common; see `BatchProvider.batch_key`."""
        return mail_key(outgoing, _TAGS)

    async def send_batch(self, batch: Sequence[Outgoing]) -> Sequence[Receipt]:
        """Hand over several e-mails in one request; see `BatchProvider.send_batch`."""
        fields = batch_fields(batch)
        receipt = await self._post([*fields, *self._options], *batch)
        return [receipt] * len(batch)

    async def find(self, outgoing: Outgoing, since_ms: int) -> Receipt | None:
        """Look for an event of the message's id among those of its recipient; see `AskableProvider.find`.

        A sending key may not read events: Mailgun then cannot be asked.
        """
        message = outgoing.message
        asked = {
            "event": "accepted",
            "recipient": ascii_domain(message.target.address),
            "begin": str(since_ms // 1_000),
            "ascending": "yes",
            "limit": "300",
        }
        url = f"{self._base}/{self._domain}/events?{form_text(asked)}"
        answer = await self._transport.request("GET", url, self._authorization, b"", self.limits.timeout_s)
        if answer.status != 200:
            raise _error(answer, (outgoing,), self._clock())
        events = read_search(answer.body, _Events, "the list of events", "events").items
        found = [one for one in events if one.variables.get("message_id") == message.message_id]
        return Receipt(found[0].message.headers.get("message-id", ""), "found") if found else None

    async def verify(self) -> str:
        """Ask for the state of the sending domain.

        Raises:
            DeliveryError: the key does not work, or the domain may not send.
        """
        url = f"{self._base}/domains/{self._domain}"
        answer = await self._transport.request("GET", url, self._authorization, b"", self.limits.timeout_s)
        if answer.status != 200:
            raise _error(answer, (), self._clock())
        state = read_json(answer.body, _Answer).domain.state
        if state != "active":
            msg = (
                f"the domain is {state or 'of unknown state'}, not active; finish its DNS records at Mailgun"
            )
            raise Misconfigured(msg, code=state)
        return f"the domain {self._domain} is active"

    async def close(self) -> None:
        """Close the connections."""
        await self._transport.close()

    async def _post(self, fields: Sequence[tuple[str, str]], *outgoing: Outgoing) -> Receipt:
        _check_options(fields)
        files = map(_file, outgoing[0].attachments)  # a mail with attachments goes alone
        kind, body = multipart_form(fields, outgoing[0].message.message_id, files)
        check_mail_size(len(body), self.limits.max_bytes, outgoing[0])
        headers = self._authorization | {"content-type": kind}
        url = f"{self._base}/{self._domain}/messages"
        answer = await self._transport.request("POST", url, headers, body, self.limits.timeout_s)
        if 200 <= answer.status < 300:
            return Receipt(read_json(answer.body, _Answer).id.strip("<>"), str(answer.status))
        raise _error(answer, outgoing, self._clock())


def _file(attachment: Attachment) -> FormFile:
    """Write an attachment; the HTML shows an inline one by the name of its file."""
    field, name = ("inline", attachment.cid) if attachment.cid else ("attachment", attachment.name)
    return FormFile(field, name, attachment.type, attachment.content)


def mail_fields(message: Message, content: EmailContent, mark: str = "") -> list[tuple[str, str]]:
    """Build the form of one mail.

    Raises:
        Rejected: there is no subject or no text at all, which Mailgun refuses.
    """
    check_complete(content.subject, content.text, content.html)
    own = {f"v:{name}": value for name, value in marked(message, mark).items()}
    return [
        ("to", ascii_domain(message.target.address)),
        ("subject", content.subject),
        *_texts(content.text, content.html),
        *[(f"h:{name}", value) for name, value in _headers(content).items()],
        *own.items(),
        *_shared(message, content),
    ]


def batch_fields(batch: Sequence[Outgoing]) -> list[tuple[str, str]]:
    """Build the form of several mails: what differs is a variable of each recipient.

    Raises:
        Rejected: the mails cannot share a request: two are for one address.
    """
    contents = [content_of(outgoing, EmailContent) for outgoing in batch]
    recipients = check_unique([ascii_domain(outgoing.message.target.address) for outgoing in batch])
    (text, html), bodies = share([(each.text, each.html) for each in contents], _TAGS)
    named = [_named(outgoing, content) for outgoing, content in zip(batch, contents, strict=True)]
    names = named[0]
    variables = {
        recipient: {f"t{tag}": value for tag, value in body.items()}
        | {f"f{place}": value for place, value in enumerate(own.values())}
        for recipient, body, own in zip(recipients, bodies, named, strict=True)
    }
    return [
        *[("to", recipient) for recipient in recipients],
        *[(name, f"%recipient.f{place}%") for place, name in enumerate(names)],
        *_texts(text, html),
        *_shared(batch[0].message, contents[0]),
        ("recipient-variables", msgspec.json.encode(variables).decode()),
    ]


def _named(outgoing: Outgoing, content: EmailContent) -> dict[str, str]:
    """Give the fields outside of the body that each recipient has of its own, always in the same order."""
    check_complete(content.subject, content.text, content.html)
    headers = {f"h:{name}": value for name, value in sorted(_headers(content).items())}
    own = {f"v:{name}": value for name, value in marked(outgoing.message, outgoing.mark).items()}
    return {"subject": content.subject} | headers | own


def _headers(content: EmailContent) -> dict[str, str]:
    headers = extra_headers(content.headers, RESERVED)
    return headers | {"Reply-To": ascii_domain(content.reply_to)} if content.reply_to else headers


def _texts(text: str, html: str) -> Iterator[tuple[str, str]]:
    yield from [(name, value) for name, value in (("text", text), ("html", html)) if value]


def _shared(message: Message, content: EmailContent) -> Iterator[tuple[str, str]]:
    yield "from", mailbox(ascii_domain(content.sender), content.sender_name)
    yield "o:tag", message.notification[:128]


def _check_options(fields: Sequence[tuple[str, str]]) -> None:
    options = [f"{name}{value}" for name, value in fields if name[1:2] == ":"]
    check_size(len("".join(options).encode()), MAX_OPTIONS, "all headers and variables in bytes")


class _Domain(msgspec.Struct, frozen=True):
    state: str = ""


class _Answer(msgspec.Struct):
    """What Mailgun answers. A refusal of the key is the bare word Forbidden, which is no JSON."""

    id: str = ""
    message: str = ""
    domain: _Domain = _Domain()


class _Mail(msgspec.Struct):
    headers: dict[str, Any] = {}


class _Event(msgspec.Struct):
    message: _Mail = msgspec.field(default_factory=_Mail)
    variables: dict[str, Any] = msgspec.field(name="user-variables", default_factory=dict)


class _Events(msgspec.Struct):
    items: list[_Event]


def _error(answer: Response, outgoing: Iterable[Outgoing], now_s: float) -> DeliveryError:
    said = read_json(answer.body, _Answer).message
    kind = _kind(answer.status, said)
    seconds = wait_s(kind, answer, now_s, _seconds_named(said))
    text = clean_of_all(said, outgoing) or f"HTTP {answer.status}"
    return kind(text, code=str(answer.status), retry_after_s=seconds)


def _kind(status: int, said: str) -> type[DeliveryError]:
    kind = ERRORS.get(status) or _fallback(status)
    if kind is Throttled and "limit" in said.lower():
        return LimitReached
    return Misconfigured if kind is Rejected and _ACCOUNT.search(said) else kind


def _fallback(status: int) -> type[DeliveryError]:
    if status >= 500:
        return Transient
    return Rejected if status >= 400 else Misconfigured  # a redirect: the base URL is wrong


def _seconds_named(said: str) -> float | None:
    """Read the seconds to wait out of a text, as `try again after 120 seconds`."""
    found = _WAIT.search(said)
    return min(float(found[1]) * _SECONDS[found[2].lower()], MAX_RETRY_AFTER_S) if found else None

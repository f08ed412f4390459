"""Mailchimp Transactional (Mandrill): e-mail over JSON, with a verdict for each recipient in the answer."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Literal, NamedTuple

import msgspec
from pydantic import Field, SecretStr

from tocsin.errors import (
    About,
    DeliveryError,
    Misconfigured,
    OptedOut,
    RecipientGone,
    Rejected,
    Throttled,
    Transient,
    Unknown,
)
from tocsin.model.content import Attachment, EmailContent, Outgoing
from tocsin.model.engagement import Level
from tocsin.model.message import Message
from tocsin.model.statuses import Channel
from tocsin.providers.answers import read_json, read_search, wait_s
from tocsin.providers.base import BatchLimits, Limits, Receipt
from tocsin.providers.clean import clean_of_all
from tocsin.providers.http import Clock, Response, Transport
from tocsin.providers.mail_batch import Tags, check_unique, mail_key, share
from tocsin.providers.mail_headers import ADDRESSING, check_complete, extra_headers
from tocsin.providers.mime import ascii_domain
from tocsin.providers.registry import provider
from tocsin.providers.vendor import HttpAccount, Url, check_mail_size, check_size, content_of, marked

LIMITS = Limits(max_bytes=25_000_000, timeout_s=10)

MAX_BATCH = 10
"""With more recipients in a request Mandrill queues all, and tells refusals by webhook only."""

MAX_SUBJECT = 998
MAX_TAG = 50

ERRORS: Mapping[str, type[DeliveryError]] = {
    "ValidationError": Rejected,
    "Invalid_Template": Rejected,
    "Unknown_Template": Rejected,
    "Invalid_Tag_Name": Rejected,
    "Invalid_Key": Misconfigured,
    "PaymentRequired": Misconfigured,
    "Unknown_Subaccount": Misconfigured,
    "PoorReputation": Misconfigured,
    "RequestLimitExceeded": Throttled,
    "GeneralError": Transient,
    "ServiceUnavailable": Transient,
}
"""Name of the error to error. The HTTP status may be 500 for all of them, permanent ones too."""

STATUSES: Mapping[int, type[DeliveryError]] = {
    400: Rejected,
    401: Misconfigured,
    402: Misconfigured,
    403: Misconfigured,
    404: Misconfigured,
    413: Rejected,
    429: Throttled,
}
"""HTTP status to error, for answers without a name that the table has."""


class Meaning(NamedTuple):
    """What follows from a recipient's verdict."""

    error: type[DeliveryError]
    about: About | None = None


VERDICTS: Mapping[str, Meaning] = {
    "hard-bounce": Meaning(RecipientGone),
    "invalid": Meaning(RecipientGone),
    "unsub": Meaning(OptedOut),
    "spam": Meaning(OptedOut),
    "soft-bounce": Meaning(Transient, About.RECIPIENT),
    "custom": Meaning(Rejected, About.RECIPIENT),
    "rule": Meaning(Rejected),
    "invalid-sender": Meaning(Misconfigured),
    "unsigned": Meaning(Misconfigured),
    "test-mode-limit": Meaning(Misconfigured),
}
"""Reason of a `rejected` or `invalid` recipient to error."""

TAKEN = frozenset({"sent", "queued", "scheduled"})
REFUSED = frozenset({"rejected", "invalid"})
"""States of a mail that was not sent."""

RESERVED = ADDRESSING | {"content-type", "content-transfer-encoding", "mime-version", "dkim-signature"}

_TAGS = Tags(write="{{{{{{t{}}}}}}}".format, opening="{{", apart="{}\\")
"""Three braces put a value in as it is; two would escape HTML."""


class MandrillAccount(HttpAccount):
    """Settings of a Mailchimp Transactional account.

    Attributes:
        subaccount: to which sends are counted; empty for none.
        ip_pool: dedicated addresses to send from; empty for the account's default.
        max_batch: messages in one request; 1 sends each alone.
        ask_after_s: how long after a call without an answer Mandrill is asked for the message. Its search is
            behind.
        webhook_key: key of the webhook, as Mandrill shows it beside its address; empty takes no webhooks.
    """

    vendor: Literal["mandrill"]
    api_key: SecretStr
    base_url: Url = "https://mandrillapp.com/api/1.0"
    subaccount: str = ""
    ip_pool: str = ""
    max_batch: int = Field(MAX_BATCH, ge=1, le=MAX_BATCH)
    ask_after_s: float = Field(120, ge=0, le=86_400)
    webhook_key: SecretStr = SecretStr("")


@provider("mandrill", Channel.EMAIL, MandrillAccount, reports={Level.DELIVERED, Level.OPENED, Level.CLICKED})
class Mandrill:
    """Sends e-mail. The answer says of each recipient whether Mandrill took the mail.

    The message's id and mark travel as metadata, so that every event has them. The recipients of a batch do
    not see each other, and Mandrill puts in what differs (merge variables).
    """

    channel = Channel.EMAIL

    def __init__(self, name: str, account: MandrillAccount, transport: Transport, clock: Clock) -> None:
        self.name = name
        self.limits = account.limits(LIMITS)
        self.batch = BatchLimits(account.max_batch)
        self.ask_after_s = account.ask_after_s
        self._transport = transport
        self._clock = clock
        self._base = account.base_url
        self._key = {"key": account.api_key.get_secret_value()}
        self._subaccount = {"subaccount": account.subaccount} if account.subaccount else {}
        self._options = {"async": False} | ({"ip_pool": account.ip_pool} if account.ip_pool else {})

    def accepts(self, message: Message) -> bool:
        """Carry every e-mail."""
        return message.channel == Channel.EMAIL

    async def send(self, outgoing: Outgoing) -> Receipt:
        """Hand over one e-mail; see `Provider.send`."""
        content = content_of(outgoing, EmailContent)
        document = mail_document(outgoing.message, content, outgoing.mark) | _attached(outgoing.attachments)
        verdicts = await self._post(document, outgoing)
        answer = _answer(verdicts, outgoing)
        if isinstance(answer, DeliveryError):
            raise answer
        return answer

    def batch_key(self, outgoing: Outgoing) -> str:
        """Name what a request must have in common: the headers too, which have no variables."""
        key = mail_key(outgoing, _TAGS)
        content = outgoing.content
        if not key or not isinstance(content, EmailContent):
            return ""
        return "\0".join([key, *[content.headers[name] for name in sorted(content.headers)]])

    async def send_batch(self, batch: Sequence[Outgoing]) -> Sequence[Receipt | DeliveryError]:
        """Hand over several e-mails in one request; see `BatchProvider.send_batch`."""
        verdicts = await self._post(batch_document(batch), *batch)
        return [_answer(verdicts, outgoing) for outgoing in batch]

    async def find(self, outgoing: Outgoing, since_ms: int) -> Receipt | None:
        """Search the recipient's mails for the one with the message's id; see `AskableProvider.find`.

        What Mandrill has refused counts as not there: it is sent again, and refused with its reason.
        """
        message = outgoing.message
        day = datetime.fromtimestamp(since_ms / 1_000, UTC).date().isoformat()
        asked = {
            "query": f"full_email:{ascii_domain(message.target.address)}",
            "date_from": day,
            "limit": 1_000,
        }
        answer = await self._request("/messages/search", self._key | asked)
        if answer.status != 200:
            raise _error(answer, (outgoing,), self._clock())
        found = read_search(answer.body, list[_Found], "the result of the search", "search")
        for one in found:
            if one.metadata.get("message_id") == message.message_id and one.state not in REFUSED:
                return Receipt(one.id, "found")
        return None

    async def verify(self) -> str:
        """Ask whether the key is known.

        Raises:
            DeliveryError: it is not.
        """
        answer = await self._request("/users/ping2", self._key)
        if answer.status != 200:
            raise _error(answer, (), self._clock())
        return "the key is known"

    async def close(self) -> None:
        """Close the connections."""
        await self._transport.close()

    async def _post(self, mail: dict[str, Any], *outgoing: Outgoing) -> "dict[str, _Verdict]":
        document = self._key | {"message": mail | self._subaccount} | self._options
        answer = await self._request("/messages/send", document, outgoing[0])
        if answer.status != 200:
            raise _error(answer, outgoing, self._clock())
        return {verdict.email.lower(): verdict for verdict in read_json(answer.body, list[_Verdict])}

    async def _request(
        self, path: str, document: dict[str, Any], outgoing: Outgoing | None = None
    ) -> Response:
        body = msgspec.json.encode(document)
        if outgoing is not None:
            check_mail_size(len(body), self.limits.max_bytes, outgoing)
        headers = {"content-type": "application/json"}
        url = f"{self._base}{path}"
        return await self._transport.request("POST", url, headers, body, self.limits.timeout_s)


def _attached(attachments: Sequence[Attachment]) -> dict[str, Any]:
    """Write attachments, and images of the HTML by their names; the encoder writes bytes as base64."""
    found: dict[str, list[dict[str, Any]]] = {}
    for each in attachments:
        own = {"type": each.type, "name": each.cid or each.name, "content": each.content}
        found.setdefault("images" if each.cid else "attachments", []).append(own)
    return found


def mail_document(message: Message, content: EmailContent, mark: str = "") -> dict[str, Any]:
    """Build `message` of one mail.

    Raises:
        Rejected: there is no subject or no text at all, or the subject is too long.
    """
    own = {"to": [_to(message)], "metadata": marked(message, mark), "subject": content.subject}
    return _shared(message, content, content.text, content.html) | own


def batch_document(batch: Sequence[Outgoing]) -> dict[str, Any]:
    """Build `message` of several mails: the subject and what differs in the texts are merge variables.

    Raises:
        Rejected: the mails cannot share a request: two are for one address.
    """
    contents = [content_of(outgoing, EmailContent) for outgoing in batch]
    to = [_to(outgoing.message) for outgoing in batch]
    check_unique([each["email"] for each in to])
    (subject, text, html), bodies = share([(each.subject, each.text, each.html) for each in contents], _TAGS)
    for content in contents:
        _check(content)
    variables = [
        [{"name": f"t{number}", "content": value} for number, value in body.items()] for body in bodies
    ]
    marks = [marked(outgoing.message, outgoing.mark) for outgoing in batch]
    recipients = [each["email"] for each in to]
    return _shared(batch[0].message, contents[0], text, html) | {
        "to": to,
        "subject": subject,
        "merge_language": "handlebars",
        "merge_vars": [{"rcpt": each, "vars": own} for each, own in zip(recipients, variables, strict=True)],
        "recipient_metadata": [
            {"rcpt": each, "values": own} for each, own in zip(recipients, marks, strict=True)
        ],
    }


def _shared(message: Message, content: EmailContent, text: str, html: str) -> dict[str, Any]:
    _check(content)
    headers = extra_headers(content.headers, RESERVED)
    if content.reply_to:
        headers["Reply-To"] = ascii_domain(content.reply_to)
    tag = message.notification.lstrip("_")[:MAX_TAG]
    names = {"from_name": content.sender_name, "text": text, "html": html}
    return {name: value for name, value in names.items() if value} | {
        "from_email": ascii_domain(content.sender),
        "headers": headers,
        "tags": [tag] if tag else [],
        "preserve_recipients": False,
    }


def _check(content: EmailContent) -> None:
    check_complete(content.subject, content.text, content.html)
    check_size(len(content.subject), MAX_SUBJECT, "the subject in characters")


def _to(message: Message) -> dict[str, str]:
    return {"email": ascii_domain(message.target.address), "type": "to"}


class _Verdict(msgspec.Struct):
    email: str = ""
    status: str = ""
    reject_reason: str | None = None
    queued_reason: str | None = None
    id: str = msgspec.field(name="_id", default="")


class _Found(msgspec.Struct):
    state: str = ""
    metadata: dict[str, Any] = {}
    id: str = msgspec.field(name="_id", default="")


class _Refusal(msgspec.Struct):
    name: str = ""
    message: str = ""


def _answer(verdicts: Mapping[str, _Verdict], outgoing: Outgoing) -> Receipt | DeliveryError:
    """Read the verdict of one recipient. Where there is none, Mandrill may have sent the mail."""
    verdict = verdicts.get(ascii_domain(outgoing.message.target.address).lower())
    if verdict is None:
        return Unknown("the answer has no verdict of this recipient", code="200")
    if verdict.status in TAKEN:
        return Receipt(verdict.id, verdict.queued_reason or verdict.status)
    reason = verdict.reject_reason or verdict.status
    meaning = VERDICTS.get(reason, Meaning(Rejected))
    return meaning.error(
        f"{verdict.status}: {clean_of_all(reason, [outgoing])}", code=reason, about=meaning.about
    )


def _error(answer: Response, outgoing: Iterable[Outgoing], now_s: float) -> DeliveryError:
    refusal = read_json(answer.body, _Refusal)
    kind = ERRORS.get(refusal.name) or _kind_of_status(answer.status)
    text = clean_of_all(refusal.message, outgoing) or f"HTTP {answer.status}"
    code = refusal.name or str(answer.status)
    return kind(text, code=code, retry_after_s=wait_s(kind, answer, now_s))


def _kind_of_status(status: int) -> type[DeliveryError]:
    if status >= 500:
        return Transient
    if status < 300:
        return Unknown
    return STATUSES.get(status, Rejected if status >= 400 else Misconfigured)  # a redirect: wrong base URL

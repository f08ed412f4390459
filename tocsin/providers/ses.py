"""Amazon SES v2: one e-mail, one request, as the MIME message that SMTP would carry."""

import re
from base64 import b64encode
from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Literal, NamedTuple

import msgspec
from pydantic import Field, SecretStr, StringConstraints

from tocsin.errors import DeliveryError, LimitReached, Misconfigured, Rejected, Throttled, Transient
from tocsin.model.content import Attachment, EmailContent, Outgoing
from tocsin.model.engagement import Level
from tocsin.model.message import Message
from tocsin.model.statuses import Channel
from tocsin.providers import aws_regions
from tocsin.providers.answers import read_json, wait_s
from tocsin.providers.aws_signature import AwsKeys, AwsSigner
from tocsin.providers.base import Limits, Receipt
from tocsin.providers.clean import clean
from tocsin.providers.http import Clock, Response, Transport
from tocsin.providers.mime import ascii_domain, mime_bytes
from tocsin.providers.registry import provider
from tocsin.providers.vendor import HttpAccount, Url, check_mail_size, content_of, marked

LIMITS = Limits(max_bytes=40_000_000, timeout_s=10)
"""40 MB count after base64, which is how the mail travels in the request."""

DAY_LIMIT_S = 14_400.0
"""After "Daily message quota exceeded": the quota is of the last 24 hours, so places come back bit by bit."""

ERRORS: Mapping[str, type[DeliveryError]] = {
    "MessageRejected": Rejected,
    "BadRequestException": Rejected,
    "MailFromDomainNotVerifiedException": Misconfigured,
    "AccountSuspendedException": Misconfigured,
    "SendingPausedException": Misconfigured,
    "NotFoundException": Misconfigured,
    "AccessDeniedException": Misconfigured,
    "SignatureDoesNotMatch": Misconfigured,
    "InvalidSignatureException": Misconfigured,
    "InvalidClientTokenId": Misconfigured,
    "UnrecognizedClientException": Misconfigured,
    "MissingAuthenticationToken": Misconfigured,
    "ExpiredToken": Misconfigured,
    "ExpiredTokenException": Misconfigured,
    "TooManyRequestsException": Throttled,
    "LimitExceededException": Throttled,
    "ThrottlingException": Throttled,
    "Throttling": Throttled,
    "InternalServiceErrorException": Transient,
    "InternalFailure": Transient,
    "ServiceUnavailable": Transient,
    "ServiceUnavailableException": Transient,
}
"""Name of the error to error. The texts of two names decide more: see `_kind`."""

STATUSES: Mapping[int, type[DeliveryError]] = {
    400: Rejected,
    401: Misconfigured,
    403: Misconfigured,
    404: Misconfigured,
    413: Rejected,
    429: Throttled,
}
"""HTTP status to error, for answers without a name that the table has."""

TAG_CHARS = 256
"""Longest value of a tag; a longer mark travels in the mail's own header, which events quote too."""

_TAG = re.compile(rf"[A-Za-z0-9_-]{{1,{TAG_CHARS}}}")


TopicArn = Annotated[
    str, StringConstraints(pattern=rf"^{aws_regions.ARN}:sns:[a-z0-9-]+:\d{{12}}:[A-Za-z0-9_.-]{{1,256}}$")
]


class SesAccount(HttpAccount):
    """Settings of Amazon SES in one region.

    Attributes:
        session_token: belongs to temporary keys; empty for lasting ones.
        configuration_set: the set whose event destination reports deliveries, bounces and complaints.
        base_url: empty for the region's own.
        topics: ARNs of the SNS topics that may report; a subscription of any other is not confirmed.
        topic_certificate: certificate that SNS signs with, PEM; empty fetches the one that a report names.
    """

    vendor: Literal["ses"]
    region: Annotated[str, StringConstraints(pattern=rf"^{aws_regions.REGION}$")]
    access_key_id: Annotated[str, Field(min_length=1)]
    secret_access_key: SecretStr
    session_token: SecretStr = SecretStr("")
    configuration_set: Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_-]{0,64}$")] = ""
    base_url: Url | Literal[""] = ""
    topics: tuple[TopicArn, ...] = ()
    topic_certificate: str = ""

    @property
    def endpoint(self) -> str:
        """Return the URL of the region's API."""
        return self.base_url or f"https://{aws_regions.host('email', self.region)}"


@provider("ses", Channel.EMAIL, SesAccount, reports={Level.DELIVERED, Level.OPENED, Level.CLICKED})
class Ses:
    """Sends e-mail. A 200 means accepted; whether it arrived, only events tell.

    SES writes a Message-ID of its own. The message's id and mark travel as tags, the mark as a header too.
    """

    channel = Channel.EMAIL

    def __init__(self, name: str, account: SesAccount, transport: Transport, clock: Clock) -> None:
        self.name = name
        self.limits = account.limits(LIMITS)
        self._transport = transport
        self._clock = clock
        self._region = account.region
        self._base = f"{account.endpoint}/v2/email"
        self._set = account.configuration_set
        keys = AwsKeys(account.access_key_id, account.secret_access_key, account.session_token)
        self._signer = AwsSigner(keys, account.region, "ses")

    def accepts(self, message: Message) -> bool:
        """Carry every e-mail."""
        return message.channel == Channel.EMAIL

    async def send(self, outgoing: Outgoing) -> Receipt:
        """Hand over one e-mail; see `Provider.send`."""
        content = content_of(outgoing, EmailContent)
        document = mail_document(outgoing.message, content, outgoing.mark, outgoing.attachments)
        if self._set:
            document["ConfigurationSetName"] = self._set
        body = msgspec.json.encode(document)
        check_mail_size(len(body), self.limits.max_bytes, outgoing)
        answer = await self._request("POST", "/outbound-emails", body)
        if 200 <= answer.status < 300:
            return Receipt(read_json(answer.body, _Accepted).MessageId, str(answer.status))
        raise _error(answer, outgoing, self._clock())

    async def verify(self) -> str:
        """Ask for the account's quota.

        Raises:
            DeliveryError: the keys do not work, or the account may not send.
        """
        answer = await self._request("GET", "/account", b"")
        if answer.status == 200:
            return _described(read_json(answer.body, _Quotas), self._region)
        error = _error(answer, None, self._clock())
        if error.code == "AccessDeniedException":
            return "the keys may not read the quota (ses:GetAccount), so it is not known"
        raise error

    async def close(self) -> None:
        """Close the connections."""
        await self._transport.close()

    async def _request(self, method: str, path: str, body: bytes) -> Response:
        url = f"{self._base}{path}"
        headers = self._signer.sign(method, url, {"content-type": "application/json"}, body, self._clock())
        return await self._transport.request(method, url, headers, body, self.limits.timeout_s)


def mail_document(
    message: Message, content: EmailContent, mark: str = "", attachments: Sequence[Attachment] = ()
) -> dict[str, Any]:
    """Build the body of `POST /v2/email/outbound-emails`.

    Args:
        message: names the recipient and the notification.
        content: subject, texts, sender and further headers.
        mark: leads events to the message; empty for none.
        attachments: images of the HTML among them.

    Raises:
        Rejected: an address has a local part beyond ASCII, which SES does not carry.
    """
    recipient = ascii_domain(message.target.address)
    if not (recipient + ascii_domain(content.sender) + ascii_domain(content.reply_to)).isascii():
        msg = "an address is not ASCII before its @, which SES does not carry; use another account for it"
        raise Rejected(msg, code="not_ascii")
    fields = marked(message, mark) | {"notification": message.notification}
    tags = [{"Name": name, "Value": value} for name, value in fields.items() if _TAG.fullmatch(value)]
    mail = mime_bytes(message, content, mark, attachments)
    return {
        "Destination": {"ToAddresses": [recipient]},
        "Content": {"Raw": {"Data": b64encode(mail).decode("ascii")}},
        "EmailTags": tags,
    }


class _Accepted(msgspec.Struct):
    MessageId: str = ""


class _Refusal(msgspec.Struct):
    message: str = ""
    Message: str = ""
    kind: str = msgspec.field(name="__type", default="")


class _Quota(msgspec.Struct, frozen=True):
    Max24HourSend: float = 0
    MaxSendRate: float = 0
    SentLast24Hours: float = 0


class _Quotas(msgspec.Struct):
    SendingEnabled: bool = False
    ProductionAccessEnabled: bool = False
    SendQuota: _Quota = _Quota()


class _Named(NamedTuple):
    """An error as SES names it."""

    name: str
    text: str


def _named(answer: Response) -> _Named:
    refusal = read_json(answer.body, _Refusal)
    name = answer.headers.get("x-amzn-errortype", "") or refusal.kind
    return _Named(name.partition(":")[0].rpartition("#")[2], refusal.message or refusal.Message)


def _error(answer: Response, outgoing: Outgoing | None, now_s: float) -> DeliveryError:
    named = _named(answer)
    kind = _kind(named, answer.status)
    seconds = DAY_LIMIT_S if kind is LimitReached else wait_s(kind, answer, now_s)
    text = clean(named.text, outgoing) or named.name or f"HTTP {answer.status}"
    return kind(text, code=named.name or str(answer.status), retry_after_s=seconds)


def _kind(named: _Named, status: int) -> type[DeliveryError]:
    kind = ERRORS.get(named.name) or _kind_of_status(status)
    if kind is Rejected and "not verified" in named.text:
        return Misconfigured  # the sender's identity; in SES's sandbox the recipient's too
    if kind is Throttled and "daily" in named.text.lower():
        return LimitReached
    return kind


def _kind_of_status(status: int) -> type[DeliveryError]:
    if status >= 500:
        return Transient
    return STATUSES.get(status, Rejected if status >= 400 else Misconfigured)  # a redirect: wrong base URL


def _described(quotas: _Quotas, region: str) -> str:
    if not quotas.SendingEnabled:
        msg = f"sending is paused for this account in {region}; lift it in the SES console"
        raise Misconfigured(msg, code="SendingPaused")
    quota = quotas.SendQuota
    known = f"{quota.MaxSendRate:g} mails a second and {quota.Max24HourSend:,.0f} in 24 hours"
    used = f"{quota.SentLast24Hours:,.0f} sent"
    sandbox = "" if quotas.ProductionAccessEnabled else "; in SES's sandbox, for verified recipients only"
    return f"quota in {region}: {known}, {used}{sandbox}"

"""Amazon SNS: SMS to a phone number, one signed form POST, the answer in XML."""

import re
from collections.abc import Mapping
from html import unescape
from typing import Annotated, Literal
from uuid import UUID

from pydantic import Field, SecretStr

from tocsin.errors import (
    Declined,
    DeliveryError,
    Misconfigured,
    OptedOut,
    RecipientGone,
    Rejected,
    Throttled,
    Transient,
    Unknown,
)
from tocsin.model.content import Outgoing, SmsContent
from tocsin.model.message import Message
from tocsin.model.statuses import Channel
from tocsin.providers import aws_regions
from tocsin.providers.answers import wait_s
from tocsin.providers.aws_signature import AwsKeys, AwsSigner
from tocsin.providers.base import Limits, Receipt
from tocsin.providers.clean import clean
from tocsin.providers.form import form_text
from tocsin.providers.http import Clock, Response, Transport
from tocsin.providers.registry import provider
from tocsin.providers.vendor import HttpAccount, Url, content_of, sender_of

LIMITS = Limits(max_bytes=1600, rate_per_s=20, timeout_s=10)
"""`max_bytes` is that of the text, in UTF-8."""

ERRORS: Mapping[str, type[DeliveryError]] = {
    # opt-out
    "OptedOut": OptedOut,
    # content; an InvalidParameter of the number is RecipientGone, one of the sender Declined
    "InvalidParameter": Rejected,
    "ParameterValueInvalid": Rejected,
    "ValidationException": Rejected,
    # configuration
    "AccessDenied": Misconfigured,
    "AuthorizationError": Misconfigured,
    "EndpointDisabled": Misconfigured,
    "ExpiredToken": Misconfigured,
    "IncompleteSignature": Misconfigured,
    "InvalidClientTokenId": Misconfigured,
    "InvalidSecurity": Misconfigured,
    "MissingAuthenticationToken": Misconfigured,
    "NotFound": Misconfigured,
    "OptInRequired": Misconfigured,
    "PlatformApplicationDisabled": Misconfigured,
    "RequestExpired": Misconfigured,
    "SignatureDoesNotMatch": Misconfigured,
    "UnrecognizedClientException": Misconfigured,
    # later
    "InternalError": Transient,
    "InternalFailure": Transient,
    "ServiceUnavailable": Transient,
    "Throttled": Throttled,
    "Throttling": Throttled,
    "ThrottlingException": Throttled,
}
"""`Code` to error, whatever the HTTP status: throttling may come with 400. `KMS…` is Misconfigured, too."""

_OF_NUMBER = re.compile(r"PhoneNumber|phone number", re.IGNORECASE)
_OF_SENDER = re.compile(r"Origination|SenderID", re.IGNORECASE)
"""A number in such a text is the sender's: it blocks no recipient, and another account has its own."""
_MESSAGE_ID = re.compile(rb"<MessageId>([^<]*)</MessageId>")
_CODE = re.compile(rb"<Code>([^<]*)</Code>")
_MESSAGE = re.compile(rb"<Message>([^<]*)</Message>")
_ATTRIBUTE = re.compile(rb"<key>([^<]*)</key>\s*<value>([^<]*)</value>")
_NUMBER = re.compile(r"\+?[0-9]{5,14}")
_HEADERS = {"content-type": "application/x-www-form-urlencoded; charset=utf-8"}

Kind = Literal["auto", "Transactional", "Promotional"]


class SnsAccount(HttpAccount):
    """Settings of an AWS account in one region.

    Attributes:
        session_token: belongs to temporary keys.
        sender: a sender id or a number of the account; a name that the content gives goes first. Without
            any, Amazon chooses.
        sms_type: `auto` takes `Transactional` for messages of critical and high priority, else `Promotional`.
        max_price: in US dollars; a dearer SMS is not sent. 0 for no limit of our own.
        entity_id: of the sender, where India wants it; `template_id` is the template's.
    """

    vendor: Literal["sns"]
    access_key_id: Annotated[str, Field(pattern=r"^[A-Z0-9]{16,128}$")]
    secret_access_key: SecretStr
    session_token: SecretStr = SecretStr("")
    region: Annotated[str, Field(pattern=rf"^{aws_regions.REGION}$")]
    sender: Annotated[str, Field(pattern=r"^(\+?[0-9]{5,14}|[A-Za-z0-9-]{3,11})?$")] = ""
    sms_type: Kind = "auto"
    max_price: float = Field(0, ge=0)
    entity_id: str = ""
    template_id: str = ""
    base_url: Url | Literal[""] = ""

    @property
    def endpoint(self) -> str:
        """Return the address of the API: the region's, if no other is set."""
        return self.base_url or f"https://{aws_regions.host('sns', self.region)}"


@provider("sns", Channel.SMS, SnsAccount)
class Sns:
    """Sends SMS. A 200 means accepted, nothing more: Amazon reports delivery to CloudWatch Logs only."""

    channel = Channel.SMS

    def __init__(self, name: str, account: SnsAccount, transport: Transport, clock: Clock) -> None:
        self.name = name
        self.limits = account.limits(LIMITS)
        self._account = account
        self._transport = transport
        self._clock = clock
        keys = AwsKeys(account.access_key_id, account.secret_access_key, account.session_token)
        self._signer = AwsSigner(keys, account.region, "sns")
        self._url = f"{account.endpoint}/"

    def accepts(self, message: Message) -> bool:
        """Carry every SMS."""
        return message.channel == Channel.SMS

    async def send(self, outgoing: Outgoing) -> Receipt:
        """Hand over one SMS; see `Provider.send`."""
        content = content_of(outgoing, SmsContent)
        _check_length(content.text, self.limits.max_bytes)
        message = outgoing.message
        form = {"PhoneNumber": _international(message.target.address), "Message": content.text}
        form |= _entries(self._attributes(message, content))
        answer = await self._ask("Publish", form, message.message_id)
        if answer.status != 200:
            raise _error(answer, outgoing, self._clock())
        return Receipt(_found(_MESSAGE_ID, answer.body), "200")

    async def verify(self) -> str:
        """Ask for the account's SMS settings; see `Verifiable.verify`."""
        answer = await self._ask("GetSMSAttributes", {}, "")
        if answer.status != 200:
            raise _error(answer, None, self._clock())
        found = {name.decode(): value.decode() for name, value in _ATTRIBUTE.findall(answer.body)}
        limit = found.get("MonthlySpendLimit")
        where = f"account of key {self._account.access_key_id[-4:]} in {self._account.region}"
        return f"{where}, monthly spend limit {limit} USD" if limit else where

    async def close(self) -> None:
        """Close the connections."""
        await self._transport.close()

    async def _ask(self, action: str, fields: Mapping[str, str], invocation: str) -> Response:
        body = form_text({"Action": action, "Version": "2010-03-31", **fields}).encode()
        # The header by which Amazon's own clients name a call over its repetitions.
        named = {"amz-sdk-invocation-id": str(UUID(invocation))} if invocation else {}
        headers = self._signer.sign("POST", self._url, _HEADERS | named, body, self._clock())
        return await self._transport.request("POST", self._url, headers, body, self.limits.timeout_s)

    def _attributes(self, message: Message, content: SmsContent) -> dict[str, str]:
        account = self._account
        urgent = message.priority in ("critical", "high")
        chosen = "Transactional" if urgent else "Promotional"
        sender = sender_of(content.sender, account.sender).replace(" ", "")  # which a sender id must not have
        of_number = _NUMBER.fullmatch(sender)
        attributes = {
            "AWS.SNS.SMS.SMSType": chosen if account.sms_type == "auto" else account.sms_type,
            "AWS.MM.SMS.OriginationNumber" if of_number else "AWS.SNS.SMS.SenderID": sender,
            "AWS.SNS.SMS.MaxPrice": f"{account.max_price:.5f}" if account.max_price else "",
            "AWS.MM.SMS.EntityId": account.entity_id,
            "AWS.MM.SMS.TemplateId": account.template_id,
        }
        return {name: value for name, value in attributes.items() if value}


def _check_length(text: str, limit: int) -> None:
    """Leave a text to other accounts that Amazon would not take: it counts bytes, others characters."""
    size = len(text.encode())
    if size > limit:
        msg = f"the text in bytes is {size}, the provider takes {limit}"
        raise Declined(msg, code="too_large")


def _international(number: str) -> str:
    return number if number.startswith("+") else f"+{number}"


def _entries(attributes: Mapping[str, str]) -> dict[str, str]:
    """Write attributes of a message as the query protocol numbers them."""
    fields: dict[str, str] = {}
    for number, (name, value) in enumerate(attributes.items(), 1):
        start = f"MessageAttributes.entry.{number}"
        kind = "Number" if name.endswith("MaxPrice") else "String"
        fields |= {
            f"{start}.Name": name,
            f"{start}.Value.DataType": kind,
            f"{start}.Value.StringValue": value,
        }
    return fields


def _found(pattern: re.Pattern[bytes], body: bytes) -> str:
    found = pattern.search(body)
    return unescape(found[1].decode("utf-8", "replace")).strip() if found else ""


def _error(answer: Response, outgoing: Outgoing | None, now_s: float) -> DeliveryError:
    code, said = _found(_CODE, answer.body), _found(_MESSAGE, answer.body)
    kind = ERRORS.get(code) or _by_status(answer.status, code)
    if kind is Rejected and _OF_SENDER.search(said):
        kind = Declined
    elif kind is Rejected and _OF_NUMBER.search(said):
        kind = RecipientGone
    text = clean(said, outgoing) or f"HTTP {answer.status}"
    return kind(text, code=code or str(answer.status), retry_after_s=wait_s(kind, answer, now_s))


def _by_status(status: int, code: str) -> type[DeliveryError]:
    """Class what the table does not name. A 5xx that Amazon itself did not write leaves the outcome open."""
    if status >= 500:
        return Transient if code else Unknown
    if status == 429:
        return Throttled
    if status == 408:
        return Transient
    if status in (401, 403, 404) or status < 400 or code.startswith("KMS"):
        return Misconfigured
    return Rejected

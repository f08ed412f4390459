"""Stands in for Amazon SES v2: `POST /v2/email/outbound-emails` with raw mails, and the account's quota."""

import binascii
import re
import secrets
from base64 import b64decode
from collections.abc import Callable
from itertools import count
from typing import NoReturn

import msgspec

from tocsin.devkit.sandbox import aws_v4
from tocsin.devkit.sandbox.faults import Fault
from tocsin.devkit.sandbox.mails import Head
from tocsin.devkit.sandbox.request_handler import Accepted
from tocsin.devkit.sandbox.sent import Call, user_key
from tocsin.devkit.sandbox.wire import Refusal, Reply, Request, json_reply, place_of

MAX_BYTES = 40_000_000
MAX_RECIPIENTS = 50
MAX_LINE = 998
ADDRESS = re.compile(r"[!-;=?A-~]+@[A-Za-z0-9-]+(\.[A-Za-z0-9-]+)+")
TAG = re.compile(r"[A-Za-z0-9_-]{1,256}")

STATUS = {
    "MissingAuthenticationToken": 403,
    "IncompleteSignature": 400,
    "InvalidClientTokenId": 403,
    "SignatureDoesNotMatch": 403,
    "AccessDeniedException": 403,
    "NotFoundException": 404,
    "TooManyRequestsException": 429,
    "InternalServiceErrorException": 500,
    "ServiceUnavailable": 503,
}
"""HTTP status of an error; all others are 400."""

BY_STATUS = {status: name for name, status in STATUS.items()} | {
    400: "MessageRejected",
    413: "MessageRejected",
}

QUOTAS = {
    "SendingEnabled": True,
    "ProductionAccessEnabled": True,
    "EnforcementStatus": "HEALTHY",
    "SendQuota": {"Max24HourSend": 50_000.0, "MaxSendRate": 14.0, "SentLast24Hours": 0.0},
}


class Recipients(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Who gets the mail, whatever its header says."""

    ToAddresses: list[str] = []
    CcAddresses: list[str] = []
    BccAddresses: list[str] = []


class RawMail(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A MIME message in base64."""

    Data: str


class MailContent(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The mail. The sandbox takes the raw form only."""

    Raw: RawMail


class Tag(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A name and a value that events repeat."""

    Name: str
    Value: str


class SendEmail(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The body of a request."""

    Content: MailContent
    Destination: Recipients = Recipients()
    FromEmailAddress: str = ""
    FeedbackForwardingEmailAddress: str = ""
    ReplyToAddresses: list[str] = []
    EmailTags: list[Tag] = []
    ConfigurationSetName: str = ""


_decode = msgspec.json.Decoder(SendEmail).decode


def refusal(name: str, text: str, status: int = 0) -> Refusal:
    """Build SES's error answer: the name is in a header, with more behind a colon."""
    headers = {"x-amzn-ErrorType": f"{name}:http://internal.amazon.com/coral/com.amazonaws.sesv2/"}
    return Refusal(json_reply({"message": text}, status or STATUS.get(name, 400), headers), name)


def refuse(name: str, text: str) -> NoReturn:
    """Refuse the request."""
    raise refusal(name, text)


class Ses:
    """The mail endpoint. Domains `unverified.…` are no identities; sets `missing…` do not exist."""

    name = "ses"

    def __init__(self, clock_ms: Callable[[], int]) -> None:
        self._clock_ms = clock_ms
        self._ids = count()
        self._run = secrets.token_hex(8)

    def judge(self, request: Request) -> Accepted:
        """Judge a request."""
        wrong = aws_v4.check(request, "ses", "/ses", self._clock_ms())
        if wrong:
            refuse(wrong, "The request signature does not match the signature that was calculated.")
        if (request.method, request.path) == ("GET", "/v2/email/account"):
            return Accepted([], json_reply(QUOTAS), "")
        if (request.method, request.path) != ("POST", "/v2/email/outbound-emails"):
            refuse("UnknownOperationException", "There is no such operation.")
        mail = _parse(request.body)
        recipients = _recipients(mail.Destination)
        raw = _raw(mail)
        _check_options(mail)
        message_id = f"0102{self._run}{next(self._ids):012x}-000000"
        calls = [_call(mail, raw, recipient) for recipient in recipients]
        return Accepted(calls, json_reply({"MessageId": message_id}), message_id)

    def fail(self, fault: Fault) -> Refusal | None:
        """Refuse with a status, or the name ordered. Dead recipients are accepted; an event names them."""
        if fault.kind != "status":
            return None
        name = fault.code or BY_STATUS.get(fault.status, "InternalServiceErrorException")
        answer = refusal(name, "An ordered failure.", fault.status)
        if fault.retry_after_s is None:
            return answer
        headers = {**answer.reply.headers, "Retry-After": str(fault.retry_after_s)}
        return Refusal(Reply(fault.status, answer.reply.body, headers), name)


def _parse(body: bytes) -> SendEmail:
    if len(body) > MAX_BYTES:
        refuse("MessageRejected", "Message length is more than 41943040 bytes long.")
    try:
        return _decode(body)
    except msgspec.ValidationError as error:
        refuse("BadRequestException", f"Wrong value at {place_of(error) or 'the request'}.")
    except (msgspec.DecodeError, UnicodeDecodeError):
        refuse("SerializationException", "The request is not JSON.")


def _recipients(destination: Recipients) -> list[str]:
    people = [*destination.ToAddresses, *destination.CcAddresses, *destination.BccAddresses]
    if not 1 <= len(people) <= MAX_RECIPIENTS:
        refuse("BadRequestException", "Recipient count must be between 1 and 50.")
    if not all(ADDRESS.fullmatch(person) for person in people):
        refuse("BadRequestException", "Illegal address")
    return people


def _raw(mail: SendEmail) -> bytes:
    try:
        raw = b64decode(mail.Content.Raw.Data, validate=True)
    except (binascii.Error, ValueError):
        refuse("SerializationException", "Data is not base64.")
    head = Head(raw)
    if head.count(b"from") != 1 or not head.count(b"subject"):
        refuse("BadRequestException", "Missing required header 'From'.")
    if any(len(line) > MAX_LINE for line in raw.split(b"\r\n")):
        refuse("BadRequestException", "A line is longer than 998 octets.")
    if "@unverified." in (mail.FromEmailAddress or head.text(b"from")):
        refuse("MessageRejected", "Email address is not verified. The following identities failed the check.")
    return raw


def _check_options(mail: SendEmail) -> None:
    if not all(TAG.fullmatch(tag.Name) and TAG.fullmatch(tag.Value) for tag in mail.EmailTags):
        refuse("BadRequestException", "Invalid tag: only letters, digits, _ and -, at most 256 of them.")
    if len({tag.Name for tag in mail.EmailTags}) < len(mail.EmailTags):
        refuse("BadRequestException", "A tag name is there twice.")
    if mail.ConfigurationSetName.startswith("missing"):
        refuse("NotFoundException", f"Configuration set <{mail.ConfigurationSetName}> does not exist.")


def _call(mail: SendEmail, raw: bytes, recipient: str) -> Call:
    tags = {tag.Name: tag.Value for tag in mail.EmailTags}
    head = Head(raw)
    return Call(
        provider="ses",
        channel="email",
        recipient=recipient,
        message_id=tags.get("message_id", "") or head.message_id(),
        mark=tags.get("tocsin_mark", "") or head.text(b"x-tocsin-mark"),
        user=user_key(tags.get("tenant", ""), tags.get("user", "")),
        title=head.text(b"subject"),
        content=raw,
    )

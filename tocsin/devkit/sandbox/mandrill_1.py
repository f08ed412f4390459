"""Stands in for Mailchimp Transactional: `messages/send`, which has a verdict for each recipient."""

import re
import secrets
from collections.abc import Iterator, Mapping, Sequence
from itertools import count, islice
from typing import NoReturn

import msgspec

from tocsin.devkit.sandbox.content import Attached, Mail, encode, preview
from tocsin.devkit.sandbox.faults import Fault
from tocsin.devkit.sandbox.request_handler import Accepted
from tocsin.devkit.sandbox.sendgrid_v3 import ADDRESS
from tocsin.devkit.sandbox.sent import REFUSED, Call, Sent, user_key
from tocsin.devkit.sandbox.wire import Refusal, Reply, Request, json_reply, place_of

MAX_SUBJECT = 998
MAX_TAG = 50
QUEUED_ABOVE = 10
"""With more recipients all verdicts are `queued`."""

STATUS = {"Invalid_Key": 401, "PaymentRequired": 402, "Unknown_Subaccount": 404, "RequestLimitExceeded": 429}
"""HTTP status of an error; all others are 500, permanent ones too."""

BY_STATUS = {status: name for name, status in STATUS.items()} | {400: "ValidationError"}

_VARIABLE = re.compile(r"\{\{\{(\w+)\}\}\}|\{\{(\w+)\}\}")

_MISREAD = re.compile(r"\{{4}|\}{4}|\\\{\{")
"""Handlebars reads four braces as a raw block, and a backslash before two as an escape."""


class To(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A recipient."""

    email: str
    name: str | None = None
    type: str = "to"


class Variable(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A merge variable."""

    name: str
    content: str


class Variables(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The merge variables of a recipient."""

    rcpt: str
    vars: list[Variable] = []


class Metadata(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What events about a recipient repeat."""

    rcpt: str
    values: dict[str, str] = {}


class File(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """An attachment, or an image that the HTML shows by its name."""

    type: str
    name: str
    content: bytes


class Message(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The mail."""

    from_email: str
    to: list[To]
    subject: str = ""
    from_name: str = ""
    text: str = ""
    html: str = ""
    headers: dict[str, str] = {}
    tags: list[str] = []
    metadata: dict[str, str] = {}
    recipient_metadata: list[Metadata] = []
    merge_vars: list[Variables] = []
    merge_language: str = "mailchimp"
    preserve_recipients: bool = True
    subaccount: str = ""
    attachments: list[File] = []
    images: list[File] = []


class Send(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The body of `messages/send`."""

    key: str
    message: Message
    queued: bool = msgspec.field(name="async", default=False)
    ip_pool: str = ""
    send_at: str = ""


class Ping(msgspec.Struct, frozen=True):
    """The body of `users/ping2`; of every request the key."""

    key: str = ""


class Search(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The body of `messages/search`."""

    key: str
    query: str
    date_from: str = ""
    date_to: str = ""
    limit: int = 100


_decode_search = msgspec.json.Decoder(Search).decode
_decode_send = msgspec.json.Decoder(Send).decode
_decode_key = msgspec.json.Decoder(Ping).decode


def refusal(name: str, text: str, status: int = 0) -> Refusal:
    """Build Mandrill's error answer."""
    code = -2 if name == "ValidationError" else -1
    body = {"status": "error", "code": code, "name": name, "message": text}
    return Refusal(json_reply(body, status or STATUS.get(name, 500)), name)


def refuse(name: str, text: str) -> NoReturn:
    """Refuse the request."""
    raise refusal(name, text)


class Mandrill:
    """The API. Keys beginning `bad` are wrong, subaccounts `unknown…` do not exist."""

    name = "mandrill"

    def __init__(self) -> None:
        self._ids = count()
        self._run = secrets.token_hex(8)

    def search(self, request: Request, sent: Sent) -> Reply | None:
        """Answer `messages/search` by `full_email`."""
        if request.method != "POST" or request.path.removesuffix(".json") != "/api/1.0/messages/search":
            return None
        key = _key(request.body)
        if not key or key.startswith("bad"):
            refuse("Invalid_Key", "Invalid API key")
        asked = _decode_search(request.body)
        recipient = asked.query.removeprefix("full_email:")
        if recipient == asked.query:
            refuse("ValidationError", "the sandbox searches by full_email only")
        mine = [
            {
                "_id": one.provider_id.partition(",")[0],
                "email": recipient,
                "state": "sent",
                "metadata": {"message_id": one.call.message_id},
            }
            for one in islice(sent.newest(), 10_000)
            if one.call.provider == self.name and one.status != REFUSED and one.call.recipient == recipient
        ]
        return json_reply(mine[: asked.limit])

    def judge(self, request: Request) -> Accepted:
        """Judge a request."""
        path = request.path.removesuffix(".json")
        if request.method != "POST" or path not in ("/api/1.0/messages/send", "/api/1.0/users/ping2"):
            raise Refusal(Reply(404, b"not found", content_type="text/plain"), "404")
        key = _key(request.body)
        if not key or key.startswith("bad"):
            refuse("Invalid_Key", "Invalid API key")
        if path.endswith("ping2"):
            return Accepted([], json_reply({"PING": "PONG!"}), "")
        sent = _parse(request.body)
        _check(sent.message)
        calls = list(_calls(sent.message))
        ids = [f"{self._run}{next(self._ids):016x}" for _ in calls]
        queued = sent.queued or len(calls) > QUEUED_ABOVE

        def reply(faults: Sequence[Fault | None]) -> Reply:
            each = zip(calls, ids, faults, strict=True)
            return json_reply([_verdict(call, own, fault, queued=queued) for call, own, fault in each])

        return Accepted(calls, reply([None] * len(calls)), ids[0], reply)

    def fail(self, fault: Fault) -> Refusal | None:
        """Refuse with a status, or the name ordered. What is about a recipient is in the verdicts."""
        if fault.kind != "status":
            return None
        name = fault.code or BY_STATUS.get(fault.status, "GeneralError")
        answer = refusal(name, "An ordered failure", fault.status)
        if fault.retry_after_s is None:
            return answer
        headers = {"Retry-After": str(fault.retry_after_s)}
        return Refusal(Reply(fault.status, answer.reply.body, headers), name)


def _verdict(call: Call, own_id: str, fault: Fault | None, *, queued: bool) -> dict[str, object]:
    said: dict[str, object] = {"email": call.recipient, "_id": own_id, "reject_reason": None}
    if fault is not None:
        reason = fault.code or "hard-bounce"
        return said | {"status": "invalid" if reason == "invalid" else "rejected", "reject_reason": reason}
    return said | (
        {"status": "queued", "queued_reason": "multiple-recipients"} if queued else {"status": "sent"}
    )


def _key(body: bytes) -> str:
    try:
        return _decode_key(body).key
    except (msgspec.DecodeError, UnicodeDecodeError):
        refuse("ValidationError", "You must specify a key value")


def _parse(body: bytes) -> Send:
    try:
        return _decode_send(body)
    except msgspec.ValidationError as error:
        refuse("ValidationError", f"Validation error: {place_of(error) or 'the request'}")


def _check(message: Message) -> None:
    people = [person.email for person in message.to]
    if not people or len({person.lower() for person in people}) < len(people):
        refuse("ValidationError", "Validation error: to")
    if not all(ADDRESS.fullmatch(person) for person in [message.from_email, *people]):
        refuse("ValidationError", "Validation error: email")
    if any(person.type not in ("to", "cc", "bcc") for person in message.to):
        refuse("ValidationError", "Validation error: type")
    if len(message.subject) > MAX_SUBJECT:
        refuse("ValidationError", "Validation error: subject")
    if any(len(tag) > MAX_TAG or tag.startswith("_") for tag in message.tags):
        refuse("Invalid_Tag_Name", "A tag is longer than 50 characters or begins with an underscore")
    if any(char in name + value for name, value in message.headers.items() for char in "\r\n"):
        refuse("ValidationError", "Validation error: headers")
    if message.merge_vars and any(
        _MISREAD.search(part) for part in (message.subject, message.text, message.html)
    ):
        refuse("ValidationError", "Validation error: a merge tag touches a brace or a backslash")
    if not all(file.name and "/" in file.type for file in [*message.attachments, *message.images]):
        refuse("ValidationError", "Validation error: attachments")
    if not all(file.type.startswith("image/") for file in message.images):
        refuse("ValidationError", "Validation error: images")
    if message.subaccount.startswith("unknown"):
        refuse("Unknown_Subaccount", "No subaccount exists with that id")


def _calls(message: Message) -> Iterator[Call]:
    """Make a mail for each recipient."""
    variables = {each.rcpt: {own.name: own.content for own in each.vars} for each in message.merge_vars}
    metadata = {each.rcpt: each.values for each in message.recipient_metadata}
    everybody = ", ".join([person.email for person in message.to])
    for person in message.to:
        own = variables.get(person.email, {})
        shown = everybody if message.preserve_recipients else person.email
        subject, text, html = [
            _filled(part, own) if variables else part
            for part in (message.subject, message.text, message.html)
        ]
        content = Mail(
            subject=subject,
            sender=message.from_email,
            sender_name=message.from_name,
            to=shown,
            text=text,
            html=html,
            headers=list(message.headers.items()),
            attachments=_attached(message),
        )
        yield _call(content, person.email, message.metadata | metadata.get(person.email, {}))


def _attached(message: Message) -> list[Attached]:
    plain = [Attached(file.name, file.type, len(file.content)) for file in message.attachments]
    return plain + [Attached(file.name, file.type, len(file.content), file.name) for file in message.images]


def _filled(text: str, own: Mapping[str, str]) -> str:
    """Put variables in: between three braces as they are, between two with HTML escaped."""

    def value(found: re.Match[str]) -> str:
        escaped = own.get(found[2] or "", "").replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
        return own.get(found[1], "") if found[1] else escaped

    return _VARIABLE.sub(value, text)


def _call(content: Mail, recipient: str, metadata: Mapping[str, str]) -> Call:
    return Call(
        provider="mandrill",
        channel="email",
        recipient=recipient,
        message_id=metadata.get("message_id", ""),
        mark=metadata.get("tocsin_mark", ""),
        user=user_key(metadata.get("tenant", ""), metadata.get("user", "")),
        title=content.subject,
        text=preview(content.text),
        content=encode(content),
    )

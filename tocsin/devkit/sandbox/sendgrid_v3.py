"""Stands in for SendGrid's `POST /v3/mail/send`. It answers with one error, for the first wrong field."""

import re
import secrets
import time
from datetime import UTC, datetime
from itertools import count
from typing import Any, Literal, NoReturn

import msgspec

from tocsin.devkit.sandbox.content import Attached, Mail, encode, preview
from tocsin.devkit.sandbox.faults import Fault
from tocsin.devkit.sandbox.request_handler import Accepted
from tocsin.devkit.sandbox.sent import REFUSED, Call, Entry, Sent, user_key
from tocsin.devkit.sandbox.wire import Refusal, Reply, Request, json_reply, place_of

ADDRESS = re.compile(r"[^@\s<>,;\"]+@[^@\s<>,;\"]+\.[^@\s<>,;\".]{2,}")
RESERVED_HEADERS = frozenset(
    [
        "x-sg-id",
        "x-sg-eid",
        "received",
        "dkim-signature",
        "content-type",
        "content-transfer-encoding",
        "to",
        "from",
        "subject",
        "reply-to",
        "cc",
        "bcc",
    ]
)
MAX_RECIPIENTS = 1000
MAX_CUSTOM_ARGS = 10_000


class Address(msgspec.Struct, frozen=True, gc=False):
    """A mailbox."""

    email: str = ""
    name: str | None = None


class Part(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A personalization: one envelope."""

    to: list[Address] = []
    cc: list[Address] = []
    bcc: list[Address] = []
    sender: Address | None = msgspec.field(name="from", default=None)
    subject: str = ""
    headers: dict[str, str] = {}
    custom_args: dict[str, str] = {}
    substitutions: dict[str, str] = {}
    dynamic_template_data: dict[str, Any] = {}
    send_at: int = 0


class File(msgspec.Struct, frozen=True, gc=False, forbid_unknown_fields=True):
    """An attachment: base64, or what msgspec reads of it."""

    content: bytes
    filename: str
    type: str = ""
    disposition: Literal["attachment", "inline"] = "attachment"
    content_id: str = ""


class Block(msgspec.Struct, frozen=True, gc=False):
    """A body of the mail."""

    type: str = ""
    value: str = ""


class Toggle(msgspec.Struct, frozen=True, gc=False):
    """A setting that is on or off."""

    enable: bool = False


class Settings(msgspec.Struct, frozen=True):
    """The part of `mail_settings` that matters here."""

    sandbox_mode: Toggle = Toggle()


class MailSend(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The body of a request; fields that must be there have defaults, their absence is told by name."""

    personalizations: list[Part] = []
    sender: Address = msgspec.field(name="from", default=Address())
    reply_to: Address | None = None
    reply_to_list: list[Address] = []
    subject: str = ""
    content: list[Block] = []
    attachments: list[File] = []
    template_id: str = ""
    headers: dict[str, str] = {}
    categories: list[str] = []
    custom_args: dict[str, str] = {}
    send_at: int = 0
    batch_id: str = ""
    asm: dict[str, Any] = {}
    ip_pool_name: str = ""
    mail_settings: Settings = Settings()
    tracking_settings: dict[str, Any] = {}


_UNIQUE = re.compile(r"\(unique_args\['message_id'\]=\"([^\"]+)\"\)")
_UNKNOWN = re.compile(r"Object contains unknown field `([^`]*)`")
_decode = msgspec.json.Decoder(MailSend).decode


def refusal(status: int, message: str, field: str | None = None) -> Refusal:
    """Build SendGrid's error answer."""
    body = {"errors": [{"message": message, "field": field, "help": None}]}
    return Refusal(json_reply(body, status), str(status))


def refuse(status: int, message: str, field: str | None = None) -> NoReturn:
    """Refuse the request."""
    raise refusal(status, message, field)


def _authenticate(request: Request) -> None:
    key = request.header(b"authorization")
    if not key.startswith("Bearer SG.") or key.startswith("Bearer SG.bad"):
        refuse(401, "The provided authorization grant is invalid, expired, or revoked")


def _is_named(entry: Entry, message_id: str) -> bool:
    return entry.call.provider == "sendgrid" and entry.call.message_id == message_id


def _activity(entry: Entry) -> dict[str, object]:
    mail = entry.mail()
    at = datetime.fromtimestamp(entry.at_ms / 1_000, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    return {
        "from_email": mail.sender,
        "msg_id": f"{entry.provider_id}.recvd-0-0-1.0",
        "subject": mail.subject,
        "to_email": entry.call.recipient,
        "status": "delivered",
        "opens_count": 0,
        "clicks_count": 0,
        "last_event_time": at,
    }


class SendGrid:
    """The mail-send endpoint. Keys are `SG.…`; those beginning `SG.bad` stand for revoked ones."""

    name = "sendgrid"

    def __init__(self) -> None:
        self._ids = count()
        self._run = secrets.token_hex(6)

    def judge(self, request: Request) -> Accepted:
        """Judge a request."""
        asks = (request.method, request.path) == ("GET", "/v3/scopes")
        if request.method != "POST" and not asks:
            refuse(405, "method not allowed")
        _authenticate(request)
        if asks:
            return Accepted([], json_reply({"scopes": ["mail.send", "mail.batch.read"]}), "")
        if not request.header(b"content-type").startswith("application/json"):
            refuse(415, "Content-Type should be application/json.")
        mail = _parse(request.body)
        _check_message(mail)
        if mail.mail_settings.sandbox_mode.enable:
            return Accepted([], Reply(200), "")
        calls = [_call(mail, part) for part in mail.personalizations]
        message_id = f"{self._run}{next(self._ids):010x}"
        return Accepted(calls, Reply(202, headers={"X-Message-Id": message_id}), message_id)

    def search(self, request: Request, sent: Sent) -> Reply | None:
        """Answer the Email Activity API, by a unique argument only. It is not there for keys `SG.plain…`."""
        if request.method != "GET" or request.path != "/v3/messages":
            return None
        _authenticate(request)
        if request.header(b"authorization").startswith("Bearer SG.plain"):
            refuse(403, "access forbidden")
        asked = _UNIQUE.fullmatch(request.parameters().get("query", ""))
        if asked is None:
            refuse(400, "invalid query", "query")
        found = [one for one in sent.newest() if one.status != REFUSED and _is_named(one, asked[1])]
        return json_reply({"messages": [_activity(one) for one in found[:10]]})

    def fail(self, fault: Fault) -> Refusal | None:
        """Refuse with a status. Dead recipients are accepted here; an event names them later."""
        if fault.kind != "status":
            return None
        text = "too many requests" if fault.status == 429 else "an ordered failure"
        answer = refusal(fault.status, text)
        headers = {}
        if fault.status == 429:
            reset = int(time.time()) + (fault.retry_after_s or 1)
            headers = {
                "X-RateLimit-Limit": "600",
                "X-RateLimit-Remaining": "0",
                "X-RateLimit-Reset": str(reset),
            }
        if fault.retry_after_s is not None:
            headers["Retry-After"] = str(fault.retry_after_s)
        return Refusal(Reply(fault.status, answer.reply.body, headers), str(fault.status))


def _parse(body: bytes) -> MailSend:
    try:
        return _decode(body)
    except msgspec.ValidationError as error:
        unknown = _UNKNOWN.match(str(error))
        place = [place_of(error), unknown[1] if unknown else ""]
        refuse(400, "Invalid type or property.", ".".join(filter(None, place)) or None)
    except (msgspec.DecodeError, UnicodeDecodeError):
        refuse(400, "Bad Request")


def _check_message(mail: MailSend) -> None:
    if not 1 <= len(mail.personalizations) <= 1000:
        message = "The personalizations field is required and must have at least one personalization."
        refuse(400, message, "personalizations")
    _check_recipients(mail.personalizations)
    if not ADDRESS.fullmatch(mail.sender.email):
        refuse(400, "The from object must be provided for every email send.", "from.email")
    if not mail.template_id:
        _check_content(mail.content)
    if not (mail.subject or mail.template_id or all(part.subject for part in mail.personalizations)):
        refuse(400, "The subject is required.", "subject")
    _check_options(mail)


def _check_recipients(parts: list[Part]) -> None:
    seen: set[str] = set()
    for number, part in enumerate(parts):
        where = f"personalizations.{number}"
        if not part.to:
            refuse(400, "The to array is required for all personalization objects.", f"{where}.to")
        _check_addresses(part.to, f"{where}.to", seen)
        _check_addresses(part.cc, f"{where}.cc", seen)
        _check_addresses(part.bcc, f"{where}.bcc", seen)
        _check_size(part.custom_args, f"{where}.custom_args")
        _check_size(part.substitutions, f"{where}.substitutions")
        _check_headers(part.headers, f"{where}.headers")
    if len(seen) > MAX_RECIPIENTS:
        refuse(400, "There is a limit of 1000 total recipients per request.", "personalizations")


def _check_addresses(people: list[Address], where: str, seen: set[str]) -> None:
    for number, person in enumerate(people):
        if not ADDRESS.fullmatch(person.email):
            refuse(400, "Does not contain a valid address.", f"{where}.{number}.email")
        address = person.email.lower()
        if address in seen:
            refuse(400, "Each email address should be unique between to, cc, and bcc.", where)
        seen.add(address)


def _check_content(content: list[Block]) -> None:
    if not content:
        refuse(400, "Unless a valid template_id is provided, the content parameter is required.", "content")
    for number, block in enumerate(content):
        if "/" not in block.type:
            refuse(400, "The content type must be a valid MIME type.", f"content.{number}.type")
        if not block.value:
            message = "The content value must be a string at least one character in length."
            refuse(400, message, f"content.{number}.value")
    types = [block.type for block in content]
    wanted = [kind for kind in ("text/plain", "text/html") if kind in types]
    if types[: len(wanted)] != wanted:
        refuse(400, "If present, text/plain must be first, followed by text/html.", "content")


def _check_options(mail: MailSend) -> None:
    _check_size(mail.custom_args, "custom_args")
    _check_headers(mail.headers, "headers")
    _check_files(mail.attachments)
    if len(mail.categories) > 10 or len(set(mail.categories)) < len(mail.categories):
        refuse(400, "There can be at most 10 categories, each only once.", "categories")
    if mail.send_at > time.time() + 72 * 3600:
        refuse(400, "Scheduling more than 72 hours in advance is forbidden.", "send_at")


def _check_files(files: list[File]) -> None:
    for number, file in enumerate(files):
        where = f"attachments.{number}"
        if not file.content:
            refuse(400, "The attachment content must be base64 of at least one byte.", f"{where}.content")
        if not file.filename or any(char in file.filename + file.type for char in "\r\n;"):
            refuse(400, "The filename must be there, without CRLF or semicolon.", f"{where}.filename")
        if file.disposition == "inline" and not file.content_id:
            refuse(400, "An inline attachment needs a content_id.", f"{where}.content_id")


def _check_size(values: dict[str, str], where: str) -> None:
    if values and len("".join([*values, *values.values()]).encode()) > MAX_CUSTOM_ARGS:
        refuse(400, "The size is over the limit of 10000 bytes.", where)


def _check_headers(headers: dict[str, str], where: str) -> None:
    for name, value in headers.items():
        if name.lower() in RESERVED_HEADERS:
            refuse(400, "The header is reserved.", f"{where}.{name}")
        if not name.isascii() or any(char in name + value for char in "\r\n"):
            refuse(400, "Headers must not contain line breaks.", f"{where}.{name}")


def _filled(text: str, substitutions: dict[str, str]) -> str:
    for tag, value in substitutions.items():
        text = text.replace(tag, value)
    return text


def _call(mail: MailSend, part: Part) -> Call:
    args = mail.custom_args | part.custom_args
    blocks = {block.type: block.value for block in mail.content}
    subject, sender, recipient = part.subject or mail.subject, part.sender or mail.sender, part.to[0].email
    content = Mail(
        subject=subject,
        sender=sender.email,
        sender_name=sender.name or "",
        to=recipient,
        text=_filled(blocks.get("text/plain", ""), part.substitutions),
        html=_filled(blocks.get("text/html", ""), part.substitutions),
        headers=list((mail.headers | part.headers).items()),
        attachments=[
            Attached(file.filename, file.type, len(file.content), file.content_id)
            for file in mail.attachments
        ],
    )
    return Call(
        provider="sendgrid",
        channel="email",
        recipient=recipient,
        message_id=args.get("message_id", ""),
        mark=args.get("tocsin_mark", ""),
        user=user_key(args.get("tenant", ""), args.get("user", "")),
        title=subject,
        text=preview(content.text),
        content=encode(content),
    )

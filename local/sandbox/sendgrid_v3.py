"""SendGrid's `POST /v3/mail/send`, judged by the contract: one error, for the first wrong field."""

import re
import secrets
import time
from itertools import count
from typing import Any, NoReturn

import msgspec

from local.sandbox.content import Mail, encode, preview
from local.sandbox.desk import Accepted
from local.sandbox.faults import Fault
from local.sandbox.sent import Call, user_key
from local.sandbox.wire import Refusal, Reply, Request, json_reply

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
FIELDS = frozenset(
    [
        "personalizations",
        "from",
        "reply_to",
        "reply_to_list",
        "subject",
        "content",
        "attachments",
        "template_id",
        "headers",
        "categories",
        "custom_args",
        "send_at",
        "batch_id",
        "asm",
        "ip_pool_name",
        "mail_settings",
        "tracking_settings",
    ]
)
MAX_RECIPIENTS = 1000
MAX_CUSTOM_ARGS = 10_000
_decode = msgspec.json.Decoder().decode

Json = dict[str, Any]


def refusal(status: int, message: str, field: str | None = None) -> Refusal:
    """Build SendGrid's error answer."""
    body = {"errors": [{"message": message, "field": field, "help": None}]}
    return Refusal(json_reply(body, status), str(status))


def refuse(status: int, message: str, field: str | None = None) -> NoReturn:
    """Refuse the request."""
    raise refusal(status, message, field)


class SendGrid:
    """The mail-send endpoint. Keys are `SG.…`; those beginning `SG.bad` stand for revoked ones."""

    name = "sendgrid"

    def __init__(self) -> None:
        self._ids = count()
        self._run = secrets.token_hex(6)

    def judge(self, request: Request) -> Accepted:
        """Judge a request."""
        if request.method != "POST":
            refuse(405, "method not allowed")
        key = request.header(b"authorization")
        if not key.startswith("Bearer SG.") or key.startswith("Bearer SG.bad"):
            refuse(401, "The provided authorization grant is invalid, expired, or revoked")
        if not request.header(b"content-type").startswith("application/json"):
            refuse(415, "Content-Type should be application/json.")
        mail = _parse(request.body)
        _check_message(mail)
        if _is_check_only(mail):
            return Accepted([], Reply(200), "")
        calls = [_call(mail, part) for part in mail["personalizations"]]
        message_id = f"{self._run}{next(self._ids):010x}"
        return Accepted(calls, Reply(202, headers={"X-Message-Id": message_id}), message_id)

    def fail(self, fault: Fault) -> Refusal | None:
        """Only statuses: dead recipients are accepted here, an event tells of them later."""
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


def _is_check_only(mail: Json) -> bool:
    mode = (mail.get("mail_settings") or {}).get("sandbox_mode") or {}
    return mode.get("enable") is True


def _parse(body: bytes) -> Json:
    try:
        mail = _decode(body)
    except msgspec.DecodeError:
        refuse(400, "Bad Request")
    if not isinstance(mail, dict):
        refuse(400, "Bad Request")
    for unknown in mail.keys() - FIELDS:
        refuse(400, "Additional property is not allowed", str(unknown))
    return mail


def _check_message(mail: Json) -> None:
    parts = mail.get("personalizations")
    if not isinstance(parts, list) or not 1 <= len(parts) <= 1000:
        refuse(
            400,
            "The personalizations field is required and must have at least one personalization.",
            "personalizations",
        )
    _check_recipients(parts)
    sender = mail.get("from")
    if not isinstance(sender, dict) or not _is_address(sender.get("email")):
        refuse(400, "The from object must be provided for every email send.", "from.email")
    if not mail.get("template_id"):
        _check_content(mail)
    if not (mail.get("subject") or mail.get("template_id") or all(part.get("subject") for part in parts)):
        refuse(400, "The subject is required.", "subject")
    _check_options(mail)


def _check_recipients(parts: list[Json]) -> None:
    seen: set[str] = set()
    for number, part in enumerate(parts):
        where = f"personalizations.{number}"
        if not isinstance(part, dict) or not isinstance(part.get("to"), list) or not part["to"]:
            refuse(400, "The to array is required for all personalization objects.", f"{where}.to")
        for kind in ("to", "cc", "bcc"):
            _check_addresses(part.get(kind) or [], f"{where}.{kind}", seen)
        _check_strings(part.get("custom_args"), f"{where}.custom_args")
        _check_strings(part.get("substitutions"), f"{where}.substitutions")
        _check_headers(part.get("headers"), f"{where}.headers")
    if len(seen) > MAX_RECIPIENTS:
        refuse(400, "There is a limit of 1000 total recipients per request.", "personalizations")


def _check_addresses(people: list[Any], where: str, seen: set[str]) -> None:
    for number, person in enumerate(people):
        email = person.get("email") if isinstance(person, dict) else None
        if not _is_address(email):
            refuse(400, "Does not contain a valid address.", f"{where}.{number}.email")
        if str(email).lower() in seen:
            refuse(400, "Each email address should be unique between to, cc, and bcc.", where)
        seen.add(str(email).lower())


def _is_address(value: object) -> bool:
    return isinstance(value, str) and ADDRESS.fullmatch(value) is not None


def _check_content(mail: Json) -> None:
    content = mail.get("content")
    if not isinstance(content, list) or not content:
        refuse(400, "Unless a valid template_id is provided, the content parameter is required.", "content")
    for number, block in enumerate(content):
        if not isinstance(block, dict) or not isinstance(block.get("type"), str) or "/" not in block["type"]:
            refuse(400, "The content type must be a valid MIME type.", f"content.{number}.type")
        if not isinstance(block.get("value"), str) or not block["value"]:
            message = "The content value must be a string at least one character in length."
            refuse(400, message, f"content.{number}.value")
    types = [block["type"] for block in content]
    wanted = [kind for kind in ("text/plain", "text/html") if kind in types]
    if types[: len(wanted)] != wanted:
        refuse(400, "If present, text/plain must be first, followed by text/html.", "content")


def _check_options(mail: Json) -> None:
    _check_strings(mail.get("custom_args"), "custom_args")
    _check_headers(mail.get("headers"), "headers")
    categories = mail.get("categories") or []
    if len(categories) > 10 or len(set(categories)) < len(categories):
        refuse(400, "There can be at most 10 categories, each only once.", "categories")
    if mail.get("send_at", 0) > time.time() + 72 * 3600:
        refuse(400, "Scheduling more than 72 hours in advance is forbidden.", "send_at")


def _check_strings(values: object, where: str) -> None:
    if values is None:
        return
    if not isinstance(values, dict) or not all(isinstance(value, str) for value in values.values()):
        refuse(400, "Invalid type. Expected: string, given: other.", where)
    if len("".join([*values, *values.values()]).encode()) > MAX_CUSTOM_ARGS:
        refuse(400, "The size is over the limit of 10000 bytes.", where)


def _check_headers(headers: object, where: str) -> None:
    _check_strings(headers, where)
    for name, value in headers.items() if isinstance(headers, dict) else ():
        if name.lower() in RESERVED_HEADERS:
            refuse(400, "The header is reserved.", f"{where}.{name}")
        if not name.isascii() or any(char in name + value for char in "\r\n"):
            refuse(400, "Headers must not contain line breaks.", f"{where}.{name}")


def _call(mail: Json, part: Json) -> Call:
    args = {**(mail.get("custom_args") or {}), **(part.get("custom_args") or {})}
    blocks = {block["type"]: block["value"] for block in mail.get("content") or []}
    subject = part.get("subject") or mail.get("subject") or ""
    sender = part.get("from") or mail["from"]
    recipient = part["to"][0]["email"]
    content = Mail(
        subject=subject,
        sender=sender["email"],
        sender_name=sender.get("name") or "",
        to=recipient,
        text=blocks.get("text/plain", ""),
        html=blocks.get("text/html", ""),
        headers=list({**(mail.get("headers") or {}), **(part.get("headers") or {})}.items()),
    )
    return Call(
        provider="sendgrid",
        channel="email",
        recipient=recipient,
        message_id=args.get("message_id", ""),
        user=user_key(args.get("tenant", ""), args.get("user", "")),
        title=subject,
        text=preview(content.text),
        content=encode(content),
    )

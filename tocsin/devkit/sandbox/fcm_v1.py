"""Stands in for Firebase Cloud Messaging HTTP v1: `messages:send` of one project."""

import re
import secrets
from itertools import count
from typing import Any, NoReturn

import msgspec

from tocsin.devkit.sandbox.content import Push, encode, preview
from tocsin.devkit.sandbox.faults import Fault
from tocsin.devkit.sandbox.google_oauth import Tokens
from tocsin.devkit.sandbox.request_handler import Accepted
from tocsin.devkit.sandbox.sent import Call, user_key
from tocsin.devkit.sandbox.wire import Refusal, Request, json_reply, place_of

PATH = re.compile(r"/v1/projects/([^/]+)/messages:send")
MAX_TTL_S = 2_419_200
MAX_PAYLOAD, MAX_TOPIC_PAYLOAD = 4096, 2048
_TOKEN = re.compile(r"[A-Za-z0-9:_\-]{8,4096}")
_FCM_ERROR = "type.googleapis.com/google.firebase.fcm.v1.FcmError"
_BAD_REQUEST = "type.googleapis.com/google.rpc.BadRequest"
_TTL = re.compile(r"([0-9]+)(\.[0-9]{1,9})?s")
_BAD_KEY = re.compile(r"from|message_type|google\..*|gcm\.notification\..*")
_STATUSES = {
    400: ("INVALID_ARGUMENT", "INVALID_ARGUMENT"),
    401: ("UNAUTHENTICATED", ""),
    403: ("PERMISSION_DENIED", ""),
    404: ("NOT_FOUND", "UNREGISTERED"),
    429: ("RESOURCE_EXHAUSTED", "QUOTA_EXCEEDED"),
    500: ("INTERNAL", "INTERNAL"),
    503: ("UNAVAILABLE", "UNAVAILABLE"),
}
_TEXTS = {
    "UNREGISTERED": "Requested entity was not found.",
    "SENDER_ID_MISMATCH": "SenderId mismatch",
    "THIRD_PARTY_AUTH_ERROR": "Auth error from APNS or Web Push Service",
}
_HTTP_OF_CODE = {"SENDER_ID_MISMATCH": 403, "THIRD_PARTY_AUTH_ERROR": 401, "UNREGISTERED": 404}

Json = dict[str, Any]


class Notification(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What the system shows."""

    title: str = ""
    body: str = ""
    image: str = ""


class Android(msgspec.Struct, frozen=True, rename="camel", forbid_unknown_fields=True):
    """Options of Android."""

    collapse_key: str = ""
    priority: str = "NORMAL"
    ttl: str = "2419200s"
    restricted_package_name: str = ""
    data: dict[str, str] = {}
    notification: Json = {}
    fcm_options: Json = {}
    direct_boot_ok: bool = False
    bandwidth_constrained_ok: bool = False
    restricted_satellite_ok: bool = False


class ForApple(msgspec.Struct, frozen=True, rename="camel", forbid_unknown_fields=True):
    """What is handed on to Apple."""

    headers: dict[str, str] = {}
    payload: Json = {}
    fcm_options: Json = {}
    live_activity_token: str = ""


class Message(msgspec.Struct, frozen=True, rename="camel", forbid_unknown_fields=True):
    """A message; exactly one of the targets is set."""

    name: str = ""
    token: str = ""
    fid: str = ""
    topic: str = ""
    condition: str = ""
    data: dict[str, str] = {}
    notification: Notification = Notification()
    android: Android | None = None
    android_v2: Json | None = None
    webpush: Json = {}
    apns: ForApple | None = None
    fcm_options: Json = {}

    def target(self) -> str:
        """Give the first target that is set."""
        return self.token or self.fid or self.topic or self.condition


class Envelope(msgspec.Struct, frozen=True, rename="camel", forbid_unknown_fields=True):
    """The body of a request."""

    message: Message
    validate_only: bool = False


def refusal(
    http: int, message: str, *, code: str = "", field: str = "", headers: Json | None = None
) -> Refusal:
    """Build Google's error answer; a code adds the FcmError detail, a field the BadRequest one."""
    status = _STATUSES.get(http, ("UNAVAILABLE", ""))[0]
    details: list[Json] = []
    if code:
        details.append({"@type": _FCM_ERROR, "errorCode": code})
    if field:
        violation = {"field": field, "description": message}
        details.append({"@type": _BAD_REQUEST, "fieldViolations": [violation]})
    error = {"code": http, "message": message, "status": status, "details": details}
    return Refusal(json_reply({"error": error}, http, headers), code or status)


def refuse(http: int, message: str, *, code: str = "", field: str = "") -> NoReturn:
    """Refuse the request."""
    raise refusal(http, message, code=code, field=field)


def invalid(message: str, field: str) -> NoReturn:
    """Refuse a message for what is in one of its fields."""
    raise refusal(400, message, field=field)


class Fcm:
    """The `messages:send` endpoint of one project."""

    name = "fcm"

    def __init__(self, tokens: Tokens, project: str) -> None:
        self._tokens = tokens
        self._project = project
        self._ids = count(1)
        self._run = secrets.token_hex(4)

    def judge(self, request: Request) -> Accepted:
        """Judge a request."""
        found = PATH.fullmatch(request.path)
        if found is None or request.method != "POST":
            refuse(404, "Not found")
        scheme, _, token = request.header(b"authorization").partition(" ")
        if scheme != "Bearer" or not self._tokens.knows(token):
            refuse(401, "Request had invalid authentication credentials.")
        if found[1] != self._project:
            refuse(404, "Requested entity was not found.")
        envelope = _parse(request.body)
        _check(envelope.message)
        if envelope.validate_only:
            return Accepted([], json_reply({"name": f"projects/{found[1]}/messages/fake_message_id"}), "")
        name = f"projects/{found[1]}/messages/0:{self._run}{next(self._ids):x}"
        return Accepted([_call(envelope.message, request.body)], json_reply({"name": name}), name)

    def fail(self, fault: Fault) -> Refusal | None:
        """Refuse with a status, or a dead token with UNREGISTERED or the code ordered."""
        if fault.kind == "status":
            code = fault.code or _STATUSES.get(fault.status, ("", "UNAVAILABLE"))[1]
            headers = {} if fault.retry_after_s is None else {"Retry-After": str(fault.retry_after_s)}
            return refusal(fault.status, _TEXTS.get(code, "An ordered failure."), code=code, headers=headers)
        if fault.kind in ("dead_token", "bounce", "refused_number"):
            code = fault.code or "UNREGISTERED"
            return refusal(_HTTP_OF_CODE.get(code, 400), _TEXTS.get(code, "An ordered failure."), code=code)
        return None


def _parse(body: bytes) -> Envelope:
    """Read a body; both spellings of names are taken, unknown names are not."""
    try:
        return msgspec.convert(_camel(msgspec.json.decode(body)), Envelope)
    except msgspec.ValidationError as error:
        invalid(f"Invalid JSON payload received. {error}", place_of(error))
    except (msgspec.DecodeError, UnicodeDecodeError):
        refuse(400, "Invalid JSON payload received.")


def _camel(value: object, depth: int = 3) -> object:
    """Spell the names of envelope, message and its parts in one way; what lies deeper is the sender's own."""
    if not isinstance(value, dict) or not depth:
        return value
    own = ("data", "headers", "payload")
    return {
        _camel_name(name): inner if name in own else _camel(inner, depth - 1) for name, inner in value.items()
    }


def _camel_name(name: str) -> str:
    if "_" not in name:
        return name
    first, *rest = name.split("_")
    return first + "".join([word.capitalize() for word in rest])


def _check(message: Message) -> None:
    if sum(map(bool, (message.token, message.fid, message.topic, message.condition))) != 1:
        invalid("Exactly one of token, fid, topic or condition is required.", "message")
    if message.android is not None and message.android_v2 is not None:
        invalid("Only one of android and android_v2 may be set.", "message")
    device = message.token or message.fid
    if device and not _TOKEN.fullmatch(device):
        refuse(400, "The registration token is not a valid FCM registration token", code="INVALID_ARGUMENT")
    _check_data(message.data, "message.data")
    _check_android(message.android or Android())
    if message.apns and len(msgspec.json.encode(message.apns.payload)) > MAX_PAYLOAD:
        invalid("Invalid value at 'message.apns.payload'", "message.apns.payload")
    limit = MAX_TOPIC_PAYLOAD if message.topic else MAX_PAYLOAD
    if _payload_bytes(message) > limit:
        refuse(400, "Android message is too big", code="INVALID_ARGUMENT", field="message.data")


def _payload_bytes(message: Message) -> int:
    """Count keys and values, as FCM does."""
    shown = message.notification
    texts = [shown.title, shown.body, shown.image, *message.data, *message.data.values()]
    return len("".join(texts).encode("utf-8", "surrogatepass"))


def _check_data(data: dict[str, str], where: str) -> None:
    for key in data:
        if _BAD_KEY.fullmatch(key):
            invalid(f"Invalid data payload key: {key}", where)


def _check_android(android: Android) -> None:
    if android.priority.upper() not in ("NORMAL", "HIGH"):
        invalid("Invalid value at 'message.android.priority'", "message.android.priority")
    found = _TTL.fullmatch(android.ttl)
    if found is None or int(found[1]) > MAX_TTL_S:
        invalid("Illegal duration format or duration out of range", "message.android.ttl")
    _check_data(android.data, "message.android.data")


def _call(message: Message, body: bytes) -> Call:
    data, android = message.data, message.android
    title, text = _shown(message)
    content = Push(
        platform="ios" if message.apns and not android else "android",
        title=title,
        body=text,
        app=data.get("app", ""),
        image=message.notification.image,
        collapse_key=android.collapse_key if android else "",
        urgent=android is not None and android.priority.upper() == "HIGH",
        silent=not (title or text),
        payload=msgspec.Raw(body),
    )
    return Call(
        provider="fcm",
        channel="push",
        recipient=message.target(),
        message_id=data.get("message_id", ""),
        user=user_key(data.get("tenant", ""), data.get("user", "")),
        title=title,
        text=preview(text),
        content=encode(content),
    )


def _shown(message: Message) -> tuple[str, str]:
    """Find title and text wherever the sender put them: notification, Apple's alert, or data."""
    aps = message.apns.payload.get("aps") if message.apns else None
    alert = aps.get("alert") if isinstance(aps, dict) else None
    apple = alert if isinstance(alert, dict) else {"body": alert or ""}
    title = message.notification.title or apple.get("title") or message.data.get("title", "")
    body = message.notification.body or apple.get("body") or message.data.get("body", "")
    return str(title), str(body)

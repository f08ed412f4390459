"""Firebase Cloud Messaging HTTP v1 and the OAuth endpoint that gives its access tokens."""

import re
import secrets
from collections.abc import Callable
from itertools import count
from typing import Any, NoReturn

import jwt
import msgspec
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey

from local.sandbox.content import Push, encode, preview
from local.sandbox.desk import Accepted
from local.sandbox.faults import Fault
from local.sandbox.sent import Call, user_key
from local.sandbox.wire import Refusal, Reply, Request, form_of, json_reply

PATH = re.compile(r"/v1/projects/([^/]+)/messages:send")
SCOPE = "https://www.googleapis.com/auth/firebase.messaging"
GOOGLE_AUDIENCE = "https://oauth2.googleapis.com/token"
GRANT = "urn:ietf:params:oauth:grant-type:jwt-bearer"
TOKEN_LIFE_S = 3599
MAX_TTL_S = 2_419_200
TARGETS = ("token", "fid", "topic", "condition")
FIELDS = frozenset(
    (*TARGETS, "name", "data", "notification", "android", "androidV2", "webpush", "apns", "fcmOptions")
)
ANDROID_FIELDS = frozenset(
    [
        "collapseKey",
        "priority",
        "ttl",
        "restrictedPackageName",
        "data",
        "notification",
        "fcmOptions",
        "directBootOk",
        "bandwidthConstrainedOk",
        "restrictedSatelliteOk",
    ]
)
APNS_FIELDS = frozenset(("headers", "payload", "fcmOptions", "liveActivityToken"))
NOTIFICATION_FIELDS = frozenset(("title", "body", "image"))
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


class Tokens:
    """Access tokens given for assertions signed with the service account's key."""

    def __init__(self, key: RSAPublicKey, token_uri: str, clock_ms: Callable[[], int]) -> None:
        self._key = key
        self._audiences = [GOOGLE_AUDIENCE, token_uri]
        self._clock_ms = clock_ms
        self._live: dict[str, int] = {}

    def grant(self, request: Request) -> Reply:
        """Answer `POST /token`."""
        form = form_of(request.body.decode("latin-1"))
        if request.method != "POST":
            return json_reply({"error": "invalid_request"}, 405)
        if form.get("grant_type") != [GRANT]:
            return json_reply(
                {"error": "unsupported_grant_type", "error_description": "Invalid grant_type"}, 400
            )
        problem = self._problem(form.get("assertion", [""])[0])
        if problem:
            return json_reply({"error": "invalid_grant", "error_description": problem}, 400)
        token = f"ya29.{secrets.token_urlsafe(40)}"
        now_ms = self._clock_ms()
        self._live = {known: ends for known, ends in self._live.items() if ends > now_ms}
        self._live[token] = now_ms + TOKEN_LIFE_S * 1000
        return json_reply({"access_token": token, "expires_in": TOKEN_LIFE_S, "token_type": "Bearer"})

    def _problem(self, assertion: str) -> str:
        """Say what is wrong with an assertion, empty if nothing."""
        options: Any = {"require": ["iss", "aud", "iat", "exp"]}
        try:
            claims = jwt.decode(assertion, self._key, ["RS256"], audience=self._audiences, options=options)
        except jwt.InvalidSignatureError:
            return "Invalid JWT Signature."
        except jwt.InvalidTokenError as error:
            return f"Invalid JWT: {error}"
        if claims["exp"] - claims["iat"] > 3600:
            return "Invalid JWT: Token must be a short-lived token (60 minutes)."
        if SCOPE not in str(claims.get("scope", "")).split():
            return "Invalid OAuth scope or ID token audience provided."
        return ""

    def knows(self, token: str) -> bool:
        """Say whether a token was given here and still lives."""
        return self._live.get(token, 0) > self._clock_ms()


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
        message = envelope["message"]
        _check(message)
        number = next(self._ids)
        name = f"projects/{found[1]}/messages/" + (
            "fake_message_id" if envelope["dry"] else f"0:{self._run}{number:x}"
        )
        calls = [] if envelope["dry"] else [_call(message)]
        return Accepted(calls, json_reply({"name": name}), name)

    def fail(self, fault: Fault) -> Refusal | None:
        """Statuses, and dead tokens (UNREGISTERED, or the code ordered)."""
        if fault.kind == "status":
            code = fault.code or _STATUSES.get(fault.status, ("", "UNAVAILABLE"))[1]
            headers = {} if fault.retry_after_s is None else {"Retry-After": str(fault.retry_after_s)}
            return refusal(fault.status, _TEXTS.get(code, "An ordered failure."), code=code, headers=headers)
        if fault.kind in ("dead_token", "bounce", "refused_number"):
            code = fault.code or "UNREGISTERED"
            return refusal(_HTTP_OF_CODE.get(code, 400), _TEXTS.get(code, "An ordered failure."), code=code)
        return None


def _parse(body: bytes) -> Json:
    """Give {message, dry}, names in camelCase; both spellings are taken, unknown names are not."""
    try:
        envelope = msgspec.json.decode(body)
    except msgspec.DecodeError:
        refuse(400, "Invalid JSON payload received.")
    envelope = _camel(envelope, "", frozenset(("message", "validateOnly")))
    message = _camel(envelope.get("message"), "message", FIELDS)
    parts = (("notification", NOTIFICATION_FIELDS), ("android", ANDROID_FIELDS), ("apns", APNS_FIELDS))
    for name, fields in parts:
        if name in message:
            message[name] = _camel(message[name], f"message.{name}", fields)
    return {"message": message, "dry": envelope.get("validateOnly", False)}


def _camel(value: object, where: str, known: frozenset[str]) -> Json:
    if not isinstance(value, dict):
        invalid(f"Invalid value at '{where}', expected an object.", where)
    named = {_camel_name(name): item for name, item in value.items()}
    for name in named.keys() - known:
        invalid(
            f"Invalid JSON payload received. Unknown name \"{name}\" at '{where}': Cannot find field.", where
        )
    return named


def _camel_name(name: str) -> str:
    if "_" not in name:
        return name
    first, *rest = name.split("_")
    return first + "".join([word.capitalize() for word in rest])


def _check(message: Json) -> None:
    targets = [name for name in TARGETS if message.get(name)]
    if len(targets) != 1:
        invalid("Exactly one of token, fid, topic or condition is required.", "message")
    target = message[targets[0]]
    if targets[0] in ("token", "fid") and not _is_token(target):
        refuse(400, "The registration token is not a valid FCM registration token", code="INVALID_ARGUMENT")
    _check_data(message.get("data", {}), "message.data")
    _check_android(message.get("android", {}))
    _check_apns(message.get("apns", {}))
    limit = 2048 if targets[0] == "topic" else 4096
    payload = {key: message[key] for key in ("notification", "data") if key in message}
    if len(msgspec.json.encode(payload)) > limit:
        refuse(400, "Android message is too big", code="INVALID_ARGUMENT", field="message.data")


def _is_token(value: object) -> bool:
    return isinstance(value, str) and re.fullmatch(r"[A-Za-z0-9:_\-]{8,4096}", value) is not None


def _check_data(data: object, where: str) -> None:
    if not isinstance(data, dict):
        invalid(f"Invalid value at '{where}'.", where)
    for key, value in data.items():
        if not isinstance(value, str):
            invalid(f"Invalid value at '{where}[{key}]' (TYPE_STRING)", where)
        if _BAD_KEY.fullmatch(key):
            invalid(f"Invalid data payload key: {key}", where)


def _check_android(android: Json) -> None:
    priority = android.get("priority", "NORMAL")
    if str(priority).upper() not in ("NORMAL", "HIGH"):
        invalid("Invalid value at 'message.android.priority'", "message.android.priority")
    found = _TTL.fullmatch(str(android.get("ttl", "0s")))
    if found is None or not isinstance(android.get("ttl", ""), str):
        invalid("Illegal duration format; duration must end with 's'", "message.android.ttl")
    if int(found[1]) > MAX_TTL_S:
        invalid("Invalid value at 'message.android.ttl'", "message.android.ttl")
    _check_data(android.get("data", {}), "message.android.data")


def _check_apns(apns: Json) -> None:
    headers = apns.get("headers", {})
    if not isinstance(headers, dict) or not all(isinstance(value, str) for value in headers.values()):
        invalid("Invalid value at 'message.apns.headers'", "message.apns.headers")
    payload = apns.get("payload", {})
    if not isinstance(payload, dict) or len(msgspec.json.encode(payload)) > 4096:
        invalid("Invalid value at 'message.apns.payload'", "message.apns.payload")


def _call(message: Json) -> Call:
    data, notification = message.get("data", {}), message.get("notification", {})
    android, apns = message.get("android", {}), message.get("apns", {})
    title, body = _shown(notification, data, apns)
    content = Push(
        platform="ios" if apns and not android else "android",
        title=title,
        body=body,
        app=data.get("app", ""),
        image=notification.get("image", ""),
        collapse_key=android.get("collapseKey", ""),
        urgent=str(android.get("priority", "")).upper() == "HIGH",
        silent=not (title or body),
        payload=msgspec.Raw(msgspec.json.encode(message)),
    )
    return Call(
        provider="fcm",
        channel="push",
        recipient=next(message[name] for name in TARGETS if message.get(name)),
        message_id=data.get("message_id", ""),
        user=user_key(data.get("tenant", ""), data.get("user", "")),
        title=title,
        text=preview(body),
        content=encode(content),
    )


def _shown(notification: Json, data: Json, apns: Json) -> tuple[str, str]:
    """Find title and text wherever the sender put them: notification, data, or Apple's alert."""
    alert = apns.get("payload", {}).get("aps", {}).get("alert", {})
    alert = alert if isinstance(alert, dict) else {"body": alert}
    sources = (notification, alert, data)
    title = next((str(source["title"]) for source in sources if source.get("title")), "")
    body = next((str(source["body"]) for source in sources if source.get("body")), "")
    return title, body

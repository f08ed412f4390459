"""Stands in for a push service of browsers (RFC 8030): judges VAPID as Apple does, reads as browsers do."""

import re
import secrets
from collections.abc import Callable
from itertools import count
from typing import Any, NoReturn

import jwt
import msgspec
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, EllipticCurvePublicKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from tocsin.devkit.browsers import decrypt
from tocsin.devkit.sandbox.content import Push, encode, preview
from tocsin.devkit.sandbox.faults import Fault
from tocsin.devkit.sandbox.request_handler import Accepted
from tocsin.devkit.sandbox.sent import Call
from tocsin.devkit.sandbox.wire import Refusal, Reply, Request, json_reply

MAX_BODY = 4096
MAX_LIFE_S = 86_400
LEEWAY_S = 60
_NAME = re.compile(r"[A-Za-z0-9_-]{8,128}")
_TOPIC = re.compile(r"[A-Za-z0-9_-]{1,32}")
_AUTHORIZATION = re.compile(r"vapid t=([A-Za-z0-9_.-]+), ?k=([A-Za-z0-9_-]+)")
_SUBJECT = re.compile(r"mailto:[^\s<>@]+@[^\s<>@]+\.[a-z]+|https://[^\s<>/]+\.[^\s<>]+")
_URGENCIES = ("very-low", "low", "normal", "high")
_TITLES = {104: "Payload Too Large", 106: "Gone", 109: "Unauthorized", 102: "Not Found"}


class _Declared(msgspec.Struct):
    notification: dict[str, Any] = {}


def refusal(
    status: int, errno: int, message: str, *, reason: str = "", retry_after_s: int | None = None
) -> Refusal:
    """Build an error answer: fields of Mozilla's, and Apple's reason where it has one."""
    body: dict[str, Any] = {
        "code": status,
        "errno": errno,
        "error": _TITLES.get(errno, ""),
        "message": message,
    }
    headers = {} if retry_after_s is None else {"Retry-After": str(retry_after_s)}
    reply = json_reply(body | ({"reason": reason} if reason else {}), status, headers)
    return Refusal(reply, reason or str(errno))


def refuse(status: int, errno: int, message: str, reason: str = "") -> NoReturn:
    """Refuse the request."""
    raise refusal(status, errno, message, reason=reason)


class WebPush:
    """The push resource of each invented browser (`tocsin.devkit.browsers`); every name is one.

    Subscriptions were made with one application server key.
    """

    name = "webpush"

    def __init__(self, key: EllipticCurvePublicKey, clock_ms: Callable[[], int]) -> None:
        self._point = key.public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)
        self._clock_ms = clock_ms
        self._ids = count(1)
        self._run = secrets.token_hex(4)

    def judge(self, request: Request) -> Accepted:
        """Judge a request."""
        browser = request.path[1:]
        if not _NAME.fullmatch(browser):
            refuse(404, 102, "no such subscription")
        if request.method != "POST":
            refuse(405, 999, "push messages are posted")
        self._check_vapid(request)
        _check_headers(request)
        if len(request.body) > MAX_BODY:
            refuse(413, 104, "the body is longer than 4096 bytes")
        plain = _read(request.body, browser)
        number = f"{self._run}{next(self._ids):x}"
        host = request.header(b"host")
        reply = Reply(
            201, headers={"Location": f"http://{host}/webpush/m/{number}", "TTL": request.header(b"ttl")}
        )
        return Accepted([_call(browser, plain, request)], reply, number)

    def fail(self, fault: Fault) -> Refusal | None:
        """Refuse with a status, or a browser with 410 or the status ordered as its code."""
        if fault.kind == "status":
            text = "an ordered failure"
            return refusal(fault.status, 201, text, reason=fault.code, retry_after_s=fault.retry_after_s)
        if fault.kind in ("dead_token", "bounce", "refused_number"):
            return refusal(int(fault.code or 410), 106, "the subscription has expired or is gone")
        return None

    def _check_vapid(self, request: Request) -> None:
        found = _AUTHORIZATION.fullmatch(request.header(b"authorization"))
        if found is None:
            refuse(401, 109, "a header Authorization with a VAPID token is needed")
        try:
            point = jwt.utils.base64url_decode(found[2])
            key = EllipticCurvePublicKey.from_encoded_point(SECP256R1(), point)
            options: Any = {"verify_aud": False, "verify_exp": False}
            claims = jwt.decode(found[1], key, ["ES256"], options=options)
        except (ValueError, jwt.InvalidTokenError):
            refuse(401, 109, "the token or its key cannot be verified")
        if point != self._point:
            refuse(
                403,
                109,
                "the subscription was made with another application server key",
                "VapidPkHashMismatch",
            )
        self._check_claims(claims, request)

    def _check_claims(self, claims: dict[str, Any], request: Request) -> None:
        """Check the claims as Apple does."""
        left_s = int(claims.get("exp", 0)) - self._clock_ms() / 1000
        if claims.get("aud") != f"http://{request.header(b'host')}":
            refuse(403, 109, "aud is not the origin of this push service", "BadJwtToken")
        if not 0 < left_s <= MAX_LIFE_S + LEEWAY_S:
            refuse(403, 109, "exp is over, or more than a day ahead", "BadJwtToken")
        if not _SUBJECT.fullmatch(str(claims.get("sub", ""))):
            refuse(403, 109, "sub is no mailto: or https: of a real domain", "BadJwtToken")


def _check_headers(request: Request) -> None:
    if not request.header(b"ttl").isdecimal():
        refuse(400, 111, "TTL is missing or no number")
    if request.header(b"content-encoding") != "aes128gcm":
        refuse(400, 110, "Content-Encoding is not aes128gcm")
    if request.header(b"urgency") and request.header(b"urgency") not in _URGENCIES:
        refuse(400, 101, "Urgency has a value that there is not")
    if b"topic" in request.headers and not _TOPIC.fullmatch(request.header(b"topic")):
        refuse(400, 113, "Topic has other characters than base64url, or more than 32")


def _read(body: bytes, browser: str) -> bytes:
    """Decrypt; a real push service cannot, so a real browser would drop the message in silence."""
    try:
        return decrypt(body, browser)
    except ValueError as error:
        refuse(400, 110, str(error))


def _call(browser: str, plain: bytes, request: Request) -> Call:
    try:
        shown = msgspec.json.decode(plain, type=_Declared).notification
    except msgspec.DecodeError:
        refuse(400, 110, "the payload is not the JSON that the demo's service worker reads")
    data = shown.get("data", {})
    title, text = str(shown.get("title", "")), str(shown.get("body", ""))
    content = Push(
        platform="web",
        title=title,
        body=text,
        app=str(shown.get("navigate", "")),
        collapse_key=request.header(b"topic"),
        urgent=request.header(b"urgency") == "high",
        silent=not (title or text),
        payload=msgspec.Raw(plain),
    )
    return Call(
        provider="webpush",
        channel="webpush",
        recipient=browser,
        message_id=str(data.get("message_id", "")),
        title=title,
        text=preview(text),
        content=encode(content),
    )

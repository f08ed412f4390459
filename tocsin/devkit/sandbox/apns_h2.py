"""Stands in for Apple's push notification service: `POST /3/device/{token}` with provider tokens."""

import re
import uuid
from collections.abc import Callable
from typing import Any, NoReturn

import jwt
import msgspec
from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePublicKey

from tocsin.devkit.sandbox.content import Push, encode, preview
from tocsin.devkit.sandbox.faults import Fault
from tocsin.devkit.sandbox.keys import APNS_KEY_ID, APNS_TEAM_ID
from tocsin.devkit.sandbox.request_handler import Accepted
from tocsin.devkit.sandbox.sent import Call, user_key
from tocsin.devkit.sandbox.wire import Refusal, Reply, Request, json_reply

PUSH_TYPES = frozenset(
    [
        "alert",
        "background",
        "voip",
        "complication",
        "fileprovider",
        "mdm",
        "location",
        "liveactivity",
        "pushtotalk",
        "widgets",
        "controls",
    ]
)
TOKEN_LIFE_S = 3600
RENEWAL_S = 1200
_HEX = re.compile(r"(?:[0-9a-fA-F]{2}){8,100}")
_REASONS = {
    403: "InvalidProviderToken",
    410: "Unregistered",
    413: "PayloadTooLarge",
    429: "TooManyRequests",
    500: "InternalServerError",
    503: "ServiceUnavailable",
}

Json = dict[str, Any]


def refusal(status: int, reason: str, **more: int) -> Refusal:
    """Build Apple's error answer."""
    return Refusal(json_reply({"reason": reason, **more}, status, {"apns-id": str(uuid.uuid4())}), reason)


def refuse(status: int, reason: str) -> NoReturn:
    """Refuse the request."""
    raise refusal(status, reason)


class ProviderTokens:
    """Judge of provider tokens: each is verified once, then known."""

    def __init__(self, key: EllipticCurvePublicKey, clock_ms: Callable[[], int]) -> None:
        self._key = key
        self._clock_ms = clock_ms
        self._issued: dict[str, int] = {}
        self._on_connection: dict[bytes, int] = {}

    def check(self, authorization: str, connection: bytes) -> None:
        """Refuse a request whose token is absent, wrong, too old, or renewed too soon on its connection."""
        scheme, _, token = authorization.partition(" ")
        if scheme != "bearer" or not token:
            refuse(403, "MissingProviderToken")
        issued = self._issued.get(token)
        if issued is None:
            self._issued = {
                known: at for known, at in self._issued.items() if self._age_s(at) <= TOKEN_LIFE_S
            }
            issued = self._issued[token] = self._verify(token)
        age_s = self._age_s(issued)
        if not -60 <= age_s <= TOKEN_LIFE_S:
            refuse(403, "ExpiredProviderToken" if age_s > 0 else "InvalidProviderToken")
        before = self._on_connection.setdefault(connection, issued)
        if 0 < abs(issued - before) < RENEWAL_S:
            refuse(429, "TooManyProviderTokenUpdates")
        self._on_connection[connection] = issued

    def _age_s(self, issued: int) -> float:
        return self._clock_ms() / 1000 - issued

    def _verify(self, token: str) -> int:
        options: Any = {"verify_aud": False, "verify_iat": False}
        try:
            kid = jwt.get_unverified_header(token).get("kid")
            claims = jwt.decode(token, self._key, ["ES256"], options=options)
        except jwt.InvalidTokenError:
            refuse(403, "InvalidProviderToken")
        right = claims.keys() == {"iss", "iat"} and claims["iss"] == APNS_TEAM_ID and kid == APNS_KEY_ID
        if not right or not isinstance(claims["iat"], int):
            refuse(403, "InvalidProviderToken")
        return int(claims["iat"])

    def forget(self, connection: bytes) -> None:
        """Forget a closed connection."""
        self._on_connection.pop(connection, None)


class Apns:
    """The device endpoint. Device tokens are hex; those beginning `deaddead` are dead."""

    name = "apns"

    def __init__(self, tokens: ProviderTokens, clock_ms: Callable[[], int]) -> None:
        self._tokens = tokens
        self._clock_ms = clock_ms

    def judge(self, request: Request) -> Accepted:
        """Judge a request."""
        prefix, _, device = request.path.rpartition("/")
        if prefix != "/3/device":
            refuse(404, "BadPath")
        if request.method != "POST":
            refuse(405, "MethodNotAllowed")
        self._tokens.check(request.header(b"authorization"), request.headers.get(b"x-connection", b""))
        if not device:
            refuse(400, "MissingDeviceToken")
        if not _HEX.fullmatch(device) or not device.strip("0"):
            refuse(400, "BadDeviceToken")
        apns_id = _check_headers(request)
        payload = _payload(request)
        reply = Reply(200, headers={"apns-id": str(apns_id)})
        return Accepted([_call(request, device, apns_id, payload)], reply, str(apns_id))

    def fail(self, fault: Fault) -> Refusal | None:
        """Refuse with a status, or a dead token with 410 and the time since when, or the reason ordered."""
        if fault.kind == "status":
            return refusal(fault.status, fault.code or _REASONS.get(fault.status, "ServiceUnavailable"))
        if fault.kind in ("dead_token", "bounce", "refused_number"):
            if fault.code in ("", "Unregistered", "ExpiredToken"):
                since_ms = fault.since_ms or self._clock_ms()
                return refusal(410, fault.code or "Unregistered", timestamp=since_ms)
            return refusal(400, fault.code)
        return None


def _check_headers(request: Request) -> uuid.UUID:
    if not request.header(b"apns-topic"):
        refuse(400, "MissingTopic")
    kind = request.header(b"apns-push-type") or "alert"
    if kind not in PUSH_TYPES:
        refuse(400, "InvalidPushType")
    priority = request.header(b"apns-priority") or "10"
    if priority not in ("10", "5", "1") or (kind == "background" and priority != "5"):
        refuse(400, "BadPriority")
    if not (request.header(b"apns-expiration") or "0").isdecimal():
        refuse(400, "BadExpirationDate")
    if len(request.headers.get(b"apns-collapse-id", b"")) > 64:
        refuse(400, "BadCollapseId")
    try:
        return uuid.UUID(request.header(b"apns-id") or str(uuid.uuid4()))
    except ValueError:
        refuse(400, "BadMessageId")


def _payload(request: Request) -> Json:
    limit = 5120 if request.header(b"apns-push-type") == "voip" else 4096
    if len(request.body) > limit:
        refuse(413, "PayloadTooLarge")
    try:
        payload = msgspec.json.decode(request.body)
    except msgspec.DecodeError:
        payload = None
    if not isinstance(payload, dict) or not isinstance(payload.get("aps"), dict):
        refuse(400, "PayloadEmpty")
    return payload


def _call(request: Request, device: str, apns_id: uuid.UUID, payload: Json) -> Call:
    aps = payload["aps"]
    alert = aps.get("alert") or {}
    alert = alert if isinstance(alert, dict) else {"body": str(alert)}
    title, body = str(alert.get("title", "")), str(alert.get("body", ""))
    badge = aps.get("badge")
    content = Push(
        platform="ios",
        title=title,
        body=body,
        app=request.header(b"apns-topic"),
        subtitle=str(alert.get("subtitle", "")),
        collapse_key=request.header(b"apns-collapse-id"),
        urgent=aps.get("interruption-level") in ("time-sensitive", "critical"),
        badge=badge if isinstance(badge, int) else None,
        silent=not alert,
        payload=msgspec.Raw(request.body),
    )
    return Call(
        provider="apns",
        channel="push",
        recipient=device,
        message_id=apns_id.hex,
        user=user_key(str(payload.get("tenant", "")), str(payload.get("user", ""))),
        title=title or preview(body),
        text=preview(body) if title else "",
        content=encode(content),
    )

"""Firebase Cloud Messaging HTTP v1: one push, one request."""

from collections.abc import Mapping, Set
from typing import Any, Literal

import msgspec
from pydantic import Json

from tocsin.errors import About, DeliveryError, Misconfigured, RecipientGone, Rejected, Throttled, Transient
from tocsin.model.content import Outgoing, PushContent
from tocsin.model.engagement import Level
from tocsin.model.message import Message
from tocsin.model.statuses import Channel
from tocsin.providers.answers import read_json, wait_s
from tocsin.providers.base import Limits, Receipt
from tocsin.providers.clean import clean
from tocsin.providers.device_doubt import DeviceDoubt
from tocsin.providers.google_auth import AUDIENCE, GoogleTokens, ServiceAccount
from tocsin.providers.http import Clock, Response, Transport
from tocsin.providers.push import app_data, aps, collapse_id, ttl_s
from tocsin.providers.registry import Parts, provider
from tocsin.providers.vendor import HttpAccount, Url, check_size, content_of

LIMITS = Limits(max_bytes=4096, rate_per_s=10_000, timeout_s=10)

MAX_TTL_S = 2_419_200

PLATFORMS = frozenset({"android", "ios"})
"""What Google carries. An account of a vendor that owns a platform takes it over."""

ERRORS: Mapping[str, type[DeliveryError]] = {
    "UNREGISTERED": RecipientGone,
    "SENDER_ID_MISMATCH": RecipientGone,
    "INVALID_ARGUMENT": Rejected,
    "THIRD_PARTY_AUTH_ERROR": Misconfigured,
    "UNAUTHENTICATED": Misconfigured,
    "PERMISSION_DENIED": Misconfigured,
    "NOT_FOUND": Misconfigured,
    "QUOTA_EXCEEDED": Throttled,
    "RESOURCE_EXHAUSTED": Throttled,
    "UNAVAILABLE": Transient,
    "INTERNAL": Transient,
    "DEADLINE_EXCEEDED": Transient,
}
"""`errorCode` of the FcmError detail, or else `status`, to error.

SENDER_ID_MISMATCH is doubted first (`DeviceDoubt`). INVALID_ARGUMENT is `RecipientGone` only with the
FcmError detail and a message that says that the registration token is not valid.
"""

_INVALID_TOKEN = "registration token is not a valid"  # noqa: S105  # Google's words

ABOUT: Mapping[str, About] = {"THIRD_PARTY_AUTH_ERROR": About.MESSAGE}
"""Code to what it is about, where its error's class says otherwise.

THIRD_PARTY_AUTH_ERROR names the APNs or web push key behind one app: other apps and Android are served.
"""

WAIT_S: Mapping[type[DeliveryError], float] = {Throttled: 60.0, Transient: 10.0}
"""How long to wait where Google names no time (scale-fcm guide)."""

_CHECK = {
    "message": {"topic": "tocsin-check", "notification": {"title": "check", "body": "check"}},
    "validateOnly": True,
}
_OF_A_CHECK = frozenset({"INVALID_ARGUMENT", "UNREGISTERED"})
"""Codes about a message that is only checked: whoever gets them has been let in."""

_FCM_ERROR = "type.googleapis.com/google.firebase.fcm.v1.FcmError"


class FcmAccount(HttpAccount):
    """Settings of a Firebase project: its service account's JSON (`credentials_file` reads it from a file).

    Attributes:
        token_url: where assertions are traded for access tokens.
        channel_id: Android notification channel the app has made, empty for its default.
        validate_only: check requests, send nothing.
    """

    vendor: Literal["fcm"]
    credentials: Json[ServiceAccount] | ServiceAccount
    base_url: Url = "https://fcm.googleapis.com"
    token_url: Url = AUDIENCE
    channel_id: str = ""
    validate_only: bool = False


def _build(name: str, account: FcmAccount, parts: Parts) -> "Fcm":
    transport = parts.open_transport(account.http_policy())
    return Fcm(name, account, transport, parts.clock, platforms=PLATFORMS - parts.owned_platforms)


@provider("fcm", Channel.PUSH, FcmAccount, build=_build, reports={Level.OPENED, Level.CLICKED})
class Fcm:
    """Sends push notifications. A 200 means accepted by Google, nothing more.

    `platforms` are those this account carries: not those that a vendor with an account of its own owns.
    """

    channel = Channel.PUSH

    def __init__(
        self, name: str, account: FcmAccount, transport: Transport, clock: Clock, *, platforms: Set[str]
    ) -> None:
        self.name = name
        self.limits = account.limits(LIMITS)
        self._platforms = platforms
        self._account = account
        self._transport = transport
        self._clock = clock
        self._doubt = DeviceDoubt()
        self._tokens = GoogleTokens(
            account.credentials, account.token_url, transport, clock, self.limits.timeout_s
        )
        self._url = f"{account.base_url}/v1/projects/{account.credentials.project_id}/messages:send"

    def accepts(self, message: Message) -> bool:
        """Carry pushes to the platforms of this account."""
        return message.channel == Channel.PUSH and message.target.platform in self._platforms

    async def send(self, outgoing: Outgoing) -> Receipt:
        """Hand over one push; see `Provider.send`. A refused access token is renewed once."""
        document = self._document(outgoing.message, content_of(outgoing, PushContent))
        answer = await self._ask(msgspec.json.encode(document))
        if 200 <= answer.status < 300:
            self._doubt.took()
            return Receipt(read_json(answer.body, _Answer).name, str(answer.status))
        if _error_code(read_json(answer.body, _Answer)) == "SENDER_ID_MISMATCH":
            raise self._foreign(outgoing)
        raise _error(answer, outgoing, self._clock())

    async def verify(self) -> str:
        """Have a push to a topic checked, which Google does not send; see `Verifiable.verify`."""
        answer = await self._ask(msgspec.json.encode(_CHECK))
        if answer.status != 200 and _fcm_code(read_json(answer.body, _Answer).error) not in _OF_A_CHECK:
            raise _error(answer, None, self._clock())
        account = self._account.credentials
        return f"project {account.project_id}, as {account.client_email}"

    async def close(self) -> None:
        """Close the connections."""
        await self._transport.close()

    async def _ask(self, body: bytes) -> Response:
        """Send a request; a refused access token is renewed once."""
        token = await self._tokens.token()
        answer = await self._post(body, token)
        if answer.status == 401 and _error_code(read_json(answer.body, _Answer)) == "UNAUTHENTICATED":
            return await self._post(body, await self._tokens.token(refused=token))
        return answer

    def _foreign(self, outgoing: Outgoing) -> DeliveryError:
        """Class a token of another project: the device's fault, or, if everybody has one, the account's."""
        kind = self._doubt.refused(outgoing.message.target.address)
        text = "the device token belongs to another Firebase project"
        return kind(text, code="SENDER_ID_MISMATCH", about=About.RECIPIENT if kind is Transient else None)

    async def _post(self, body: bytes, token: str) -> Response:
        headers = {"authorization": f"Bearer {token}", "content-type": "application/json"}
        return await self._transport.request("POST", self._url, headers, body, self.limits.timeout_s)

    def _document(self, message: Message, content: PushContent) -> dict[str, Any]:
        data = app_data(message, content)
        _check_data(data)
        check_size(_payload_bytes(content, data), self.limits.max_bytes, "the payload in bytes")
        life_s = ttl_s(message, content, self._clock(), MAX_TTL_S)
        document: dict[str, Any] = {
            "token": message.target.address,
            "notification": {"title": content.title, "body": content.body},
            "data": data,
        }
        if message.target.platform == "ios":
            document["apns"] = _apns(content, int(self._clock()) + life_s)
        else:
            document["android"] = _android(content, life_s, self._account.channel_id)
        body: dict[str, Any] = {"message": document}
        return body | {"validateOnly": True} if self._account.validate_only else body


def _android(content: PushContent, life_s: int, channel_id: str) -> dict[str, Any]:
    notification = {"channelId": channel_id} if channel_id else {}
    android: dict[str, Any] = {"priority": "HIGH" if content.urgent else "NORMAL", "ttl": f"{life_s}s"}
    if content.collapse_key:
        android["collapseKey"] = content.collapse_key
        notification["tag"] = content.collapse_key  # a shown notification is replaced, not doubled
    return android | {"notification": notification} if notification else android


def _apns(content: PushContent, expires_s: int) -> dict[str, Any]:
    headers = {
        "apns-push-type": "alert",
        "apns-priority": "10" if content.urgent else "5",
        "apns-expiration": str(expires_s),
    }
    if content.collapse_key:
        headers["apns-collapse-id"] = collapse_id(content.collapse_key)
    return {"headers": headers, "payload": {"aps": aps(content)}}


def _check_data(data: Mapping[str, str]) -> None:
    """Refuse the data keys FCM keeps for itself: it would refuse the whole message."""
    for key in data:
        if key in ("from", "message_type") or key.startswith(("google", "gcm")):
            msg = f"the data key {clean(key)!r} is reserved by FCM"
            raise Rejected(msg, code="INVALID_ARGUMENT")


def _payload_bytes(content: PushContent, data: Mapping[str, str]) -> int:
    parts = [content.title, content.body, *data, *data.values()]
    return len("".join(parts).encode())


class _Detail(msgspec.Struct, rename={"kind": "@type", "error_code": "errorCode"}):
    kind: str | None = None
    error_code: str | None = None


class _Refusal(msgspec.Struct):
    message: str | None = None
    status: str | None = None
    details: list[_Detail | None] | None = None


class _Answer(msgspec.Struct):
    name: str = ""
    error: _Refusal = msgspec.field(default_factory=_Refusal)


def _fcm_code(refusal: _Refusal) -> str:
    details = [detail for detail in refusal.details or () if detail]
    return next((detail.error_code or "" for detail in details if detail.kind == _FCM_ERROR), "")


def _error_code(answer: _Answer) -> str:
    return _fcm_code(answer.error) or answer.error.status or ""


def _error(answer: Response, outgoing: Outgoing | None, now_s: float) -> DeliveryError:
    said = read_json(answer.body, _Answer)
    refusal, code = said.error, _error_code(said)
    kind = ERRORS.get(code) or _by_status(answer.status)
    message = refusal.message or ""
    if _fcm_code(refusal) == "INVALID_ARGUMENT" and _INVALID_TOKEN in message.lower():
        kind = RecipientGone
    text = clean(message, outgoing) or f"HTTP {answer.status}"
    seconds = wait_s(kind, answer, now_s, WAIT_S.get(kind))
    return kind(text, code=code or str(answer.status), retry_after_s=seconds, about=ABOUT.get(code))


def _by_status(status: int) -> type[DeliveryError]:
    if status == 429:
        return Throttled
    if status >= 500:
        return Transient
    if status in (401, 403, 404) or status < 400:
        return Misconfigured
    return Rejected

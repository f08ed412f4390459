"""Apple Push Notification service over HTTP/2 with token authentication: one push, one stream."""

import re
import uuid
from collections.abc import Mapping
from typing import Annotated, Any, Literal

import msgspec
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, EllipticCurvePrivateKey
from cryptography.hazmat.primitives.serialization import load_pem_private_key
from pydantic import Field, SecretStr, field_validator

from tocsin.errors import (
    About,
    Declined,
    DeliveryError,
    Misconfigured,
    RecipientGone,
    Rejected,
    Throttled,
    Transient,
)
from tocsin.model.content import Outgoing, PushContent
from tocsin.model.engagement import Level
from tocsin.model.message import Message
from tocsin.model.statuses import Channel
from tocsin.providers.answers import read_json, wait_s
from tocsin.providers.apple_token import ProviderToken, RedisTokenShare, TokenShare
from tocsin.providers.base import Limits, Receipt
from tocsin.providers.clean import clean
from tocsin.providers.device_doubt import DeviceDoubt
from tocsin.providers.http import Clock, HttpPolicy, Response, Transport
from tocsin.providers.push import app_data, aps, collapse_id, ttl_s
from tocsin.providers.registry import Parts, provider
from tocsin.providers.vendor import HttpAccount, Url, check_size, content_of

LIMITS = Limits(max_bytes=4096, timeout_s=10)

MAX_TTL_S = 2_592_000

ERRORS: Mapping[str, type[DeliveryError]] = {
    # the device token
    "Unregistered": RecipientGone,
    "ExpiredToken": RecipientGone,
    "BadDeviceToken": RecipientGone,
    "DeviceTokenNotForTopic": RecipientGone,
    # the request
    "PayloadTooLarge": Rejected,
    "PayloadEmpty": Rejected,
    "BadCollapseId": Rejected,
    "BadExpirationDate": Rejected,
    "BadMessageId": Rejected,
    "BadPriority": Rejected,
    "BadTopic": Rejected,
    "DuplicateHeaders": Rejected,
    "InvalidPushType": Rejected,
    "MissingDeviceToken": Rejected,
    "MissingTopic": Rejected,
    "BadPath": Rejected,
    "MethodNotAllowed": Rejected,
    # the account
    "InvalidProviderToken": Misconfigured,
    "MissingProviderToken": Misconfigured,
    "ExpiredProviderToken": Misconfigured,
    "Forbidden": Misconfigured,
    "BadCertificate": Misconfigured,
    "BadCertificateEnvironment": Misconfigured,
    "UnrelatedKeyIdInToken": Misconfigured,
    "BadEnvironmentKeyIdInToken": Misconfigured,
    "BadEnvironmentKeyInToken": Misconfigured,
    "TopicDisallowed": Misconfigured,
    # later
    "TooManyRequests": Throttled,
    "TooManyProviderTokenUpdates": Throttled,
    "InternalServerError": Transient,
    "ServiceUnavailable": Transient,
    "Shutdown": Transient,
    "IdleTimeout": Transient,
}
"""`reason` to error; see `Apns` for those that are renewed, compared or doubted first."""

FOREIGN = frozenset({"BadDeviceToken", "DeviceTokenNotForTopic"})
"""Reasons that say of every device: the account's environment or topic is another app's."""

NO_DEVICE = "0" * 64
"""A device token that no device has."""

APPS = 1_000
"""Apps of one key whose refused devices are remembered."""

RECONNECT = frozenset({"UnrelatedKeyIdInToken", "Shutdown", "IdleTimeout"})
"""Reasons after which the next push needs a new connection."""


_TOPIC = re.compile("[!-~]+")


class ApnsAccount(HttpAccount):
    """Settings of an Apple key: its PEM text (`key_file` reads the .p8), its id and the team's.

    Attributes:
        topic: bundle id for devices whose profile names no app.
        base_url: production; development tokens need https://api.sandbox.push.apple.com.
    """

    vendor: Literal["apns"]
    key: SecretStr
    key_id: Annotated[str, Field(min_length=1)]
    team_id: Annotated[str, Field(min_length=1)]
    topic: Annotated[str, Field(pattern=r"^[!-~]*$")] = ""
    base_url: Url = "https://api.push.apple.com"

    @field_validator("key")
    @classmethod
    def _p256(cls, value: SecretStr) -> SecretStr:
        p256_key(value)
        return value

    def http_policy(self) -> HttpPolicy:
        """APNs speaks HTTP/2 only."""
        return msgspec.structs.replace(super().http_policy(), http2="only")


def p256_key(pem: SecretStr) -> EllipticCurvePrivateKey:
    """Read a P-256 private key.

    Raises:
        ValueError: it is not one; the text does not quote it.
    """
    try:
        key = load_pem_private_key(pem.get_secret_value().encode(), password=None)
    except (ValueError, TypeError):
        key = None
    if not isinstance(key, EllipticCurvePrivateKey) or not isinstance(key.curve, SECP256R1):
        msg = "is not a P-256 private key in PEM (the .p8 file from Apple)"
        raise ValueError(msg)
    return key


class _Answer(msgspec.Struct):
    reason: str = ""
    timestamp: int = 0


def _build(name: str, account: ApnsAccount, parts: Parts) -> "Apns":
    transport = parts.open_transport(account.http_policy())
    share = RedisTokenShare(parts.redis) if parts.redis else None
    return Apns(name, account, transport, parts.clock, share)


@provider(
    "apns", Channel.PUSH, ApnsAccount, build=_build, owns={"ios"}, reports={Level.OPENED, Level.CLICKED}
)
class Apns:
    """Sends push notifications to iOS. A 200 means accepted by Apple, nothing more.

    An expired provider token is renewed once and the push repeated. A device token that Apple calls dead
    since before the device registered it again is not dead: `Transient`. Streams above a GOAWAY's last
    stream were not processed, and the transport sends them again on a new connection. A foreign device token
    is gone only once the account has served another device since (`DeviceDoubt`).
    """

    channel = Channel.PUSH

    def __init__(
        self,
        name: str,
        account: ApnsAccount,
        transport: Transport,
        clock: Clock,
        share: TokenShare | None = None,
    ) -> None:
        self.name = name
        self.limits = account.limits(LIMITS)
        self._account = account
        self._transport = transport
        self._clock = clock
        self._token = ProviderToken(p256_key(account.key), account.key_id, account.team_id, clock, share)
        self._doubts: dict[str, DeviceDoubt] = {}
        self._connection = 0

    def accepts(self, message: Message) -> bool:
        """Carry pushes to iOS."""
        return message.channel == Channel.PUSH and message.target.platform == "ios"

    async def send(self, outgoing: Outgoing) -> Receipt:
        """Hand over one push; see `Provider.send`."""
        message, content = outgoing.message, content_of(outgoing, PushContent)
        body = msgspec.json.encode(_payload(message, content))
        check_size(len(body), self.limits.max_bytes, "the payload in bytes")
        headers = self._headers(message, content, await self._token.current())
        connection = self._connection
        answer = await self._post(message, headers, body)
        if answer.status == 403 and read_json(answer.body, _Answer).reason == "ExpiredProviderToken":
            answer = await self._repeat(message, headers, body, answer)
        if answer.status == 200:
            self._doubt(message).took()
            return Receipt(answer.headers.get("apns-id", ""), "200")
        if read_json(answer.body, _Answer).reason in RECONNECT and connection == self._connection:
            self._connection += 1  # once for all the pushes that the old connection refused
            await self._transport.reconnect()
        raise self._error(answer, message)

    async def verify(self) -> str:
        """Push to a device that cannot be: Apple refuses it once it has let the key in.

        See `Verifiable.verify`.
        """
        account = self._account
        headers = {
            "authorization": f"bearer {await self._token.current()}",
            "apns-topic": account.topic or "tocsin.check",
            "apns-push-type": "alert",
            "apns-priority": "5",
        }
        body = b'{"aps":{"alert":"check"}}'
        url = f"{account.base_url}/3/device/{NO_DEVICE}"
        answer = await self._transport.request("POST", url, headers, body, self.limits.timeout_s)
        said = read_json(answer.body, _Answer)
        if answer.status == 200:
            msg = "a push to a device that cannot be was taken: base_url is not Apple's"
            raise Misconfigured(msg, code="200")
        if said.reason not in FOREIGN:
            kind = ERRORS.get(said.reason) or _by_status(answer.status)
            text = clean(said.reason) or f"HTTP {answer.status}"
            raise kind(text, code=text)
        return f"team {account.team_id}, key {account.key_id}, topic {account.topic or 'of each device'}"

    async def close(self) -> None:
        """Close the connections."""
        await self._transport.close()

    async def _post(self, message: Message, headers: Mapping[str, str], body: bytes) -> Response:
        device = message.target.address
        if not device.isalnum() or not device.isascii():
            msg = "the device token is not hexadecimal"
            raise Rejected(msg, code="BadDeviceToken")
        url = f"{self._account.base_url}/3/device/{device}"
        return await self._transport.request("POST", url, headers, body, self.limits.timeout_s)

    async def _repeat(
        self, message: Message, headers: Mapping[str, str], body: bytes, answer: Response
    ) -> Response:
        refused = headers["authorization"].removeprefix("bearer ")
        token = await self._token.after_expiry(refused)
        if not token:
            return answer
        return await self._post(message, {**headers, "authorization": f"bearer {token}"}, body)

    def _headers(self, message: Message, content: PushContent, token: str) -> dict[str, str]:
        life_s = ttl_s(message, content, self._clock(), MAX_TTL_S)
        headers = {
            "authorization": f"bearer {token}",
            "apns-topic": self._topic(message),
            "apns-push-type": "alert",
            "apns-id": _apns_id(message.message_id),
            "apns-priority": "10" if content.urgent else "5",
            "apns-expiration": str(int(self._clock()) + life_s if life_s else 0),
        }
        if content.collapse_key:
            headers["apns-collapse-id"] = collapse_id(content.collapse_key)
        return headers

    def _topic(self, message: Message) -> str:
        topic = message.target.app or self._account.topic
        if not topic:
            msg = "neither the device nor the account names an app (topic)"
            raise Declined(msg, code="MissingTopic")
        if not _TOPIC.fullmatch(topic):
            msg = "the device's app is not a bundle id"
            raise Declined(msg, code="BadTopic")
        return topic

    def _error(self, answer: Response, message: Message) -> DeliveryError:
        said = read_json(answer.body, _Answer)
        kind = self._kind(answer.status, said, message)
        seconds = wait_s(kind, answer, self._clock())
        text = clean(said.reason) or f"HTTP {answer.status}"
        about = _about(answer.status, said.reason, kind, foreign_app=self._serves_another(message))
        since_ms = said.timestamp if kind is RecipientGone else 0
        return kind(text, code=text, retry_after_s=seconds, about=about, since_ms=since_ms)

    def _serves_another(self, message: Message) -> bool:
        """Tell whether another app has been served: then the account itself works."""
        app = message.target.app
        return bool(app) and any(doubt.has_served for name, doubt in self._doubts.items() if name != app)

    def _kind(self, status: int, said: _Answer, message: Message) -> type[DeliveryError]:
        kind = ERRORS.get(said.reason) or _by_status(status)
        if status == 410 and 0 < said.timestamp <= message.target.registered_ms:
            return Transient  # the device registered after Apple saw this token die
        if said.reason == "DeviceTokenNotForTopic" and not message.target.app:
            return Misconfigured  # the topic is the account's, so the account is wrong
        return self._doubt(message).refused(message.target.address) if said.reason in FOREIGN else kind

    def _doubt(self, message: Message) -> DeviceDoubt:
        """Return what is known of one app: that another app is served proves nothing of it."""
        if len(self._doubts) > APPS:
            self._doubts.clear()  # names of apps come from profiles
        return self._doubts.setdefault(message.target.app, DeviceDoubt())


def _about(status: int, reason: str, kind: type[DeliveryError], *, foreign_app: bool) -> About | None:
    """Tell what is about one device although its error's class says otherwise.

    TooManyRequests counts the pushes to one device. A 410 that is not RecipientGone is an old token's. A
    foreign token says nothing of the account until several do; then `foreign_app` tells whether it speaks of
    one app only.
    """
    if reason == "TooManyRequests" or status == 410 or (reason in FOREIGN and kind is Transient):
        return About.RECIPIENT
    return About.MESSAGE if foreign_app and reason in FOREIGN and kind is Misconfigured else None


def _apns_id(message_id: str) -> str:
    """Write a message id as the UUID Apple wants: message ids are 32 hex digits (`tocsin.model.ids`)."""
    return str(uuid.UUID(message_id))


def _payload(message: Message, content: PushContent) -> dict[str, Any]:
    return {**app_data(message, content), "aps": aps(content)}


def _by_status(status: int) -> type[DeliveryError]:
    if status == 429:
        return Throttled
    if status >= 500:
        return Transient
    if status in (401, 403) or status < 400:
        return Misconfigured
    return Rejected

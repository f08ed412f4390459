"""Web Push: notifications of browsers, encrypted for each (RFC 8030, 8291, 8292)."""

import re
from collections.abc import Mapping
from typing import Annotated, Any, Literal, NamedTuple
from urllib.parse import urlsplit

import msgspec
from pydantic import AfterValidator, SecretStr, field_validator

from tocsin.errors import (
    About,
    DeliveryError,
    Misconfigured,
    RecipientGone,
    Rejected,
    Throttled,
    Transient,
)
from tocsin.formats.shapes import is_email
from tocsin.model.content import Outgoing, PushContent
from tocsin.model.engagement import Level
from tocsin.model.ids import digest
from tocsin.model.message import Message
from tocsin.model.statuses import Channel
from tocsin.providers.answers import read_json, wait_s
from tocsin.providers.base import Limits, Receipt
from tocsin.providers.clean import clean
from tocsin.providers.device_doubt import DeviceDoubt
from tocsin.providers.http import Clock, HttpPolicy, Response, Transport
from tocsin.providers.push import app_data, ttl_s
from tocsin.providers.push_encryption import Keys, encrypt, read_keys
from tocsin.providers.registry import provider
from tocsin.providers.vapid import ORIGINS, Vapid, read_key
from tocsin.providers.vendor import HttpAccount, check_size, content_of

LIMITS = Limits(max_bytes=3000, rate_per_s=1000, timeout_s=10)
"""Push services must take 3,993 bytes of text; some take about 3 kB."""

MAX_TTL_S = 2_419_200

HOSTS = (
    "fcm.googleapis.com",
    "*.push.services.mozilla.com",
    "web.push.apple.com",
    "*.push.apple.com",
    "*.notify.windows.com",
)
"""The push services of the browsers in use: Chrome and its kin, Firefox, Safari, Edge."""

ERRORS: Mapping[int, type[DeliveryError]] = {
    404: RecipientGone,
    410: RecipientGone,
    400: Rejected,
    413: Rejected,
    401: Misconfigured,
    403: Misconfigured,
    429: Throttled,
    500: Transient,
    502: Transient,
    503: Transient,
    504: Transient,
}
"""HTTP status to error; other 4xx refuse the message, other 5xx are `Transient`. 403 is doubted first."""

OURS = frozenset({"BadJwtToken", "ExpiredJwtToken", "MissingJwtToken"})
"""Apple's reasons of a 403 that are about the account, whatever the subscription."""

WAIT_S: Mapping[type[DeliveryError], float] = {Throttled: 60.0}
"""How long to wait where the push service names no time."""

_TOPIC = re.compile(r"[A-Za-z0-9]{1,32}")
_DEFAULT_PORTS = {"https": 443, "http": 80}


def _subject(value: str) -> str:
    """Take a subject that all push services take; Apple refuses many that others do not look at."""
    address = value.removeprefix("mailto:")
    domain = address.rpartition("@")[2] if address != value else urlsplit(value).hostname or ""
    is_fine = is_email(address) if address != value else value.startswith("https://")
    if not is_fine or "." not in domain or re.search(r"[\s<>]", value) or domain.endswith(".localhost"):
        msg = "must be mailto: and an address, or an https URL, of a real domain"
        raise ValueError(msg)
    return value


class WebPushAccount(HttpAccount):
    """Settings of a VAPID key, which every subscription of a site is bound to.

    Attributes:
        key: the private key, PEM or base64url (`key_file` reads it from a file).
        subject: `mailto:` or https URL of whom a push service may turn to.
        hosts: push services that are called; `*.` before a name takes all below it, and `*` alone every
            public host.
        allow_private: take plain http and private addresses, too: for a push service of tests.
    """

    vendor: Literal["webpush"]
    key: SecretStr
    subject: Annotated[str, AfterValidator(_subject)]
    hosts: tuple[str, ...] = HOSTS
    allow_private: bool = False

    @field_validator("key")
    @classmethod
    def _p256(cls, value: SecretStr) -> SecretStr:
        read_key(value.get_secret_value())
        return value

    def http_policy(self) -> HttpPolicy:
        """Call public addresses only."""
        return msgspec.structs.replace(super().http_policy(), public_only=not self.allow_private)


class Endpoint(NamedTuple):
    """A browser's address at its push service."""

    url: str
    origin: str
    keys: Keys


@provider("webpush", Channel.WEBPUSH, WebPushAccount, reports={Level.OPENED, Level.CLICKED})
class WebPush:
    """Sends to browsers. A 2xx means that the push service has it, nothing more.

    A push service that answers 403 takes the subscription for one of another key. It may be right, or the
    account may have the wrong key. So the message is refused for good only once the same push service has
    taken another one since; and the browser is never blocked for it: the right key would reach it.
    """

    channel = Channel.WEBPUSH

    def __init__(self, name: str, account: WebPushAccount, transport: Transport, clock: Clock) -> None:
        self.name = name
        self.limits = account.limits(LIMITS)
        self._account = account
        self._transport = transport
        self._clock = clock
        self._vapid = Vapid(read_key(account.key.get_secret_value()), account.subject, clock)
        self._doubts: dict[str, DeviceDoubt] = {}

    def accepts(self, message: Message) -> bool:
        """Carry messages to the push services of `hosts`; another account may have the others."""
        return message.channel == Channel.WEBPUSH and self._is_served(_host(_address(message)))

    async def send(self, outgoing: Outgoing) -> Receipt:
        """Hand over one notification; see `Provider.send`."""
        message, content = outgoing.message, content_of(outgoing, PushContent)
        endpoint = self._endpoint(message)
        plain = msgspec.json.encode(payload(message, content))
        check_size(len(plain), self.limits.max_bytes, "the payload in bytes")
        headers = self._headers(message, content, endpoint.origin)
        body = encrypt(plain, endpoint.keys)
        answer = await self._transport.request("POST", endpoint.url, headers, body, self.limits.timeout_s)
        if 200 <= answer.status < 300:
            self._doubt(endpoint.origin).took()
            return Receipt(_resource(answer), str(answer.status))
        raise self._error(answer, outgoing, endpoint.origin)

    async def close(self) -> None:
        """Close the connections."""
        await self._transport.close()

    def _endpoint(self, message: Message) -> Endpoint:
        """Read the subscription.

        Raises:
            RecipientGone: its keys are none: no message can reach it.
            Rejected: it lies at a host that is not called.
        """
        given, url = message.target.subscription or {}, _address(message)
        origin = self._origin(url)
        try:
            return Endpoint(url, origin, read_keys(given.get("p256dh", ""), given.get("auth", "")))
        except ValueError:
            failure = RecipientGone("the keys of the subscription are none", code="bad_subscription")
        raise failure

    def _origin(self, url: str) -> str:
        try:
            parts = urlsplit(url)
            host, port = parts.hostname or "", parts.port
        except ValueError:
            parts, host, port = urlsplit(""), "", None
        schemes = ("https", "http") if self._account.allow_private else ("https",)
        if parts.scheme not in schemes or not self._is_served(host):
            text = "the push service of the subscription is none that the account calls (`hosts`)"
            raise Rejected(text, code="host_not_allowed", about=About.RECIPIENT)
        literal = f"[{host}]" if ":" in host else host
        shown = "" if port in (None, _DEFAULT_PORTS[parts.scheme]) else f":{port}"
        return f"{parts.scheme}://{literal}{shown}"

    def _is_served(self, host: str) -> bool:
        patterns = self._account.hosts
        return bool(host) and any(
            pattern == "*" or host == pattern or (pattern[:2] == "*." and host.endswith(pattern[1:]))
            for pattern in patterns
        )

    def _headers(self, message: Message, content: PushContent, origin: str) -> dict[str, str]:
        headers = {
            "authorization": self._vapid.header(origin),
            "content-encoding": "aes128gcm",
            "content-type": "application/octet-stream",
            "ttl": str(ttl_s(message, content, self._clock(), MAX_TTL_S)),
            "urgency": _urgency(message, content),
        }
        if content.collapse_key:
            headers["topic"] = topic(content.collapse_key)
        return headers

    def _error(self, answer: Response, outgoing: Outgoing, origin: str) -> DeliveryError:
        said = read_json(answer.body, _Refusal)
        kind = _kind(answer.status)
        code = said.reason or (str(said.errno) if said.errno else str(answer.status))
        text = clean(said.reason or said.message, outgoing) or f"HTTP {answer.status}"
        about = None
        if answer.status == 403 and said.reason not in OURS:
            doubted = self._doubt(origin).refused(outgoing.message.target.address)
            kind = Rejected if doubted is RecipientGone else doubted
            about = None if kind is Misconfigured else About.RECIPIENT
        seconds = wait_s(kind, answer, self._clock(), WAIT_S.get(kind))
        return kind(text, code=code, retry_after_s=seconds, about=about)

    def _doubt(self, origin: str) -> DeviceDoubt:
        """Return what is known of one push service: that another takes messages proves nothing of it."""
        if len(self._doubts) > ORIGINS:
            self._doubts.clear()
        return self._doubts.setdefault(origin, DeviceDoubt())


def _address(message: Message) -> str:
    return (message.target.subscription or {}).get("endpoint", "") or message.target.address


def _host(url: str) -> str:
    try:
        return urlsplit(url).hostname or ""
    except ValueError:
        return ""


def payload(message: Message, content: PushContent) -> dict[str, Any]:
    """Build what the service worker gets: a declarative web push message where there is a link.

    Safari shows one without any script of the site. Elsewhere the service worker shows `notification`.
    """
    shown: dict[str, Any] = {"title": content.title, "body": content.body, "lang": message.locale}
    if content.collapse_key:
        shown["tag"] = topic(content.collapse_key)
    shown["data"] = app_data(message, content)
    if not content.url:
        return {"notification": shown}
    return {"web_push": 8030, "notification": shown | {"navigate": content.url}}


def topic(key: str) -> str:
    """Fit a collapse key into a Topic of 32 letters and digits: as it is, or its hash.

    >>> topic("UA1545"), len(topic("UA 1545/2013-02-07"))
    ('UA1545', 32)
    """
    return key if _TOPIC.fullmatch(key) else digest("topic", key)


def _urgency(message: Message, content: PushContent) -> str:
    if content.urgent:
        return "high"
    return "low" if message.priority == "low" else "normal"


def _kind(status: int) -> type[DeliveryError]:
    return ERRORS.get(status) or (Transient if status >= 500 else Rejected)


class _Refusal(msgspec.Struct):
    reason: str = ""
    errno: int = 0
    message: str = ""


def _resource(answer: Response) -> str:
    """Name the message at the push service: Apple's id, or a hash of its address, which is a secret."""
    location = answer.headers.get("location", "")
    return answer.headers.get("apns-id", "") or (digest("location", location) if location else "")

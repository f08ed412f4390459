"""The HTTP transport: what adapters ask of it, and the fast implementation over pyreqwest.

A transport says whether a request that failed can have been processed. Only what is proven not to have left
(no connection, no free connection slot) is `Transient`; everything else is `Unknown`.
"""

import re
from collections.abc import Callable, Mapping
from datetime import UTC, timedelta
from email.utils import parsedate_to_datetime
from functools import lru_cache
from typing import Literal, Protocol
from urllib.parse import urlsplit

import msgspec
from pyreqwest.client import Client, ClientBuilder
from pyreqwest.exceptions import ClientClosedError, PoolTimeoutError, RequestError
from pyreqwest.proxy import ProxyBuilder

from tocsin.errors import DeliveryError, Misconfigured, Transient, Unknown
from tocsin.providers.tls import handshake_failed, untrusted

Clock = Callable[[], float]
"""Wall time in seconds since 1970 UTC: adapters sign and expire with it, and never read it themselves."""

MAX_RETRY_AFTER_S = 86_400.0
"""A provider that asks for more than a day is out of order; the operator's breaker decides then."""

# pyreqwest names nearly every failure ConnectError or ConnectTimeoutError, also a cut after the request was
# written (measured with 0.15.1), so the class proves nothing. Its list of causes does: these say "not sent".
_NOT_SENT = (
    "client error (Connect)",
    "refused stream before processing any application logic",
)

_HANDSHAKE = re.compile(
    r"(?:received (?:fatal alert|corrupt message)|peer (?:is incompatible|misbehaved)).*|tls handshake eof"
)
"""rustls's texts of handshakes that failed."""


class Response(msgspec.Struct, frozen=True):
    """A complete answer. Names in `headers` are looked up in lower case."""

    status: int
    headers: Mapping[str, str]
    body: bytes


POOL_TIMEOUT_S = 5.0


class HttpPolicy(msgspec.Struct, frozen=True):
    """How connections are made.

    Attributes:
        http2: `off` speaks HTTP/1.1, `offer` takes HTTP/2 where TLS agrees on it, `only` speaks nothing else.
        max_connections: requests in flight at once; more wait up to `pool_timeout_s`.
        connect_timeout_s: DNS, TCP and TLS together. Keep it below the deadline of the calls, or a slow
            connect counts as `Unknown`.
        first_byte_timeout_s: from the end of the request to the first byte of the answer, the head of an
            HTTP/2 answer; 0 for no bound but the deadline of the call.
        ca_pem: further root certificates to trust, in PEM.
        proxy: URL of an HTTP proxy, `http://user:password@host:port`; empty for none. No environment is read.
        public_only: call no address of a private network: the URLs come from users. HTTP/1.1 only.
    """

    http2: Literal["off", "offer", "only"] = "off"
    max_connections: int = 1024
    connect_timeout_s: float = 3
    first_byte_timeout_s: float = 0
    pool_timeout_s: float = POOL_TIMEOUT_S
    ca_pem: bytes = b""
    proxy: str = ""
    public_only: bool = False


class Transport(Protocol):
    """Carries one request to its answer. It never retries, follows no redirect and reads no environment."""

    async def request(
        self, method: str, url: str, headers: Mapping[str, str], body: bytes, timeout_s: float
    ) -> Response:
        """Send one request and read the whole answer, whatever its status.

        The call ends within `timeout_s` after it got a connection slot. No text of an exception names the
        URL, a header or the body.

        Args:
            method: `GET`, `POST`, …
            url: with its query.
            headers: the host and the length of the body are added.
            body: empty for none.
            timeout_s: from the connection slot to the last byte of the answer.

        Raises:
            Transient: certainly not sent: no connection, or no slot in the pool.
            Unknown: cut off or out of time when the request may have been written.
            Misconfigured: the URL or a header cannot be sent at all.
            Rejected: with `public_only`, the URL leads to no public address.
        """
        ...

    async def reconnect(self) -> None:
        """Open new connections from now on; requests in flight end on the old ones."""
        ...

    async def close(self) -> None:
        """Close every connection."""
        ...


class PyreqwestTransport:
    """`Transport` over pyreqwest: the hot path.

    A call that is cancelled runs on in the background until its deadline, and keeps its slot until then.
    """

    def __init__(self, policy: HttpPolicy) -> None:
        self._policy = policy
        self._client = _client(policy)

    async def request(
        self, method: str, url: str, headers: Mapping[str, str], body: bytes, timeout_s: float
    ) -> Response:
        """See `Transport.request`."""
        failure: DeliveryError
        try:
            request = self._client.request(method, url).headers(headers).body_bytes(body)
            answer = await request.timeout(_timedelta(timeout_s)).build().send()
            return Response(answer.status, answer.headers, bytes(await answer.bytes()))
        except RequestError as error:
            failure = _failure(error, url)
        except ValueError:
            failure = Misconfigured("the URL or a header of the request is not valid")
        raise failure

    async def reconnect(self) -> None:
        """See `Transport.reconnect`."""
        self._client = _client(self._policy)

    async def close(self) -> None:
        """See `Transport.close`."""
        await self._client.close()


def retry_after_s(headers: Mapping[str, str], now_s: float) -> float | None:
    """Read `Retry-After`, in seconds or as an HTTP date; None if absent or not understood.

    >>> retry_after_s({"retry-after": "120"}, now_s=0)
    120.0
    >>> retry_after_s({"retry-after": "Thu, 01 Jan 1970 00:01:00 GMT"}, now_s=45)
    15.0
    """
    value = headers.get("retry-after", "").strip()
    numbers = [each.strip() for each in value.split(",")]  # a header that a proxy repeated comes joined
    if all(each.isascii() and each.isdigit() for each in numbers):
        return min(max(map(float, numbers)), MAX_RETRY_AFTER_S)
    try:
        moment = parsedate_to_datetime(value)
    except (ValueError, OverflowError):
        return None
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    return min(max(0.0, moment.timestamp() - now_s), MAX_RETRY_AFTER_S)


def _client(policy: HttpPolicy) -> Client:
    builder = (
        ClientBuilder()
        .referer(False)
        .follow_redirects(False)
        .user_agent("tocsin")
        .max_connections(policy.max_connections)
        .connect_timeout(_timedelta(policy.connect_timeout_s))
        .pool_timeout(_timedelta(policy.pool_timeout_s))
    )
    builder = builder.proxy(ProxyBuilder.all(policy.proxy)) if policy.proxy else builder.no_proxy()
    if policy.first_byte_timeout_s:  # begins anew with each part of an answer
        builder = builder.read_timeout(_timedelta(policy.first_byte_timeout_s))
    if policy.http2 == "offer":
        builder = builder.http2(True)
    if policy.http2 == "only":
        builder = builder.http2_prior_knowledge()
    if policy.ca_pem:
        builder = builder.add_root_certificate_pem(policy.ca_pem)
    return builder.build()


def _failure(error: RequestError, url: str) -> DeliveryError:
    kind = type(error).__name__
    causes = " ".join([cause["message"] for cause in error.details.get("causes") or ()])
    if isinstance(error, PoolTimeoutError | ClientClosedError):
        return Transient(f"no connection was free ({kind})")
    host = urlsplit(url).hostname or ""
    _, refused, why = causes.partition("invalid peer certificate: ")
    if refused:
        return untrusted(host, why)
    if found := _HANDSHAKE.search(causes):
        return handshake_failed(host, found[0])
    if any(proof in causes for proof in _NOT_SENT):
        return Transient(f"no connection to the provider ({kind})")
    return Unknown(f"cut off before the answer was complete ({kind})")


@lru_cache(maxsize=64)
def _timedelta(seconds: float) -> timedelta:
    return timedelta(seconds=seconds)

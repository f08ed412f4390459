"""Sends HTTP requests with httpx2, for tests and benches that want its API and its fakes.

It uses about ten times the CPU of the transports in `tocsin.providers`; all pass the same contract suite.
"""

import asyncio
import ssl
from collections.abc import Mapping

import httpx2

from tocsin.errors import DeliveryError, Misconfigured, Transient, Unknown
from tocsin.providers.http import HttpPolicy, Response
from tocsin.providers.tls import client_context, of_ssl_error


class HttpxTransport:
    """Implements `Transport` over httpx2. `inner`, such as a fake of its own kind, replaces the network."""

    def __init__(self, policy: HttpPolicy, inner: httpx2.AsyncBaseTransport | None = None) -> None:
        self._policy = policy
        self._inner = inner
        self._client = _client(policy, inner)
        self._former: list[httpx2.AsyncClient] = []

    async def request(
        self, method: str, url: str, headers: Mapping[str, str], body: bytes, timeout_s: float
    ) -> Response:
        """See `Transport.request`."""
        failure: DeliveryError
        try:
            async with asyncio.timeout(timeout_s + self._policy.pool_timeout_s):
                answer = await self._client.request(
                    method, url, headers=dict(headers), content=body, timeout=self._timeouts(timeout_s)
                )
            return Response(answer.status_code, answer.headers, answer.content)
        except (httpx2.ConnectError, httpx2.ConnectTimeout, httpx2.PoolTimeout) as error:
            failure = _no_connection(error, url)
        except (httpx2.LocalProtocolError, httpx2.UnsupportedProtocol, httpx2.InvalidURL, ValueError):
            failure = Misconfigured("the URL or a header of the request is not valid")
        except (httpx2.HTTPError, TimeoutError) as error:
            failure = Unknown(f"cut off before the answer was complete ({type(error).__name__})")
        except RuntimeError:  # httpx2's word for a client that was closed
            failure = Transient("no connection was free (closed)")
        raise failure

    async def reconnect(self) -> None:
        """See `Transport.reconnect`."""
        self._former.append(self._client)
        self._client = _client(self._policy, self._inner)

    async def close(self) -> None:
        """See `Transport.close`."""
        for client in (self._client, *self._former):
            await client.aclose()

    def _timeouts(self, timeout_s: float) -> httpx2.Timeout:
        policy = self._policy
        read_s = min(timeout_s, policy.first_byte_timeout_s or timeout_s)
        return httpx2.Timeout(
            timeout_s, connect=policy.connect_timeout_s, pool=policy.pool_timeout_s, read=read_s
        )


def _no_connection(error: BaseException, url: str) -> DeliveryError:
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, ssl.SSLError):
            return of_ssl_error(httpx2.URL(url).host, cause)
        cause = cause.__cause__ or cause.__context__
    return Transient(f"no connection to the provider ({type(error).__name__})")


def _client(policy: HttpPolicy, inner: httpx2.AsyncBaseTransport | None) -> httpx2.AsyncClient:
    return httpx2.AsyncClient(
        transport=inner,
        http1=policy.http2 != "only",
        http2=policy.http2 != "off",
        verify=client_context(policy.ca_pem),
        trust_env=False,
        follow_redirects=False,
        headers={"user-agent": "tocsin"},
        limits=httpx2.Limits(max_connections=policy.max_connections),
    )

"""The HTTP/1.1 transport of the hot path: asyncio's protocols, and a parser in C (httptools).

A request is one write and one parse; there is no task, lock or stream between the socket and the caller. It
passes the same contract suite as the transports over pyreqwest and httpx2, and costs less CPU than either
(`python -m bench.http`). HTTP/2 is left to pyreqwest.
"""

import ssl
from collections.abc import Mapping

from tocsin.providers.http import HttpPolicy, Response
from tocsin.providers.http_pool import Pool
from tocsin.providers.http_request import head_of, target_of
from tocsin.providers.tls import client_context


class AsyncioTransport:
    """`Transport` over plain asyncio protocols, HTTP/1.1 only.

    A call that is cancelled or out of time closes its connection at once, and its slot is free again.
    """

    def __init__(self, policy: HttpPolicy) -> None:
        self._policy = policy
        self._tls = _tls(policy)
        self._pool = Pool(policy, self._tls)

    async def request(
        self, method: str, url: str, headers: Mapping[str, str], body: bytes, timeout_s: float
    ) -> Response:
        """See `Transport.request`."""
        target = target_of(url)
        head = head_of(method, target, headers, len(body))
        pool = self._pool
        connection = pool.idle(target.origin)
        if connection is None:
            connection = await pool.connect(target.origin, timeout_s)
            timeout_s -= connection.age_s()
        try:
            return await connection.exchange(head, body, timeout_s, bodiless=method == "HEAD")
        finally:
            connection.finish()
            pool.give_back(connection)

    async def reconnect(self) -> None:
        """See `Transport.reconnect`."""
        self._pool.retire()
        self._pool = Pool(self._policy, self._tls)

    async def close(self) -> None:
        """See `Transport.close`."""
        self._pool.retire()


def _tls(policy: HttpPolicy) -> ssl.SSLContext:
    context = client_context(policy.ca_pem)
    context.set_alpn_protocols(["http/1.1"])
    return context

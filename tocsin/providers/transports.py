"""Which transport serves an account: HTTP/1.1 on our own protocols, HTTP/2 through pyreqwest."""

from tocsin.providers.http import HttpPolicy, PyreqwestTransport, Transport
from tocsin.providers.http_asyncio import AsyncioTransport


def open_transport(policy: HttpPolicy) -> Transport:
    """Open the fastest transport that speaks what the policy asks for."""
    return AsyncioTransport(policy) if policy.http2 == "off" else PyreqwestTransport(policy)

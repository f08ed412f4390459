"""Opens connections, directly or through a proxy (CONNECT). What fails here was certainly not sent.

| what fails | error |
|---|---|
| the name of the server or proxy cannot be resolved | transient, code `dns` |
| no connection, or the time for it is over | transient |
| the proxy refuses the user, or the server | configuration, code `proxy` and its status |
| the proxy cannot reach the server | transient, code `proxy` and its status |
| the certificate or TLS | `tocsin.providers.tls` |
"""

import asyncio
import re
import socket
import ssl
from base64 import b64encode
from typing import Any, NamedTuple, cast
from urllib.parse import unquote, urlsplit

from tocsin.errors import DeliveryError, Misconfigured, Transient
from tocsin.providers.public_hosts import public_address
from tocsin.providers.tls import closed_in_handshake, of_ssl_error

_STATUS = re.compile(rb"HTTP/1\.[01] (\d{3})")
_MAX_HEAD_BYTES = 16_384


class Origin(NamedTuple):
    """Where connections lead; those of one origin are interchangeable."""

    host: str
    port: int
    tls: bool


class Proxy(NamedTuple):
    """A proxy, and the header that names its user; empty for none."""

    host: str
    port: int
    login: str = ""


class Way(NamedTuple):
    """How connections are made.

    Attributes:
        tls: for origins that ask for it.
        proxy: that leads to them; None for none.
        public_only: only to public addresses (`tocsin.providers.public_hosts`).
    """

    tls: ssl.SSLContext
    proxy: Proxy | None = None
    public_only: bool = False


def read_proxy(url: str) -> Proxy | None:
    """Read a proxy's URL; None for an empty one.

    >>> read_proxy("http://ann:secret@proxy.example:3128")
    Proxy(host='proxy.example', port=3128, login='Basic YW5uOnNlY3JldA==')

    Raises:
        ValueError: it is no URL of a proxy; the text does not quote it.
    """
    if not url:
        return None
    parts = urlsplit(url)
    if parts.scheme != "http" or not parts.hostname or parts.path.strip("/") or parts.query or parts.fragment:
        msg = "must be a URL like http://host:port or http://user:password@host:port"
        raise ValueError(msg)
    login = ""
    if parts.username is not None:
        pair = f"{unquote(parts.username)}:{unquote(parts.password or '')}"
        login = f"Basic {b64encode(pair.encode()).decode()}"
    return Proxy(parts.hostname, parts.port or 80, login)


class _Tunnel(asyncio.Protocol):
    """Waits for the proxy's answer."""

    def __init__(self) -> None:
        self.answer: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()
        self._data = b""

    def data_received(self, data: bytes) -> None:
        """Take a part of the head."""
        self._data += data
        if not self.answer.done() and (b"\r\n\r\n" in self._data or len(self._data) > _MAX_HEAD_BYTES):
            self.answer.set_result(self._data)

    def connection_lost(self, exc: Exception | None) -> None:
        """End without an answer."""
        if not self.answer.done():
            self.answer.set_exception(exc or ConnectionResetError())


async def open_connection(connection: asyncio.Protocol, origin: Origin, way: Way, timeout_s: float) -> None:
    """Connect a protocol to an origin.

    Args:
        connection: gets the transport once it is open.
        origin: the host and port to reach.
        way: the proxy, if there is one, and the certificates to trust.
        timeout_s: name resolution, TCP and TLS together.

    Raises:
        Transient: no connection in time.
        Misconfigured: the certificate is not trusted, TLS does not fit, or the proxy refuses.
        Rejected: only public addresses are called, and this one is none.
    """
    failure: DeliveryError
    try:
        async with asyncio.timeout(timeout_s):
            host = await public_address(origin.host, origin.port) if way.public_only else origin.host
            at = origin._replace(host=host)
            if way.proxy is not None:
                await _through(way.proxy, connection, at, origin.host, way.tls)
            else:
                await _direct(connection, at, origin.host, way.tls)
            return
    except ssl.SSLError as error:
        failure = of_ssl_error(origin.host, error)
    except (OSError, TimeoutError, UnicodeError) as error:
        in_handshake = origin.tls and isinstance(error, ConnectionResetError)
        failure = closed_in_handshake(origin.host) if in_handshake else _unreached(error, origin, way)
    raise failure


def _unreached(error: Exception, origin: Origin, way: Way) -> Transient:
    if isinstance(error, socket.gaierror | UnicodeError):
        host = way.proxy.host if way.proxy else origin.host
        return Transient(f"the name {host} cannot be resolved", code="dns")
    return Transient(f"no connection to the provider ({type(error).__name__})")


async def _direct(connection: asyncio.Protocol, at: Origin, name: str, tls: ssl.SSLContext) -> None:
    context: dict[str, Any] = {"ssl": tls, "server_hostname": name} if at.tls else {}
    await asyncio.get_running_loop().create_connection(lambda: connection, at.host, at.port, **context)


async def _through(
    proxy: Proxy, connection: asyncio.Protocol, at: Origin, name: str, tls: ssl.SSLContext
) -> None:
    loop = asyncio.get_running_loop()
    wire, tunnel = await loop.create_connection(_Tunnel, proxy.host, proxy.port)
    try:
        wire.write(_connect_head(proxy, at))
        _check(await tunnel.answer, name)
        if at.tls:
            encrypted = await loop.start_tls(wire, connection, tls, server_hostname=name)
            wire = cast("asyncio.Transport", encrypted)
        else:
            wire.set_protocol(connection)
    except BaseException:
        wire.abort()
        raise
    connection.connection_made(wire)


def _connect_head(proxy: Proxy, origin: Origin) -> bytes:
    host = f"[{origin.host}]" if ":" in origin.host else origin.host
    login = f"proxy-authorization: {proxy.login}\r\n" if proxy.login else ""
    return f"CONNECT {host}:{origin.port} HTTP/1.1\r\nhost: {host}:{origin.port}\r\n{login}\r\n".encode()


def _check(head: bytes, host: str) -> None:
    found = _STATUS.match(head)
    status = int(found[1]) if found else 0
    if 200 <= status < 300:
        return
    code = f"proxy {status}" if status else "proxy"
    if status == 407:
        msg = "the proxy refuses the user of the account; correct its `proxy`"
        raise Misconfigured(msg, code=code)
    if 400 <= status < 500:
        msg = f"the proxy refuses connections to {host} (HTTP {status}); allow them there"
        raise Misconfigured(msg, code=code)
    msg = f"the proxy cannot reach {host} ({f'HTTP {status}' if status else 'its answer is not HTTP'})"
    raise Transient(msg, code=code)

"""Connections through proxies, names that cannot be resolved, and in which phase a call ran out of time."""

import asyncio
import contextlib
from collections.abc import Callable, Coroutine
from typing import Any

import pytest
from pydantic import SecretStr, ValidationError

from tests.providers.certificates import server_tls
from tests.providers.scripted_http import Answer, Fault, Request, ScriptedHttp, Step
from tocsin.errors import DeliveryError, Misconfigured, Transient, Unknown
from tocsin.providers.http import HttpPolicy, PyreqwestTransport, Response, Transport
from tocsin.providers.http_asyncio import AsyncioTransport
from tocsin.providers.http_connect import read_proxy
from tocsin.providers.vendor import HttpAccount

Open = Callable[[HttpPolicy], Transport]
BOTH = pytest.mark.parametrize("kind", [AsyncioTransport, PyreqwestTransport])
Serve = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Coroutine[Any, Any, None]]
OURS = pytest.mark.parametrize("kind", [AsyncioTransport])


class Listening:
    """A server on a free port; each connection is handled by `serve`, and closed at the end."""

    def __init__(self, serve: Serve) -> None:
        self._serve = serve
        self._writers: list[asyncio.StreamWriter] = []
        self._tasks: list[asyncio.Task[None]] = []

    async def __aenter__(self) -> str:
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", 0)
        return f"127.0.0.1:{self._server.sockets[0].getsockname()[1]}"

    async def __aexit__(self, *_: object) -> None:
        self._server.close()
        for task in self._tasks:
            task.cancel()
        for writer in self._writers:
            writer.transport.abort()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._server.wait_closed()
        await asyncio.sleep(0)

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._writers.append(writer)
        self._tasks.append(asyncio.ensure_future(self._serve(reader, writer)))


class TunnelProxy:
    """A proxy: answers CONNECT with a status, and carries bytes to and fro after 200."""

    def __init__(self, status: int = 200, *, silent: bool = False) -> None:
        self._status, self._silent = status, silent
        self.heads: list[str] = []
        self._listening = Listening(self._serve)

    async def __aenter__(self) -> "TunnelProxy":
        self.url = f"http://ann:s3cr3t@{await self._listening.__aenter__()}"
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._listening.__aexit__()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
        self.heads.append(head)
        if self._silent:
            await asyncio.sleep(60)
        writer.write(f"HTTP/1.1 {self._status} Whatever\r\nx: y\r\n\r\n".encode())
        if self._status != 200:
            writer.close()
            return
        host, _, port = head.split()[1].rpartition(":")
        onward_reader, onward = await asyncio.open_connection(host, int(port))
        try:
            await asyncio.gather(_carry(reader, onward), _carry(onward_reader, writer))
        finally:
            onward.transport.abort()


async def _carry(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(OSError):
        while data := await reader.read(65_536):
            writer.write(data)
    writer.transport.abort()


async def ask(kind: Open, policy: HttpPolicy, url: str, timeout_s: float = 30) -> Response:
    transport = kind(policy)
    try:
        return await transport.request("POST", url, {}, b"x", timeout_s)
    finally:
        await transport.close()


async def failure(kind: Open, policy: HttpPolicy, url: str, timeout_s: float = 30) -> DeliveryError:
    with pytest.raises(DeliveryError) as caught:
        await ask(kind, policy, url, timeout_s)
    assert "s3cr3t" not in f"{caught.value!r} {caught.value.__context__!r}"
    return caught.value


@BOTH
async def test_a_request_over_tls_goes_through_the_proxy_and_the_server_is_verified(kind: Open) -> None:
    context, ca_pem = server_tls()
    async with ScriptedHttp(lambda _: Answer(200, b"ok"), tls=context) as server, TunnelProxy() as proxy:
        answer = await ask(kind, HttpPolicy(proxy=proxy.url, ca_pem=ca_pem), server.url)
        assert (answer.status, answer.body) == (200, b"ok")
        refused = await failure(kind, HttpPolicy(proxy=proxy.url), server.url)
    assert isinstance(refused, Misconfigured)
    assert proxy.heads[0].startswith(f"CONNECT {server.url.partition('//')[2]} HTTP/1.1\r\n")
    assert "proxy-authorization: basic yw5uonmzy3izda==" in proxy.heads[0].lower()


@OURS
async def test_a_plain_request_goes_through_the_proxy_too_and_connections_are_kept(kind: Open) -> None:
    async with ScriptedHttp(lambda _: Answer(200, b"ok")) as server, TunnelProxy() as proxy:
        transport = kind(HttpPolicy(proxy=proxy.url))
        for _ in range(3):
            assert (await transport.request("POST", server.url, {}, b"x", 30)).body == b"ok"
        await transport.close()
    assert len(proxy.heads) == 1


@BOTH
@pytest.mark.parametrize("status", [403, 407, 502])
async def test_what_the_proxy_refuses_was_not_sent(kind: Open, status: int) -> None:
    async with TunnelProxy(status) as proxy:
        error = await failure(kind, HttpPolicy(proxy=proxy.url), "https://127.0.0.1:9/")
    assert not error.maybe_sent
    assert not error.permanent
    if kind is AsyncioTransport:
        assert isinstance(error, Transient if status == 502 else Misconfigured)
        assert error.code == f"proxy {status}"


@BOTH
async def test_a_proxy_that_is_gone_or_says_nothing_is_no_connection(kind: Open) -> None:
    async with TunnelProxy(silent=True) as proxy:
        policy = HttpPolicy(proxy=proxy.url, connect_timeout_s=0.3)
        assert isinstance(await failure(kind, policy, "https://127.0.0.1:9/"), Transient)
    assert isinstance(await failure(kind, policy, "https://127.0.0.1:9/"), Transient)


@pytest.mark.integration
@BOTH
async def test_a_name_that_cannot_be_resolved_was_not_sent(kind: Open) -> None:
    error = await failure(kind, HttpPolicy(connect_timeout_s=60), "https://nobody.invalid/", 60)
    assert isinstance(error, Transient)
    if kind is AsyncioTransport:
        assert (error.code, str(error)) == ("dns", "the name nobody.invalid cannot be resolved")


async def test_a_name_that_cannot_even_be_written_was_not_sent() -> None:
    error = await failure(AsyncioTransport, HttpPolicy(), f"https://{'a' * 70}.example/")
    assert (type(error), error.code) == (Transient, "dns")


@pytest.mark.parametrize(
    "url", ["https://proxy:3128", "proxy:3128", "http://", "http://proxy/path", "socks5://p"]
)
def test_a_proxy_that_is_none_is_found_in_the_account(url: str) -> None:
    with pytest.raises(ValidationError, match="must be a URL like http://host:port"):
        HttpAccount(vendor="any", proxy=SecretStr(url))


def test_a_proxy_of_an_account_reaches_its_transport_and_no_text() -> None:
    account = HttpAccount(vendor="any", proxy=SecretStr("http://ann:s3cr3t@proxy:3128"))
    assert read_proxy(account.http_policy().proxy) == read_proxy("http://ann:s3cr3t@proxy:3128")
    assert "s3cr3t" not in f"{account!r}"


@pytest.mark.parametrize(
    ("answer", "phase"),
    [
        (b"", "out of time, no answer"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 20\r\n\r\nhalf", "out of time in the middle of the answer"),
    ],
)
async def test_a_call_says_in_which_phase_it_ran_out_of_time(answer: bytes, phase: str) -> None:
    async def stopping(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(65_536)
        writer.write(answer)
        await asyncio.sleep(60)

    async with Listening(stopping) as address:
        error = await failure(AsyncioTransport, HttpPolicy(), f"http://{address}/", 1)
    assert isinstance(error, Unknown)
    assert phase in str(error)


async def test_a_server_that_does_not_read_is_told_from_one_that_does_not_answer() -> None:
    async with ScriptedHttp(deaf=True) as server:
        transport = AsyncioTransport(HttpPolicy())
        with pytest.raises(Unknown, match="does not read the request"):
            await transport.request("POST", server.url, {}, b"x" * 30_000_000, 1)
        await transport.close()


@BOTH
async def test_a_request_lost_on_a_kept_connection_is_unknown_and_not_repeated(kind: Open) -> None:
    """The server closes as the request arrives: nobody can tell whether it was processed."""
    seen: list[Request] = []

    def step(request: Request) -> Step:
        seen.append(request)
        return Answer(200, b"ok") if len(seen) == 1 else Fault.CLOSE

    async with ScriptedHttp(step) as server:
        transport = kind(HttpPolicy())
        await transport.request("POST", server.url, {}, b"1", 30)
        with pytest.raises(Unknown):
            await transport.request("POST", server.url, {}, b"2", 30)
        await transport.close()
    assert [request.body for request in seen] == [b"1", b"2"]

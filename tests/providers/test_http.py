"""The contract of transports: both implementations, a real server, every way a request can fail."""

import asyncio
import contextlib
import re
import socket
import ssl
import time
from collections.abc import AsyncIterator, Callable

import httpx2
import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.providers.certificates import faulty_tls, server_tls
from tests.providers.scripted_http import Answer, Fault, Refusing, ScriptedHttp
from tests.waiting import PATIENCE_S, soon
from tocsin.devkit.httpx_transport import HttpxTransport
from tocsin.errors import DeliveryError, Misconfigured, Transient, Unknown
from tocsin.providers.http import MAX_RETRY_AFTER_S, HttpPolicy, PyreqwestTransport, Transport, retry_after_s
from tocsin.providers.http_asyncio import AsyncioTransport

POLICY = HttpPolicy(connect_timeout_s=30, pool_timeout_s=5, max_connections=4)
HASTY = msgspec.structs.replace(POLICY, connect_timeout_s=0.3)
SECRET = "s3cr3t-t0ken"
HEADERS = {"authorization": f"Bearer {SECRET}", "content-type": "text/plain"}
Open = Callable[[HttpPolicy], Transport]

WITHOUT_END = (Fault.SILENCE, Fault.TRICKLE)
BOTH = pytest.mark.parametrize("kind", [AsyncioTransport, PyreqwestTransport, HttpxTransport])


def alert(number: int) -> bytes:
    """Write a fatal alert of TLS (RFC 8446, 6)."""
    return b"\x15\x03\x03\x00\x02\x02" + bytes([number])


class Peer:
    """Answers the first bytes of a connection with given ones, and closes it."""

    def __init__(self, answer: bytes) -> None:
        self._answer = answer

    async def __aenter__(self) -> int:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        return int(self._server.sockets[0].getsockname()[1])

    async def __aexit__(self, *_: object) -> None:
        self._server.close()
        await self._server.wait_closed()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(65_536)
        writer.write(self._answer)
        writer.close()
        with contextlib.suppress(OSError):
            await writer.wait_closed()


async def post(
    transport: Transport, url: str, timeout_s: float = 30.0, body: bytes = SECRET.encode()
) -> bytes:
    answer = await transport.request("POST", f"{url}/{SECRET}", HEADERS, body, timeout_s)
    return answer.body


async def failure(transport: Transport, url: str, timeout_s: float = 30.0) -> DeliveryError:
    with pytest.raises(DeliveryError) as caught:
        await post(transport, url, timeout_s)
    error = caught.value
    assert SECRET not in f"{error!r} {error.__context__!r} {error.__cause__!r}"
    return error


@pytest.fixture
async def transport(kind: Open) -> AsyncIterator[Transport]:
    opened = kind(POLICY)
    yield opened
    await opened.close()


@BOTH
async def test_carries_the_request_and_the_whole_answer(transport: Transport) -> None:
    body = bytes(range(256)) * 1000
    async with ScriptedHttp(Answer(418, body, (("X-Message-Id", "m1"), ("Retry-After", "7")))) as server:
        answer = await transport.request("PUT", f"{server.url}/a?b=c%2Fd", HEADERS, b"hello", 30)
        sent = server.requests[0]
    assert (answer.status, answer.body) == (418, body)
    assert answer.headers.get("x-message-id") == "m1"
    assert answer.headers.get("absent") is None
    assert retry_after_s(answer.headers, 0) == 7
    assert (sent.method, sent.path, sent.body) == ("PUT", "/a?b=c%2Fd", b"hello")
    assert sent.headers["authorization"] == HEADERS["authorization"]
    assert sent.headers["content-type"] == "text/plain"
    assert sent.headers["user-agent"] == "tocsin"


@BOTH
async def test_reuses_its_connections(transport: Transport) -> None:
    async with ScriptedHttp() as server:
        for _ in range(5):
            await post(transport, server.url)
        assert server.connections == 1
        await transport.reconnect()
        await post(transport, server.url)
        assert server.connections == 2


@BOTH
async def test_follows_no_redirect(transport: Transport) -> None:
    async with (
        ScriptedHttp() as other,
        ScriptedHttp(Answer(307, headers=(("Location", other.url),))) as server,
    ):
        answer = await transport.request("POST", server.url, HEADERS, b"x", 30)
        assert answer.status == 307
        assert other.requests == []


@BOTH
async def test_reads_no_proxy_from_the_environment(kind: Open, monkeypatch: pytest.MonkeyPatch) -> None:
    with Refusing(full=False) as nobody:
        for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"):
            monkeypatch.setenv(name, nobody)
        transport = kind(POLICY)
        async with ScriptedHttp(Answer(body=b"direct")) as server:
            assert await post(transport, server.url) == b"direct"
        await transport.close()


@BOTH
@pytest.mark.parametrize("full", [False, True], ids=["refused", "never accepted"])
async def test_without_a_connection_nothing_was_sent(kind: Open, full: bool) -> None:
    transport = kind(HASTY)
    with Refusing(full=full) as url:
        assert isinstance(await failure(transport, url), Transient)
    await transport.close()


@BOTH
@pytest.mark.parametrize("fault", list(Fault), ids=lambda fault: fault.value)
async def test_after_the_request_was_written_the_outcome_is_unknown(
    transport: Transport, fault: Fault
) -> None:
    async with ScriptedHttp(fault) as server:
        started = time.monotonic()
        error = await failure(transport, server.url, 1 if fault in WITHOUT_END else 30)
        assert isinstance(error, Unknown)
        assert time.monotonic() - started < 25, "a default held, not the second asked for"
        await soon(lambda: server.requests, "the request")
        assert len(server.requests) == 1, "a transport never repeats by itself"


@BOTH
async def test_a_server_that_says_nothing_is_waited_for_until_the_first_byte_is_due(kind: Open) -> None:
    transport = kind(msgspec.structs.replace(POLICY, first_byte_timeout_s=0.2))
    async with ScriptedHttp(Fault.SILENCE) as server:
        started = time.monotonic()
        error = await failure(transport, server.url, 30)
        assert isinstance(error, Unknown), "the request was written: the server may have taken it"
        assert time.monotonic() - started < 20, "the deadline of the call held, not that of the first byte"
    await transport.close()


@BOTH
async def test_a_server_that_never_reads_leaves_it_unknown(transport: Transport) -> None:
    big = b"x" * 30_000_000
    async with ScriptedHttp(deaf=True) as server:
        with pytest.raises(Unknown):
            await post(transport, server.url, 1, big)


@BOTH
async def test_waits_for_a_slot_only_so_long(kind: Open) -> None:
    transport = kind(msgspec.structs.replace(POLICY, pool_timeout_s=0.3))
    async with ScriptedHttp(Answer(delay_s=60)) as server:
        busy = [asyncio.ensure_future(post(transport, server.url, 60)) for _ in range(POLICY.max_connections)]
        await soon(lambda: len(server.requests) == POLICY.max_connections)
        assert isinstance(await failure(transport, server.url), Transient)
        assert len(server.requests) == POLICY.max_connections
        for call in busy:
            call.cancel()
        await asyncio.gather(*busy, return_exceptions=True)
    await transport.close()


@BOTH
@pytest.mark.parametrize("wrong", ["not a url", "ftp://127.0.0.1/x", "http://"])
async def test_what_cannot_be_sent_at_all(transport: Transport, wrong: str) -> None:
    error = await failure(transport, wrong)
    assert not isinstance(error, Unknown)


@BOTH
async def test_a_header_that_would_inject_another_is_refused(transport: Transport) -> None:
    async with ScriptedHttp() as server:
        with pytest.raises(Misconfigured) as caught:
            await transport.request("POST", server.url, {"x": f"a\r\nb: {SECRET}"}, b"", 1)
        assert SECRET not in str(caught.value)
        assert server.requests == []


@BOTH
async def test_a_closed_transport_sends_nothing(kind: Open) -> None:
    transport = kind(POLICY)
    await transport.close()
    async with ScriptedHttp() as server:
        assert isinstance(await failure(transport, server.url), Transient)
        assert server.requests == []


@BOTH
async def test_a_cancelled_call_frees_its_slot_by_its_deadline(transport: Transport) -> None:
    async with ScriptedHttp(lambda request: Fault.SILENCE if b"hang" in request.body else Answer()) as server:
        for _ in range(POLICY.max_connections):
            call = asyncio.ensure_future(post(transport, server.url, 0.3, b"hang"))
            await asyncio.sleep(0.01)
            call.cancel()
            # On a machine that stood still meanwhile the deadline may have been first.
            with contextlib.suppress(DeliveryError), pytest.raises(asyncio.CancelledError):
                await call
        assert await post(transport, server.url) == b""


@BOTH
async def test_trusts_only_certificates_it_was_given(kind: Open) -> None:
    context, ca_pem = server_tls()
    strict, trusting = kind(HttpPolicy()), kind(HttpPolicy(ca_pem=ca_pem))
    async with ScriptedHttp(Answer(body=b"ok"), tls=context) as server:
        refused = await failure(strict, server.url)
        assert isinstance(refused, Misconfigured)
        assert str(refused) == "certificate of 127.0.0.1: unable to get local issuer certificate"
        assert refused.code == "certificate"
        assert await post(trusting, server.url) == b"ok"
        await strict.close()
        await trusting.close()


CERTIFICATES = {
    "expired": "certificate has expired",
    "not yet valid": "certificate is not yet valid",
    "another name": "the server's name is no subject alternative name of it",
    "common name only": "the server's name is no subject alternative name of it",
    "for clients only": "unsuitable certificate purpose",
    "self-signed": "self-signed certificate",
}


@BOTH
@pytest.mark.parametrize("fault", CERTIFICATES)
async def test_a_certificate_is_refused_by_all_transports_in_the_same_words(kind: Open, fault: str) -> None:
    """Of a common name OpenSSL would approve, rustls does not; and rustls names reasons by its structs."""
    context, ca_pem = faulty_tls(fault)
    transport = kind(HttpPolicy(ca_pem=ca_pem))
    async with ScriptedHttp(tls=context) as server:
        refused = await failure(transport, server.url.replace("127.0.0.1", "localhost"))
    assert (type(refused), refused.code) == (Misconfigured, "certificate")
    assert str(refused).startswith(f"certificate of localhost: {CERTIFICATES[fault]}")
    await transport.close()


HANDSHAKES = [
    (b"HTTP/1.1 400 Bad Request\r\n\r\n", Misconfigured, "does not speak TLS on this port"),
    (b"220 mail.example ESMTP\r\n", Misconfigured, "does not speak TLS on this port"),
    (alert(70), Misconfigured, "speaks no TLS version of ours"),
    (alert(40), Misconfigured, "no cipher in common"),
    (alert(71), Misconfigured, "no cipher in common"),
    (alert(116), Misconfigured, "asks for a client certificate"),
    (alert(112), Misconfigured, "does not serve this name"),
    (alert(80), Transient, "the TLS handshake failed"),
    (b"", Transient, "closed it during the TLS handshake"),
]


@BOTH
@pytest.mark.parametrize(("answer", "error", "words"), HANDSHAKES)
async def test_a_handshake_that_fails_is_told_in_words(
    kind: Open, answer: bytes, error: type[DeliveryError], words: str
) -> None:
    transport = kind(HttpPolicy())
    async with Peer(answer) as port:
        failed = await failure(transport, f"https://127.0.0.1:{port}")
    assert type(failed) is error
    assert words in str(failed)
    assert not re.search(r"[A-Z][a-z]+[A-Z]|[A-Z]_[A-Z]|_ssl", str(failed)), "a library's own name"
    await transport.close()


async def test_the_slow_one_takes_a_fake_as_its_network() -> None:
    fake = httpx2.MockTransport(
        lambda request: httpx2.Response(202, headers={"x-message-id": request.url.path})
    )
    transport = HttpxTransport(POLICY, fake)
    answer = await transport.request("POST", "https://api.example.com/v3", {}, b"", 1)
    assert (answer.status, answer.headers["x-message-id"]) == (202, "/v3")
    await transport.close()


@pytest.mark.parametrize(
    ("value", "wait_s"),
    [
        ("120", 120),
        (" 5 ", 5),
        ("0", 0),
        ("Tue, 14 Nov 2023 22:13:50 GMT", 30),
        ("Tue, 14 Nov 2023 22:13:50 -0000", 30),
        ("Tue, 14 Nov 2023 22:10:00 GMT", 0),
        ("Tue, 14 Nov 2073 22:10:00 GMT", MAX_RETRY_AFTER_S),
        ("9" * 400, MAX_RETRY_AFTER_S),
        ("Tue, 14 Nov 9999 23:59:59 -2359", MAX_RETRY_AFTER_S),
        ("Tue, 14 Nov 0001 22:10:00 +2359", 0),
        ("Tue, 14 Nov 99999999999 22:10:00 GMT", None),
        ("Tue, 31 Feb 2023 22:10:00 GMT", None),
        ("120, 60", 120),
        ("-120, 60", None),
        ("soon", None),
        ("-3", None),
        ("1.5", None),
        ("", None),
    ],
)
def test_retry_after(value: str, wait_s: float | None) -> None:
    assert retry_after_s({"retry-after": value}, 1_700_000_000) == wait_s


DATES = st.builds(
    "Tue, {} Nov {} {}:10:00 {}".format,
    st.integers(),
    st.integers(),
    st.integers(0, 30),
    st.sampled_from(["GMT", "-0000", "+9999", "-99999999999", ""]),
)


@given(st.text() | DATES, st.floats(0, 4e9))
def test_retry_after_takes_any_text(value: str, now_s: float) -> None:
    wait_s = retry_after_s({"retry-after": value}, now_s)
    assert wait_s is None or 0 <= wait_s <= MAX_RETRY_AFTER_S


async def test_a_scripted_server_leaves_no_connection_whose_peer_is_silent() -> None:
    context, ca_pem = server_tls()
    trusting = ssl.create_default_context(cadata=ca_pem.decode())
    async with ScriptedHttp(tls=context) as server:
        port = int(server.url.rpartition(":")[2])
        plain = await asyncio.to_thread(_ask_over_tls, port, trusting)
    with plain:
        plain.settimeout(PATIENCE_S)
        while await asyncio.to_thread(plain.recv, 4096):
            pass  # the server's farewell, to which nobody answers


def _ask_over_tls(port: int, context: ssl.SSLContext) -> socket.socket:
    """Ask, read the answer, and hand out the socket below: nobody speaks TLS on it from then on."""
    with context.wrap_socket(
        socket.create_connection(("127.0.0.1", port)), server_hostname="localhost"
    ) as wire:
        wire.sendall(b"GET / HTTP/1.1\r\n\r\n")
        while wire.recv(4096)[-4:] != b"\r\n\r\n":
            pass
        return socket.socket(fileno=wire.detach())


def test_the_test_certificates_are_not_the_system_s() -> None:
    context, ca_pem = server_tls()
    assert isinstance(context, ssl.SSLContext)
    assert ca_pem.startswith(b"-----BEGIN CERTIFICATE-----")

"""What is the asyncio transport's own: how answers end, and which connections are used again."""

import asyncio
import ssl
from collections.abc import AsyncIterator

import pytest

from tests.providers.certificates import server_tls
from tests.providers.scripted_http import ScriptedHttp
from tocsin.errors import Misconfigured, Unknown
from tocsin.providers.http import HttpPolicy, Response
from tocsin.providers.http_asyncio import AsyncioTransport
from tocsin.providers.http_exchange import MAX_ANSWER_BYTES, NO_ANSWER

PATIENT_S = 30.0
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


class RawServer:
    """Writes given bytes after each request, then closes the connection or keeps it."""

    def __init__(self, *answers: bytes, close: bool = False) -> None:
        self.answers = list(answers)
        self.close_after = close
        self.connections = 0
        self.open: list[asyncio.StreamWriter] = []

    async def __aenter__(self) -> "RawServer":
        self.server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.url = f"http://127.0.0.1:{self.server.sockets[0].getsockname()[1]}"
        return self

    async def __aexit__(self, *_: object) -> None:
        self.server.close()
        for writer in self.open:
            writer.transport.abort()
        await self.server.wait_closed()
        await asyncio.sleep(0)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        self.open.append(writer)
        while await reader.read(65_536):
            writer.write(self.answers.pop(0) if self.answers else OK)
            if self.close_after:
                writer.close()
                return


@pytest.fixture
async def transport() -> AsyncIterator[AsyncioTransport]:
    opened = AsyncioTransport(
        HttpPolicy(connect_timeout_s=PATIENT_S, pool_timeout_s=PATIENT_S, max_connections=2)
    )
    yield opened
    await opened.close()


async def ask(transport: AsyncioTransport, server: RawServer, method: str = "POST") -> Response:
    return await transport.request(method, server.url, {}, b"x", PATIENT_S)


@pytest.mark.parametrize(
    ("answer", "body", "again"),
    [
        (OK, b"ok", True),
        (b"HTTP/1.1 204 No Content\r\n\r\n", b"", True),
        (b"HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n" + OK, b"ok", True),
        (b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", b"", True),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n", b"ok", True),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok", b"ok", False),
        (b"HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nok", b"ok", False),
    ],
)
async def test_an_answer_ends_where_its_head_says(
    transport: AsyncioTransport, answer: bytes, body: bytes, again: bool
) -> None:
    async with RawServer(answer) as server:
        assert (await ask(transport, server)).body == body
        assert (await ask(transport, server)).body == b"ok"
        assert server.connections == (1 if again else 2)


async def test_an_answer_without_a_length_ends_with_its_connection(transport: AsyncioTransport) -> None:
    async with RawServer(b"HTTP/1.1 200 OK\r\nX: 1\r\n\r\nall of it", close=True) as server:
        answer = await ask(transport, server)
        assert (answer.status, answer.body, answer.headers) == (200, b"all of it", {"x": "1"})


@pytest.mark.parametrize(
    "head", [b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n", b"HTTP/1.1 200 OK\r\nX: half"]
)
async def test_an_answer_cut_short_is_none(transport: AsyncioTransport, head: bytes) -> None:
    async with RawServer(head, close=True) as server:
        with pytest.raises(Unknown):
            await ask(transport, server)


async def test_an_answer_to_head_has_no_body(transport: AsyncioTransport) -> None:
    async with RawServer(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n") as server:
        assert (await ask(transport, server, "HEAD")).body == b""
        assert (await ask(transport, server)).body == b"ok"


async def test_an_answer_that_does_not_end_is_cut_off(transport: AsyncioTransport) -> None:
    long = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % (2 * MAX_ANSWER_BYTES)
    async with RawServer(long + b"x" * (MAX_ANSWER_BYTES + 1)) as server:
        with pytest.raises(Unknown, match="too long"):
            await ask(transport, server)


async def test_a_second_answer_is_never_taken_for_the_next_request(transport: AsyncioTransport) -> None:
    stray = b"HTTP/1.1 500 Stray\r\nContent-Length: 0\r\n\r\n"
    async with RawServer(OK + stray) as server:
        assert (await ask(transport, server)).status == 200
        assert (await ask(transport, server)).status == 200
        assert server.connections == 2


async def test_a_connection_the_server_closed_meanwhile_is_not_used(transport: AsyncioTransport) -> None:
    async with RawServer() as server:
        await ask(transport, server)
        server.open[0].close()
        await asyncio.sleep(0.05)
        assert (await ask(transport, server)).body == b"ok"
        assert server.connections == 2


async def test_repeated_headers_are_joined(transport: AsyncioTransport) -> None:
    async with RawServer(b"HTTP/1.1 200 OK\r\nA: 1\r\na: 2\r\nContent-Length: 0\r\n\r\n") as server:
        assert (await ask(transport, server)).headers["a"] == "1, 2"


async def test_who_waits_for_a_slot_is_served_when_one_is_given_back(transport: AsyncioTransport) -> None:
    async with ScriptedHttp() as server:
        calls = [transport.request("POST", server.url, {}, b"", PATIENT_S) for _ in range(20)]
        assert [answer.status for answer in await asyncio.gather(*calls)] == [200] * 20
        assert server.connections <= 2


@pytest.mark.parametrize(
    "url", ["http://user:secret@127.0.0.1/", "http://127.0.0.1/a b", "http://127.0.0.1:99999/", "http://ä/"]
)
async def test_urls_that_cannot_be_sent(transport: AsyncioTransport, url: str) -> None:
    with pytest.raises(Misconfigured, match="URL"):
        await transport.request("POST", url, {}, b"", 2)


@pytest.mark.parametrize("chosen", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
async def test_a_certificate_nobody_vouches_for_is_a_matter_of_configuration(
    chosen: ssl.TLSVersion,
) -> None:
    context, _ = server_tls()
    context.minimum_version = context.maximum_version = chosen
    strict = AsyncioTransport(HttpPolicy())
    async with ScriptedHttp(tls=context) as server:
        with pytest.raises(Misconfigured, match=r"certificate of 127\.0\.0\.1"):
            await strict.request("POST", server.url, {}, b"", 2)
    await strict.close()


async def test_each_exchange_ends_at_its_own_deadline() -> None:
    """One timer serves all: a shorter deadline moves it forward, and it goes on to the longer one."""
    loop, transport = asyncio.get_running_loop(), AsyncioTransport(HttpPolicy())

    async def cut_after(timeout_s: float) -> float:
        begun = loop.time()
        with pytest.raises(Unknown, match="out of time"):
            await transport.request("POST", server.url, {}, b"x", timeout_s)
        return loop.time() - begun

    async with RawServer(b"", b"", b"", b"") as server:
        longest = asyncio.ensure_future(cut_after(600))
        long, short = await asyncio.gather(cut_after(0.6), cut_after(0.1))
        again = await cut_after(0.2)
        longest.cancel()
        await asyncio.gather(longest, return_exceptions=True)
    await transport.close()
    assert 0.09 <= short < PATIENT_S
    assert 0.59 <= long < PATIENT_S
    assert 0.19 <= again < PATIENT_S


FIRST_S = 1.5


class SlowServer(RawServer):
    """Reads a request of `size` bytes, or writes the rest of an answer, later than a first byte is due."""

    def __init__(self, *parts: bytes, size: int = 0) -> None:
        super().__init__(*parts)
        self._size = size

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.open.append(writer)
        if self._size:
            await asyncio.sleep(FIRST_S + 0.2)
        await reader.readuntil(b"\r\n\r\n")
        await reader.readexactly(self._size or 1)
        for number, part in enumerate(self.answers):
            await asyncio.sleep((FIRST_S + 0.2) * (number > 0))
            writer.write(part)


async def test_an_answer_that_has_begun_has_the_time_of_the_whole_call() -> None:
    transport = AsyncioTransport(HttpPolicy(first_byte_timeout_s=FIRST_S))
    async with SlowServer(OK[:20], OK[20:]) as server:
        assert (await transport.request("POST", server.url, {}, b"x", PATIENT_S)).body == b"ok"
    await transport.close()


async def test_the_first_byte_is_waited_for_from_when_a_large_request_is_written() -> None:
    transport, body = AsyncioTransport(HttpPolicy(first_byte_timeout_s=FIRST_S)), b"x" * 20_000_000
    async with SlowServer(OK, size=len(body)) as server:
        assert (await transport.request("POST", server.url, {}, body, PATIENT_S)).body == b"ok"
        with pytest.raises(Unknown) as caught:
            await transport.request("POST", server.url, {}, b"x", PATIENT_S)
        assert caught.value.code == NO_ANSWER
    await transport.close()

"""The short way to our server gives bodies and answers as the messages of ASGI do."""

import asyncio
import re
from typing import Any

import uvicorn
from starlette.types import Receive, Scope, Send

from tests.gateway.raw_http import exchanged
from tests.serving import serving
from tests.waiting import PATIENCE_S
from tocsin.gateway.body import Body
from tocsin.gateway.body_budget import BodyBudget
from tocsin.gateway.call import headers_of
from tocsin.gateway.connections import guarded
from tocsin.gateway.direct import direct_of
from tocsin.gateway.endpoints import Answer
from tocsin.gateway.problems import Problem
from tocsin.gateway.replies import Reply

POST = b"POST %b HTTP/1.1\r\nhost: gateway.test\r\ncontent-length: %d\r\n%b\r\n%b"
LAST = b"connection: close\r\n"
GET = b"GET /%b HTTP/1.1\r\nhost: gateway.test\r\n\r\n"


async def application(scope: Scope, receive: Receive, send: Send) -> None:
    """Answer with the body that came; at `/own` with a header of its own, at `/none` without a body."""
    body = Body(receive, headers_of(scope), 100_000, BodyBudget(1 << 24), direct_of(scope))
    try:
        whole = await body.whole()
        text = {"came": whole[:20].decode(), "size": len(whole)}
        headers = {"etag": '"1"'} if scope["path"] == "/own" else {}
        answer = Answer(202, None if scope["path"] == "/none" else text, headers)
    except Problem as problem:
        answer = Answer(problem.status, problem.document(), problem.headers)
    await Reply(answer, "request-of-mine")(scope, receive, send)


CASES: list[list[bytes]] = [
    [POST % (b"/", 2, b"", b"ab"), GET % b"" + POST % (b"/", 0, LAST, b"")],
    [POST % (b"/", 4, b"", b"ab"), b"cd", POST % (b"/", 0, LAST, b"")],
    [POST % (b"/own", 2, b"", b"ab"), POST % (b"/none", 2, LAST, b"ab")],
    [POST % (b"/", 2, LAST, b"ab")],
    [POST % (b"/", 90_000, LAST, b"x" * 90_000)],
    [POST % (b"/", 100_001, LAST, b"x" * 100_001)],
    [b"HEAD / HTTP/1.1\r\nhost: gateway.test\r\n\r\n", POST % (b"/", 0, LAST, b"")],
    [b"POST / HTTP/1.0\r\nhost: gateway.test\r\ncontent-length: 2\r\n\r\nab"],
    [POST % (b"/", 2, b"expect: 100-continue\r\n", b""), b"ab", POST % (b"/", 0, LAST, b"")],
    [POST % (b"/", 2, b"", b"ab") * 3 + POST % (b"/", 0, LAST, b"")],
    # With a large body comes the beginning of the next head.
    [POST % (b"/", 40_000, b"", b"x" * 40_000) + b"POST", POST[4:] % (b"/", 0, LAST, b"")],
    [POST % (b"/", 40_000, b"", b"x"), b"x" * 39_999 + b"POST", POST[4:] % (b"/", 0, LAST, b"")],
]


def server_of(app: Any, http: Any) -> uvicorn.Server:
    """Make a server of an application over a protocol."""
    return uvicorn.Server(uvicorn.Config(app, http=http, lifespan="off", log_level="critical"))


async def answer_of(port: int, parts: list[bytes]) -> bytes:
    """Send a request in parts, and read all that is answered."""
    found = await exchanged(port, parts, 0.02)
    return re.sub(rb"date: [^\r]*\r\n", b"", found)


async def answers_of(http: Any) -> list[bytes]:
    """Send all requests, each over a connection of its own."""
    async with serving(server_of(application, http)) as port:
        return await asyncio.gather(*[answer_of(port, parts) for parts in CASES])


async def test_both_ways_answer_the_same() -> None:
    by_messages = await answers_of("httptools")
    assert await answers_of(guarded(100)) == by_messages
    assert {answer[:12] for answer in by_messages} >= {b"HTTP/1.1 202", b"HTTP/1.1 413"}


async def test_a_plain_answer_goes_the_short_way() -> None:
    """Otherwise the test of both ways would compare one way with itself."""
    seen: list[bool] = []

    async def look(scope: Scope, receive: Receive, send: Send) -> None:
        found = direct_of(scope)
        assert found is not None
        seen.append(found.body() == b"ab" and found.answered(202, b"content-length: 2\r\n", b"ok"))

    async with serving(server_of(look, guarded(10))) as port:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(POST % (b"/", 2, b"", b"ab"))
        answer = await asyncio.wait_for(reader.readuntil(b"ok"), PATIENCE_S)
        writer.close()
    assert (seen, answer[:22]) == ([True], b"HTTP/1.1 202 Accepted\r")

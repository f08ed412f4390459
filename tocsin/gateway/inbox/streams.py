"""The live inbox over WebSocket, and over server-sent events (SSE)."""

import asyncio
import contextlib

import msgspec
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Message, Receive, Scope, Send
from starlette.websockets import WebSocket, WebSocketDisconnect

from tocsin.gateway.call import request_id_of
from tocsin.gateway.gateway import Gateway
from tocsin.gateway.inbox.session import TOO_MUCH_SAID, TOO_SLOW, End, Session
from tocsin.gateway.problems import MEDIA_TYPE, Problem

SUBPROTOCOL = "tocsin.inbox.v1"
TOKEN_PREFIX = "token."  # noqa: S105 -- what comes before a token
_MOST_SAID = 100
_RETRY_MS = 3_000
_CLOSE_S = 2.0


async def live(socket: WebSocket) -> None:
    """Serve a WebSocket.

    A browser sets no header of a WebSocket, and a token in an address ends in logs. So the token comes as a
    second subprotocol: `new WebSocket(url, ["tocsin.inbox.v1", "token." + token])`.
    """
    gateway: Gateway = socket.app.state.gateway
    try:
        _refuse_strangers(socket, gateway)
        known = socket.query_params.get("last_event_id", "")
        session = await Session.open(gateway, _token_of(socket), known)
    except Problem as problem:
        await _deny(socket, problem)
        return
    await session.join()
    try:
        await socket.accept(SUBPROTOCOL)
        await _serve(socket, session)
    except WebSocketDisconnect:
        return
    finally:
        await session.leave()


def _refuse_strangers(socket: WebSocket, gateway: Gateway) -> None:
    """Refuse the pages of origins that may not call: browsers do not do it for WebSockets."""
    origin = socket.headers.get("origin")
    is_own = origin is None or origin.partition("://")[2] == socket.headers.get("host")
    if not is_own and origin not in gateway.settings.gateway_origins:
        raise Problem(403, "pages of this origin may not call: name it in TOCSIN_GATEWAY_ORIGINS")


def _token_of(socket: WebSocket) -> str:
    offered = [str(each) for each in socket.scope.get("subprotocols", ())]
    found = next((each for each in offered if each.startswith(TOKEN_PREFIX)), "")
    if SUBPROTOCOL not in offered:
        raise Problem(400, f"offer the subprotocols `{SUBPROTOCOL}` and `{TOKEN_PREFIX}<token>`")
    return found.removeprefix(TOKEN_PREFIX)


async def _deny(socket: WebSocket, problem: Problem) -> None:
    response = _document(problem, request_id_of(socket.headers))
    await socket.send_denial_response(response)


def _document(problem: Problem, request_id: str) -> Response:
    body = msgspec.json.encode(problem.document(request_id))
    headers = {**problem.headers, "x-request-id": request_id, "cache-control": "no-store"}
    return Response(body, problem.status, headers, media_type=MEDIA_TYPE)


async def _serve(socket: WebSocket, session: Session) -> None:
    listening = asyncio.create_task(_hear(socket))
    listening.add_done_callback(lambda _done: session.listener.fail(WebSocketDisconnect))
    try:
        async for each in session.told():
            async with asyncio.timeout(session.bounds.send_s):
                await socket.send_text(each.text.decode())
    except End as end:
        await _close(socket, end.code, end.reason)
    except TimeoutError:
        await _close(socket, TOO_SLOW, "the connection takes nothing")
    except WebSocketDisconnect:
        if listening.done() and not listening.cancelled() and listening.result():
            await _close(socket, TOO_MUCH_SAID, "this connection only listens")
    finally:
        listening.cancel()
        await asyncio.gather(listening, return_exceptions=True)


async def _hear(socket: WebSocket) -> bool:
    """Wait until the client leaves; True if it says more than anybody would."""
    for _ in range(_MOST_SAID):
        if (await socket.receive())["type"] == "websocket.disconnect":
            return False
    return True


async def _close(socket: WebSocket, code: int, reason: str) -> None:
    with contextlib.suppress(TimeoutError, RuntimeError, WebSocketDisconnect):
        async with asyncio.timeout(_CLOSE_S):
            await socket.close(code, reason)


async def stream(request: Request) -> Response:
    """Serve server-sent events. The token comes in the header `Authorization`, so read it with `fetch`."""
    gateway: Gateway = request.app.state.gateway
    scheme, _, token = request.headers.get("authorization", "").partition(" ")
    known = request.headers.get("last-event-id") or request.query_params.get("last_event_id", "")
    try:
        session = await Session.open(gateway, token.strip() if scheme.casefold() == "bearer" else "", known)
    except Problem as problem:
        return _document(problem, request_id_of(request.headers))
    return EventStream(session)


class EventStream(Response):
    """The answer to a request for server-sent events: it lasts until one side ends it."""

    media_type = "text/event-stream"

    def __init__(self, session: Session) -> None:
        # Some proxies buffer answers unless they are told not to.
        super().__init__(b"", headers={"cache-control": "no-store", "x-accel-buffering": "no"})
        del self.headers["content-length"]
        self._session = session

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve it."""
        await self._session.join()
        watching = asyncio.create_task(_gone(receive))
        watching.add_done_callback(lambda _done: self._session.listener.fail(WebSocketDisconnect))
        try:
            await self._serve(send)
        except (WebSocketDisconnect, TimeoutError):
            return
        finally:
            watching.cancel()
            await asyncio.gather(watching, return_exceptions=True)
            await self._session.leave()

    async def _serve(self, send: Send) -> None:
        start = {"type": "http.response.start", "status": 200, "headers": self.raw_headers}
        await self._send(send, start)
        await self._send(send, _part(f"retry: {_RETRY_MS}\n\n".encode()))
        try:
            async for each in self._session.told():
                text = b"id: %b\ndata: %b\n\n" % (each.id.encode(), each.text) if each.id else b": beat\n\n"
                await self._send(send, _part(text))
        except End as end:
            about = msgspec.json.encode({"code": end.code, "reason": end.reason})
            await self._send(send, _part(b"event: end\ndata: %b\n\n" % about))
        await self._send(send, {"type": "http.response.body", "body": b"", "more_body": False})

    async def _send(self, send: Send, message: Message) -> None:
        async with asyncio.timeout(self._session.bounds.send_s):
            await send(message)


def _part(body: bytes) -> Message:
    return {"type": "http.response.body", "body": body, "more_body": True}


async def _gone(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass

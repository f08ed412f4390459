"""The ASGI application: finds the endpoint, checks the caller, calls the handler, answers.

What is no endpoint (pages, WebSockets) goes to Starlette. An endpoint does not: its way costs a third.
"""

import contextlib
import logging
import secrets
import time
from collections.abc import AsyncIterator, Mapping
from functools import cached_property
from types import ModuleType
from typing import Any

import msgspec
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.types import ASGIApp, Receive, Scope, Send

from dashboards.web.problem import Problem as NoFigures
from tocsin.delivery.rate_bucket import RateBuckets
from tocsin.errors import kind_and_place
from tocsin.gateway import broadcasts, callbacks, example, inbox, links, people, probes, producers
from tocsin.gateway.auth import Gatekeeper
from tocsin.gateway.body import Body
from tocsin.gateway.browsers import Cors, protected
from tocsin.gateway.call import Call, headers_of, request_id_of
from tocsin.gateway.direct import direct_of, withdraw
from tocsin.gateway.endpoints import NONE, Answer, Endpoint
from tocsin.gateway.gateway import Gateway
from tocsin.gateway.meters import OTHER
from tocsin.gateway.nonces import Nonces
from tocsin.gateway.openapi import document
from tocsin.gateway.preview import endpoints as preview
from tocsin.gateway.problems import MEDIA_TYPE, Problem
from tocsin.gateway.rates import BURST_S, KeyRates
from tocsin.gateway.replies import Reply
from tocsin.gateway.router import Match, Router
from tocsin.gateway.webhooks import endpoints as webhooks

PARTS: tuple[ModuleType, ...] = (
    broadcasts,
    callbacks,
    example,
    inbox,
    links,
    people,
    preview,
    probes,
    producers,
    webhooks,
)
"""The sub-packages: each has `ENDPOINTS`; with pages or work of its own, also `ROUTES` or `lifespan`."""
_log = logging.getLogger("tocsin.gateway")
_encode = msgspec.json.Encoder().encode


def endpoints(parts: tuple[ModuleType, ...] = PARTS) -> tuple[Endpoint, ...]:
    """List the endpoints of all sub-packages."""
    return tuple(each for part in parts for each in getattr(part, "ENDPOINTS", ()))


class Application:
    """The ASGI application of one gateway.

    Args:
        gateway: what the handlers share; entered and left with the application's lifespan.
        parts: the sub-packages.
    """

    def __init__(self, gateway: Gateway, parts: tuple[ModuleType, ...] = PARTS) -> None:
        self.gateway = gateway
        self._parts = parts
        self.endpoints = (*endpoints(parts), self._openapi_endpoint())
        self._router = Router(self.endpoints)
        self._cors = Cors(gateway.settings.gateway_origins)
        self._gatekeeper = gatekeeper(gateway)
        # Starlette calls whatever ASGI application these answer; its types know its own responses only.
        handlers: dict[Any, Any] = {HTTPException: _no_page, Problem: _refused, Exception: _page_fault}
        pages = Starlette(
            routes=[route for part in parts for route in getattr(part, "ROUTES", ())],
            exception_handlers=handlers,
            lifespan=lambda _app: self.lifespan(),
        )
        pages.state.gateway = gateway
        self._pages: ASGIApp = pages

    def _openapi_endpoint(self) -> Endpoint:
        async def tell(_call: Call) -> Answer:
            return Answer(200, self.openapi, headers={"access-control-allow-origin": "*"})

        summary = "Describe the endpoints, as OpenAPI 3.1."
        return Endpoint("GET", "/openapi.json", tell, summary, answers={200: dict[str, Any]})

    @cached_property
    def openapi(self) -> bytes:
        """The OpenAPI document, made once."""
        return _encode(document(self.endpoints, self.gateway.settings.gateway_url))

    @contextlib.asynccontextmanager
    async def lifespan(self) -> AsyncIterator[None]:
        """Enter the gateway, and the lifespans of the sub-packages."""
        async with contextlib.AsyncExitStack() as stack:
            await stack.enter_async_context(self.gateway)
            for part in self._parts:
                if begin := getattr(part, "lifespan", None):
                    await stack.enter_async_context(begin(self.gateway))
            yield

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve a connection."""
        if scope["type"] != "http":
            await self._page(scope, receive, send)
            return
        headers, method = headers_of(scope), scope["method"]
        preflight = self._cors.preflight(headers) if method == "OPTIONS" else None
        if preflight is not None:
            await preflight(scope, receive, send)
            return
        wanted = "GET" if method == "HEAD" else method
        found = self._router.find(wanted, scope["path"], scope.get("raw_path"))
        if found is None:
            withdraw(scope)  # whoever answers for a page would pass by what counts and protects it
            await self._page(scope, receive, self._protected(headers, send))
            return
        most = found.endpoint.max_bytes if found.endpoint else 0
        body = Body(receive, headers, most, self.gateway.bodies, direct_of(scope))
        try:
            reply = await self._answered(found, Call(self.gateway, scope, headers, found.path, body))
        finally:
            body.free()
        await reply(scope, receive, send)

    def _protected(self, headers: Mapping[str, str], send: Send) -> Send:
        """Give the answer of a page its headers, and count it."""
        meters = self.gateway.meters

        def begins(status: int) -> None:
            meters.requests[OTHER, str(status)] += 1

        return protected(send, self._cors.allowed(headers), begins)

    async def _page(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve a page or WebSocket. Starlette raises a fault again behind its answer: it ends here."""
        try:
            await self._pages(scope, receive, send)
        except Exception as error:  # the edge: the server would log its text, which might hold an address
            if scope["type"] != "http":
                _fault(error, scope["type"])

    async def _answered(self, found: Match, call: Call) -> Reply:
        began_s = time.perf_counter()
        request_id = call.request_id
        try:
            answer = await self._handled(found, call)
        except Problem as problem:
            answer = _document(problem, request_id)
        except NoFigures as problem:
            answer = _document(Problem(problem.status, problem.detail), request_id)
        except Exception as error:  # the edge: nothing of a fault goes out but the request's id
            answer = _fault(error, request_id)
        extra = call.extra
        if allowed := self._cors.allowed(call.headers):
            extra = {**allowed, **extra}
        if answer.status >= 400 and not await call.drained():
            extra = {**extra, "connection": "close"}  # else the rest of the body would have to be read
        named = f"{found.endpoint.method} {found.endpoint.path}" if found.endpoint else OTHER
        self.gateway.meters.request(named, answer.status, time.perf_counter() - began_s)
        return Reply(answer, request_id, extra)

    async def _handled(self, found: Match, call: Call) -> Answer:
        endpoint = found.endpoint
        if endpoint is None:
            allowed = ", ".join(found.allowed)
            raise Problem(405, f"use one of these methods here: {allowed}", headers={"allow": allowed})
        if endpoint.scope is not None:
            await self._gatekeeper.admit(call, endpoint.scope)
        return await endpoint.handler(call)


def gatekeeper(gateway: Gateway) -> Gatekeeper:
    """Make what checks the callers of a gateway."""
    settings = gateway.settings
    prefix = settings.topic_prefix
    buckets = RateBuckets(gateway.redis, prefix, secrets.token_hex(8), BURST_S)
    rates = KeyRates(buckets, settings.gateway_per_s)
    return Gatekeeper(gateway.keys, gateway.key_copy, Nonces(gateway.redis, prefix), rates)


def _document(problem: Problem, request_id: str) -> Answer:
    return Answer(problem.status, problem.document(request_id), problem.headers, MEDIA_TYPE)


def _fault(error: Exception, request_id: str) -> Answer:
    """Answer a fault of ours. The log gets its place; its text might hold an address."""
    _log.error("request %s: %s", request_id, kind_and_place(error))
    return _document(Problem(500, "a fault of ours; the log has it under this request id"), request_id)


async def _no_page(request: Request, error: Any) -> Reply:
    """Answer what neither endpoint nor page has."""
    detail = "there is nothing at this path; /openapi.json lists what there is"
    problem = Problem(error.status_code, detail if error.status_code == 404 else "not like this")
    request_id = request_id_of(request.headers)
    return Reply(_document(problem, request_id), request_id, error.headers or NONE)


async def _page_fault(request: Request, error: Exception) -> Reply:
    """Answer a fault of a page."""
    request_id = request_id_of(request.headers)
    return Reply(_fault(error, request_id), request_id)


async def _refused(request: Request, error: Any) -> Reply:
    """Answer a problem that a page raised."""
    request_id = request_id_of(request.headers)
    return Reply(_document(error, request_id), request_id)

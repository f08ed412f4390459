"""The preview page: choose a notification, channel and language, edit the data, and see what arrives."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final, TypeVar

import msgspec
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, RedirectResponse, Response
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles

from dashboards.web import access
from dashboards.web import login as dashboard_login
from dashboards.web.access import Access, Guard
from dashboards.web.login import Login, read_form
from tocsin.errors import PreviewError
from tocsin.gateway.preview.requests import PreviewRequest, contents, one, rows
from tocsin.gateway.preview.workbench import Workbench
from tocsin.gateway.problems import DEPTH
from tocsin.model.content import EmailContent
from tocsin.render.preview import Previewer
from tocsin.render.shown import shown
from tocsin.render.uses import Use

_HERE: Final = Path(__file__).parent
_SHARED: Final = Path(dashboard_login.__file__).parent / "static"
MOST_BYTES: Final = 256 * 1024
"""Of one request: an event's data is far smaller."""
HEADERS: Final[Mapping[str, str]] = {
    **access.HEADERS,
    "content-security-policy": f"{access.HEADERS['content-security-policy']}; frame-src 'self'",
}
MAIL_HEADERS: Final[Mapping[str, str]] = {
    "content-security-policy": (
        "sandbox; default-src 'none'; style-src 'unsafe-inline'; img-src https: data:; "
        "font-src https: data:; frame-ancestors 'self'; form-action 'none'; base-uri 'none'"
    ),
}
"""Of a mail: it is shown as a mail program shows it, without scripts, forms or an origin."""

_Found = TypeVar("_Found")


class PreviewPages:
    """Serves the page and its requests.

    Args:
        workbench: the catalog folder that is shown.
        token: who shows it may look; empty: whoever is on this machine.
    """

    def __init__(self, workbench: Workbench, token: str = "") -> None:
        self._workbench = workbench
        self._access = Access(token)
        folder = FileSystemLoader(_HERE / "templates")
        self._page = Environment(loader=folder, autoescape=True, undefined=StrictUndefined).get_template(
            "preview.html"
        )

    def application(self) -> Starlette:
        """Build the ASGI application."""
        routes = [
            Route("/", _first),
            Route("/healthz", _healthz),
            Route("/login", Login(self._access).answer, methods=["GET", "POST"]),
            Route("/preview", self._show),
            Route("/api/catalog", self._catalog),
            Route("/api/state", self._state),
            Route("/api/samples", self._samples),
            Route("/api/preview", self._one, methods=["POST"]),
            Route("/api/previews", self._rows, methods=["POST"]),
            Route("/mail", self._mail, methods=["POST"]),
            Mount("/static/preview", StaticFiles(directory=_HERE / "static")),
            Mount("/static", StaticFiles(directory=_SHARED)),
        ]
        return Starlette(
            routes=routes,
            middleware=[Middleware(Guard, access=self._access, headers=HEADERS)],
            exception_handlers={PreviewError: _refused, HTTPException: _missing},
        )

    async def _show(self, _request: Request) -> Response:
        return HTMLResponse(self._page.render())

    async def _catalog(self, _request: Request) -> Response:
        state = await run_in_threadpool(self._workbench.look)
        tenants = await self._ask(contents) if state.version else []
        return JSONResponse({**state._asdict(), "tenants": tenants})

    async def _state(self, _request: Request) -> Response:
        return JSONResponse((await run_in_threadpool(self._workbench.look))._asdict())

    async def _samples(self, request: Request) -> Response:
        asked = request.query_params
        tenant = asked.get("tenant", "default")
        use = Use(asked.get("template", ""), asked.get("digest", "") == "true")
        return JSONResponse({"samples": await self._ask(lambda previewer: _samples(previewer, tenant, use))})

    async def _one(self, request: Request) -> Response:
        asked = _read(await _body(request))
        return _json(await self._ask(lambda previewer: shown(one(previewer, asked))))

    async def _rows(self, request: Request) -> Response:
        asked = _read(await _body(request))
        return _json(await self._ask(lambda previewer: rows(previewer, asked)))

    async def _mail(self, request: Request) -> Response:
        """Answer with the HTML of a mail alone, for a frame that a form of the page fills."""
        asked = _read((await read_form(request, 4 * MOST_BYTES)).get("request", "").encode())
        found = await self._ask(lambda previewer: one(previewer, asked))
        if not isinstance(found.content, EmailContent):
            msg = found.problem or f"{found.channel} carries no HTML"
            raise PreviewError(msg, "channel")
        return HTMLResponse(found.content.html, headers=dict(MAIL_HEADERS))

    async def _ask(self, ask: Callable[[Previewer], _Found]) -> _Found:
        """Ask the previewer in a thread: rendering takes milliseconds, and reads files."""
        return await run_in_threadpool(lambda: ask(self._workbench.previewer()))


def _samples(previewer: Previewer, tenant: str, use: Use) -> list[Any]:
    known = {
        known
        for notification in previewer.tenant(tenant).notifications
        for known in previewer.uses(tenant, notification)
    }
    if use not in known:
        msg = f"no notification of tenant {tenant} is written by {use.template or 'an empty name'} so"
        raise PreviewError(msg, "template")
    return previewer.samples(tenant, use)


async def _first(_request: Request) -> Response:
    return RedirectResponse("/preview", 307)


async def _healthz(_request: Request) -> Response:
    return JSONResponse({"status": "ok"})


async def _body(request: Request) -> bytes:
    """Read the body of a request.

    Raises:
        PreviewError: it is too long.
    """
    body = b""
    async for chunk in request.stream():
        body += chunk
        if len(body) > MOST_BYTES:
            msg = f"the request is longer than {MOST_BYTES // 1024} kB; shorten the data"
            raise PreviewError(msg, "data")
    return body


def _read(body: bytes) -> PreviewRequest:
    try:
        asked = msgspec.json.decode(body, type=PreviewRequest)
    except RecursionError:
        msg = f"the request is nested too deep: nest lists and objects at most {DEPTH} deep"
        raise PreviewError(msg, "request") from None
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        msg = f"the request is not as it must be: {error}"
        raise PreviewError(msg, "request") from None
    return asked if asked.tenant else msgspec.structs.replace(asked, tenant="default")


def _json(value: Any) -> Response:
    return Response(msgspec.json.encode(value), media_type="application/json")


async def _refused(_request: Request, error: Exception) -> Response:
    assert isinstance(error, PreviewError)
    return _problem(422, "The preview is not possible", str(error), error.field)


async def _missing(_request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    return _problem(error.status_code, "Not found", "there is no such page, or not for this method")


def _problem(status: int, title: str, detail: str, field: str = "") -> Response:
    """Build a problem document (RFC 9457)."""
    document = {"type": "about:blank", "title": title, "status": status, "detail": detail}
    named = {"field": field} if field else {}
    return JSONResponse(document | named, status, media_type="application/problem+json")

"""The files of the component, and the example page.

The example page gives anybody the token of any user, so it is there only with `TOCSIN_GATEWAY_EXAMPLE`.
"""

from pathlib import Path

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import FileResponse, JSONResponse, Response
from starlette.routing import BaseRoute, Mount, Route, WebSocketRoute
from starlette.staticfiles import StaticFiles
from starlette.types import Scope

from tocsin.gateway.gateway import Gateway
from tocsin.gateway.inbox.service import redis_needed, service_of
from tocsin.gateway.inbox.streams import live, stream
from tocsin.gateway.inbox.tokens import EXAMPLE, example_key, sign

_STATIC = Path(__file__).parent / "static"
_MOST_USERS = 20
# Files that pages of any origin may load: they hold nothing of anybody.
_OPEN = {
    "access-control-allow-origin": "*",
    "cross-origin-resource-policy": "cross-origin",
    "cache-control": "public, max-age=300",
}


class _Files(StaticFiles):
    async def get_response(self, path: str, scope: Scope) -> Response:
        response = await super().get_response(path, scope)
        response.headers.update(_OPEN)
        return response


async def _component(_request: Request) -> Response:
    return FileResponse(_STATIC / "tocsin-inbox.js", headers=_OPEN, media_type="text/javascript")


def _example_gateway(request: Request) -> Gateway:
    gateway: Gateway = request.app.state.gateway
    if not gateway.settings.gateway_example:
        raise HTTPException(404)
    return gateway


async def _example(request: Request) -> Response:
    _example_gateway(request)
    return FileResponse(_STATIC / "example.html")


async def _example_users(request: Request) -> Response:
    """Name some users who have an inbox, the fullest first."""
    gateway = _example_gateway(request)
    with redis_needed():
        found = await service_of(gateway).fullest(_MOST_USERS)
    return JSONResponse({"users": found})


async def _example_token(request: Request) -> Response:
    """Give a token of `tenant/user`."""
    gateway = _example_gateway(request)
    tenant, slash, user = request.query_params.get("user", "").partition("/")
    if not (tenant and slash and user):
        raise HTTPException(404)
    token = sign(example_key(EXAMPLE + tenant), gateway.secret, user, gateway.clock_ms())
    return JSONResponse({"token": token})


ROUTES: tuple[BaseRoute, ...] = (
    WebSocketRoute("/v1/inbox/live", live),
    Route("/v1/inbox/stream", stream),
    Route("/inbox/tocsin-inbox.js", _component),
    Route("/inbox/example", _example),
    Route("/inbox/example/users", _example_users),
    Route("/inbox/example/token", _example_token),
    Mount("/inbox/static", _Files(directory=_STATIC)),
)

"""The preference page of any user, where examples are on (`TOCSIN_GATEWAY_EXAMPLE`): for demos only."""

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from tocsin.gateway.endpoints import Endpoint
from tocsin.gateway.gateway import Gateway
from tocsin.gateway.people.preferences import link

PATH = "/example/preferences"
_VALID_MS = 86_400_000
_TENANT = "default"


async def _preferences(request: Request) -> Response:
    """Lead to the page of the user that the query names."""
    gateway: Gateway = request.app.state.gateway
    user = request.query_params.get("user", "")
    if not gateway.settings.gateway_example or not user:
        raise HTTPException(404)
    return RedirectResponse(link(gateway, _TENANT, user, gateway.clock_ms() + _VALID_MS), 303)


ENDPOINTS: tuple[Endpoint, ...] = ()
ROUTES = (Route(PATH, _preferences),)

"""What browsers are told: which origins may call (CORS), and what a page may load (CSP)."""

from collections.abc import Callable, Mapping

from starlette.datastructures import MutableHeaders
from starlette.responses import Response
from starlette.types import Message, Send

from tocsin.gateway.endpoints import NONE

HEADERS: Mapping[str, str] = {
    "content-security-policy": (
        "default-src 'self'; img-src 'self' data:; object-src 'none'; base-uri 'none'; form-action 'self'; "
        "frame-ancestors 'none'"
    ),
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "cache-control": "no-store",
}
"""Of every answer; one that sets a header itself keeps its own."""
_METHODS = "GET, POST, PUT, PATCH, DELETE"
_SENT = "authorization, content-type, idempotency-key, if-match, if-none-match, last-event-id, x-request-id"
_SHOWN = "etag, location, retry-after, x-request-id"
_KEPT_S = "600"


class Cors:
    """Knows the origins whose pages may call. No cookie counts here, so none is asked for.

    >>> cors = Cors(("https://shop.example",))
    >>> cors.allowed({"origin": "https://shop.example"})["access-control-allow-origin"]
    'https://shop.example'
    >>> cors.allowed({"origin": "https://evil.example"})
    {'vary': 'origin'}
    """

    def __init__(self, origins: tuple[str, ...]) -> None:
        self._origins = frozenset(origins)

    def allowed(self, headers: Mapping[str, str]) -> Mapping[str, str]:
        """Return the headers of an answer to this request."""
        origin = headers.get("origin")
        if origin is None:
            return NONE
        if origin not in self._origins:
            return {"vary": "origin"}
        return {
            "access-control-allow-origin": origin,
            "access-control-expose-headers": _SHOWN,
            "cross-origin-resource-policy": "cross-origin",
            "vary": "origin",
        }

    def preflight(self, headers: Mapping[str, str]) -> Response | None:
        """Answer a browser that asks whether it may call; None if this is another request."""
        if "origin" not in headers or "access-control-request-method" not in headers:
            return None
        allowed = dict(self.allowed(headers))
        if "access-control-allow-origin" in allowed:
            allowed |= {
                "access-control-allow-methods": _METHODS,
                "access-control-allow-headers": _SENT,
                "access-control-max-age": _KEPT_S,
            }
        return Response(status_code=204, headers={**HEADERS, **allowed})


def protected(send: Send, allowed: Mapping[str, str], begins: Callable[[int], None]) -> Send:
    """Give the answer of a page the headers that it does not set itself; `begins` is told its status."""

    async def sending(message: Message) -> None:
        if message["type"] == "http.response.start":
            begins(message["status"])
            headers = MutableHeaders(scope=message)
            for name, value in {**HEADERS, **allowed}.items():
                headers.setdefault(name, value)
        await send(message)

    return sending

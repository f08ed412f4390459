"""Decides who may read: anyone on this machine, or whoever has the token. Pure, but for the middleware."""

import hmac
import ipaddress
from collections.abc import Mapping
from hashlib import sha256
from http.cookies import CookieError, SimpleCookie
from urllib.parse import quote, urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import RedirectResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from dashboards.web.problem import Problem

COOKIE = "tocsin_dashboard"
LEAST = 16
"""Characters of a token, at least."""
OPEN = ("/login", "/healthz", "/static/")
HEADERS: Mapping[str, str] = {
    "content-security-policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self' data:; "
        "base-uri 'none'; form-action 'self'; frame-ancestors 'none'"
    ),
    "x-content-type-options": "nosniff",
    "referrer-policy": "same-origin",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
}


def is_loopback(host: str) -> bool:
    """Tell whether an address or name is of this machine only.

    >>> is_loopback("127.0.0.1"), is_loopback("localhost"), is_loopback("0.0.0.0")
    (True, True, False)
    """
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return host.casefold() == "localhost"


class Access:
    """Knows the token. Without one, whoever reaches the server by a name of this machine may read."""

    def __init__(self, token: str = "") -> None:
        self.token = token

    def cookie(self) -> str:
        """Make the cookie's value: it proves that its owner had the token, which it does not show."""
        return hmac.new(self.token.encode(), b"tocsin dashboard", sha256).hexdigest()

    def knows(self, token: str) -> bool:
        """Compare a token with ours, in a time that does not depend on where they differ."""
        return hmac.compare_digest(token.encode(), self.token.encode())

    def admits(self, headers: Headers) -> bool:
        """Tell whether a request may read.

        A browser sends the name by which it reached us. A foreign name that leads to this machine would let
        another site's page read what only this machine may.
        """
        if not self.token:
            return is_loopback(_host(headers.get("host", "")))
        scheme, _, bearer = headers.get("authorization", "").partition(" ")
        if scheme.casefold() == "bearer" and self.knows(bearer.strip()):
            return True
        return hmac.compare_digest(_cookie(headers).encode(), self.cookie().encode())

    def refusal(self, path: str, query: str) -> Response:
        """Answer who may not read: pages lead to the form for the token."""
        if not self.token:
            text = "this dashboard answers to the names of this machine only: 127.0.0.1 or localhost"
            return Problem(403, text).response()
        if path.startswith("/api/"):
            return Problem(401, "send the header `Authorization: Bearer TOKEN`").response()
        target = path + (f"?{query}" if query else "")
        return RedirectResponse(f"/login?next={quote(target, safe='')}", 303)


def _host(value: str) -> str:
    try:
        return urlsplit(f"//{value}").hostname or ""
    except ValueError:
        return ""


def _cookie(headers: Headers) -> str:
    try:
        found = SimpleCookie(headers.get("cookie", "")).get(COOKIE)
    except CookieError:
        return ""
    return found.value if found else ""


def local_path(text: str) -> str:
    """Keep a path of this server; anything that leads elsewhere becomes the first page.

    >>> local_path("/health?tenant=a"), local_path("//evil.example"), local_path("https://evil.example")
    ('/health?tenant=a', '/', '/')
    """
    is_ours = text.startswith("/") and not text.startswith("//") and "\\" not in text
    return text if is_ours and text.isprintable() else "/"


class Guard:
    """Middleware: refuses whoever may not read, and gives every answer the headers that protect it."""

    def __init__(self, app: ASGIApp, access: Access, headers: Mapping[str, str] = HEADERS) -> None:
        self._app = app
        self._access = access
        self._headers = headers

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        path = scope["path"]
        is_open = bool(self._access.token) and path.startswith(OPEN)
        app = self._app
        if not is_open and not self._access.admits(Headers(scope=scope)):
            app = self._access.refusal(path, scope["query_string"].decode("latin-1"))
        # Figures are never kept. Files are: the browser asks whether they have changed.
        kept = "no-cache" if path.startswith("/static/") else "no-store"
        await app(scope, receive, _protected(send, self._headers, kept))


def _protected(send: Send, protecting: Mapping[str, str], kept: str) -> Send:
    async def sending(message: Message) -> None:
        if message["type"] == "http.response.start":
            headers = MutableHeaders(scope=message)
            for name, value in protecting.items():
                headers.setdefault(name, value)
            headers.setdefault("cache-control", kept)
        await send(message)

    return sending

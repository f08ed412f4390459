"""Routes each request of the HTTP/1.1 port to its provider, the console or the viewer."""

from collections.abc import Callable
from urllib.parse import urlsplit

from tocsin.devkit.sandbox.console import Console, refuse
from tocsin.devkit.sandbox.google_oauth import Tokens
from tocsin.devkit.sandbox.reporting import Reporter
from tocsin.devkit.sandbox.request_handler import RequestHandler, Vendor
from tocsin.devkit.sandbox.viewer import Viewer
from tocsin.devkit.sandbox.wire import Refusal, Reply, Request, Streaming


class App:
    """Routes requests; nothing here blocks, and no request can make it raise."""

    def __init__(
        self,
        handler: RequestHandler,
        vendors: dict[str, Vendor],
        tokens: Tokens,
        console: Console,
        viewer: Viewer,
        reporter: Reporter,
    ) -> None:
        self._handler = handler
        self._vendors = vendors
        self._console = console
        self._viewer = viewer
        self._reporter = reporter
        self._routes: dict[tuple[str, str], Callable[[Request], Reply]] = {
            **console.routes,
            ("POST", "/fcm/token"): tokens.grant,
        }

    def __call__(self, request: Request, exchange: Streaming) -> None:
        """Serve one request."""
        mount, _, rest = request.path[1:].partition("/")
        vendor = self._vendors.get(mount)
        route = self._routes.get((request.method, request.path))
        if route is not None:
            exchange.answer(self._ask(route, request))
        elif (request.method, request.path) == ("POST", "/reports"):
            self._report(request, exchange)
        elif vendor is not None:
            self._handler.serve(vendor, _under(request, rest), exchange)
        else:
            self._viewer.serve(request, exchange)

    def _report(self, request: Request, exchange: Streaming) -> None:
        try:
            _check_origin(request)
        except Refusal as refusal:
            exchange.answer(refusal.reply)
        else:
            self._reporter.serve(request, exchange)

    def _ask(self, route: Callable[[Request], Reply], request: Request) -> Reply:
        try:
            if request.method != "GET":
                _check_origin(request)
            return route(request)
        except Refusal as refusal:
            return refusal.reply


def _under(request: Request, rest: str) -> Request:
    """Give the request as the provider itself would see it, without the mount."""
    return Request(request.method, f"/{rest}", request.query, request.headers, request.body)


def _check_origin(request: Request) -> None:
    """Refuse what another site's page makes a browser send."""
    origin = request.header(b"origin")
    if origin and urlsplit(origin).netloc != request.header(b"host"):
        refuse(403, "requests of other sites are refused")

"""`/healthz` and `/metrics` of one process, on a thread of their own."""

import json
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from prometheus_client import CollectorRegistry
from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest

from tocsin.errors import SettingsError


class HealthServer:
    """Serves health and metrics until closed.

    `problems` returns sentences; none means healthy. `/healthz` answers 200 or 503 with them as JSON.
    A port is free again the moment its process has ended, however it ended: connections that are still
    closing do not hold it.

    Raises:
        SettingsError: it cannot listen there; the text names address, reason and cure.
    """

    def __init__(
        self, host: str, port: int, registry: CollectorRegistry, problems: Callable[[], list[str]]
    ) -> None:
        def answer(path: str) -> tuple[int, str, bytes]:
            if path == "/metrics":
                return 200, CONTENT_TYPE_LATEST, generate_latest(registry)
            if path == "/healthz":
                found = problems()
                body = json.dumps({"healthy": not found, "problems": found}).encode()
                return (503 if found else 200), "application/json", body
            return 404, "text/plain", b"there are /healthz and /metrics\n"

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                status, kind, body = answer(self.path.partition("?")[0])
                self.send_response(status)
                self.send_header("Content-Type", kind)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_args: object) -> None:
                """Keep quiet: a probe a second is no news."""

        self._server = _listening(host, port, Handler)
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, name="health", daemon=True)
        self._thread.start()

    @property
    def port(self) -> int:
        """The port it listens on."""
        return self._server.server_address[1]

    def close(self) -> None:
        """Stop serving."""
        self._server.shutdown()
        self._server.server_close()


def _listening(host: str, port: int, handler: type[BaseHTTPRequestHandler]) -> ThreadingHTTPServer:
    try:
        return ThreadingHTTPServer((host, port), handler)
    except (OSError, OverflowError) as error:  # overflow: the first port plus the shard's number
        why = getattr(error, "strerror", None) or error
        msg = (
            f"TOCSIN_HTTP_HOST, TOCSIN_HTTP_PORT: cannot listen on {host}:{port} ({why}); end what listens"
            " there, or set others (port 0: a free one)"
        )
        raise SettingsError(msg) from error

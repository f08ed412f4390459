"""Health checks of one process, and the server of its probes and of `/metrics`.

| path | answers 503 when | a cluster then |
|---|---|---|
| `/livez` | the flow stands still: only a restart helps | restarts the process |
| `/readyz` | the process cannot do its work: a fact is an error | sends an alert; a restart does not help |
| `/healthz` | as `/readyz` | for people and older probes |

All three have the same body: every fact, also those that fail no probe.
"""

import json
import threading
from collections.abc import Callable, Iterable
from enum import StrEnum
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import NamedTuple

from prometheus_client import CollectorRegistry
from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest

from tocsin.errors import SettingsError


class Severity(StrEnum):
    """How much a fact matters to whoever probes the process."""

    WARNING = "warning"
    """The fact is shown; the probe passes."""
    ERROR = "error"
    """The process cannot do its work: `/readyz` answers 503."""
    STALLED = "stalled"
    """The process does nothing any more: `/livez` answers 503 too."""


_PROBES = ("/livez", "/readyz", "/healthz")


class Fact(NamedTuple):
    """One thing that is wrong now.

    Attributes:
        sentence: names the failure, its effect and the cure; holds no address and no secret.
        severity: what the fact means for a probe.
    """

    sentence: str
    severity: Severity = Severity.ERROR


Check = Callable[[], Iterable[Fact]]
"""Lists what is wrong now. Called from the server's threads, so it must not block and must not raise."""


class HealthReport(NamedTuple):
    """What all checks found at one moment, by the name of the check."""

    facts: dict[str, list[Fact]]

    @property
    def healthy(self) -> bool:
        """Tell whether every fact is a warning."""
        return not self.problems

    @property
    def alive(self) -> bool:
        """Tell whether the process still turns."""
        return not self.sentences(Severity.STALLED)

    @property
    def problems(self) -> list[str]:
        """List the sentences that make the process unready."""
        return self.sentences(Severity.STALLED) + self.sentences(Severity.ERROR)

    def sentences(self, severity: Severity) -> list[str]:
        """List the sentences of one severity, in the order of registration."""
        return [fact.sentence for found in self.facts.values() for fact in found if fact.severity == severity]

    def body(self) -> bytes:
        """Write the body of `/healthz` as JSON."""
        checks = {name: [fact._asdict() for fact in found] for name, found in self.facts.items()}
        document = {
            "healthy": self.healthy,
            "alive": self.alive,
            "problems": self.problems,
            "warnings": self.sentences(Severity.WARNING),
            "checks": checks,
        }
        return json.dumps(document).encode()


class HealthChecks:
    """The named checks of a process.

    >>> checks = HealthChecks()
    >>> checks.register("redis", lambda: [Fact("Redis is away: messages wait in Kafka")])
    >>> checks.report().healthy
    False
    """

    def __init__(self) -> None:
        self._checks: dict[str, Check] = {}

    def register(self, name: str, check: Check) -> None:
        """Add a check.

        Raises:
            ValueError: another check has that name.
        """
        if name in self._checks:
            msg = f"health check {name!r} is registered twice"
            raise ValueError(msg)
        self._checks[name] = check

    def report(self) -> HealthReport:
        """Run every check now."""
        return HealthReport({name: list(check()) for name, check in self._checks.items()})


class HealthServer:
    """Serves health and metrics until closed.

    A probe answers 200 or 503; its body lists all facts as JSON. The port is free again as soon as the
    process has ended, however it ended: closing connections do not hold it.

    Args:
        host: address to listen on.
        port: port to listen on; 0 for a free one.
        registry: the metrics of the process.
        checks: the health checks of the process.

    Raises:
        SettingsError: it cannot listen there; the text names address, reason and cure.
    """

    def __init__(self, host: str, port: int, registry: CollectorRegistry, checks: HealthChecks) -> None:
        def answer(path: str) -> tuple[int, str, bytes]:
            if path == "/metrics":
                return 200, CONTENT_TYPE_LATEST, generate_latest(registry)
            if path in _PROBES:
                report = checks.report()
                passed = report.alive if path == "/livez" else report.healthy
                return (200 if passed else 503), "application/json", report.body()
            return 404, "text/plain", b"there are /livez, /readyz, /healthz and /metrics\n"

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                status, kind, body = answer(self.path.partition("?")[0])
                self.send_response(status)
                self.send_header("Content-Type", kind)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_args: object) -> None:
                """Log nothing: a probe comes every second."""

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

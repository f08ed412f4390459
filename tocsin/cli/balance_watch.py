"""`tocsin balance --watch`: the audit again and again, as metrics for an alert."""

import signal
import threading
import time
from collections.abc import Callable
from typing import NamedTuple

from prometheus_client import CollectorRegistry, Counter, Gauge, start_http_server

from dashboards import store
from tocsin.app.audit_result import Reconciliation
from tocsin.app.audit_windows import Windows
from tocsin.app.metric_defs import AUDIT_METRICS
from tocsin.app.settings import Settings
from tocsin.cli import audit_reading
from tocsin.cli.audit_reading import Plan
from tocsin.cli.output import complain, console, fail
from tocsin.cli.times import moment_ms
from tocsin.errors import TocsinError

_STATES = ("settled", "held", "in_flight", "unread")


class Schedule(NamedTuple):
    """When audits run and over which events.

    Attributes:
        since: start of the range of each audit: how long ago, like `1h`, or a time.
        every_s: from the start of an audit to that of the next one, which never overlap.
        port: of `/metrics`; 0 for any that is free.
    """

    since: str
    every_s: int
    port: int


class AuditMetrics:
    """The result of the last audit as metrics."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        gauges = {
            name: Gauge(name, each.help, each.labels, registry=self.registry)
            for name, each in AUDIT_METRICS.items()
            if each.kind == "gauge"
        }
        self._error = gauges["tocsin_balance_error"]
        self._oldest = gauges["tocsin_balance_oldest_unexplained_seconds"]
        self._events = gauges["tocsin_balance_events"]
        self._last_run = gauges["tocsin_balance_last_run_timestamp_seconds"]
        self._took = gauges["tocsin_balance_run_seconds"]
        name = "tocsin_balance_failed_runs_total"
        self.failed = Counter(name, AUDIT_METRICS[name].help, registry=self.registry)

    def update(self, drawn: Reconciliation, began_s: float, ended_s: float) -> None:
        """Take the result of an audit over from the time at which it began."""
        self._error.set(drawn.error)
        self._oldest.set(max(0.0, ended_s - drawn.oldest_ms / 1_000) if drawn.oldest_ms else 0)
        for state in _STATES:
            self._events.labels(state).set(getattr(drawn, state))
        self._last_run.set(began_s)
        self._took.set(ended_s - began_s)


def watch(settings: Settings, schedule: Schedule, plan: Plan) -> None:
    """Audit again and again until SIGTERM or SIGINT; a server that is away ends one audit, not the watch."""
    stop, metrics = threading.Event(), AuditMetrics()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda _number, _frame: stop.set())
    try:
        server, thread = start_http_server(schedule.port, registry=metrics.registry)
    except OSError as error:
        fail(f"--metrics-port {schedule.port}: {error.strerror}; choose another one", code=2)
    place = f"http://127.0.0.1:{server.server_port}/metrics"
    console.print(f"metrics at {place}, an audit every {schedule.every_s} s", soft_wrap=True)
    try:
        run(settings, schedule, plan, metrics, stop.wait)
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def run(
    settings: Settings,
    schedule: Schedule,
    plan: Plan,
    metrics: AuditMetrics,
    wait: Callable[[float], bool],
) -> None:
    """Audit, take the result over and wait, until `wait` says that it is time to end."""
    while True:
        began_s = time.time()
        since_ms = _since(schedule.since, int(began_s * 1_000))
        windows = Windows(since_ms, size_ms=plan.windows.size_ms)
        try:
            drawn = audit_reading.draw(settings, plan._replace(windows=windows))
        except (TocsinError, *store.AWAY) as error:
            metrics.failed.inc()
            complain(f"no audit: {store.explain_failure(error) if isinstance(error, store.AWAY) else error}")
        else:
            metrics.update(drawn, began_s, time.time())
            for sentence in drawn.sentences():
                complain(sentence)
        if wait(max(0.0, schedule.every_s - (time.time() - began_s))):
            return


def _since(text: str, now_ms: int) -> int:
    try:
        return moment_ms(text, now_ms)
    except ValueError as error:
        fail(f"--since {text!r}: {error}", code=2)

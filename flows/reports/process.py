"""One shard of the flow `reports`: opens what it needs, and posts until it is told to stop."""

import asyncio
import contextlib
import threading
from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Mapping

from prometheus_client import CollectorRegistry
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from flows.delivery import incarnation
from flows.plan import ShardPlan
from flows.reports.clock import steady_ms, wall_ms
from flows.reports.declared import Faults, Resolver
from flows.reports.reporter import Reporter
from flows.reports.tail import TailPolicy
from flows.reports.telling import Teller, open_teller
from sources.topics import TopicAdmin
from tocsin.app.health import Fact, HealthChecks, HealthServer, Severity
from tocsin.app.metric_defs import ALL_METRICS
from tocsin.app.settings import Settings, environment
from tocsin.catalog.loader import load_apart
from tocsin.catalog.watch import CatalogWatcher
from tocsin.delivery.redis_client import open_client
from tocsin.delivery.reports.endpoint import Endpoint
from tocsin.delivery.reports.sender import ReportSender, report_transport
from tocsin.delivery.reports.store import PURPOSE, ReportStore
from tocsin.formats.sealed import Seal
from tocsin.model import topics

_LOOK_S = 0.1


def run_reports(
    settings: Settings, plan: ShardPlan, stop: threading.Event, ready: Callable[[], None]
) -> None:
    """Post the outcomes of this shard's partitions until `stop`.

    Raises:
        SettingsError: a setting is wrong, or a topic is missing.
        CatalogError: the catalog has mistakes.
        SourceError: Kafka does not answer.
    """
    admin = TopicAdmin(settings.kafka, settings.topic_prefix, settings.kafka_options)
    admin.check(settings.partitions, [topics.OUTCOMES, topics.AUDIT])
    asyncio.run(_run(settings, plan, stop, ready))


async def _run(settings: Settings, plan: ShardPlan, stop: threading.Event, ready: Callable[[], None]) -> None:
    async with opened(settings, plan) as reporter:
        posting = asyncio.create_task(reporter.run(ready=ready))
        while not stop.is_set() and not posting.done():
            await asyncio.sleep(_LOOK_S)
        posting.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await posting


@contextlib.asynccontextmanager
async def opened(settings: Settings, plan: ShardPlan) -> AsyncIterator[Reporter]:
    """Open a reporter with all it needs."""
    async with contextlib.AsyncExitStack() as stack:
        redis = open_client(settings.redis)
        stack.push_async_callback(redis.aclose)
        store = ReportStore(redis, settings.topic_prefix)
        sender = ReportSender(
            report_transport(allow_private=settings.webhooks_private), lambda: wall_ms() / 1_000
        )
        stack.push_async_callback(sender.close)
        teller = open_teller(settings, redis, f"reports-{plan.number} {incarnation()}")
        stack.push_async_callback(teller.close)
        known = _Known(settings, store)
        tail = TailPolicy(
            settings.kafka,
            settings.topic_prefix,
            plan.partitions(settings.partitions),
            settings.kafka_options,
        )
        reporter = Reporter(
            tail,
            store,
            known.endpoints,
            post=sender.post,
            clock_ms=wall_ms,
            steady_ms=steady_ms,
            on_off=teller.switched_off,
            on_drop=teller.dropped,
        )
        stack.enter_context(_served(settings, plan, reporter, known, teller))
        yield reporter


class _Known:
    """Looks up the endpoints that there are; a catalog that changes is read again."""

    def __init__(self, settings: Settings, store: ReportStore) -> None:
        self._store = store
        self._catalog = load_apart(settings.catalog)
        self._watcher = CatalogWatcher(settings.catalog, self._catalog.version, lambda _catalog: None)
        seal = Seal(settings.secret_bytes(), PURPOSE)
        self._resolver = Resolver(environment(), seal, allow_private=settings.webhooks_private)
        self.faults: Faults = {}
        self.problem = ""

    async def endpoints(self) -> Mapping[str, Endpoint]:
        """Return those that can be used."""
        found = await asyncio.to_thread(self._watcher.poll, wall_ms())
        self._catalog = found.catalog or self._catalog
        if found.problem or found.catalog or found.as_before:
            self.problem = found.problem
        usable, self.faults = self._resolver.resolve(self._catalog, await self._store.endpoints())
        return usable


@contextlib.contextmanager
def _served(
    settings: Settings, plan: ShardPlan, reporter: Reporter, known: _Known, teller: Teller
) -> Iterator[None]:
    """Serve health and metrics, unless TOCSIN_HTTP_PORT is 0."""
    checks = HealthChecks()
    checks.register("redis", lambda: [Fact(reporter.away)] if reporter.away else [])
    checks.register(
        "endpoints",
        lambda: [Fact(f"endpoint {key}: {why}", Severity.WARNING) for key, why in known.faults.items()],
    )
    checks.register("catalog", lambda: [Fact(known.problem, Severity.WARNING)] if known.problem else [])
    if not settings.http_port:
        yield
        return
    registry = CollectorRegistry()
    registry.register(_Metrics(reporter, teller))
    server = HealthServer(settings.http_host, settings.http_port + plan.number, registry, checks)
    try:
        yield
    finally:
        server.close()


class _Metrics(Collector):
    """Counts of a reporter, read when they are asked for."""

    def __init__(self, reporter: Reporter, teller: Teller) -> None:
        self._reporter = reporter
        self._teller = teller

    def collect(self) -> Iterable[Metric]:
        """Read them."""
        yield _counted("tocsin_reports_total", self._reporter.totals())
        name = "tocsin_report_endpoints_behind"
        yield GaugeMetricFamily(name, ALL_METRICS[name].help, len(self._reporter.behind))
        alerts = {result: count for (result,), count in self._teller.alerts.items()}
        yield _counted("tocsin_alerts_total", alerts)


def _counted(name: str, counts: Mapping[str, int]) -> Metric:
    family = CounterMetricFamily(name, ALL_METRICS[name].help, labels=ALL_METRICS[name].labels)
    for result, count in counts.items():
        family.add_metric((result,), count)
    return family

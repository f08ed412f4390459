"""Counts requests of one gateway process; `/metrics` reads them when asked."""

from bisect import bisect_left
from collections import Counter, defaultdict
from collections.abc import Iterable
from itertools import accumulate
from typing import TYPE_CHECKING, Any

from prometheus_client import CollectorRegistry
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.registry import Collector

from tocsin.app.metric_defs import GATEWAY_METRICS
from tocsin.gateway.connections import shed

if TYPE_CHECKING:
    from tocsin.gateway.gateway import Gateway

_BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10)
_SECONDS = "tocsin_gateway_request_seconds"
OTHER = "other"
"""What is no endpoint: a page, a file, or nothing."""


class Seconds:
    """Times of one endpoint: how many fell between two bounds, and their sum.

    >>> seconds = Seconds()
    >>> seconds.note(0.002)
    >>> seconds.note(60)
    >>> seconds.buckets()[1], seconds.buckets()[-1], seconds.total
    (('0.0025', 1), ('+Inf', 2), 60.002)
    """

    __slots__ = ("counts", "total")

    def __init__(self) -> None:
        self.counts = [0] * (len(_BUCKETS) + 1)
        self.total = 0.0

    def note(self, seconds: float) -> None:
        """Note one time. Only the event loop does, so no lock is taken."""
        self.counts[bisect_left(_BUCKETS, seconds)] += 1
        self.total += seconds

    def buckets(self) -> list[tuple[str, int]]:
        """Count the times up to each bound."""
        bounds = [str(float(bound)) for bound in _BUCKETS] + ["+Inf"]
        return list(zip(bounds, accumulate(self.counts), strict=True))


class GatewayMeters:
    """Counts requests by endpoint and status, and how long they took.

    Attributes:
        reports: events of providers, by vendor and what became of them.
        engagement: openings and clicks, by kind and who did them.
        requests: by endpoint and status.
        seconds: by endpoint.
    """

    def __init__(self) -> None:
        self.reports: Counter[tuple[str, str]] = Counter()
        self.engagement: Counter[tuple[str, str]] = Counter()
        self.requests: Counter[tuple[str, str]] = Counter()
        self.seconds: defaultdict[str, Seconds] = defaultdict(Seconds)

    def request(self, endpoint: str, status: int, seconds: float) -> None:
        """Count a request; `endpoint` is a method and the pattern of a path, never a path."""
        self.requests[endpoint, str(status)] += 1
        self.seconds[endpoint].note(seconds)


class _GatewayCollector(Collector):
    """Reads all values when asked."""

    def __init__(self, gateway: "Gateway") -> None:
        self._gateway = gateway

    def collect(self) -> Iterable[Metric]:
        """Read all metrics now."""
        gateway = self._gateway
        yield _family("tocsin_gateway_requests_total", gateway.meters.requests)
        yield _seconds(gateway.meters.seconds)
        yield _family("tocsin_gateway_shed_total", {(why,): count for why, count in shed.items()})
        written = {("written",): gateway.writer.written, ("failed",): gateway.writer.failed}
        yield _family("tocsin_gateway_records_total", written)
        yield _family("tocsin_gateway_producers_replaced_total", {(): gateway.writer.replaced})
        yield _family("tocsin_gateway_reports_total", gateway.meters.reports)
        yield _family("tocsin_gateway_engagement_total", gateway.meters.engagement)
        yield _family("tocsin_gateway_keys", {(): len(gateway.keys)})
        yield _family("tocsin_gateway_keys_age_seconds", {(): gateway.key_copy.age_s()})
        yield _family("tocsin_gateway_healthy", {(): float(gateway.checks.report().healthy)})


def _family(name: str, values: Any) -> Metric:
    defined = GATEWAY_METRICS[name]
    made = CounterMetricFamily if defined.kind == "counter" else GaugeMetricFamily
    family = made(name.removesuffix("_total"), defined.help, labels=defined.labels)
    for labels, value in list(values.items()):
        family.add_metric(list(labels), value)
    return family


def _seconds(values: dict[str, Seconds]) -> Metric:
    defined = GATEWAY_METRICS[_SECONDS]
    family = HistogramMetricFamily(_SECONDS, defined.help, labels=defined.labels)
    for endpoint, times in list(values.items()):
        family.add_metric([endpoint], times.buckets(), times.total)
    return family


def registry(gateway: "Gateway") -> CollectorRegistry:
    """Make the registry of a gateway that runs."""
    made = CollectorRegistry()
    made.register(_GatewayCollector(gateway))
    return made

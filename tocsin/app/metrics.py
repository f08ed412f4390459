"""Metrics, declared in one place: name, type, unit, meaning. `docs/operations.md` includes this list."""

from collections import Counter, deque
from collections.abc import Callable, Iterable
from typing import Any, Protocol

from prometheus_client import CollectorRegistry, Histogram
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from sources.source import Epochs
from tocsin.app.health import HealthChecks
from tocsin.delivery.breaker import BreakerState

_LATENCY_BUCKETS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30)

NAMES = {
    "tocsin_decisions_total": "counter; outcomes the gate decided, by status, channel and reason",
    "tocsin_records_total": "counter; records read, by topic",
    "tocsin_epoch_close_ms": "gauge, ms; end of an epoch until it is durable, by quantile of the last 2,000",
    "tocsin_provider_calls_total": "counter; provider calls, by channel, provider and result",
    "tocsin_provider_seconds": "histogram, seconds; how long a provider took, by channel and provider",
    "tocsin_lag_records": "gauge, records; behind the end of a topic, by topic and partition",
    "tocsin_paused_partitions": "gauge; partitions that too many bad records paused",
    "tocsin_in_flight": "gauge, messages; at a provider now, by channel",
    "tocsin_buffered": "gauge, messages; in the operator, waiting or in flight, by channel",
    "tocsin_breaker_open": "gauge, 0 or 1; whether a provider counts as down, by provider",
    "tocsin_clickhouse_rows_total": "counter; outcomes inserted into ClickHouse",
    "tocsin_clickhouse_waiting": "gauge, records; handed to the inserter and not stored yet",
    "tocsin_healthy": "gauge, 0 or 1; what /healthz says",
}


class Meters:
    """What is counted where it happens; read by the collector."""

    def __init__(self) -> None:
        self.decisions: Counter[tuple[str, str, str]] = Counter()
        self.calls: Counter[tuple[str, str, str]] = Counter()
        self.provider_seconds = Histogram(
            "tocsin_provider_seconds",
            NAMES["tocsin_provider_seconds"],
            ["channel", "provider"],
            registry=None,
            buckets=_LATENCY_BUCKETS,
        )

    def call(self, channel: str, provider: str, result: str, provider_ms: int) -> None:
        """Count one provider call."""
        self.calls[channel, provider, result] += 1
        if provider_ms >= 0:
            self.provider_seconds.labels(channel, provider).observe(provider_ms / 1000)


class TimedEpochs:
    """Passes everything on to the store, and measures how long an epoch takes to become durable.

    Args:
        epochs: the store.
        monotonic_ms: a clock.
        on_durable: called after each epoch that became durable.
        kept: how many measurements the quantiles look back.
    """

    def __init__(
        self,
        epochs: Epochs,
        monotonic_ms: Callable[[], float],
        on_durable: Callable[[], None],
        kept: int = 2_000,
    ) -> None:
        self._epochs = epochs
        self._monotonic_ms = monotonic_ms
        self._on_durable = on_durable
        self._closing_ms = 0.0
        self.took_ms: deque[float] = deque(maxlen=kept)

    def resume(self, epoch: int | None) -> None:
        """Start after this epoch."""
        self._epochs.resume(epoch)

    def closing(self) -> int:
        """End an epoch."""
        self._closing_ms = self._monotonic_ms()
        return self._epochs.closing()

    def durable(self) -> None:
        """The epoch that ended is durable."""
        self.took_ms.append(self._monotonic_ms() - self._closing_ms)
        self._epochs.durable()
        self._on_durable()


class Watched(Protocol):
    """The parts of a process that metrics are read from."""

    meters: Meters
    epochs: TimedEpochs
    decoder: Any
    consumer: Any
    channels: dict[str, Any]
    writer: Any
    checks: HealthChecks


class _ProcessCollector(Collector):
    """Reads everything when asked: nothing is kept up to date in the hot path."""

    def __init__(self, watched: Watched) -> None:
        self._watched = watched

    def collect(self) -> Iterable[Metric]:
        """Read all metrics now."""
        watched = self._watched
        yield _counter("tocsin_decisions", ("status", "channel", "reason"), watched.meters.decisions)
        yield _counter("tocsin_provider_calls", ("channel", "provider", "result"), watched.meters.calls)
        read = {(topic,): count for topic, count in list(watched.decoder.read.items())}
        yield _counter("tocsin_records", ("topic",), read)
        yield _gauge("tocsin_epoch_close_ms", ("quantile",), _quantiles(list(watched.epochs.took_ms)))
        yield from self._topics()
        yield from self._delivery()
        yield _gauge("tocsin_healthy", (), {(): float(watched.checks.report().healthy)})
        if watched.writer is not None:
            yield _counter("tocsin_clickhouse_rows", (), {(): watched.writer.rows})
            yield _gauge("tocsin_clickhouse_waiting", (), {(): watched.writer.waiting})

    def _topics(self) -> Iterable[Metric]:
        consumer = self._watched.consumer
        lags = {(topic, str(partition)): lag for (topic, partition), lag in consumer.monitor.lags().items()}
        yield _gauge("tocsin_lag_records", ("topic", "partition"), lags)
        yield _gauge("tocsin_paused_partitions", (), {(): len(consumer.paused)})

    def _delivery(self) -> Iterable[Metric]:
        gauges = {name: channel.gauges() for name, channel in self._watched.channels.items()}
        states = {(name,): state for each in gauges.values() for name, state in each.providers.items()}
        yield _gauge(
            "tocsin_in_flight", ("channel",), {(name,): each.active for name, each in gauges.items()}
        )
        yield _gauge("tocsin_buffered", ("channel",), {(name,): each.held for name, each in gauges.items()})
        opened = {name: float(state is not BreakerState.CLOSED) for name, state in states.items()}
        yield _gauge("tocsin_breaker_open", ("provider",), opened)


def _quantiles(values: list[float]) -> dict[tuple[str], float]:
    ordered = sorted(values)
    return {
        (str(share),): ordered[min(len(ordered) - 1, int(len(ordered) * share))] if ordered else 0.0
        for share in (0.5, 0.99)
    }


def _counter(name: str, labels: tuple[str, ...], values: Any) -> Metric:
    family = CounterMetricFamily(name, NAMES[f"{name}_total"], labels=labels)
    for key, value in list(values.items()):
        family.add_metric([str(part) for part in key], value)
    return family


def _gauge(name: str, labels: tuple[str, ...], values: Any) -> Metric:
    family = GaugeMetricFamily(name, NAMES[name], labels=labels)
    for key, value in list(values.items()):
        family.add_metric([str(part) for part in key], value)
    return family


def registry(watched: Watched) -> CollectorRegistry:
    """Make the registry of one process."""
    made = CollectorRegistry()
    made.register(watched.meters.provider_seconds)
    made.register(_ProcessCollector(watched))
    return made

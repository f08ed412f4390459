"""Metrics of one process: counted where things happen, read when `/metrics` is asked."""

import time
from collections import Counter, deque
from collections.abc import Callable, Iterable, Mapping
from functools import lru_cache
from typing import Any, Protocol

from prometheus_client import CollectorRegistry, Histogram
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from operators.fan_out_parts import FanOutTally
from sources.source import Epochs
from tocsin.app.drain_times import DrainTimes
from tocsin.app.health import HealthChecks
from tocsin.app.metric_defs import METRICS
from tocsin.delivery.breaker import BreakerState

_SENT = "sent"
_LATENCY_BUCKETS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30)


class Meters:
    """Counts decisions and provider calls where they happen; the collector reads the counts."""

    def __init__(self) -> None:
        self.decisions: Counter[tuple[str, str, str]] = Counter()
        self.calls: Counter[tuple[str, str, str]] = Counter()
        self.alerts: Counter[tuple[str]] = Counter()
        self.fan_out = FanOutTally()
        self.provider_seconds = Histogram(
            "tocsin_provider_seconds",
            METRICS["tocsin_provider_seconds"].help,
            METRICS["tocsin_provider_seconds"].labels,
            registry=None,
            buckets=_LATENCY_BUCKETS,
        )
        # The library's look-up of the labels costs more than the rest of a call's metrics.
        self._observer = lru_cache(1_024)(self._find_observer)

    def _find_observer(self, channel: str, provider: str) -> Callable[[float], None]:
        return self.provider_seconds.labels(channel, provider).observe

    def call(self, channel: str, provider: str, result: str, provider_ms: int) -> None:
        """Count one provider call.

        Args:
            channel: channel of the message.
            provider: name of the account.
            result: how the call ended.
            provider_ms: how long it took; below 0 if no answer came.
        """
        self.calls[channel, provider, result] += 1
        if provider_ms >= 0:
            self._observer(channel, provider)(provider_ms / 1000)


class TimedEpochs:
    """Passes the source's calls on to the store, and measures how long an epoch takes to become durable.

    Args:
        epochs: the store.
        monotonic_ms: a clock.
        on_durable: called after each epoch that became durable.
        on_end: called with the seconds that the end of each epoch took.
        kept: how many measurements the quantiles look back.
    """

    def __init__(
        self,
        epochs: Epochs,
        monotonic_ms: Callable[[], float],
        on_durable: Callable[[], None],
        on_end: Callable[[float], None] = lambda _: None,
        kept: int = 2_000,
    ) -> None:
        self._epochs = epochs
        self._monotonic_ms = monotonic_ms
        self._on_durable = on_durable
        self._on_end = on_end
        self._closing_ms = 0.0
        self._turned_ms = 0.0  # 0 until the first epoch: a start may read profiles for minutes
        self.took_ms: deque[float] = deque(maxlen=kept)

    def resume(self, epoch: int | None) -> None:
        """Start after this epoch."""
        self._epochs.resume(epoch)

    def still_s(self) -> float:
        """Return how long ago the last epoch ended; 0 before the first. From any thread."""
        return (self._monotonic_ms() - self._turned_ms) / 1_000 if self._turned_ms else 0.0

    def closing(self) -> int:
        """End an epoch."""
        self._closing_ms = self._turned_ms = self._monotonic_ms()
        return self._epochs.closing()

    def durable(self) -> None:
        """The epoch that ended is durable."""
        took_ms = self._monotonic_ms() - self._closing_ms
        self.took_ms.append(took_ms)
        self._on_end(took_ms / 1_000)
        self._epochs.durable()
        self._on_durable()


class Watched(Protocol):
    """The parts of a process that metrics are read from."""

    meters: Meters
    epochs: TimedEpochs
    shard: Any
    decoder: Any
    consumer: Any
    channels: dict[str, Any]
    writer: Any
    checks: HealthChecks


class _ProcessCollector(Collector):
    """Reads all values when asked, so that the hot path keeps none of them up to date."""

    def __init__(self, watched: Watched, monotonic_s: Callable[[], float]) -> None:
        self._watched = watched
        self._monotonic_s = monotonic_s
        self._drains = DrainTimes()

    def collect(self) -> Iterable[Metric]:
        """Read all metrics now."""
        watched = self._watched
        yield _family("tocsin_decisions_total", watched.meters.decisions)
        yield _family("tocsin_provider_calls_total", watched.meters.calls)
        yield _family("tocsin_alerts_total", watched.meters.alerts)
        decoder = watched.decoder
        yield _family("tocsin_records_total", _by_topic(decoder.read))
        yield _family("tocsin_forwarded_total", _by_topic(decoder.forwarded))
        yield _family("tocsin_tombstones_total", _by_topic(decoder.skipped))
        yield _family("tocsin_epoch_close_ms", _quantiles(list(watched.epochs.took_ms)))
        memory = {(part,): size for part, size in watched.shard.memory().items()}
        yield _family("tocsin_store_memory_bytes", memory)
        yield from self._fan_out()
        yield from self._topics()
        yield from self._delivery()
        yield _family("tocsin_healthy", {(): float(watched.checks.report().healthy)})
        if watched.writer is not None:
            yield _family("tocsin_clickhouse_rows_total", {(): watched.writer.rows})
            yield _family("tocsin_clickhouse_waiting", {(): watched.writer.waiting})

    def _fan_out(self) -> Iterable[Metric]:
        tally = self._watched.meters.fan_out
        totals = list(tally.totals.values())
        yield _family("tocsin_subscribers", {(): sum(each.subscribers for each in totals)})
        yield _family("tocsin_fan_outs_open", {(): sum(each.open for each in totals)})
        yield _family("tocsin_fanned_out_total", {(): tally.reached})
        yield _family("tocsin_fan_out_behind_seconds", {(): max(tally.behind_s.values(), default=0.0)})

    def _topics(self) -> Iterable[Metric]:
        consumer = self._watched.consumer
        lags = {(topic, str(partition)): lag for (topic, partition), lag in consumer.monitor.lags().items()}
        yield _family("tocsin_lag_records", lags)
        yield _family("tocsin_drain_seconds", self._drained(lags))
        yield _family("tocsin_paused_partitions", {(): len(consumer.paused)})

    def _delivery(self) -> Iterable[Metric]:
        gauges = {name: channel.gauges() for name, channel in self._watched.channels.items()}
        states = {(name,): state for each in gauges.values() for name, state in each.providers.items()}
        yield _family("tocsin_in_flight", {(name,): each.active for name, each in gauges.items()})
        yield _family("tocsin_buffered", {(name,): each.held for name, each in gauges.items()})
        ages = {(name,): each.oldest_s for name, each in gauges.items()}
        yield _family("tocsin_oldest_waiting_seconds", ages)
        dead = {
            (name, reason): count
            for name, channel in self._watched.channels.items()
            for reason, count in list(channel.dead_letters.items())
        }
        yield _family("tocsin_dead_letters_total", dead)
        queues = {(name,): queue for each in gauges.values() for name, queue in each.queues.items()}
        yield _family("tocsin_account_in_flight", {at: queue.out for at, queue in queues.items()})
        yield _family("tocsin_account_waiting", {at: queue.waiting for at, queue in queues.items()})
        yield _family("tocsin_account_oldest_seconds", {at: queue.oldest_s for at, queue in queues.items()})
        waiting = {name: queue.waiting for (name,), queue in queues.items()}
        yield _family("tocsin_account_drain_seconds", self._accounts_drained(waiting))
        limits = {(name,): limit for each in gauges.values() for name, limit in each.limits.items()}
        yield _family("tocsin_recovery_limit_per_s", limits)
        opened = {name: float(state is not BreakerState.CLOSED) for name, state in states.items()}
        yield _family("tocsin_breaker_open", opened)

    def _drained(self, lags: Mapping[tuple[str, str], int]) -> dict[tuple[str], float]:
        """Estimate when nothing of each topic waits; a topic of which that is not known yet is left out."""
        waiting = Counter[str]()
        for (topic, _), lag in lags.items():
            waiting[topic] += lag
        now_s = self._monotonic_s()
        found = {topic: self._drains.by_shrinking(topic, lag, now_s) for topic, lag in waiting.items()}
        return _known(found)

    def _accounts_drained(self, waiting: Mapping[str, int]) -> dict[tuple[str], float]:
        sent = Counter[str]()
        for (_, provider, result), calls in list(self._watched.meters.calls.items()):
            sent[provider] += calls if result == _SENT else 0
        drains, now_s = self._drains, self._monotonic_s()
        return _known({at: drains.by_finishing(at, n, sent[at], now_s) for at, n in waiting.items()})


def _known(found: Mapping[str, float | None]) -> dict[tuple[str], float]:
    return {(name,): value for name, value in found.items() if value is not None}


def _by_topic(counts: Counter[str]) -> dict[tuple[str], int]:
    return {(topic,): count for topic, count in list(counts.items())}


def _quantiles(values: list[float]) -> dict[tuple[str], float]:
    ordered = sorted(values)
    return {
        (str(share),): ordered[min(len(ordered) - 1, int(len(ordered) * share))] if ordered else 0.0
        for share in (0.5, 0.99, 1.0)
    }


def _family(name: str, values: Any) -> Metric:
    """Make the samples of a counter or gauge: values by label values."""
    defined = METRICS[name]
    made = CounterMetricFamily if defined.kind == "counter" else GaugeMetricFamily
    family = made(name.removesuffix("_total"), defined.help, labels=defined.labels)
    for labels, value in list(values.items()):
        family.add_metric([str(label) for label in labels], value)
    return family


def registry(watched: Watched, monotonic_s: Callable[[], float] = time.monotonic) -> CollectorRegistry:
    """Make the registry of one process; drain times need a clock."""
    made = CollectorRegistry()
    made.register(watched.meters.provider_seconds)
    made.register(_ProcessCollector(watched, monotonic_s))
    return made

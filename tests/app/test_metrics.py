"""Metrics: what a process serves is what the definitions say."""

import math
from collections import Counter
from types import SimpleNamespace
from typing import Any

from prometheus_client.exposition import generate_latest
from prometheus_client.parser import text_string_to_metric_families

from tocsin.app.health import Fact, HealthChecks
from tocsin.app.metric_defs import METRICS
from tocsin.app.metrics import Meters, TimedEpochs, registry
from tocsin.delivery.breaker import BreakerState
from tocsin.delivery.channel import AccountQueue


class Process:
    """A process with one value of each metric."""

    def __init__(self) -> None:
        self.meters = Meters()
        self.meters.decisions["admitted", "sms", ""] += 3
        self.meters.call("sms", "twilio", "sent", 120)
        self.meters.alerts["sent",] += 1
        self.epochs: Any = SimpleNamespace(took_ms=[5.0, 7.0])
        self.shard: Any = SimpleNamespace(memory=lambda: {"write_buffers": 4_096})
        self.decoder: Any = SimpleNamespace(
            read=Counter({"events": 4}), forwarded=Counter({"events": 1}), skipped=Counter({"source:a": 2})
        )
        self.consumer: Any = SimpleNamespace(
            paused={("events", 1): "paused"}, monitor=SimpleNamespace(lags=lambda: {("events", 0): 9})
        )
        gauges = SimpleNamespace(
            active=2,
            held=6,
            oldest_s=7.5,
            providers={"twilio": BreakerState.CLOSED},
            limits={"twilio": 60.0},
            queues={"twilio": AccountQueue(out=2, waiting=4, oldest_s=7.5)},
        )
        self.channels: Any = {
            "sms": SimpleNamespace(gauges=lambda: gauges, dead_letters=Counter({"rejected": 2}))
        }
        self.writer: Any = SimpleNamespace(rows=8, waiting=1)
        self.checks = HealthChecks()
        self.checks.register("kafka", lambda: [Fact("events/1 is paused")])

        self.now_s = 100.0
        self.registry = registry(self, lambda: self.now_s)

    def served(self) -> dict[str, Any]:
        text = generate_latest(self.registry).decode()
        families = text_string_to_metric_families(text)
        return {family.name: family for family in families if not family.name.endswith("_created")}


def test_every_metric_that_is_defined_is_served_as_defined_and_no_other() -> None:
    process = Process()
    process.served()
    process.now_s += 10
    found = process.served()
    assert set(found) == {name.removesuffix("_total") for name in METRICS}
    for name, defined in METRICS.items():
        family = found[name.removesuffix("_total")]
        assert (family.type, family.documentation) == (defined.kind, defined.help)
        labels = {label for sample in family.samples for label in sample.labels} - {"le"}
        assert labels == set(defined.labels)


def test_values_are_those_of_the_process() -> None:
    samples = {
        (sample.name, *sorted(sample.labels.values())): sample.value
        for family in Process().served().values()
        for sample in family.samples
    }
    assert samples["tocsin_decisions_total", "", "admitted", "sms"] == 3
    assert samples["tocsin_provider_seconds_sum", "sms", "twilio"] == 0.12
    assert samples["tocsin_lag_records", "0", "events"] == 9
    assert samples["tocsin_paused_partitions",] == 1
    assert samples["tocsin_forwarded_total", "events"] == 1
    assert samples["tocsin_tombstones_total", "source:a"] == 2
    assert samples["tocsin_epoch_close_ms", "0.99"] == 7
    assert samples["tocsin_store_memory_bytes", "write_buffers"] == 4_096
    assert samples["tocsin_dead_letters_total", "rejected", "sms"] == 2
    assert samples["tocsin_account_in_flight", "twilio"] == 2
    assert samples["tocsin_account_waiting", "twilio"] == 4
    assert samples["tocsin_account_oldest_seconds", "twilio"] == 7.5
    assert samples["tocsin_healthy",] == 0


def test_drain_times_are_those_of_the_rates_between_two_looks() -> None:
    process = Process()
    lags = {("messages.sms.now", 0): 40, ("messages.sms.now", 1): 60, ("events", 0): 7}
    process.consumer.monitor = SimpleNamespace(lags=lambda: lags)
    assert not process.served()["tocsin_drain_seconds"].samples, "nothing is known yet"
    process.now_s += 10
    lags["messages.sms.now", 1] = 10
    process.meters.calls["sms", "twilio", "sent"] += 20
    process.meters.calls["sms", "twilio", "throttled"] += 80
    found = process.served()
    drains = {each.labels["topic"]: each.value for each in found["tocsin_drain_seconds"].samples}
    assert drains == {"messages.sms.now": 10.0, "events": math.inf}
    assert [each.value for each in found["tocsin_account_drain_seconds"].samples] == [2.0]


def test_an_epoch_is_timed_from_its_end_to_its_durability() -> None:
    now_ms, durable, ends_s = [100.0], list[float](), list[float]()

    class Store:
        def resume(self, epoch: int | None) -> None:
            assert epoch is None

        def closing(self) -> int:
            return 1

        def durable(self) -> None:
            durable.append(now_ms[0])

    epochs = TimedEpochs(Store(), lambda: now_ms[0], lambda: durable.append(-1), on_end=ends_s.append)
    epochs.resume(None)
    assert epochs.closing() == 1
    now_ms[0] = 112.5
    epochs.durable()
    assert (list(epochs.took_ms), durable, ends_s) == ([12.5], [112.5, -1], [0.0125])

"""Latency: from the moment an event is written to Kafka until the provider is called, seen from outside."""

import time
from functools import cached_property
from pathlib import Path
from typing import NamedTuple

from confluent_kafka import Producer

from bench.peers.environments import Build
from bench.peers.laboratory import Laboratory
from bench.peers.product import Product, key, late_flight
from bench.peers.watch import Failed, cpu_s
from tocsin.devkit.processes import Child
from tocsin.devkit.servers import CLICKHOUSE

PARTITIONS = 2
USERS = 50_000
RATE_PER_S = 1_000
WARM_UP_S = 10
DELAY_MS = 50.0
_SLICE_S = 0.005
_WAIT_S = 120.0


class Waits(NamedTuple):
    """What one run gave, in milliseconds; cores are those the build used."""

    p50_ms: float
    p99_ms: float
    cores: float


class Latency:
    """The whole pipeline of a build: gate, topic, ledger, rendering, call, outcomes, ClickHouse."""

    def __init__(self, laboratory: Laboratory, seconds: int = 40) -> None:
        self._laboratory, self._seconds = laboratory, seconds

    @cached_property
    def _clickhouse(self) -> str:
        """Start ClickHouse when it is first needed: no other measurement has it beside it."""
        return self._laboratory.serve(CLICKHOUSE)["TOCSIN_CLICKHOUSE"].rpartition("/")[0]

    def product(self, build: Build) -> Waits:
        """Measure a build with one shard, at its own default epoch."""
        laboratory = self._laboratory
        folder = laboratory.new_folder("calls")
        calls = folder / "calls"
        database = f"{self._clickhouse}/{folder.name.replace('-', '_')}"
        with (
            laboratory.provider(DELAY_MS, calls) as provider,
            Product(
                laboratory, build, partitions=PARTITIONS, provider=provider, clickhouse=database
            ) as product,
        ):
            product.command("migrate")
            product.load_profiles(USERS)
            with product.running("--flow", "pipeline", "--channel", "sms") as children:
                return self._played(product, calls, children)

    def _played(self, product: Product, calls: Path, children: list[Child]) -> Waits:
        producer = Producer(
            {
                "bootstrap.servers": self._laboratory.topics.bootstrap,
                "linger.ms": 0,
                "partitioner": "murmur2_random",
            }
        )
        first = _write(producer, product.topic("events"), 0)
        _await(calls, 1, children)
        before_s, began_s = cpu_s(children), time.monotonic()
        written = self._play(producer, product.topic("events"))
        cores = (cpu_s(children) - before_s) / (time.monotonic() - began_s)
        called = _await(calls, 1 + len(written), children)
        waits = {number: called[number] - at_ms for number, at_ms in {0: first, **written}.items()}
        counted = sorted(wait for number, wait in waits.items() if number > WARM_UP_S * RATE_PER_S)
        return Waits(_percentile(counted, 50), _percentile(counted, 99), cores)

    def _play(self, producer: Producer, topic: str) -> dict[int, float]:
        """Write events evenly, one a user; returns when each was written, by number from 1."""
        total, began = RATE_PER_S * self._seconds, time.perf_counter()
        written: dict[int, float] = {}
        while len(written) < total:
            due = min(total, round((time.perf_counter() - began) * RATE_PER_S))
            for number in range(len(written) + 1, due + 1):
                written[number] = _write(producer, topic, number)
            producer.poll(0)
            self._laboratory.moved(len(written))
            time.sleep(_SLICE_S)
        producer.flush()
        return written


def _write(producer: Producer, topic: str, number: int) -> float:
    """Write an event; returns when, in ms of the wall clock."""
    record = late_flight(number, f"u{number % USERS:07d}")
    now_ms = time.time() * 1000
    producer.produce(topic, record.value, key(record.key))
    return now_ms


def _await(calls: Path, count: int, children: list[Child]) -> dict[int, float]:
    """Wait until the provider was called for so many messages; returns when, by number."""
    until = time.monotonic() + _WAIT_S
    called: dict[int, float] = {}
    while time.monotonic() < until:
        called = _read(calls)
        if len(called) >= count:
            return called
        time.sleep(0.5)
    tails = "\n".join(child.tail() for child in children)
    raise Failed(f"the provider was called for {len(called)} of {count} messages:\n{tails}")


def _read(calls: Path) -> dict[int, float]:
    lines = calls.read_text().split("\n")[:-1] if calls.exists() else []
    split = (line.split() for line in lines)
    return {int(number): float(at_ms) for number, at_ms in split}


def _percentile(ordered: list[float], percent: int) -> float:
    return ordered[min(len(ordered) - 1, len(ordered) * percent // 100)]

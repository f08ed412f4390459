"""One process of a build of Tocsin at work: `python -P bench/deliver/worker.py --help`; prints JSON.

A Bytewax flow whose source holds N messages outstanding. The deliver operator renders the shipped templates,
claims and finishes in Redis, and calls the channel's own adapter over HTTP. Kafka is left out: what reading
and producing cost is measured in `bench.decide`. The garbage collector runs as seldom as in a shard's
process. Latency runs from the source's handing a message over until its outcome is put out and acknowledged.
With the build's own number of calls in flight the buffer is always full: latency is mostly the wait in it.

`bench.deliver` runs this file with the packages of this build and of an older one, so it uses nothing of
`bench`, and only what both builds have.
"""

import argparse
import json
import os
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import bytewax.operators as op
import psutil
from bytewax.dataflow import Dataflow
from bytewax.inputs import FixedPartitionedSource, StatefulSourcePartition
from bytewax.outputs import DynamicSink, StatelessSinkPartition
from bytewax.testing import run_main

from flows.memory import collect_seldom, keep_freed_memory
from operators.deliver import deliver
from sources import source
from tocsin.app.settings import Settings
from tocsin.catalog.loader import load
from tocsin.delivery.channel import ChannelDelivery, channel_policy
from tocsin.delivery.ledger import Ledger, LedgerPolicy
from tocsin.delivery.runtime import Runtime
from tocsin.formats.marks import Marks
from tocsin.model.raw import OutRecord, RawRecord
from tocsin.model.statuses import Channel
from tocsin.providers.accounts import build, parse_accounts
from tocsin.providers.base import Provider
from tocsin.render.renderer import Renderer
from tocsin.render.templates import load_templates

Handed = tuple[str, list[RawRecord]]
SECRET = b"bench" * 4
PAUSE = getattr(source, "FULL_PAUSE", source.PAUSE)
"""Of a source whose channel is full; older builds have one pause."""


class CallCounts:
    """How long calls took, as the runtime saw them."""

    def __init__(self) -> None:
        self.results: Counter[str] = Counter()
        self.ms: list[int] = []

    def call(self, channel: str, provider: str, result: str, provider_ms: int) -> None:
        self.results[result] += 1
        self.ms.append(provider_ms)


class Load(StatefulSourcePartition[Handed, None]):
    """Keeps `in_flight` messages outstanding until `end_s`, waits for the last; measures from `warm_s` on."""

    def __init__(self, bodies: list[bytes], users: int, in_flight: int, warm_s: float, end_s: float) -> None:
        self._bodies = bodies
        self._users = users
        self._in_flight = in_flight
        self._start = time.perf_counter()
        self._warm_s, self._end_s = warm_s, end_s
        self._handed: dict[int, float] = {}
        self._next = 0
        self.room: Callable[[], int] = lambda: 0
        self.topic = ""
        self.latencies_ms: list[float] = []
        self.measured = (0.0, 0.0)
        self._cpu = 0.0
        self._awake: datetime | None = None

    def next_awake(self) -> datetime | None:
        """Pause as the flow's own source does."""
        return self._awake

    def next_batch(self) -> list[Handed]:
        now = time.perf_counter()
        if now - self._start > self._end_s:
            if self.measured[0] == 0:
                self.measured = (now - self._start - self._warm_s, time.process_time() - self._cpu)
            if not self._handed:
                raise StopIteration
            return []
        if not self._cpu and now - self._start > self._warm_s:
            self._cpu = time.process_time()
        count = min(100, self.room(), self._in_flight - len(self._handed))
        self._awake = None if count > 0 else datetime.now(UTC) + PAUSE
        return [("key_group", [self._record(now) for _ in range(count)])] if count > 0 else []

    def snapshot(self) -> None:
        return None

    def done(self, topic: str, partition: int, offset: int) -> None:
        handed = self._handed.pop(offset)
        if self._cpu and not self.measured[0]:
            self.latencies_ms.append((time.perf_counter() - handed) * 1000)

    def _record(self, now: float) -> RawRecord:
        number = self._next
        self._next += 1
        self._handed[number] = now
        user = f"user-{number % self._users:08d}".encode()
        body = self._bodies[number % len(self._bodies)].replace(b"NUMBER", b"%032x" % number)
        return RawRecord(self.topic, 0, number, 0, b"default/" + user, body.replace(b"USER", user), ())


class Source(FixedPartitionedSource[Handed, None]):
    def __init__(self, part: Load) -> None:
        self._part = part

    def list_parts(self) -> list[str]:
        return ["source"]

    def build_part(self, step_id: str, for_part: str, resume_state: None) -> Load:
        return self._part


class Swallow(DynamicSink[Any], StatelessSinkPartition[Any]):
    """Takes outcomes and counts their bytes."""

    def __init__(self) -> None:
        self.bytes = 0

    def build(self, step_id: str, worker_index: int, worker_count: int) -> "Swallow":
        return self

    def write_batch(self, items: list[tuple[str, list[OutRecord]]]) -> None:
        self.bytes += sum(len(record.value or b"") for _, records in items for record in records)


def provider_of(account: dict[str, Any]) -> Provider:
    """Build the adapter of an account, given as in `providers.yaml`."""
    accounts = parse_accounts({"accounts": {"bench": account}}, {}, Path("providers.yaml"))
    return build(accounts, clock=time.time)["bench"]


def renderer(catalog: Path) -> Renderer:
    """Make the renderer of a catalog."""
    tenants = {name: tenant.spec for name, tenant in load(catalog).tenants.items()}
    return Renderer(load_templates(catalog / "templates"), tenants, SECRET)


def run(arguments: argparse.Namespace) -> dict[str, Any]:
    """Send for a while; returns the figures."""
    runtime, counts, sink = Runtime(), CallCounts(), Swallow()
    runtime.start()
    in_flight = arguments.in_flight or Settings.model_fields["in_flight"].default
    outstanding = arguments.in_flight or sys.maxsize
    provider = provider_of(json.loads(arguments.account))
    channel = ChannelDelivery(
        channel_policy(Channel(arguments.channel), in_flight=in_flight),
        runtime=runtime,
        ledger=Ledger(LedgerPolicy(url=arguments.redis, prefix=f"bench{os.getpid()}:"), "b" * 16),
        render=renderer(arguments.catalog).render,
        providers_for=lambda _: [provider],
        stats=counts,
        mark_of=Marks(SECRET).of,
    )
    warm_s, bodies = arguments.warm_up, arguments.messages.read_bytes().splitlines()
    load_ = Load(bodies, arguments.users, outstanding, warm_s, warm_s + arguments.seconds)
    load_.topic = f"messages.{arguments.channel}.now"
    load_.room = lambda: channel.allowance(load_.topic)
    flow = Dataflow("bench")
    up: Any = op.input("source", flow, Source(load_))
    op.output("out", deliver("deliver", up, channel=channel, done=load_.done, in_gap=lambda: False), sink)
    collect_seldom()
    keep_freed_memory()
    run_main(flow)
    runtime.run(provider.close(), 5)
    runtime.stop()
    return figures(load_, counts) | {"in_flight": in_flight}


def figures(load_: Load, counts: CallCounts) -> dict[str, Any]:
    """Give what was measured."""
    seconds, cpu_s = load_.measured
    sends = len(load_.latencies_ms)
    return {
        "sends_per_s": round(sends / seconds),
        "cpu_us_a_send": round(cpu_s / sends * 1e6),
        "cpu_cores": round(cpu_s / seconds, 2),
        "latency_ms": percentiles(load_.latencies_ms),
        "call_ms": percentiles(counts.ms),
        "results": dict(counts.results),
        "rss_mb": round(psutil.Process().memory_info().rss / 1e6),
    }


def percentiles(values: Iterable[float]) -> dict[str, float]:
    """Give p50 and p99."""
    ordered = sorted(values)
    return {f"p{p}": round(ordered[min(len(ordered) - 1, len(ordered) * p // 100)], 1) for p in (50, 99)}


def main() -> None:
    """Read the arguments and print the figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--channel", required=True)
    parser.add_argument("--messages", type=Path, required=True, help="one message a line")
    parser.add_argument("--account", required=True, help="an account of providers.yaml, in JSON")
    parser.add_argument("--catalog", type=Path, required=True)
    parser.add_argument("--redis", required=True)
    parser.add_argument("--in-flight", type=int, default=512, help="0: as the build is shipped, buffer full")
    parser.add_argument("--seconds", type=float, default=10)
    parser.add_argument("--warm-up", type=float, default=3)
    parser.add_argument("--users", type=int, default=100_000)
    print(json.dumps(run(parser.parse_args())))


if __name__ == "__main__":
    main()

"""Sends a second of one process: `python -m bench.deliver [--json] [--in-flight N] [--seconds S]`.

A Bytewax flow whose source holds N messages outstanding; the deliver operator renders the shipped templates,
claims and finishes in an embedded Valkey (append-only file on), and calls the channel's own adapter (Twilio,
SendGrid) over HTTP at a server in a process of its own that answers after --delay-ms. Kafka is left out: what
reading and producing cost is measured in `bench.decide`. The server's ceiling is measured first, with a raw
client. The garbage collector runs as seldom as in a shard's process. Latency runs from the source's handing a
message over until its outcome is put out and acknowledged.
"""

import argparse
import asyncio
import json
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, cast

import bytewax.operators as op
import msgspec
import psutil
import uvloop
from bytewax.dataflow import Dataflow
from bytewax.inputs import FixedPartitionedSource, StatefulSourcePartition
from bytewax.outputs import DynamicSink, StatelessSinkPartition
from bytewax.testing import run_main
from pydantic import SecretStr

from bench.reference import Reference
from bench.servers import wait_for
from flows.memory import collect_seldom, keep_freed_memory
from operators.deliver import deliver
from sources.source import PAUSE
from tocsin.catalog.loader import load
from tocsin.delivery.channel import ChannelDelivery, channel_policy
from tocsin.delivery.ledger import Ledger, LedgerPolicy
from tocsin.delivery.runtime import Runtime
from tocsin.devkit.demo_data import DemoData
from tocsin.devkit.flights import chosen_days
from tocsin.devkit.processes import free_ports
from tocsin.devkit.servers import REDIS, Servers
from tocsin.model.event import Origin
from tocsin.model.message import Message, Target
from tocsin.model.raw import OutRecord, RawRecord
from tocsin.providers.base import Provider
from tocsin.providers.http import HttpPolicy
from tocsin.providers.sendgrid import SendGrid, SendGridAccount
from tocsin.providers.transports import open_transport
from tocsin.providers.twilio_sms import TwilioAccount, TwilioSms
from tocsin.render.renderer import Renderer
from tocsin.render.templates import load_templates

Handed = tuple[str, list[RawRecord]]
encode = msgspec.json.Encoder().encode
ADDRESSES = {
    "sms": ("flight.cancelled", "+14155552671"),
    "email": ("flight.delayed", "USER@example.com"),
}


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


class Repeater(asyncio.Protocol):
    """Raw client for the ceiling: one request after the other."""

    request = b"POST /sms HTTP/1.1\r\nHost: x\r\nContent-Length: 200\r\n\r\n" + b"x" * 200

    def __init__(self) -> None:
        self.answers = 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        self._transport.write(self.request)

    def data_received(self, data: bytes) -> None:
        self.answers += 1
        self._transport.write(self.request)


async def ceiling(port: int, connections: int, seconds: float) -> int:
    loop, clients = asyncio.get_running_loop(), []
    for _ in range(connections):
        transport, client = await loop.create_connection(Repeater, "127.0.0.1", port)
        clients.append((transport, client))
    await asyncio.sleep(0.5)
    before = sum(client.answers for _, client in clients)
    await asyncio.sleep(seconds)
    after = sum(client.answers for _, client in clients)
    for transport, _ in clients:
        transport.close()
    return round((after - before) / seconds)


class _Event(msgspec.Struct):
    type: str
    data: msgspec.Raw


def bodies_of(channel: str) -> list[bytes]:
    """Messages about flights of the demo, with places for the number and the user."""
    event_type, address = ADDRESSES[channel]
    decode = msgspec.json.Decoder(_Event).decode
    bodies: list[bytes] = []
    for record in DemoData(chosen_days(10), 20_000, seed=1).events():
        try:
            event = decode(record.value or b"")
        except (msgspec.DecodeError, UnicodeDecodeError):
            continue  # the broken records of the demo
        if event.type == event_type:
            bodies.append(encode(_message(channel, event_type, address, len(bodies), event.data)))
        if len(bodies) == 1_000:
            break
    return bodies


def _message(channel: str, event_type: str, address: str, number: int, data: msgspec.Raw) -> Message:
    return Message(
        message_id="NUMBER",
        notification_id="NUMBER",
        tenant="default",
        user="USER",
        channel=channel,
        target=Target(address=address),
        notification=event_type.replace(".", "_"),
        category="flight_updates",
        template=event_type.replace(".", "_"),
        data=msgspec.Raw(bytes(data)),
        locale=("en-US", "de-DE", "es-MX")[number % 3],
        timezone="America/New_York",
        event_id=str(number),
        event_source="/bench",
        event_type=event_type,
        event_time_ms=0,
        received_ms=0,
        decided_ms=0,
        origin=Origin("events", 0, number),
    )


def provider_of(channel: str, port: int, in_flight: int) -> Provider:
    url = f"http://127.0.0.1:{port}"
    transport = open_transport(HttpPolicy(max_connections=in_flight))
    if channel == "email":
        mail = SendGridAccount(vendor="sendgrid", api_key=SecretStr("x"), base_url=url)
        return SendGrid("bench", mail, transport, time.time)
    sms = TwilioAccount(
        vendor="twilio", account_sid="AC" + "0" * 32, auth_token=SecretStr("x"), base_url=url, rate_per_s=1e6
    )
    return TwilioSms("bench", sms, transport, time.time)


def renderer() -> Renderer:
    tenants = {name: tenant.spec for name, tenant in load(Path("examples/flights")).tenants.items()}
    return Renderer(load_templates(Path("examples/flights/templates")), tenants, b"bench" * 4)


def run(arguments: argparse.Namespace, redis_url: str, port: int) -> dict[str, Any]:
    runtime, counts, sink = Runtime(), CallCounts(), Swallow()
    runtime.start()
    provider = provider_of(arguments.channel, port, arguments.in_flight)
    channel = ChannelDelivery(
        channel_policy(arguments.channel, in_flight=arguments.in_flight, on_unknown="resend"),
        runtime=runtime,
        ledger=Ledger(LedgerPolicy(url=redis_url, prefix="bench:"), "b" * 16),
        render=renderer().render,
        providers_for=lambda _: [provider],
        stats=counts,
    )
    load_ = Load(
        bodies_of(arguments.channel),
        arguments.users,
        arguments.in_flight,
        arguments.warm_up,
        arguments.warm_up + arguments.seconds,
    )
    load_.topic = f"messages.{arguments.channel}.now"
    load_.room = lambda: channel.allowance(load_.topic)
    flow = Dataflow("bench")
    up: Any = op.input("source", flow, Source(load_))
    op.output("out", deliver("deliver", up, channel=channel, done=load_.done, in_gap=lambda: False), sink)
    collect_seldom()
    keep_freed_memory()
    run_main(flow)
    runtime.stop()
    return figures(load_, counts)


def figures(load_: Load, counts: CallCounts) -> dict[str, Any]:
    seconds, cpu_s = load_.measured
    sends = len(load_.latencies_ms)
    return {
        "sends_per_s": round(sends / seconds),
        "cpu_us_per_send": round(cpu_s / sends * 1e6),
        "cpu_cores": round(cpu_s / seconds, 2),
        "latency_ms": percentiles(load_.latencies_ms),
        "call_ms": percentiles(counts.ms),
        "results": dict(counts.results),
        "rss_mb": round(psutil.Process().memory_info().rss / 1e6),
    }


def percentiles(values: list[float] | list[int]) -> dict[str, float]:
    ordered = sorted(values)
    return {f"p{p}": round(ordered[min(len(ordered) - 1, len(ordered) * p // 100)], 1) for p in (50, 99)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--in-flight", type=int, default=512)
    parser.add_argument("--seconds", type=float, default=10)
    parser.add_argument("--warm-up", type=float, default=3)
    parser.add_argument("--delay-ms", type=float, default=50)
    parser.add_argument("--channel", choices=["sms", "email"], default="sms")
    parser.add_argument("--users", type=int, default=100_000)
    arguments = parser.parse_args()
    (port,) = free_ports(1)
    argv = [sys.executable, "-m", "bench.fast_provider", "--port", str(port)]
    server = subprocess.Popen([*argv, "--delay-ms", str(arguments.delay_ms)])
    try:
        wait_for(port)
        top = uvloop.run(ceiling(port, max(2_000, arguments.in_flight), 2))
        with (
            tempfile.TemporaryDirectory() as folder,
            Servers(Path(folder), {REDIS}) as servers,
            Reference() as reference,
        ):
            result = run(arguments, servers.settings["TOCSIN_REDIS"], port)
    finally:
        server.terminate()
        server.wait()
    result |= {"in_flight": arguments.in_flight, "channel": arguments.channel, "provider_ceiling_per_s": top}
    result["reference_loop_ms"] = reference.figures
    print(json.dumps(result) if arguments.json else json.dumps(result, indent=2))


if __name__ == "__main__":
    main()

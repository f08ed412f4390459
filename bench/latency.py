"""How long an event takes to its provider: `python -m bench.latency [--json] [--rate N] [--users N]`.

The whole pipeline (gate with exact decisions, channel topic, ledger, rendering, HTTP call, outcomes,
ClickHouse) on embedded servers, or on the broker in TOCSIN_KAFKA. Profiles of all users are read first; then
events of different users are written at an even rate. Latency is what the outcomes say: from Kafka's
timestamp, set when the event was written, to the moment the provider was called, and to the moment when the
decision stood in Kafka. Nothing is held, no limit is met.
"""

import argparse
import json
import subprocess
import sys
import tempfile
import time
from contextlib import ExitStack
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import yaml
from rich.console import Console
from rich.progress import Progress

from bench.deliver import percentiles
from bench.fleet import ROOT, Feeder, Record, Shards, prepare, profiles, write_catalog
from bench.reference import Reference
from dashboards import migrate
from sources.reader import TopicReader
from tocsin.app.settings import Settings
from tocsin.devkit.processes import free_ports
from tocsin.devkit.servers import CLICKHOUSE, REDIS
from tocsin.formats.codec import decode_outcome
from tocsin.model import topics
from tocsin.model.statuses import Status

_NOTIFICATION = """
welcome:
  on: {type: order.shipped}
  category: orders
  priority: normal
  channels: [sms]
  template: welcome
"""
_DATA = json.loads((ROOT / "examples/flights/templates/flight_cancelled/sample.json").read_text())[0]
_SLICE_S = 0.005


def main() -> None:
    parser = _arguments()
    options = parser.parse_args()
    if options.users < options.rate * options.seconds:
        parser.error("fewer users than events: a second event of a user meets the limit; raise --users")
    console = Console(stderr=True)
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="tocsin-bench-")))
        settings, env = _prepare(folder, options, stack)
        shards = Shards(settings, env, options.shards, "pipeline", ("sms",))
        stack.callback(shards.stop)
        _load_profiles(settings, shards, options, console)
        cpu_s, began_ms = shards.cpu_s(), round(time.time() * 1000)
        with Reference() as reference:
            passed_s = _play(settings, options, console)
        _await_quiet(shards, options)
        report = _figures(settings, began_ms + round(options.warm_up * 1000))
        report["reference_loop_ms"] = reference.figures
        report |= _of_shards(shards, options, shards.cpu_s() - cpu_s, passed_s)
    print(json.dumps(report) if options.json else "\n".join(f"{k:24} {v}" for k, v in report.items()))


def _arguments() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m bench.latency", description=__doc__)
    parser.add_argument("--users", type=int, default=1_000_000)
    parser.add_argument("--rate", type=int, default=1_000, help="events a second")
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--warm-up", type=float, default=10, help="seconds that are not counted")
    parser.add_argument("--shards", type=int, default=1)
    parser.add_argument("--partitions", type=int, default=2, help="of every topic, over all shards")
    parser.add_argument("--epoch-ms", type=int, default=50)
    parser.add_argument("--delay-ms", type=float, default=50, help="the provider's answer takes so long")
    parser.add_argument("--json", action="store_true")
    return parser


def _prepare(folder: Path, options: argparse.Namespace, stack: ExitStack) -> tuple[Settings, dict[str, str]]:
    (port,) = free_ports(1)
    argv = [
        sys.executable,
        "-m",
        "bench.fast_provider",
        "--port",
        str(port),
        "--delay-ms",
        str(options.delay_ms),
    ]
    provider = subprocess.Popen(argv, cwd=ROOT)
    stack.callback(provider.wait)
    stack.callback(provider.terminate)
    account = {
        "vendor": "twilio",
        "account_sid": "AC" + "0" * 32,
        "auth_token": "bench",
        "base_url": f"http://127.0.0.1:{port}",
    }
    (folder / "providers.yaml").write_text(yaml.safe_dump({"accounts": {"twilio": account}}))
    catalog = write_catalog(folder / "catalog", _NOTIFICATION, "flight_cancelled", {"sms": ["twilio"]})
    settings, env = prepare(
        folder,
        {REDIS, CLICKHOUSE},
        stack,
        TOCSIN_CATALOG=str(catalog),
        TOCSIN_PROVIDERS=str(folder / "providers.yaml"),
        TOCSIN_EPOCH_MS=str(options.epoch_ms),
        TOCSIN_PARTITIONS=str(options.partitions),
    )
    migrate.migrate(settings.clickhouse)
    return settings, env


def _load_profiles(settings: Settings, shards: Shards, options: argparse.Namespace, console: Console) -> None:
    feeder = Feeder(settings, linger_ms=20)
    for record in profiles(options.users):
        feeder.write(record)
    feeder.flush()
    with Progress(console=console, transient=True) as progress:
        task, read = progress.add_task("reading profiles", total=options.users), 0.0
        while read < options.users:
            time.sleep(0.5)
            read = shards.metrics().get("tocsin_records_total|profiles", 0.0)
            progress.update(task, completed=read)
    time.sleep(2)  # the last epoch


def _play(settings: Settings, options: argparse.Namespace, console: Console) -> float:
    """Write events evenly; returns how long it took."""
    feeder = Feeder(settings, linger_ms=0)
    total, began = round(options.rate * options.seconds), time.perf_counter()
    data = json.dumps(_DATA)
    with Progress(console=console, transient=True) as progress:
        task, written = progress.add_task("playing", total=total), 0
        while written < total:
            due = min(total, round((time.perf_counter() - began) * options.rate))
            for number in range(written, due):
                feeder.write(_event(number, options.users, data))
            written = due
            progress.update(task, completed=written)
            time.sleep(_SLICE_S)
    feeder.flush()
    return time.perf_counter() - began


def _event(number: int, users: int, data: str) -> Record:
    user = f"u{number * 7_919 % users}"
    event = (
        f'{{"specversion":"1.0","id":"{number}","source":"/shop/orders","type":"order.shipped",'
        f'"subject":"{user}","time":"{datetime.now(UTC).isoformat(timespec="milliseconds")}","data":{data}}}'
    )
    return topics.EVENTS, f"default/{user}".encode(), event.encode()


def _await_quiet(shards: Shards, options: argparse.Namespace) -> None:
    total, until = round(options.rate * options.seconds), time.monotonic() + 120
    while time.monotonic() < until:
        if shards.metrics().get("tocsin_records_total|outcomes", 0.0) >= 2 * total:  # admitted and sent
            return
        time.sleep(0.5)
    sys.exit("\n".join(["not everything was delivered within 120 s", *shards.problems()]))


def _figures(settings: Settings, from_ms: int) -> dict[str, Any]:
    waits: list[int] = []
    shown: list[int] = []
    statuses: dict[str, int] = {}
    with TopicReader(settings.kafka, settings.topic_prefix, settings.kafka_options) as reader:
        for record in reader.read(topics.OUTCOMES):
            outcome = decode_outcome(record)
            statuses[outcome.status] = statuses.get(outcome.status, 0) + 1
            if outcome.received_ms < from_ms:
                continue
            if outcome.status == Status.SENT:
                waits.append(outcome.latency_ms)
            else:
                shown.append(record.timestamp_ms - outcome.received_ms)
    return {
        "event_to_decision_ms": percentiles(shown),
        "event_to_provider_ms": percentiles(waits) | {"max": max(waits)},
        "counted": len(waits),
        **statuses,
    }


def _of_shards(shards: Shards, options: argparse.Namespace, cpu_s: float, passed_s: float) -> dict[str, Any]:
    told = shards.metrics()
    return {
        "users": options.users,
        "events_per_s": round(options.rate * options.seconds / passed_s),
        "shards": options.shards,
        "epoch_ms": options.epoch_ms,
        "cores": round(cpu_s / passed_s, 2),
        "rss_mb_largest_shard": round(shards.rss_mb()),
        "epoch_close_p50_ms": told.get("tocsin_epoch_close_ms|0.5", 0),
        "epoch_close_p99_ms": told.get("tocsin_epoch_close_ms|0.99", 0),
    }


if __name__ == "__main__":
    main()

"""How long an event takes to its provider: `python -m bench.latency [--json] [--rate N] [--users N]`.

The whole pipeline (gate with exact decisions, channel topic, ledger, rendering, HTTP call, outcomes,
ClickHouse) on embedded servers, or on the broker in TOCSIN_KAFKA. Profiles of all users are read first; then
events of different users are written at an even rate. Latency is what the outcomes say: from Kafka's
timestamp, set when the event was written, to the moment the provider was called, and to the moment when the
decision stood in Kafka. Nothing is held, no limit is met.

With `--dead CHANNEL` each event goes to one of three channels, in turns, and the provider of that channel
takes connections and never answers. The figures are then those of the other two, each by itself. `--alive`
writes the same events, and all providers answer: that is what an outage is compared with. `cpu_us_an_event`
tells what each part used. The embedded broker uses a core of its own at 1,000 events/s; `--apache` starts an
Apache Kafka.
"""

import argparse
import json
import sys
import tempfile
import time
from collections.abc import Sequence
from contextlib import ExitStack
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import yaml
from rich.console import Console
from rich.progress import Progress

from bench.cpu import cpu_by_part, us_an_item
from bench.deliver import contenders
from bench.deliver.worker import percentiles
from bench.fleet import ROOT, Feeder, Record, Shards, prepare, profiles, write_catalog
from bench.reference import Reference
from dashboards import migrate
from sources.reader import TopicReader
from tocsin.app.settings import Settings
from tocsin.devkit.servers import APACHE_KAFKA, CLICKHOUSE, REDIS
from tocsin.formats.codec import decode_outcome
from tocsin.model import topics
from tocsin.model.statuses import Status

_NOTIFICATION = """
welcome_CHANNEL:
  on: {type: order.shipped.CHANNEL}
  category: orders
  priority: normal
  channels: [CHANNEL]
  template: welcome
"""
ALL_CHANNELS = ("push", "sms", "email")
_NEVER_MS = 3_600_000.0
_DATA = json.loads((ROOT / "examples/flights/templates/flight_cancelled/sample.json").read_text())[0]
_SLICE_S = 0.005
_LAST_S = 5.0


def main() -> None:
    parser = _arguments()
    options = parser.parse_args()
    if options.users < options.rate * options.seconds:
        parser.error("fewer users than events: a second event of a user meets the limit; raise --users")
    console = Console(stderr=True)
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="tocsin-bench-")))
        settings, env = _prepare(folder, options, stack)
        shards = Shards(settings, env, options.shards, "pipeline", _channels(options))
        stack.callback(shards.stop)
        _load_profiles(settings, shards, options, console)
        cpu_s, began_ms, before = shards.cpu_s(), round(time.time() * 1000), cpu_by_part()
        with Reference() as reference:
            passed_s = _play(settings, options, console)
        _await_quiet(shards, options)
        used = us_an_item(before, cpu_by_part(), round(options.rate * options.seconds))
        from_ms = began_ms + round(options.warm_up * 1000)
        report = _figures(settings, from_ms, several=_channels(options) != ("sms",))
        report["cpu_us_an_event"] = used
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
    parser.add_argument("--dead", choices=ALL_CHANNELS, help="three channels, one without answers")
    parser.add_argument("--alive", action="store_true", help="three channels, which all answer")
    parser.add_argument("--apache", action="store_true", help="on Apache Kafka, which needs Java")
    parser.add_argument("--json", action="store_true")
    return parser


def _channels(options: argparse.Namespace) -> tuple[str, ...]:
    return ALL_CHANNELS if options.dead or options.alive else ("sms",)


def _prepare(folder: Path, options: argparse.Namespace, stack: ExitStack) -> tuple[Settings, dict[str, str]]:
    accounts = {}
    for channel in _channels(options):
        delay_ms = _NEVER_MS if channel == options.dead else options.delay_ms
        server = contenders.provider(channel, folder, delay_ms, 1_024, tls=False)
        accounts[channel] = stack.enter_context(server)
    (folder / "providers.yaml").write_text(yaml.safe_dump({"accounts": accounts}))
    notifications = "".join([_NOTIFICATION.replace("CHANNEL", channel) for channel in accounts])
    names = {channel: [channel] for channel in accounts}
    catalog = write_catalog(folder / "catalog", notifications, "flight_cancelled", names)
    settings, env = prepare(
        folder,
        {REDIS, CLICKHOUSE, *([APACHE_KAFKA] if options.apache else [])},
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
                feeder.write(_event(number, options.users, data, _channels(options)))
            written = due
            progress.update(task, completed=written)
            time.sleep(_SLICE_S)
    feeder.flush()
    return time.perf_counter() - began


def _event(number: int, users: int, data: str, channels: Sequence[str]) -> Record:
    user = f"u{number * 7_919 % users}"
    event = (
        f'{{"specversion":"1.0","id":"{number}","source":"/shop/orders",'
        f'"type":"order.shipped.{channels[number % len(channels)]}",'
        f'"subject":"{user}","time":"{datetime.now(UTC).isoformat(timespec="milliseconds")}","data":{data}}}'
    )
    return topics.EVENTS, f"default/{user}".encode(), event.encode()


def _await_quiet(shards: Shards, options: argparse.Namespace) -> None:
    """Wait until each event is admitted and, unless nobody answers, sent."""
    total, until = round(options.rate * options.seconds), time.monotonic() + 120
    outcomes = total + (total * 2 // 3 if options.dead else total)
    while time.monotonic() < until:
        if shards.metrics().get("tocsin_records_total|outcomes", 0.0) >= outcomes:
            time.sleep(_LAST_S if len(_channels(options)) > 1 else 0)
            return
        time.sleep(0.5)
    sys.exit("\n".join(["not everything was delivered within 120 s", *shards.problems()]))


def _figures(settings: Settings, from_ms: int, *, several: bool) -> dict[str, Any]:
    waits: dict[str, list[int]] = {}
    shown: list[int] = []
    statuses: dict[str, int] = {}
    with TopicReader(settings.kafka, settings.topic_prefix, settings.kafka_options) as reader:
        for record in reader.read(topics.OUTCOMES):
            outcome = decode_outcome(record)
            statuses[outcome.status] = statuses.get(outcome.status, 0) + 1
            if outcome.received_ms < from_ms:
                continue
            if outcome.status == Status.SENT:
                waits.setdefault(outcome.channel, []).append(outcome.latency_ms)
            elif outcome.status == Status.ADMITTED:
                shown.append(record.timestamp_ms - outcome.received_ms)
    by_channel = {channel: percentiles(each) | {"max": max(each)} for channel, each in sorted(waits.items())}
    return {
        "event_to_decision_ms": percentiles(shown),
        "event_to_provider_ms": by_channel if several else by_channel["sms"],
        "counted": sum(map(len, waits.values())),
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

"""How many events a second the gate decides: Kafka → decode → gate → messages and outcomes → Kafka.

`python -m bench.decide --json [--users N] [--events M] [--shards S]`, on the embedded broker or on the one in
TOCSIN_KAFKA. Profiles of all users and all events are in Kafka before the shards start; profiles are read to
their end first, then events are timed from the moment `--warmup` of them are decided. Decisions are exact:
recovery store, base and outbox are on.
"""

import argparse
import json
import shutil
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import psutil
from confluent_kafka import Producer
from prometheus_client.parser import text_string_to_metric_families
from rich.console import Console
from rich.progress import Progress

from cli.demo_stage import free_row, settings_from
from cli.run import command
from core.partition import partition_of
from flows.settings import Settings, environment
from local.servers import Servers
from models import topics
from sources.topics import TopicAdmin, TopicPlan

ROOT = Path(__file__).parent.parent
Marks = list[tuple[float, float, float]]
_CATALOG = """
welcome:
  on: {type: order.shipped}
  category: orders
  priority: normal
  channels: [push, email]
  template: welcome
"""
_TENANT = """
categories: {orders: {}}
limits:
  - {max: 5, per: 1d, scope: category}
  - {max: 1, per: 1m, scope: user}
locale: en
providers: {email: [none], push: [none]}
senders: {email: a@shop.example}
branding: {name: Shop}
"""


def main() -> None:
    options = _arguments().parse_args()
    console = Console(stderr=True)
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="tocsin-bench-")))
        settings, env = _prepare(folder, options, stack)
        _publish(settings, options, console)
        report = _measure(settings, env, options, console)
    print(json.dumps(report) if options.json else "\n".join(f"{k:28} {v}" for k, v in report.items()))


def _arguments() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m bench.decide", description=__doc__)
    parser.add_argument("--users", type=int, default=100_000)
    parser.add_argument("--events", type=int, default=600_000)
    parser.add_argument("--shards", type=int, default=2)
    parser.add_argument("--epoch-ms", type=int, default=200)
    parser.add_argument("--warmup", type=float, default=0.15, help="share of the events that is not timed")
    parser.add_argument("--seconds", type=float, default=600, help="give up after so long")
    parser.add_argument("--json", action="store_true")
    return parser


def _prepare(folder: Path, options: argparse.Namespace, stack: ExitStack) -> tuple[Settings, dict[str, str]]:
    given = environment()
    found = {"TOCSIN_KAFKA": given["TOCSIN_KAFKA"]} if "TOCSIN_KAFKA" in given else {}
    want = {"redis"} if found else {"kafka", "redis"}
    servers = stack.enter_context(Servers(folder / "servers", want))
    env = {
        **given, **servers.settings, **found,
        "TOCSIN_TOPIC_PREFIX": f"bench{int(time.time())}.",
        "TOCSIN_STATE_DIR": str(folder / "state"),
        "TOCSIN_CATALOG": str(_write_catalog(folder / "catalog")),
        "TOCSIN_SECRET": "bench-bench-bench-bench",
        "TOCSIN_PARTITIONS": "8",
        "TOCSIN_EPOCH_MS": str(options.epoch_ms),
        "TOCSIN_CACHE_USERS": "100000",
        "TOCSIN_HTTP_PORT": str(free_row(options.shards)),
    }  # fmt: skip
    settings = settings_from(env)
    TopicAdmin(settings.kafka, settings.topic_prefix).create(TopicPlan(settings.partitions))
    return settings, env


def _write_catalog(folder: Path) -> Path:
    shutil.copytree(ROOT / "catalog" / "templates" / "offer", folder / "templates" / "welcome")
    for name, text in (("notifications/welcome.yaml", _CATALOG), ("tenants/default.yaml", _TENANT)):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
    return folder


def _profiles(users: int) -> Iterator[tuple[str, bytes, bytes]]:
    for number in range(users):
        profile = {
            "email": f"user{number}@example.com",
            "locale": "en",
            "timezone": "America/New_York",
            "devices": [{"platform": "android", "token": f"token-{number:012d}", "app": "shop"}],
            "preferences": {"categories": {"news": False}, "channels": {"sms": number % 10 > 0}},
            "version": 1,
        }
        yield topics.PROFILES, f"default/u{number}".encode(), json.dumps(profile).encode()


def _events(users: int, count: int) -> Iterator[tuple[str, bytes, bytes]]:
    now = datetime.now(UTC).isoformat(timespec="seconds")
    for number in range(count):
        user = f"u{number * 7_919 % users}"
        event = (
            f'{{"specversion":"1.0","id":"{number}","source":"/shop/orders","type":"order.shipped",'
            f'"subject":"{user}","time":"{now}",'
            f'"data":{{"order":"A-{number}","items":3,"total":49.9,"carrier":"UPS"}}}}'
        )
        yield topics.EVENTS, f"default/{user}".encode(), event.encode()


def _publish(settings: Settings, options: argparse.Namespace, console: Console) -> None:
    producer = Producer(
        {
            "bootstrap.servers": settings.kafka,
            "linger.ms": 20,
            "compression.type": "lz4",
            "queue.buffering.max.messages": 1_000_000,
            **settings.kafka_options,
        }
    )
    with Progress(console=console, transient=True) as progress:
        task = progress.add_task("publishing", total=options.users + options.events)
        for records in (_profiles(options.users), _events(options.users, options.events)):
            for at, (topic, key, value) in enumerate(records):
                _produce(producer, settings, topic, key, value)
                if at % 5_000 == 0:
                    progress.advance(task, 5_000)
            producer.flush(120)


def _produce(producer: Any, settings: Settings, topic: str, key: bytes, value: bytes) -> None:
    partition = partition_of(key, settings.partitions)
    while True:
        try:
            producer.produce(settings.topic_prefix + topic, key=key, value=value, partition=partition)
        except BufferError:
            producer.poll(0.5)
        else:
            return


class Shards:
    """The processes under measurement, and what they say of themselves."""

    def __init__(self, settings: Settings, env: dict[str, str], count: int) -> None:
        self._port = settings.http_port
        self.began = time.monotonic()
        self.processes = [
            subprocess.Popen(command(number, count, "decide"), env=env, cwd=ROOT) for number in range(count)
        ]
        self._watched = [psutil.Process(process.pid) for process in self.processes]

    def metrics(self) -> dict[str, float]:
        """Sum each metric over the shards (the maximum of quantiles)."""
        total: dict[str, float] = {}
        for number in range(len(self.processes)):
            try:
                url = f"http://127.0.0.1:{self._port + number}/metrics"
                with urllib.request.urlopen(url, timeout=2) as answer:
                    text = answer.read().decode()
            except OSError:
                continue
            for family in text_string_to_metric_families(text):
                for sample in family.samples:
                    name = "|".join([sample.name, *sample.labels.values()])
                    before = total.get(name, 0.0)
                    total[name] = (
                        max(before, sample.value) if "quantile" in sample.labels else before + sample.value
                    )
        return total

    def problems(self) -> list[str]:
        """What the shards complain about; a bench that measures a paused partition measures nothing."""
        found: list[str] = []
        for number in range(len(self.processes)):
            try:
                urllib.request.urlopen(f"http://127.0.0.1:{self._port + number}/healthz", timeout=2).close()
            except urllib.error.HTTPError as error:
                found += json.loads(error.read())["problems"]
            except OSError:
                continue
        return found

    def cpu_s(self) -> float:
        return sum(sum(process.cpu_times()[:2]) for process in self._watched)

    def rss_mb(self) -> float:
        return max(process.memory_info().rss for process in self._watched) / 2**20

    def stop(self) -> None:
        for process in self.processes:
            process.terminate()
        for process in self.processes:
            process.wait(30)


def _measure(
    settings: Settings, env: dict[str, str], options: argparse.Namespace, console: Console
) -> dict[str, Any]:
    shards = Shards(settings, env, options.shards)
    marks: Marks = []
    try:
        with Progress(console=console, transient=True) as progress:
            task = progress.add_task("deciding", total=options.events)
            while not marks or marks[-1][1] < options.events:
                time.sleep(0.25)
                problems = shards.problems()
                if problems:
                    sys.exit("\n".join(problems))
                decided = shards.metrics().get("tocsin_records_total|events", 0.0)
                marks.append((time.monotonic(), decided, shards.cpu_s()))
                progress.update(task, completed=decided)
                if time.monotonic() - shards.began > options.seconds:
                    break
        last = shards.metrics()
        rss = shards.rss_mb()
    finally:
        shards.stop()
    return _report(marks, last, rss, options, shards.began)


def _report(
    marks: list[tuple[float, float, float]],
    last: dict[str, float],
    rss: float,
    options: argparse.Namespace,
    began: float,
) -> dict[str, Any]:
    timed = [mark for mark in marks if mark[1] >= options.events * options.warmup]
    first, end = timed[0], next(mark for mark in marks if mark[1] >= marks[-1][1])
    passed, decided = max(end[0] - first[0], 1e-9), end[1] - first[1]
    loaded = next(mark[0] for mark in marks if mark[1] > 0) - began
    return {
        "users": options.users,
        "events": int(marks[-1][1]),
        "shards": options.shards,
        "epoch_ms": options.epoch_ms,
        "events_per_s": round(decided / passed),
        "cpu_us_per_event": round((end[2] - first[2]) / max(decided, 1) * 1e6, 1),
        "cores": round((end[2] - first[2]) / passed, 2),
        "seconds_timed": round(passed, 1),
        "profiles_loaded_s": round(loaded, 1),
        "rss_mb_largest_shard": round(rss),
        "epoch_close_p50_ms": last.get("tocsin_epoch_close_ms|0.5", 0),
        "epoch_close_p99_ms": last.get("tocsin_epoch_close_ms|0.99", 0),
    }


if __name__ == "__main__":
    main()

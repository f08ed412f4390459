"""What benches of whole shards share: servers, records to feed them, what the shards say of themselves."""

import json
import shutil
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import psutil
from confluent_kafka import KafkaError, Producer
from prometheus_client.parser import text_string_to_metric_families

from sources.partitioner import partition_of
from sources.reader import silent_logger
from sources.topics import TopicAdmin, TopicPlan
from tocsin.app.settings import Settings, environment
from tocsin.cli.demo_environment import free_row, settings_from
from tocsin.cli.run import command
from tocsin.devkit.servers import APACHE_KAFKA, KAFKA, Servers
from tocsin.model import topics

ROOT = Path(__file__).parent.parent
Record = tuple[str, bytes, bytes]
OnDelivery = Callable[[KafkaError | None, Any], None]
ZONE = ZoneInfo("America/New_York")
"""The zone of all users of `profiles`."""
_LIMITS = [{"max": 5, "per": "1d", "scope": "category"}, {"max": 1, "per": "1m", "scope": "user"}]
_TENANT = """
categories: {orders: {}, prices: {}, news: {}}
limits: LIMITS
locale: en
providers: PROVIDERS
senders: {email: a@shop.example, sms: "+15005550006"}
branding: {name: Shop}
"""


def write_catalog(
    folder: Path,
    notifications: str,
    template: str,
    providers: Mapping[str, list[str]],
    *,
    limits: bool = True,
) -> Path:
    """Write a catalog of notifications, with a template of the shipped example called `welcome`."""
    shipped = ROOT / "examples" / "flights" / "templates"
    shutil.copytree(shipped / template, folder / "templates" / "welcome")
    shutil.copytree(shipped / "_layout", folder / "templates" / "_layout")
    tenant = _TENANT.replace("PROVIDERS", json.dumps(providers))
    tenant = tenant.replace("LIMITS", json.dumps(_LIMITS if limits else []))
    for name, text in (("notifications/welcome.yaml", notifications), ("tenants/default.yaml", tenant)):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
    return folder


def prepare(
    folder: Path, want: Collection[str], stack: ExitStack, **more: str
) -> tuple[Settings, dict[str, str]]:
    """Start servers (none for Kafka where TOCSIN_KAFKA names one) and make the topics."""
    given = environment()
    found = {"TOCSIN_KAFKA": given["TOCSIN_KAFKA"]} if "TOCSIN_KAFKA" in given else {}
    wanted = {*want, *([] if found or APACHE_KAFKA in want else [KAFKA])}
    servers = stack.enter_context(Servers(folder / "servers", wanted))
    env = {
        **given,
        **servers.settings,
        **found,
        "TOCSIN_TOPIC_PREFIX": f"bench{int(time.time())}.",
        "TOCSIN_STATE_DIR": str(folder / "state"),
        "TOCSIN_SECRET": "bench-bench-bench-bench",
        "TOCSIN_PARTITIONS": "8",
        "TOCSIN_HTTP_PORT": str(free_row(8)),
        **more,
    }
    settings = settings_from(env)
    TopicAdmin(settings.kafka, settings.topic_prefix).create(TopicPlan(settings.partitions))
    return settings, env


def environment_of(settings: Settings) -> dict[str, str]:
    """Give a process the settings of a run."""
    given = settings.model_dump(exclude={"secret", "kafka_options", "clickhouse", "gateway_origins"})
    env = {f"TOCSIN_{name.upper()}": str(value) for name, value in given.items()}
    return {**environment(), **env, "TOCSIN_SECRET": settings.secret.get_secret_value()}


def profiles(users: int) -> Iterator[Record]:
    """Make a profile a user, some with preferences."""
    for number in range(users):
        profile = {
            "email": f"user{number}@example.com",
            "phone": f"+1415{number:07d}",
            "locale": "en",
            "timezone": ZONE.key,
            "devices": [{"platform": "android", "token": f"token-{number:012d}", "app": "shop"}],
            "preferences": {"categories": {"news": False}, "channels": {"inapp": number % 10 > 0}},
            "version": 1,
        }
        yield topics.PROFILES, f"default/u{number}".encode(), json.dumps(profile).encode()


class Feeder:
    """Writes records to their users' partitions.

    Args:
        settings: of the run.
        linger_ms: how long to wait for more records.
        quiet: say nothing while the broker is away.
        once: write no record twice, however long the broker takes.

    Attributes:
        acks: of each acknowledged record, when it was written and how long that took (both ms).
    """

    def __init__(
        self, settings: Settings, linger_ms: float, *, quiet: bool = False, once: bool = False
    ) -> None:
        self.acks: list[tuple[int, float]] = []
        self._settings = settings
        self._producer = Producer(
            {
                "bootstrap.servers": settings.kafka,
                "linger.ms": linger_ms,
                "compression.type": "lz4",
                "queue.buffering.max.messages": 1_000_000,
                "enable.idempotence": once,
                **settings.kafka_options,
            },
            **({"logger": silent_logger()} if quiet else {}),
        )

    def write(self, record: Record, on_delivery: OnDelivery | None = None) -> None:
        """Queue one record; waits where the queue is full."""
        topic, key, value = record
        full = self._settings.topic_prefix + topic
        partition = partition_of(key, self._settings.partitions)
        while True:
            try:
                self._producer.produce(
                    full, key=key, value=value, partition=partition, on_delivery=on_delivery
                )
            except BufferError:
                self._producer.poll(0.5)
            else:
                return

    def write_timed(self, record: Record) -> None:
        """Queue one record, and note in `acks` how long its acknowledgement takes."""
        self._producer.poll(0)
        self.write(record, self._acknowledged)

    def _acknowledged(self, error: KafkaError | None, message: Any) -> None:
        if error is None:
            self.acks.append((message.timestamp()[1], message.latency() * 1000))

    def flush(self) -> None:
        """Wait until everything is acknowledged."""
        self._producer.flush(300)


class Shards:
    """The processes under measurement, and what they say of themselves."""

    def __init__(
        self, settings: Settings, env: dict[str, str], count: int, flow: str, channels: tuple[str, ...] = ()
    ) -> None:
        self._port = settings.http_port
        self.began = time.monotonic()
        self.processes = [
            subprocess.Popen(command(number, count, flow, channels), env=env, cwd=ROOT)
            for number in range(count)
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

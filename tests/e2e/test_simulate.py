"""A day of flights, decided by a shard and sent; then simulated from Kafka, while the servers watch."""

import json
import os
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import pytest
import redis

from sources.reader import TopicReader
from tocsin.app.settings import Settings
from tocsin.cli.demo import DemoPlan, Show
from tocsin.cli.demo_environment import DemoEnvironment
from tocsin.model import topics

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(300)]
_PARTITIONS = 2


def simulated(env: dict[str, str], *options: str) -> dict[str, Any]:
    """Run the command against the servers of the demo."""
    command = [sys.executable, "-m", "tocsin.cli.main", "simulate", "--json", *options]
    done = subprocess.run(
        command, env={**os.environ, **env}, capture_output=True, text=True, timeout=200, check=False
    )
    assert done.returncode == 0, done.stderr
    report: dict[str, Any] = json.loads(done.stdout)
    return report


def seen(settings: Settings, folder: Path) -> dict[str, Any]:
    """Tell what servers would notice: records of topics, positions of groups, keys, calls of providers."""
    with TopicReader(settings.kafka, settings.topic_prefix) as reader:
        ends = {name: reader.bounds(name) for name in topics.ALL}
        group = topics.shard_group(settings.topic_prefix)
        positions = {name: reader.committed(group, name) for name in topics.ALL}
    with redis.Redis.from_url(settings.redis) as client:
        keys = set(client.scan_iter("*"))
        lasting = {key for key in keys if client.ttl(key) == -1}
    sent = (folder / "servers" / "sandbox" / "sent.jsonl").read_bytes()
    return {"ends": ends, "positions": positions, "keys": keys, "lasting": lasting, "sent": sent}


def test_a_day_of_flights_differs_in_nothing_and_no_server_notices(tmp_path: Path) -> None:
    folder, began = tmp_path / "demo", time.monotonic()
    plan = DemoPlan(1, 60, 2013, 0.0, 1, 0.0, _PARTITIONS)
    with DemoEnvironment(folder, partitions=_PARTITIONS, keep=True) as environment:
        Show(environment, plan, threading.Event(), began).run(live=False)
        before = seen(environment.settings, folder)
        env = {name: value for name, value in environment.env.items() if name.startswith("TOCSIN_")}
        report = simulated(env, "--catalog", env["TOCSIN_CATALOG"])
        after = seen(environment.settings, folder)
        assert after.pop("keys") <= before.pop("keys"), "keys of a minute may end meanwhile, and none comes"
        assert after == before
    result = report["result"]
    assert result["differing"] == 0, result["examples"]
    assert result["equal"] > 300
    assert result["ordered"] > 300
    assert len(before["sent"].splitlines()) > 100

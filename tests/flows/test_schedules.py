"""A schedule of each minute on two shards that are killed around it: each user gets each occurrence once."""

import json
import os
import shutil
import signal
from collections import Counter
from pathlib import Path

import pytest
from confluent_kafka import Producer

from flows.supervisor import Supervisor
from sources.partitioner import partition_of
from sources.reader import TopicReader
from tests.flows.deployment import deployed, logs, outcomes, shards, variables
from tests.waiting import until
from tocsin.app.examples import example_catalog
from tocsin.app.settings import Settings
from tocsin.cli.balance import draw
from tocsin.formats.codec import encode, profile_key
from tocsin.model import topics
from tocsin.model.profile import Profile

__all__ = ["shards"]
pytestmark = [pytest.mark.laws, pytest.mark.timeout(600)]
PARTITIONS = 4
USERS = [f"u{number}" for number in range(40)]
PATIENCE_S = 240.0
"""A minute until the occurrence, and a machine that is busy."""
NOTICE = """\
newsletter:
  on: {type: newsletter}
  category: flight_updates
  priority: critical
  channels: [inapp]
  template: flight_landed
"""
SCHEDULE = 'minutely:\n  cron: "* * * * *"\n  type: newsletter\n  for: everyone\n  tenants: [default]\n'


@pytest.fixture
def settings(kafka: str, redis_db: str, topic_prefix: str, tmp_path: Path) -> Settings:
    shutil.copytree(example_catalog(), tmp_path / "catalog")
    (tmp_path / "catalog/notifications/own.yaml").write_text(NOTICE)
    (tmp_path / "catalog/schedules").mkdir()
    (tmp_path / "catalog/schedules/all.yaml").write_text(SCHEDULE)
    settings = deployed(variables(kafka, redis_db, topic_prefix, tmp_path, PARTITIONS, TOCSIN_EPOCH_MS="100"))
    pen = Producer({"bootstrap.servers": kafka})
    for user in USERS:
        key, value = profile_key("default", user), encode(Profile(email=f"{user}@mail.example", version=1))
        pen.produce(f"{topic_prefix}{topics.PROFILES}", value, key, partition=partition_of(key, PARTITIONS))
    assert pen.flush(30) == 0
    return settings


def raised(settings: Settings) -> list[str]:
    """Return the ids of the occurrences that were raised, in order."""
    with TopicReader(settings.kafka, settings.topic_prefix) as reader:
        found = [json.loads(record.value or b"") for record in reader.read(topics.BULK)]
    return sorted({one["id"] for one in found if one["source"] == "/tocsin/schedules"})


def reached(settings: Settings, name: str) -> Counter[str]:
    return Counter(one.user for one in outcomes(settings) if (one.event_id, one.status) == (name, "admitted"))


def test_shards_killed_around_an_occurrence_raise_it_once(settings: Settings, shards: Supervisor) -> None:
    def seen(name: str) -> bool:
        assert shards.check() is None, logs(settings)
        return len(reached(settings, name)) == len(USERS)

    def goes_on(count: int) -> bool:
        assert shards.check() is None, logs(settings)
        return len(raised(settings)) >= count

    shards.start()
    until(lambda: goes_on(1), "the first occurrence", PATIENCE_S)
    for shard in shards.shards:
        assert shard.process is not None
        os.kill(shard.process.pid, signal.SIGKILL)
    first = raised(settings)[0]
    until(lambda: seen(first), "the first occurrence for everybody", PATIENCE_S)
    until(lambda: goes_on(2), "the second occurrence", PATIENCE_S)
    second = raised(settings)[1]
    until(lambda: seen(second), "the second occurrence for everybody", PATIENCE_S)
    for name in (first, second):
        assert reached(settings, name) == dict.fromkeys(USERS, 1)
        assert name.startswith("minutely/20")
    assert draw(settings, clickhouse=False).error == 0

"""An event for a topic on two shards that are killed while they fan it out: each subscriber gets it once."""

import json
import os
import signal
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest
from confluent_kafka import Producer

from flows.supervisor import Supervisor
from sources.partitioner import partition_of
from sources.reader import TopicReader
from tests.flows.deployment import deployed, logs, outcomes, shards, variables
from tocsin.app.examples import example_catalog
from tocsin.app.settings import Settings
from tocsin.cli.balance import draw
from tocsin.formats.codec import encode, profile_key
from tocsin.formats.subscriptions import subscription_key
from tocsin.model import topics
from tocsin.model.profile import Profile

__all__ = ["shards"]
pytestmark = [pytest.mark.laws, pytest.mark.timeout(180)]
PARTITIONS, TOPIC = 4, "flight/2026-05-28/UA-1545"
USERS = [f"u{number}" for number in range(160)]
GONE = ["gone-1", "gone-2"]


@pytest.fixture
def settings(kafka: str, redis_db: str, topic_prefix: str, tmp_path: Path) -> Settings:
    """So small a pace that the fan-out takes eight seconds: there must be time to kill within it."""
    given = {
        "TOCSIN_CATALOG": str(example_catalog()),
        "TOCSIN_FAN_OUT_PER_EPOCH": "1",
        "TOCSIN_EPOCH_MS": "100",
    }
    return deployed(variables(kafka, redis_db, topic_prefix, tmp_path, PARTITIONS, **given))


@pytest.fixture
def pen(settings: Settings) -> Iterator[Producer]:
    made = Producer({"bootstrap.servers": settings.kafka, "linger.ms": 5})
    yield made
    assert made.flush(30) == 0


def subscribe(settings: Settings, pen: Producer, user: str, value: str | None = "{}") -> None:
    pen.produce(
        f"{settings.topic_prefix}{topics.SUBSCRIPTIONS}", value, subscription_key("default", TOPIC, user)
    )


def write(settings: Settings, pen: Producer) -> None:
    """Write profiles, subscriptions, and one event, all before the first start."""
    for user in (*USERS, *GONE):
        key, profile = profile_key("default", user), encode(Profile(email=f"{user}@mail.example", version=1))
        # At home: one that another shard must forward first may come later than its event waits.
        place = partition_of(key, PARTITIONS)
        pen.produce(f"{settings.topic_prefix}{topics.PROFILES}", profile, key, partition=place)
        subscribe(settings, pen, user)
    for user in GONE:
        subscribe(settings, pen, user, None)
    event: dict[str, object] = {
        "specversion": "1.0",
        "id": "landed",
        "source": "/ops",
        "type": "flight.landed",
    }
    event |= {"tocsintopic": TOPIC, "data": {"flight": {"id": "UA-1545"}}}
    pen.produce(f"{settings.topic_prefix}{topics.EVENTS}", json.dumps(event), f"default/{TOPIC}".encode())
    assert pen.flush(30) == 0


def addressed(settings: Settings) -> Counter[str]:
    """Count the records that each subscriber got."""
    with TopicReader(settings.kafka, settings.topic_prefix) as reader:
        values = [json.loads(record.value or b"") for record in reader.read(topics.EVENTS)]
    return Counter(value["subject"] for value in values if "tocsinfanout" in value)


def await_first(settings: Settings, supervisor: Supervisor) -> None:
    """Wait until the first subscriber has the event."""
    end = time.monotonic() + 60
    with TopicReader(settings.kafka, settings.topic_prefix) as reader:
        reader.start([topics.EVENTS])
        while not any(b"tocsinfanout" in (record.value or b"") for record in reader.poll(0.1)):
            assert supervisor.check() is None, logs(settings)
            assert time.monotonic() < end, logs(settings)


def test_shards_killed_within_a_topic_reach_each_subscriber_once(
    settings: Settings, shards: Supervisor, pen: Producer
) -> None:
    write(settings, pen)
    shards.start()
    await_first(settings, shards)
    for shard in shards.shards:
        assert shard.process is not None
        os.kill(shard.process.pid, signal.SIGKILL)
    assert 0 < len(addressed(settings)) < len(USERS), "they are killed on the way"
    end = time.monotonic() + 120
    while len({one.user for one in outcomes(settings) if one.status == "admitted"}) < len(USERS):
        assert shards.check() is None, logs(settings)
        assert time.monotonic() < end, logs(settings)
        time.sleep(0.5)
    said = outcomes(settings)
    notified = Counter(one.user for one in said if one.status == "admitted")
    assert notified == dict.fromkeys(USERS, 1), "nobody is missing or twice, and nobody who unsubscribed"
    assert {one.event_id for one in said} == {"landed"}
    about = [(one.status, one.reason, one.detail.get("users")) for one in said if not one.user]
    assert sorted(about) == [("finished", "", len(USERS)), ("held", "fan_out", None)]
    drawn = draw(settings, clickhouse=False)
    copies = addressed(settings).total() - len(USERS)
    assert (drawn.error, drawn.events) == (0, 1 + len(USERS) + copies)
    assert drawn.reasons.get("duplicate", 0) <= copies, "a copy of the last epoch is a duplicate"

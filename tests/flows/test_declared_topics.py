"""A declared topic on two shards: its records lie anywhere, and each event has its outcome once."""

import json
import os
import shutil
import signal
import time
from pathlib import Path

import pytest
from confluent_kafka import Producer
from confluent_kafka.admin import AdminClient, NewTopic  # type: ignore[attr-defined]  # no stub

from flows.supervisor import Supervisor
from sources.reader import TopicReader
from sources.topics import TopicAdmin
from tests.flows.deployment import deployed, logs, shards, variables
from tests.waiting import PATIENCE_S
from tocsin.app.audit import Reconciliation
from tocsin.app.examples import example_catalog
from tocsin.app.settings import Settings
from tocsin.cli.balance import draw
from tocsin.errors import SettingsError
from tocsin.formats.codec import decode_outcome, encode, profile_key, read_dead_letter
from tocsin.model import topics
from tocsin.model.profile import Profile

__all__ = ["shards"]
pytestmark = pytest.mark.timeout(180)
PARTITIONS, FOREIGN_PARTITIONS, EVENTS, TOMBSTONES = 4, 7, 300, 5
SOURCES = """TOPIC:
  format: mapped
  type_from: value.kind
  id: value.id
  user: value.customer
"""


@pytest.fixture
def settings(kafka: str, redis_db: str, topic_prefix: str, tmp_path: Path) -> Settings:
    """A catalog that declares a topic with more partitions than Tocsin's own."""
    topic = f"{topic_prefix}foreign"
    shutil.copytree(example_catalog(), tmp_path / "catalog")
    (tmp_path / "catalog" / "sources.yaml").write_text(SOURCES.replace("TOPIC", topic))
    given = variables(
        kafka, redis_db, f"{topic_prefix}own.", tmp_path, PARTITIONS, TOCSIN_PROFILE_WAIT_S="0.5"
    )
    settings = deployed(given)
    admin = AdminClient({"bootstrap.servers": kafka})
    admin.create_topics([NewTopic(topic, FOREIGN_PARTITIONS, 1)])[topic].result(30)
    end = time.monotonic() + 30
    while (
        topic not in admin.list_topics(timeout=PATIENCE_S).topics
    ):  # Apache Kafka tells its brokers a little later
        assert time.monotonic() < end
        time.sleep(0.05)
    return settings


def declared(settings: Settings) -> str:
    return settings.topic_prefix.removesuffix("own.") + "foreign"


def write(settings: Settings, first: int, count: int) -> None:
    """Write events of a few users to partitions that have nothing to do with them, a third unmatched."""
    pen = Producer({"bootstrap.servers": settings.kafka, "linger.ms": 5})
    for number in range(first, first + count):
        kind = "nothing.asked" if number % 3 == 0 else "flight.landed"
        body = {"kind": kind, "id": number, "customer": f"u{number % 11}", "flight": {"id": f"X{number}"}}
        pen.produce(declared(settings), json.dumps(body), partition=number % FOREIGN_PARTITIONS)
    assert pen.flush(30) == 0


def await_settled(settings: Settings, events: int, supervisor: Supervisor) -> Reconciliation:
    end = time.monotonic() + 90
    while True:
        assert supervisor.check() is None, logs(settings)
        drawn = draw(settings, clickhouse=False)
        if drawn.settled + drawn.in_flight >= events:
            return drawn
        assert time.monotonic() < end, f"{drawn}\n{logs(settings)}"
        time.sleep(0.5)


def test_nothing_is_lost_or_doubled_on_two_shards_of_which_one_is_killed(
    settings: Settings, shards: Supervisor
) -> None:
    profile = Profile(email="u1@example.org")
    pen = Producer({"bootstrap.servers": settings.kafka})
    pen.produce(f"{settings.topic_prefix}{topics.PROFILES}", encode(profile), profile_key("default", "u1"))
    for partition in range(TOMBSTONES):
        pen.produce(declared(settings), None, b"gone", partition=partition)
    assert pen.flush(30) == 0
    write(settings, 0, EVENTS // 2)
    shards.start()
    await_settled(settings, EVENTS // 2, shards)
    write(settings, EVENTS // 2, EVENTS - EVENTS // 2)
    process = shards.shards[0].process
    assert process is not None
    os.kill(process.pid, signal.SIGKILL)
    drawn = await_settled(settings, EVENTS, shards)
    assert (drawn.events, drawn.error, drawn.missing, drawn.doubled) == (EVENTS, 0, [], [])
    assert min(drawn.reasons["no_match"], drawn.reasons["unknown_user"], drawn.statuses["admitted"]) > 0
    with TopicReader(settings.kafka, settings.topic_prefix) as reader:
        forwarded = list(reader.read(topics.EVENTS))
        origins = {decode_outcome(record).origin.rsplit("/", 2)[0] for record in reader.read(topics.OUTCOMES)}
        letters = [read_dead_letter(record) for record in reader.read(topics.DEAD)]
    assert origins == {topics.declared(declared(settings))}
    assert len(forwarded) > EVENTS // 2
    assert {letter.origin_topic for letter in letters} == origins
    assert all(json.loads(letter.value or b"")["specversion"] == "1.0" for letter in letters)


def test_each_event_of_a_batch_has_its_outcome_once(settings: Settings, shards: Supervisor) -> None:
    """Three good events, one that is wrong, and one that comes twice: five records, five final outcomes."""
    event = {"specversion": "1.0", "source": "/shop", "type": "nothing.asked", "subject": "u"}
    batch = [{**event, "id": str(number), "subject": f"u{number}"} for number in range(3)]
    batch += [{"id": "wrong"}, batch[0]]
    kind: dict[str, str | bytes | None] = {"content-type": "application/cloudevents-batch+json"}
    pen = Producer({"bootstrap.servers": settings.kafka})
    pen.produce(
        f"{settings.topic_prefix}{topics.EVENTS}", json.dumps(batch), b"shop", partition=1, headers=kind
    )
    assert pen.flush(30) == 0
    shards.start()
    drawn = await_settled(settings, len(batch), shards)
    assert (drawn.events, drawn.error, drawn.missing, drawn.doubled) == (len(batch), 0, [], [])
    assert (drawn.reasons["no_match"], drawn.reasons["duplicate"]) == (3, 1)


def test_a_declared_topic_that_is_not_there_or_is_ours_is_refused(settings: Settings) -> None:
    admin = TopicAdmin(settings.kafka, settings.topic_prefix)
    name = topics.declared(declared(settings))
    assert admin.declared([name]) == {name: FOREIGN_PARTITIONS}
    with pytest.raises(SettingsError, match="there is no topic nowhere; create it, or remove it there"):
        admin.declared([topics.declared("nowhere")])
    with pytest.raises(SettingsError, match="events is Tocsin's own topic"):
        admin.declared([topics.declared(f"{settings.topic_prefix}events")])

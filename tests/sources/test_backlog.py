"""What waits in Kafka: counted behind the group of the shards, with the age of the first and the rates."""

import time
from collections.abc import Iterator

import pytest
from confluent_kafka import Consumer, Producer, TopicPartition

from sources.backlog import Backlog, BacklogReader, Look, backlogs
from sources.topics import TopicAdmin, TopicPlan
from tocsin.errors import SourceError
from tocsin.model import topics

PARTITIONS = 2
HOUR_MS = 3_600_000


@pytest.fixture
def reader(kafka: str, topic_prefix: str) -> Iterator[BacklogReader]:
    TopicAdmin(kafka, topic_prefix).create(TopicPlan(PARTITIONS), (topics.EVENTS, topics.OUTCOMES))
    with BacklogReader(kafka, topic_prefix) as reader:
        yield reader


def write(kafka: str, topic: str, partition: int, count: int, at_ms: int) -> None:
    pen = Producer({"bootstrap.servers": kafka, "linger.ms": 20})
    for number in range(count):
        pen.produce(topic, b"{}", b"k", partition, timestamp=at_ms + number)
    assert pen.flush(30) == 0


def commit(kafka: str, prefix: str, offset: int) -> None:
    consumer = Consumer({"bootstrap.servers": kafka, "group.id": topics.shard_group(prefix)})
    consumer.commit(offsets=[TopicPartition(f"{prefix}{topics.EVENTS}", 0, offset)], asynchronous=False)
    consumer.close()


def test_what_is_not_finished_waits_since_its_first_record(
    kafka: str, topic_prefix: str, reader: BacklogReader
) -> None:
    now_ms = int(time.time() * 1_000)
    events = f"{topic_prefix}{topics.EVENTS}"
    write(kafka, events, 0, 10, now_ms - 2 * HOUR_MS)
    write(kafka, events, 1, 3, now_ms - HOUR_MS)
    commit(kafka, topic_prefix, 4)
    counts = reader.partitions((topics.EVENTS, topics.OUTCOMES, topics.BULK))
    assert counts == {topics.EVENTS: PARTITIONS, topics.OUTCOMES: PARTITIONS}, "only what there is"
    first = reader.look(counts)
    commit(kafka, topic_prefix, 10)
    write(kafka, events, 1, 1, now_ms)
    last = reader.look(counts)
    found, empty = backlogs(counts, first, last, reader.oldest_ms(last), now_ms)
    assert (found.topic, found.waiting) == (topics.EVENTS, 4), "those of the second partition"
    assert found.oldest_s == pytest.approx(3_600)
    took_s = last.at_s - first.at_s
    assert found.finished_per_s == pytest.approx(6 / took_s)
    assert found.written_per_s == pytest.approx(1 / took_s)
    assert empty == Backlog(topics.OUTCOMES, 0, None, 0.0, 0.0)


@pytest.mark.parametrize(
    ("finished", "written", "drain_s"), [(30, 10, 5.0), (10, 10, None), (0, 0, None), (10, 30, None)]
)
def test_it_is_done_when_more_is_finished_than_written(
    finished: int, written: int, drain_s: float | None
) -> None:
    place, end = ("events", 0), 2 * finished + 100
    first = Look(10.0, {place: 0}, {place: end - 2 * written})
    last = Look(12.0, {place: 2 * finished}, {place: end})
    [found] = backlogs(["events"], first, last, {}, 0)
    assert (found.waiting, found.finished_per_s, found.written_per_s) == (100, finished, written)
    assert found.drain_s == drain_s


def test_nothing_is_done_at_once() -> None:
    place = ("events", 0)
    look = Look(1.0, {place: 7}, {place: 7})
    assert backlogs(["events"], look, Look(2.0, look.done, look.ends), {}, 0)[0].drain_s == 0.0


def test_a_broker_that_is_away_is_said_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sources.backlog.REQUEST_TIMEOUT_S", 1.0)
    options = {"socket.connection.setup.timeout.ms": "1000"}
    with (
        BacklogReader("127.0.0.1:9", "t.", options) as reader,
        pytest.raises(SourceError, match="TOCSIN_KAFKA"),
    ):
        reader.partitions(["events"])

"""The consumer when Kafka fails: what is waited out, and what stops it with a cure."""

import os
from collections.abc import Callable, Iterator

import pytest
from confluent_kafka import KafkaError

from sinks.kafka import KafkaPublisher, PublisherPolicy
from sources.client import ConsumerPolicy
from sources.consumer import KafkaConsumer
from sources.reader import TopicReader
from sources.state import SourceState
from tests.sources.mock_kafka import FETCH, OFFSET_COMMIT, OFFSET_FETCH, MockCluster
from tests.sources.rig import read, settle, wait_for
from tocsin.errors import SourceError, StateError
from tocsin.model import topics
from tocsin.model.raw import OutRecord

Start = Callable[..., KafkaConsumer]
PREFIX = "t."


@pytest.fixture
def cluster() -> Iterator[MockCluster]:
    """Make a mock cluster with the topic of events, one partition."""
    with MockCluster() as cluster:
        cluster.create(PREFIX + topics.EVENTS, 1)
        yield cluster


def write(cluster: MockCluster, count: int, topic: str = topics.EVENTS, value: bytes = b"value") -> None:
    """Append records."""
    publisher = KafkaPublisher(PublisherPolicy(cluster.bootstrap, PREFIX))
    publisher.publish([OutRecord(topic, 0, b"k", value) for _ in range(count)])
    publisher.confirm(60)


def consumer_of(cluster: MockCluster) -> KafkaConsumer:
    """Make a consumer for the topic of events."""
    return KafkaConsumer(ConsumerPolicy(cluster.bootstrap, PREFIX, (topics.EVENTS,), (0,)))


def at(offset: int) -> SourceState:
    """Make the state of a consumer that has read so far."""
    return SourceState(3, {topics.EVENTS: {0: offset}}, {}, {}, ())


def test_an_offset_that_is_not_there_stops_with_the_cure(cluster: MockCluster, start: Start) -> None:
    write(cluster, 5)
    consumer = start(consumer_of(cluster), at(1_000))
    with pytest.raises(StateError, match=r"events/0: offset 1000 is not in the topic.*tocsin offsets forget"):
        settle(consumer, 60)


def test_outcomes_that_retention_deleted_are_counted_and_the_gate_goes_on(
    cluster: MockCluster, start: Start
) -> None:
    cluster.create(PREFIX + topics.OUTCOMES, 1)
    write(cluster, 120, topics.OUTCOMES, os.urandom(100_000))  # the mock's retention is 5 MB a partition
    write(cluster, 3)
    with TopicReader(cluster.bootstrap, PREFIX) as reader:
        low, end = reader.bounds(topics.OUTCOMES)[0]
    consumer = start(
        tracker(cluster), SourceState(3, {topics.EVENTS: {0: 0}, topics.OUTCOMES: {0: 2}}, {}, {}, ())
    )
    found = read(consumer, 3 + end - low)

    assert [r.offset for r in found if r.topic == topics.EVENTS] == [0, 1, 2]
    assert [r.offset for r in found if r.topic == topics.OUTCOMES] == list(range(low, end))
    sentence = f"outcomes/0: retention deleted {low - 2} records that were not read yet"
    assert consumer.gaps.sentences[topics.OUTCOMES, 0].startswith(sentence)
    consumer.acks.done(topics.OUTCOMES, 0, low)
    assert consumer.state(4).offsets[topics.OUTCOMES] == {0: low + 1}


def test_outcomes_that_are_others_than_those_read_stop_with_the_cure(
    cluster: MockCluster, start: Start
) -> None:
    cluster.create(PREFIX + topics.OUTCOMES, 1)
    write(cluster, 5, topics.OUTCOMES)
    consumer = start(
        tracker(cluster), SourceState(3, {topics.EVENTS: {0: 0}, topics.OUTCOMES: {0: 900}}, {}, {}, ())
    )
    with pytest.raises(StateError, match=r"outcomes/0: offset 900 is not in the topic"):
        settle(consumer, 60)
    assert consumer.gaps.sentences == {}


def tracker(cluster: MockCluster) -> KafkaConsumer:
    """Make a consumer for events and outcomes."""
    names = (topics.EVENTS, topics.OUTCOMES)
    return KafkaConsumer(
        ConsumerPolicy(cluster.bootstrap, PREFIX, names, (0,), acked=frozenset({topics.OUTCOMES}))
    )


def test_a_forgotten_topic_starts_at_the_oldest_record_left(cluster: MockCluster, start: Start) -> None:
    write(cluster, 5)
    consumer = start(consumer_of(cluster), at(1_000), forget=frozenset({topics.EVENTS}))
    assert [record.offset for record in read(consumer, 5)] == [0, 1, 2, 3, 4]


def test_a_broker_that_goes_away_is_waited_for(cluster: MockCluster, start: Start) -> None:
    write(cluster, 5)
    consumer = start(consumer_of(cluster), at(0))
    read(consumer, 5)
    cluster.down()
    wait_for(lambda: not consumer.take() and bool(consumer.health.sentences))
    assert "reading goes on when Kafka answers" in next(iter(consumer.health.sentences.values()))
    cluster.up()
    write(cluster, 3)
    assert [record.offset for record in read(consumer, 3)] == [5, 6, 7]
    assert consumer.health.sentences == {}


def test_a_broker_that_is_back_is_no_trouble_although_no_record_comes(
    cluster: MockCluster, start: Start
) -> None:
    consumer = start(consumer_of(cluster), at(0))
    cluster.down()
    wait_for(lambda: not consumer.take() and bool(consumer.health.sentences))
    consumer.monitor.refresh()
    assert consumer.health.sentences, "it is still away"
    cluster.up()

    def asked() -> bool:
        consumer.take()
        consumer.monitor.refresh()
        return not consumer.health.sentences

    wait_for(asked)


def test_a_refusal_stays_told_although_the_broker_answers(cluster: MockCluster, start: Start) -> None:
    write(cluster, 1)
    cluster.fail(FETCH, *[KafkaError.TOPIC_AUTHORIZATION_FAILED] * 100)
    consumer = start(consumer_of(cluster), at(0))
    wait_for(lambda: not consumer.take() and bool(consumer.health.sentences))
    consumer.monitor.refresh()
    assert "refuses access" in consumer.health.sentences[topics.EVENTS]


def test_a_refusal_stays_told_although_another_topic_brings_records(
    cluster: MockCluster, start: Start
) -> None:
    cluster.create(PREFIX + topics.PROFILES, 1)
    consumer = start(two_topics(cluster))
    settle(consumer)
    cluster.break_topic(PREFIX + topics.PROFILES, KafkaError.TOPIC_AUTHORIZATION_FAILED)
    wait_for(lambda: not consumer.take() and bool(consumer.health.sentences))
    write(cluster, 3)
    read(consumer, 3)
    consumer.monitor.refresh()
    assert "refuses access" in consumer.health.sentences[topics.PROFILES]


def test_a_mended_topic_is_no_trouble_although_no_record_comes(cluster: MockCluster, start: Start) -> None:
    cluster.create(PREFIX + topics.PROFILES, 1)
    consumer = start(two_topics(cluster))
    settle(consumer)
    cluster.break_topic(PREFIX + topics.PROFILES, KafkaError.TOPIC_AUTHORIZATION_FAILED)
    wait_for(lambda: not consumer.take() and bool(consumer.health.sentences))
    cluster.break_topic(PREFIX + topics.PROFILES, 0)

    def asked() -> bool:
        consumer.take()
        consumer.monitor.refresh()
        return not consumer.health.sentences

    wait_for(asked)


def two_topics(cluster: MockCluster) -> KafkaConsumer:
    """Make a consumer for events and profiles that soon sees what became of a topic."""
    refresh = {"topic.metadata.refresh.interval.ms": "300"}
    names = (topics.EVENTS, topics.PROFILES)
    return KafkaConsumer(ConsumerPolicy(cluster.bootstrap, PREFIX, names, (0,), options=refresh))


def test_a_closed_consumer_is_asked_nothing(cluster: MockCluster, start: Start) -> None:
    consumer = start(consumer_of(cluster), at(0))
    cluster.down()
    wait_for(lambda: not consumer.take() and bool(consumer.health.sentences))
    consumer.close()
    consumer.monitor.refresh()
    assert consumer.monitor.lags() == {}


def test_a_refused_fetch_is_told_and_waited_out(cluster: MockCluster, start: Start) -> None:
    write(cluster, 5)
    cluster.fail(FETCH, *[KafkaError.TOPIC_AUTHORIZATION_FAILED] * 5)
    consumer = start(consumer_of(cluster), at(0))
    heard: set[str] = set()
    seen: list[int] = []

    def all_read() -> bool:
        heard.update(consumer.health.sentences.values())
        seen.extend(record.offset for record in consumer.take())
        return len(seen) == 5

    wait_for(all_read)
    assert seen == [0, 1, 2, 3, 4]
    assert any("refuses access" in sentence and "ACL" in sentence for sentence in heard)
    assert consumer.health.sentences == {}


def test_a_topic_that_is_missing_is_told(cluster: MockCluster, start: Start) -> None:
    policy = ConsumerPolicy(cluster.bootstrap, PREFIX, (topics.EVENTS,), (0, 7))
    consumer = start(KafkaConsumer(policy), SourceState(3, {topics.EVENTS: {0: 0, 7: 0}}, {}, {}, ()))
    wait_for(lambda: not consumer.take() and bool(consumer.health.sentences))
    assert "tocsin topics create" in consumer.health.sentences[topics.EVENTS]
    write(cluster, 3)
    read(consumer, 3)
    consumer.monitor.refresh()
    assert "tocsin topics create" in consumer.health.sentences[topics.EVENTS], (
        "the other partition is still missing"
    )


def test_retried_fetch_errors_lose_nothing(cluster: MockCluster, start: Start) -> None:
    write(cluster, 50)
    cluster.fail(FETCH, KafkaError.NOT_LEADER_FOR_PARTITION, KafkaError.LEADER_NOT_AVAILABLE)
    consumer = start(consumer_of(cluster), at(0))
    assert [record.offset for record in read(consumer, 50)] == list(range(50))


def test_a_refused_group_stops_a_first_start_with_the_cure(cluster: MockCluster, start: Start) -> None:
    cluster.fail(OFFSET_FETCH, *[KafkaError.GROUP_AUTHORIZATION_FAILED] * 3)
    with pytest.raises(SourceError, match="Kafka refuses access"):
        start(consumer_of(cluster))


def test_a_commit_that_failed_is_made_again(cluster: MockCluster, start: Start) -> None:
    """Else the group's lag stays until the next record, and a lost state could not be recognised."""
    write(cluster, 3)
    consumer = start(consumer_of(cluster))
    read(consumer, 3)
    cluster.fail(OFFSET_COMMIT, KafkaError.GROUP_AUTHORIZATION_FAILED)
    consumer.commit(consumer.state(1), wait=False)
    settle(consumer)
    with TopicReader(cluster.bootstrap, PREFIX) as reader:
        assert reader.committed(f"{PREFIX}shard", topics.EVENTS) == {}

        def committed() -> bool:
            consumer.take()
            consumer.commit(consumer.state(1), wait=False)
            return reader.committed(f"{PREFIX}shard", topics.EVENTS) == {0: 3}

        wait_for(committed)

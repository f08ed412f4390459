"""Creating and checking topics on a real broker."""

from concurrent.futures import Future

import pytest
from confluent_kafka import KafkaError, KafkaException, TopicPartition

from sources.offsets import offset_ranges
from sources.topics import TopicAdmin, TopicPlan, answered, topic_config
from tests.sources.rig import PARTITIONS, World
from tocsin.errors import SettingsError, SourceError
from tocsin.model import topics

PLAN = TopicPlan(3, replication=1)
TRANSPORT, TIMED_OUT = -195, -185
"""librdkafka's own codes: no connection, no answer in time."""


@pytest.fixture
def admin(kafka: str, topic_prefix: str) -> TopicAdmin:
    return TopicAdmin(kafka, topic_prefix)


def test_all_topics_are_created_once(admin: TopicAdmin) -> None:
    assert sorted(admin.create(PLAN)) == sorted(topics.ALL)
    assert admin.create(PLAN) == []
    assert admin.partitions() == dict.fromkeys(topics.ALL, 3)


def test_what_is_missing_is_added(admin: TopicAdmin) -> None:
    admin.create(PLAN, [topics.EVENTS])
    created = admin.create(PLAN)
    assert topics.EVENTS not in created
    assert len(created) == len(topics.ALL) - 1


def test_another_number_of_partitions_is_refused_with_the_cure(admin: TopicAdmin) -> None:
    admin.create(PLAN, [topics.EVENTS])
    with pytest.raises(SettingsError, match="events has 3 partitions, the settings say 4: set TOCSIN_PART"):
        admin.create(TopicPlan(4, replication=1), [topics.EVENTS])


def test_missing_topics_are_named_with_the_cure(admin: TopicAdmin, topic_prefix: str) -> None:
    with pytest.raises(SettingsError, match=f"missing: {topic_prefix}events; run `tocsin topics create`"):
        admin.check(3, [topics.EVENTS])


def test_topics_of_another_prefix_are_not_ours(kafka: str, topic_prefix: str, admin: TopicAdmin) -> None:
    admin.create(PLAN, [topics.EVENTS])
    assert TopicAdmin(kafka, topic_prefix + "x").partitions() == {}


def test_a_topic_has_an_id_of_its_own(admin: TopicAdmin) -> None:
    admin.create(PLAN, [topics.EVENTS, topics.BULK])
    ids = admin.topic_ids([topics.EVENTS, topics.BULK, topics.DEAD])
    assert set(ids) == {topics.EVENTS, topics.BULK}
    assert len(set(ids.values())) == 2
    assert ids == admin.topic_ids([topics.EVENTS, topics.BULK])


def test_the_cluster_has_an_id(admin: TopicAdmin) -> None:
    assert admin.cluster_id()
    assert admin.cluster_id() == admin.cluster_id()


def test_ends_are_exact_whatever_the_batches(world: World) -> None:
    world.write(topics.EVENTS, 7, partition=1)
    world.write(topics.EVENTS, 500, partition=2)
    world.write(topics.EVENTS, 3, partition=2)
    full = world.prefix + topics.EVENTS
    places = [TopicPartition(full, partition) for partition in range(PARTITIONS)]
    found = offset_ranges({"bootstrap.servers": world.kafka}, places)
    assert [found[full, partition] for partition in range(PARTITIONS)] == [(0, 0), (0, 7), (0, 503), (0, 0)]


def test_a_broker_that_is_not_there_is_said_so() -> None:
    admin = TopicAdmin("127.0.0.1:1", "x.", {"socket.connection.setup.timeout.ms": "1000"}, timeout_s=1.5)
    with pytest.raises(SourceError, match="no broker answers; is Kafka up, and TOCSIN_KAFKA its address"):
        admin.partitions()


def test_profiles_are_compacted_and_the_rest_has_an_end() -> None:
    plan = TopicPlan(3, retention_days=2, dead_retention_days=9)
    day_ms = 86_400_000
    assert topic_config(topics.PROFILES, plan)["cleanup.policy"] == "compact"
    assert topic_config(topics.PROFILES, plan)["delete.retention.ms"] == str(2 * day_ms)
    assert topic_config(topics.DEAD, plan)["retention.ms"] == str(9 * day_ms)
    assert topic_config(topics.SUBSCRIPTIONS, plan) == topic_config(topics.PROFILES, plan)
    for name in set(topics.KEYED) - {topics.PROFILES, topics.SUBSCRIPTIONS}:
        assert topic_config(name, plan) == {"cleanup.policy": "delete", "retention.ms": str(2 * day_ms)}


def test_dead_letters_of_records_at_the_limit_fit() -> None:
    assert int(topic_config(topics.DEAD, PLAN)["max.message.bytes"]) > 2 * 1_048_588


def test_a_controller_that_does_not_answer_is_an_error_of_ours() -> None:
    with pytest.raises(SourceError, match=r"x\.events: this broker does not answer"):
        answered("x.events", Future(), timeout_s=0.01)


@pytest.mark.parametrize(
    ("code", "said"),
    [
        (TRANSPORT, "cluster: no broker answers"),
        (TIMED_OUT, "cluster: no broker answers"),
        (KafkaError.CLUSTER_AUTHORIZATION_FAILED, "cluster: Kafka says CLUSTER_AUTHORIZATION_FAILED"),
    ],
)
def test_a_broker_that_is_away_is_told_in_words(code: int, said: str) -> None:
    answer: Future[object] = Future()
    answer.set_exception(KafkaException(KafkaError(code)))
    with pytest.raises(SourceError, match=said):
        answered("cluster", answer)


def test_all_declared_topics_that_are_not_there_are_named_at_once(admin: TopicAdmin) -> None:
    with pytest.raises(SettingsError) as caught:
        admin.declared([topics.declared("absent-a"), topics.declared("absent-b")])
    assert [line.partition(";")[0] for line in str(caught.value).splitlines()] == [
        "sources.yaml: there is no topic absent-a",
        "sources.yaml: there is no topic absent-b",
    ]

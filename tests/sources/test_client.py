"""How the consumer is set up, and what its errors are told as."""

import pytest
from confluent_kafka import Consumer, KafkaError, TopicPartition

from sources.client import ConsumerPolicy, consumer_config, reader_config, take
from sources.errors import describe, is_out_of_range
from sources.offsets import committed_offsets, offset_ranges
from tests.sources.mock_kafka import OFFSET_FETCH, MockCluster
from tocsin.errors import SourceError

_ALL_BROKERS_DOWN: int = KafkaError._ALL_BROKERS_DOWN  # noqa: SLF001 -- librdkafka's names for its own errors
_AUTO_OFFSET_RESET: int = KafkaError._AUTO_OFFSET_RESET  # noqa: SLF001

POLICY = ConsumerPolicy("127.0.0.1:9092", "tocsin.", ("events",), (0, 1))


def test_nothing_moves_behind_our_back() -> None:
    config = consumer_config(POLICY)
    assert config["enable.auto.commit"] is False
    assert config["enable.auto.offset.store"] is False
    assert config["auto.offset.reset"] == "error"
    assert config["allow.auto.create.topics"] is False


def test_the_group_is_named_after_the_prefix_unless_given() -> None:
    assert consumer_config(POLICY)["group.id"] == "tocsin.shard"
    named = ConsumerPolicy("127.0.0.1:9092", "tocsin.", ("events",), (0,), group="mine")
    assert consumer_config(named)["group.id"] == "mine"


def test_options_of_the_operator_win() -> None:
    options = {"security.protocol": "ssl", "fetch.wait.max.ms": "99"}
    config = consumer_config(ConsumerPolicy("k:1", "t.", ("events",), (0,), options=options))
    assert (config["security.protocol"], config["fetch.wait.max.ms"]) == ("ssl", "99")


def test_a_reader_commits_nothing_and_is_told_of_ends_at_once() -> None:
    config = reader_config("k:1", "t.reader", {"security.protocol": "ssl"})
    assert (config["bootstrap.servers"], config["group.id"]) == ("k:1", "t.reader")
    assert (config["enable.auto.commit"], config["enable.partition.eof"]) == (False, True)
    assert config["fetch.wait.max.ms"] <= 100, "librdkafka's own is half a second"
    assert config["security.protocol"] == "ssl"
    assert reader_config("k:1", "g", {"fetch.wait.max.ms": "500"})["fetch.wait.max.ms"] == "500"


@pytest.mark.parametrize(
    ("code", "cure"),
    [
        (KafkaError.TOPIC_AUTHORIZATION_FAILED, "correct the ACL"),
        (KafkaError.SASL_AUTHENTICATION_FAILED, "TOCSIN_KAFKA_OPTIONS"),
        (KafkaError.UNKNOWN_TOPIC_OR_PART, "tocsin topics create"),
        (_ALL_BROKERS_DOWN, "goes on when Kafka answers"),
        (KafkaError.NOT_LEADER_FOR_PARTITION, "goes on when Kafka answers"),
    ],
)
def test_each_error_names_its_topic_and_cure(code: int, cure: str) -> None:
    sentence = describe(KafkaError(code), "events")
    assert sentence.startswith("events: ")
    assert cure in sentence


def test_only_a_missing_offset_is_out_of_range() -> None:
    assert is_out_of_range(KafkaError(KafkaError.OFFSET_OUT_OF_RANGE))
    assert is_out_of_range(KafkaError(_AUTO_OFFSET_RESET))
    assert not is_out_of_range(KafkaError(KafkaError.UNKNOWN_TOPIC_OR_PART))


def test_committed_offsets_are_those_that_exist() -> None:
    with MockCluster() as cluster:
        cluster.create("tocsin.events", 2)
        consumer = Consumer({"bootstrap.servers": cluster.bootstrap, "group.id": "g"})
        consumer.commit(offsets=[TopicPartition("tocsin.events", 1, 7)], asynchronous=False)
        assert committed_offsets(consumer, {"tocsin.events": "events"}, {"tocsin.events": (0, 1)}) == {
            ("events", 1): 7
        }
        consumer.close()


def test_offsets_that_cannot_be_read_are_an_error() -> None:
    with MockCluster() as cluster:
        cluster.create("tocsin.events", 1)
        consumer = Consumer({"bootstrap.servers": cluster.bootstrap, "group.id": "g"})
        cluster.fail(OFFSET_FETCH, *[KafkaError.GROUP_AUTHORIZATION_FAILED] * 3)
        with pytest.raises(SourceError, match="committed offsets: Kafka refuses access"):
            committed_offsets(consumer, {"tocsin.events": "events"}, {"tocsin.events": (0,)})
        consumer.close()


def test_ends_of_no_partitions_are_none() -> None:
    with MockCluster() as cluster:
        assert offset_ranges({"bootstrap.servers": cluster.bootstrap}, []) == {}


def test_a_coordinator_that_is_being_found_is_waited_for() -> None:
    """On a new broker the first group is asked for before its coordinator has a topic to keep it in."""
    with MockCluster() as cluster:
        cluster.create("tocsin.events", 2)
        cluster.fail(OFFSET_FETCH, *[KafkaError.NOT_COORDINATOR] * 3)
        consumer = Consumer(
            consumer_config(ConsumerPolicy(cluster.bootstrap, "tocsin.", ("events",), (0, 1)))
        )
        try:
            assert committed_offsets(consumer, {"tocsin.events": "events"}, {"tocsin.events": (0, 1)}) == {}
        finally:
            consumer.close()


class Full:
    """A consumer in whose queue there is something, or nothing."""

    def __init__(self, *there: str) -> None:
        self.there = list(there)
        self.waits: list[tuple[int, float]] = []

    def consume(self, most: int, wait_s: float) -> list[str]:
        self.waits.append((most, wait_s))
        got, self.there = self.there[:most], self.there[most:]
        return got


def test_what_has_come_is_taken_without_waiting_for_more() -> None:
    consumer = Full("a", "b", "c", "d")
    assert take(consumer, 3, 0.5) == ["a", "b", "c"]
    assert consumer.waits == [(1, 0.5), (2, 0)], (
        "librdkafka waits the whole time for as many as it is asked for"
    )
    assert take(Full(), 3, 0.5) == []

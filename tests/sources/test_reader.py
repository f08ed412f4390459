"""The reader outside the flow: it waits out what a broker says while it starts, and nothing else."""

import pytest
from confluent_kafka import KafkaError

from sources.reader import TopicReader
from tests.sources.mock_kafka import LIST_OFFSETS, OFFSET_FETCH, MockCluster
from tocsin.errors import SinkError


def test_a_partition_whose_leader_is_still_chosen_is_asked_again() -> None:
    with MockCluster() as cluster:
        cluster.create("t.outcomes", 1)
        cluster.fail(LIST_OFFSETS, *[KafkaError.NOT_LEADER_FOR_PARTITION] * 3)
        with TopicReader(cluster.bootstrap, "t.") as reader:
            assert reader.bounds("outcomes") == {0: (0, 0)}


def test_a_coordinator_that_still_loads_is_asked_again() -> None:
    with MockCluster() as cluster:
        cluster.create("t.events", 1)
        cluster.fail(OFFSET_FETCH, *[KafkaError.COORDINATOR_LOAD_IN_PROGRESS] * 3)
        with TopicReader(cluster.bootstrap, "t.") as reader:
            assert reader.committed("t.shard", "events") == {}


def test_a_refusal_is_told_at_once() -> None:
    with MockCluster() as cluster:
        cluster.create("t.outcomes", 1)
        cluster.fail(LIST_OFFSETS, *[KafkaError.TOPIC_AUTHORIZATION_FAILED] * 3)
        with TopicReader(cluster.bootstrap, "t.") as reader, pytest.raises(SinkError, match="AUTHORIZATION"):
            reader.bounds("outcomes")

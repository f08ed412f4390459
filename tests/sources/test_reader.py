"""The reader outside the flow: it waits out what a broker says while it starts, and nothing else."""

from typing import Any

import pytest
from confluent_kafka import KafkaError, KafkaException

from sources.errors import EOF
from sources.reader import TopicReader, away
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


class Said:
    """What a consumer gives: a record, or with `ends` the word that its partition ends there."""

    def __init__(self, offset: int, *, ends: bool = False) -> None:
        self._offset = offset
        self._error = KafkaError(EOF) if ends else None

    def topic(self) -> str:
        return "t.dead"

    def partition(self) -> int:
        return 0

    def offset(self) -> int:
        return self._offset

    def error(self) -> KafkaError | None:
        return self._error

    def timestamp(self) -> tuple[int, int]:
        return 1, 1

    def headers(self) -> None:
        return None

    key = value = headers


class Broker:
    """A consumer of a broker that pauses, and tells an end before the last record."""

    def __init__(self, answers: list[list[Said]]) -> None:
        self._answers = iter(answers)

    def assign(self, places: object) -> None:
        """Begin."""

    def unassign(self) -> None:
        """End."""

    def close(self) -> None:
        """Close nothing."""

    def consume(self, most: int, wait_s: float) -> list[Said]:
        return next(self._answers, [])


def test_a_partition_is_read_to_the_end_that_it_tells(monkeypatch: pytest.MonkeyPatch) -> None:
    answers: list[list[Said]] = [
        [],
        [Said(0)],
        [Said(1, ends=True)],
        [Said(1)],
        [],
        [],
        [Said(2), Said(2, ends=True)],
        [Said(3, ends=True)],
    ]
    broker: Any = Broker(answers)
    with (
        MockCluster() as cluster,
        TopicReader(cluster.bootstrap, "t.") as reader,
        monkeypatch.context() as said,
    ):
        said.setattr(reader, "_consumer", broker)
        said.setattr(reader, "bounds", lambda topic: {0: (0, 0)})
        assert [record.offset for record in reader.read("dead")] == [0, 1, 2]


def test_a_kafka_that_does_not_answer_is_named_by_its_address() -> None:
    said = away(KafkaException(KafkaError(KafkaError._TRANSPORT)), "kafka-1:9092")  # noqa: SLF001 -- its name
    assert said.startswith("Kafka at kafka-1:9092 does not answer (_TRANSPORT): is it up, and TOCSIN_KAFKA")

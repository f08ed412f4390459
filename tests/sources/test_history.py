"""History read from Kafka: from a time on, to the end, without a trace in the cluster."""

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from confluent_kafka import Producer

from sources.history import FolderHistory, KafkaHistory, manifest_of, record
from sources.reader import TopicReader
from tests.sources.mock_kafka import MockCluster
from tocsin.model.raw import RawRecord

PREFIX = "t."


@pytest.fixture
def kafka() -> Iterator[str]:
    """Run a broker with 3,000 events, a second apart, and a profile."""
    with MockCluster() as cluster:
        for name in ("events", "profiles", "outcomes"):
            cluster.create(PREFIX + name, 1)
        pen = Producer({"bootstrap.servers": cluster.bootstrap, "linger.ms": 50, "batch.num.messages": 100})
        for number in range(3_000):
            headers: list[tuple[str, str | bytes | None]] = [("n", str(number).encode())]
            pen.produce(
                f"{PREFIX}events", b"%d" % number, b"k", 0, timestamp=1_000 * (number + 1), headers=headers
            )
        pen.produce(f"{PREFIX}profiles", b"{}", b"k", 0, timestamp=5)
        assert pen.flush(30) == 0
        yield cluster.bootstrap


def read(history: KafkaHistory | FolderHistory, topic: str, since_ms: int = 0) -> list[RawRecord]:
    return [each for batch in history.read(topic, 0, since_ms) for each in batch]


def test_a_topic_is_read_from_a_time_to_its_end_and_recorded_as_it_is(kafka: str, tmp_path: Path) -> None:
    history = KafkaHistory(kafka, PREFIX, {}, ("events", "profiles", "outcomes"))
    assert history.bounds["events"] == {0: (0, 3_000)}
    assert history.bounds["outcomes"] == {0: (0, 0)}
    whole = read(history, "events")
    assert [each.offset for each in whole] == list(range(3_000))
    assert whole[7] == RawRecord("events", 0, 7, 8_000, b"k", b"7", (("n", b"7"),))
    assert read(history, "events", 2_990_001) == whole[-10:]
    assert not read(history, "events", 4_000_000)
    assert not read(history, "outcomes")
    manifest = manifest_of(history, 1, "wall")
    # The mock broker cannot tell offsets by time, and says that there are none.
    assert sum(record(history, tmp_path / "h", manifest, 2_999_000)) == 3
    folder = FolderHistory(tmp_path / "h")
    assert read(folder, "events") == whole[-2:]
    assert [each.value for each in read(folder, "profiles")] == [b"{}"]
    with TopicReader(kafka, PREFIX) as reader:
        assert reader.bounds("events") == {0: (0, 3_000)}
        assert reader.committed(f"{PREFIX}reader", "events") == {}


def test_one_history_reads_partition_after_partition_within_the_bounds_that_another_asked_for() -> None:
    with MockCluster() as cluster:
        cluster.create(f"{PREFIX}events", 3)
        pen = Producer({"bootstrap.servers": cluster.bootstrap})
        for partition in range(3):
            for number in range(50):
                pen.produce(
                    f"{PREFIX}events", b"%d" % number, b"k", partition, timestamp=1_000 * (number + 1)
                )
        assert pen.flush(30) == 0
        with closing(KafkaHistory(cluster.bootstrap, PREFIX, {}, ("events",))) as asked:
            bounds = asked.bounds
        with closing(KafkaHistory(cluster.bootstrap, PREFIX, {}, (), bounds)) as history:
            assert history.bounds == bounds
            for since_ms in (0, 40_000):
                found = [list(map(_place, _partition(history, number, since_ms))) for number in range(3)]
                assert found == [
                    [(number, at) for at in range(since_ms // 1_000 - 1 if since_ms else 0, 50)]
                    for number in range(3)
                ]


def _partition(history: KafkaHistory, number: int, since_ms: int) -> Iterator[RawRecord]:
    for batch in history.read("events", number, since_ms):
        yield from batch


def _place(record: RawRecord) -> tuple[int, int]:
    return record.partition, record.offset

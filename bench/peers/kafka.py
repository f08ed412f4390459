"""Topics of one bench: made, filled, counted and removed, with the names and counts that the caller gives."""

import time
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

from confluent_kafka import Consumer, Producer, TopicPartition
from confluent_kafka.admin import AdminClient, NewTopic, OffsetSpec  # type: ignore[attr-defined]  # no stub

_TIMEOUT_S = 60.0
_READ = 5_000


class Record(NamedTuple):
    """A record to write; `at_ms` is its Kafka timestamp, 0 for the moment of writing."""

    key: str
    value: bytes
    at_ms: int = 0


class Topics:
    """Everything the bench asks of the broker."""

    def __init__(self, bootstrap: str) -> None:
        self.bootstrap = bootstrap
        self._admin = AdminClient({"bootstrap.servers": bootstrap, "log_level": 0})

    def create(self, names: Iterable[str], partitions: int) -> None:
        """Make topics anew."""
        wanted = list(names)
        self.remove(wanted)
        for made in self._admin.create_topics([NewTopic(name, partitions, 1) for name in wanted]).values():
            made.result(_TIMEOUT_S)
        while self.partitions(wanted).keys() != set(wanted):
            time.sleep(0.05)

    def remove(self, names: Iterable[str]) -> None:
        """Remove those topics that exist, and wait until they are gone."""
        there = list(self.partitions(names))
        if there:
            for gone in self._admin.delete_topics(there).values():
                gone.result(_TIMEOUT_S)
        while self.partitions(there):
            time.sleep(0.05)

    def with_prefix(self, prefix: str) -> list[str]:
        """Name the topics that begin so."""
        return [name for name in self._metadata() if name.startswith(prefix)]

    def partitions(self, names: Iterable[str]) -> dict[str, int]:
        """Count the partitions of those topics that exist and have leaders."""
        known = self._metadata()
        counts = {name: known[name].partitions for name in names if name in known}
        return {
            name: len(found)
            for name, found in counts.items()
            if found and all(each.leader >= 0 for each in found.values())
        }

    def ends(self, places: Iterable[TopicPartition]) -> int:
        """Sum the end offsets of partitions, which is how many records were ever written there."""
        latest = OffsetSpec.latest()
        asked = self._admin.list_offsets(dict.fromkeys(places, latest))
        return sum(answer.result(_TIMEOUT_S).offset for answer in asked.values())

    def places(self, names: Iterable[str]) -> list[TopicPartition]:
        """List every partition of topics."""
        counts = self.partitions(names).items()
        return [TopicPartition(name, number) for name, count in counts for number in range(count)]

    def fill(self, topic: str, written: Iterable[Record]) -> None:
        """Write records to their keys' partitions, as Java's clients choose them, and await the last."""
        producer = Producer(
            {
                "bootstrap.servers": self.bootstrap,
                "linger.ms": 50,
                "compression.type": "lz4",
                "queue.buffering.max.messages": 1_000_000,
                "partitioner": "murmur2_random",
            }
        )
        for number, record in enumerate(written):
            _produce(producer, topic, record)
            if number % _READ == 0:
                producer.poll(0)
        if left := producer.flush(_TIMEOUT_S):
            raise RuntimeError(f"{left} records were not written to {topic}")

    def values(self, topic: str) -> Iterable[bytes]:
        """Read a topic from its beginning to its present end."""
        places = self.places([topic])
        total = self.ends(places)
        options = {"bootstrap.servers": self.bootstrap, "group.id": "bench", "enable.auto.commit": False}
        consumer = Consumer(options)
        consumer.assign([TopicPartition(place.topic, place.partition, 0) for place in places])
        read = 0
        while read < total:
            for message in consumer.consume(_READ, 1.0):
                if message.error() is None:
                    read += 1
                    yield message.value() or b""
        consumer.close()

    def _metadata(self) -> Mapping[str, Any]:
        known: Mapping[str, Any] = self._admin.list_topics(timeout=_TIMEOUT_S).topics
        return known


def _produce(producer: Producer, topic: str, record: Record) -> None:
    while True:
        try:
            producer.produce(topic, record.value, record.key, timestamp=record.at_ms)
        except BufferError:
            producer.poll(0.1)
        else:
            return

"""A world of topics for tests: small, on whatever broker the run has."""

import time
from collections.abc import Callable, Sequence

import msgspec

from sinks.kafka import KafkaPublisher, PublisherPolicy
from sources.client import ConsumerPolicy
from sources.consumer import KafkaConsumer, unlimited
from sources.queues import BatchLimits
from sources.topics import TopicAdmin, TopicPlan
from tocsin.model import topics
from tocsin.model.raw import OutRecord, RawRecord

PARTITIONS = 4


class World:
    """Topics with a prefix of their own, a way to write to them, and consumers that read them."""

    def __init__(self, kafka: str, prefix: str, names: Sequence[str] = topics.GATE_INPUTS) -> None:
        self.kafka = kafka
        self.prefix = prefix
        self.names = tuple(names)
        self.admin = TopicAdmin(kafka, prefix)
        self.admin.create(TopicPlan(PARTITIONS, replication=1), self.names)
        self.publisher = KafkaPublisher(PublisherPolicy(kafka, prefix))

    def write(self, topic: str, count: int, *, partition: int = 0, start: int = 0) -> None:
        """Append records whose values are `<topic>-<number>`."""
        records = [OutRecord(topic, partition, b"k", f"{topic}-{start + n}".encode()) for n in range(count)]
        self.send(records)

    def send(self, records: Sequence[OutRecord]) -> None:
        """Append records and wait until they are there."""
        self.publisher.publish(records)
        self.publisher.confirm(60)

    def policy(self, **changes: object) -> ConsumerPolicy:
        """Describe a consumer that reads all topics of this world."""
        policy = ConsumerPolicy(self.kafka, self.prefix, self.names, tuple(range(PARTITIONS)))
        return msgspec.structs.replace(policy, **changes)

    def consumer(
        self,
        *,
        allowance: Callable[[str], int] = unlimited,
        limits: BatchLimits | None = None,
        **changes: object,
    ) -> KafkaConsumer:
        """Make a consumer that is not started."""
        return KafkaConsumer(self.policy(**changes), allowance=allowance, limits=limits)


def read(consumer: KafkaConsumer, count: int, timeout_s: float = 60) -> list[RawRecord]:
    """Take until `count` records are there."""
    records: list[RawRecord] = []
    wait_for(lambda: len(records_into(records, consumer)) >= count, timeout_s)
    return records


def records_into(records: list[RawRecord], consumer: KafkaConsumer) -> list[RawRecord]:
    """Add one batch to `records`."""
    records += consumer.take()
    return records


def settle(consumer: KafkaConsumer, seconds: float = 0.4) -> list[RawRecord]:
    """Take for a while, whatever comes."""
    records: list[RawRecord] = []
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        records_into(records, consumer)
        time.sleep(0.001)
    return records


def wait_for(condition: Callable[[], bool], timeout_s: float = 60) -> None:
    """Poll a condition, and fail if it does not come true."""
    end = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < end, "it did not happen in time"
        time.sleep(0.001)


def values(records: Sequence[RawRecord], topic: str | None = None) -> list[str]:
    """Return the values of records, of one topic if named."""
    return [(r.value or b"").decode() for r in records if topic in {None, r.topic}]

"""Writes what the demo's recipients do with their messages to the topic of receipts."""

from confluent_kafka import Producer

from sources.partitioner import partition_of
from sources.reader import silent_logger
from tocsin.app.settings import Settings
from tocsin.cli.demo_stats import DemoStats
from tocsin.devkit.recipients import receipts_of
from tocsin.formats.codec import encode
from tocsin.model import topics
from tocsin.model.outcome import Outcome


class Recipients:
    """Counts outcomes, and reports what became of each message that was sent.

    A receipt that Kafka does not take is lost, as it is when a webhook is.
    """

    def __init__(self, settings: Settings, stats: DemoStats) -> None:
        self._stats = stats
        self._partitions = settings.partitions
        self._topic = settings.topic_prefix + topics.RECEIPTS
        self._producer = Producer(
            {"bootstrap.servers": settings.kafka, "linger.ms": 20, **settings.kafka_options},
            logger=silent_logger(),
        )

    def add(self, outcome: Outcome) -> None:
        """Take one outcome."""
        self._stats.add(outcome)
        key = f"{outcome.tenant}/{outcome.user}".encode()
        for receipt in receipts_of(outcome):
            self._send(key, encode(receipt))

    def _send(self, key: bytes, value: bytes) -> None:
        partition = partition_of(key, self._partitions)
        try:
            self._producer.produce(self._topic, value, key, partition=partition)
        except BufferError:
            self._producer.poll(0.1)
        self._producer.poll(0)

    def close(self) -> None:
        """Wait until Kafka has what was reported."""
        self._producer.flush(10)

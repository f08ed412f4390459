"""Writes the receipts of mail that came back to Kafka, each to the partition of its user."""

from collections.abc import Sequence

from confluent_kafka import KafkaError, Message, Producer

from sources.partitioner import partition_of
from tocsin.app.settings import Settings
from tocsin.errors import SinkError
from tocsin.formats.codec import encode, profile_key
from tocsin.model import topics
from tocsin.model.outcome import ReceiptEvent

TIMEOUT_S = 15.0


class ReceiptWriter:
    """Writes receipts over one connection.

    Args:
        settings: where Kafka is.
    """

    def __init__(self, settings: Settings) -> None:
        self._topic = settings.topic_prefix + topics.RECEIPTS
        self._partitions = settings.partitions
        self._producer = Producer(
            {
                "bootstrap.servers": settings.kafka,
                "enable.idempotence": True,
                "linger.ms": 5,
                "message.timeout.ms": int(TIMEOUT_S * 1000),
                **settings.kafka_options,
            }
        )

    def close(self) -> None:
        """Give the connection back."""
        self._producer.close()

    def write(self, receipts: Sequence[ReceiptEvent]) -> None:
        """Write receipts, and return when Kafka has all of them.

        Raises:
            SinkError: Kafka did not acknowledge one; those before it may be there.
        """
        problems: list[KafkaError] = []
        acknowledged = [0]

        def report(error: KafkaError | None, _message: Message) -> None:
            if error is None:
                acknowledged[0] += 1
            else:
                problems.append(error)

        for receipt in receipts:
            key = profile_key(receipt.tenant, receipt.user)
            place = partition_of(key, self._partitions)
            self._producer.produce(self._topic, encode(receipt), key, place, on_delivery=report)
            self._producer.poll(0)
        self._producer.flush(TIMEOUT_S + 1)
        if acknowledged[0] < len(receipts):
            why = problems[0].str() if problems else "no acknowledgement"
            cure = "Is TOCSIN_KAFKA right, and `tocsin topics create` done?"
            msg = f"{len(receipts) - acknowledged[0]} receipts not written to {self._topic}: {why}. {cure}"
            raise SinkError(msg)

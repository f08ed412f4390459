"""Keeps each error of librdkafka until it is over: the health of the connection to Kafka."""

import re
from collections.abc import Mapping

from confluent_kafka import KafkaError

from sources.errors import describe
from tocsin.errors import SourceError

EVERYWHERE = "Kafka"
"""Key of problems that concern no single topic."""


class KafkaHealth:
    """Keeps one sentence for each topic with a problem.

    A sentence leaves when every partition that failed has answered again. librdkafka reports a problem only
    once, however long it lasts, so a sentence must not leave early.

    Args:
        names: topic without prefix, by full topic name.

    Attributes:
        sentences: by topic without prefix, or `EVERYWHERE`.

    >>> health = KafkaHealth()
    >>> health.add("events", 3, "events: refused"); health.answered("events", 1); health.sentences
    {'events': 'events: refused'}
    >>> health.answered("events", 3); health.sentences
    {}
    """

    def __init__(self, names: Mapping[str, str] | None = None) -> None:
        self.sentences: dict[str, str] = {}
        self._names = names or {}
        self._partitions: dict[str, set[int]] = {}

    def on_error(self, error: KafkaError, topic: str = "", partition: int | None = None) -> None:
        """Add an error of librdkafka.

        Args:
            error: the error.
            topic: topic without prefix; empty to look for it in the error's text.
            partition: the partition that failed, None if it is not known.

        Raises:
            SourceError: the error is fatal: the consumer cannot go on.
        """
        if not topic:
            topic, partition = self._place_in(error.str())
        if error.fatal():
            msg = f"{topic}: {error.name()}; the consumer cannot go on: start the shard again"
            raise SourceError(msg)
        self.add(topic, partition, describe(error, topic))

    def _place_in(self, text: str) -> tuple[str, int | None]:
        """Find topic and partition in librdkafka's text: `<topic> [<partition>]: …`."""
        named = [full for full in self._names if full in text]
        if not named:
            return EVERYWHERE, None
        full = max(named, key=len)
        partition = re.search(rf"{re.escape(full)} \[(\d+)\]", text)
        return self._names[full], int(partition[1]) if partition else None

    def add(self, topic: str, partition: int | None, sentence: str) -> None:
        """Add a problem; without a partition, any answer of the topic ends it."""
        self._partitions.setdefault(topic, set()).update(() if partition is None else (partition,))
        self.sentences[topic] = sentence

    def answered(self, topic: str, partition: int) -> None:
        """Note that Kafka delivered a record of a partition, or its end."""
        self.resolve(EVERYWHERE)
        partitions = self._partitions.get(topic, set())
        partitions.discard(partition)
        if not partitions:
            self.resolve(topic)

    def resolve(self, topic: str) -> None:
        """Remove the problem of a topic."""
        self.sentences.pop(topic, None)
        self._partitions.pop(topic, None)

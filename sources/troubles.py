"""What Kafka complains about, told until it is over."""

EVERYWHERE = "Kafka"
"""What a trouble is filed under that is no topic's."""


class Troubles:
    """Sentences by topic. One leaves when every partition that complained has answered again.

    librdkafka tells a trouble once, however long it lasts: one forgotten too early is never told again.

    >>> troubles = Troubles()
    >>> troubles.add("events", 3, "events: refused"); troubles.answered("events", 1); troubles.sentences
    {'events': 'events: refused'}
    >>> troubles.answered("events", 3); troubles.sentences
    {}
    """

    def __init__(self) -> None:
        self.sentences: dict[str, str] = {}
        self._partitions: dict[str, set[int]] = {}

    def add(self, topic: str, partition: int | None, sentence: str) -> None:
        """Note a trouble; without a partition, any answer of the topic ends it."""
        self._partitions.setdefault(topic, set()).update(() if partition is None else (partition,))
        self.sentences[topic] = sentence

    def answered(self, topic: str, partition: int) -> None:
        """Note that Kafka handed out a record of a partition, or its end."""
        self.end(EVERYWHERE)
        partitions = self._partitions.get(topic, set())
        partitions.discard(partition)
        if not partitions:
            self.end(topic)

    def end(self, topic: str) -> None:
        """Note that a trouble is over."""
        self.sentences.pop(topic, None)
        self._partitions.pop(topic, None)

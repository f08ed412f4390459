"""Lists the topic partitions that one process reads."""

from collections.abc import Iterable, Mapping

from confluent_kafka import TopicPartition

from sources.client import BEGINNING, ConsumerPolicy
from sources.cursors import PartitionCursor
from sources.fetch_gate import FetchGate
from sources.queues import is_spare


class Assignment:
    """Keeps cursor, fetch gate and pause of each topic partition. Topics are named without prefix.

    Attributes:
        names: topic without prefix, by full topic name.
        cursors: by topic and partition.
        gates: by topic.
        paused: topic partitions that are not read, each with a sentence.
    """

    def __init__(self, policy: ConsumerPolicy) -> None:
        self._policy = policy
        self.names = {policy.full_name(name): name for name in policy.topics}
        self.cursors: dict[str, dict[int, PartitionCursor]] = {name: {} for name in policy.topics}
        self.gates: dict[str, FetchGate] = {}
        self.paused: dict[tuple[str, int], str] = {}

    def begin(self, offsets: Mapping[tuple[str, int], int], paused: Mapping[tuple[str, int], str]) -> None:
        """Set every partition to its start.

        Args:
            offsets: next offset of topic partitions; all others start at their beginning.
            paused: topic partitions not to read, each with a sentence.
        """
        self.paused = dict(paused)
        for topic in self.cursors:
            self.cursors[topic] = {
                p: PartitionCursor(offsets.get((topic, p), BEGINNING))
                for p in self._policy.partitions_of(topic)
            }
            self.gates[topic] = FetchGate(self.unpaused(topic), closed=is_spare(topic))

    def unpaused(self, topic: str) -> list[int]:
        """List the partitions of a topic that are read."""
        return [p for p in self._policy.partitions_of(topic) if (topic, p) not in self.paused]

    def pause(self, topic: str, partition: int, sentence: str) -> None:
        """Note that a partition is not read any more."""
        self.paused[topic, partition] = sentence
        self.gates[topic].remove(partition)

    def at_end(self, topic: str, partition: int) -> bool:
        """Tell whether a partition is paused, or handed out up to its last known end.

        A declared topic may have fewer partitions than the others.
        """
        cursor = self.cursors[topic].get(partition)
        return cursor is None or (topic, partition) in self.paused or cursor.at_end()

    def places(self, topic: str, partitions: Iterable[int]) -> list[TopicPartition]:
        """Name partitions of a topic for librdkafka."""
        full = self._policy.full_name(topic)
        return [TopicPartition(full, partition) for partition in partitions]

    def starts(self) -> list[TopicPartition]:
        """Name all partitions that are read for librdkafka, each with its next offset."""
        return [
            TopicPartition(self._policy.full_name(topic), p, self.cursors[topic][p].next())
            for topic in self.cursors
            for p in self.unpaused(topic)
        ]

    def closed_places(self) -> list[TopicPartition]:
        """Name all partitions behind closed gates for librdkafka."""
        return [place for topic, gate in self.gates.items() for place in self.places(topic, gate.closed)]

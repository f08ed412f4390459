"""Commits offsets to the consumer group.

The shard itself resumes from its own state. The group's offsets serve lag tools, show that a state directory
was lost, and tell other flows which records of an acked topic are finished.
"""

from confluent_kafka import Consumer, KafkaError, KafkaException, TopicPartition

from sources.client import ConsumerPolicy
from sources.errors import describe
from sources.health import EVERYWHERE, KafkaHealth
from sources.state import Offsets, SourceState


class OffsetCommitter:
    """Commits the offsets of states whose records are published, those that changed.

    Args:
        policy: configuration of the process's consumer.
        health: receives the errors.
    """

    def __init__(self, policy: ConsumerPolicy, health: KafkaHealth) -> None:
        self._policy = policy
        self._health = health
        self._names = {policy.full_name(name): name for name in policy.topics}
        self._committed: Offsets = {}
        self._durable: SourceState | None = None
        self._next_s = 0.0

    def durable(self, client: Consumer, state: SourceState, now_s: float) -> None:
        """Note a durable epoch, and commit the offsets of the epoch before it if it is time.

        The records of the epoch before are published by now (`Epochs.closing`). Those of this epoch may still
        be in the outbox only: committing them would show records as finished that a crash has yet to publish.

        Args:
            client: librdkafka's consumer.
            state: state at the end of the epoch that is durable now.
            now_s: present time of a monotonic clock.
        """
        published, self._durable = self._durable, state
        if published is not None and now_s >= self._next_s:
            self._next_s = now_s + self._policy.commit_s
            self.commit(client, published, wait=False)

    def commit(self, client: Consumer, state: SourceState, *, wait: bool) -> None:
        """Commit the offsets of a state that differ from the group's.

        Args:
            client: librdkafka's consumer.
            state: a state whose records are published.
            wait: whether to wait for the answer.
        """
        changed = [
            TopicPartition(self._policy.full_name(topic), partition, offset)
            for topic, offsets in state.offsets.items()
            for partition, offset in offsets.items()
            if offset >= 0 and self._committed.get(topic, {}).get(partition) != offset
        ]
        if not changed:
            return
        try:
            if wait:
                client.commit(offsets=changed, asynchronous=False)
                self.on_commit(None, changed)
            else:
                client.commit(offsets=changed, asynchronous=True)
        except KafkaException as failure:
            self._health.add(EVERYWHERE, None, describe(failure.args[0], "committing offsets"))

    def on_commit(self, error: KafkaError | None, places: list[TopicPartition]) -> None:
        """Note what the group has now; a commit that failed is made again with the next one."""
        for place in places:
            if error is None and place.error is None:
                offsets = self._committed.setdefault(self._names[place.topic], {})
                offsets[place.partition] = place.offset

"""Queues records that were fetched and not handed out: priorities, credits, and topics with a full buffer."""

from collections import deque
from collections.abc import Callable, Sequence
from typing import NamedTuple

from tocsin.model import topics
from tocsin.model.raw import RawRecord

Allowance = Callable[[str], int]


class BatchLimits(NamedTuple):
    """Limits batches and buffers, in records.

    Attributes:
        urgent: largest share of one urgent topic (events, profiles, messages now…) in a batch.
        spare: largest batch of a topic that gets only spare time (bulk).
        high: buffer size at which a topic that is held back is fetched no more.
        low: buffer size at which it is fetched again; more than the flow takes in the time of one fetch.
        ahead: buffer size of all other topics at which nothing is fetched for now.
    """

    urgent: int = 500
    spare: int = 100
    high: int = 5_000
    low: int = 2_500
    ahead: int = 2_000


def is_spare(topic: str) -> bool:
    """Tell whether a topic is served only when no urgent topic has records."""
    return topic == topics.BULK or (topic.endswith(".bulk") and not topics.is_declared(topic))


_ORDER = (
    topics.PROFILES,
    topics.SUBSCRIPTIONS,
    topics.RECEIPTS,
    topics.RETRIES,
    topics.EVENTS,
    "messages.now",
    topics.OUTCOMES,
    topics.BULK,
    "messages.bulk",
)
_RANKS = {name: number for number, name in enumerate(_ORDER)}


def rank(topic: str) -> int:
    """Return the place of a topic in the order of service; topics of one rank keep the order they are in.

    >>> rank("events") < rank("messages.sms.now") < rank("bulk") < rank("messages.sms.bulk")
    True
    """
    parts = topic.split(".")
    return _RANKS.get(f"messages.{parts[2]}" if topics.channel_of(topic) else topic, len(_RANKS))


class _Queue:
    __slots__ = ("held_back", "records", "topic")

    def __init__(self, topic: str) -> None:
        self.topic = topic
        self.records: deque[RawRecord] = deque()
        self.held_back = is_spare(topic)


class Queues:
    """Buffers records in one queue per topic, served by `rank`. Partitions keep their order.

    Memory is bounded in two ways. If topics that are served at once fall behind, fetching stops for all
    topics; nothing that was fetched is thrown away. A topic that is held back (no credits, or spare time
    only) becomes `full` instead, and the others are fetched on.

    Args:
        names: the topics, without prefix.
        allowance: how many records of a topic the flow can take now.
        limits: sizes of batches and buffers.

    Attributes:
        puts: by topic, the function that appends a record.
    """

    def __init__(self, names: Sequence[str], allowance: Allowance, limits: BatchLimits) -> None:
        self._limits = limits
        self._allowance = allowance
        ranked = sorted(names, key=rank)
        self._queues = {name: _Queue(name) for name in ranked}
        self._urgent = [queue for name, queue in self._queues.items() if not is_spare(name)]
        self._spare = deque(queue for name, queue in self._queues.items() if is_spare(name))
        self.puts = {name: queue.records.append for name, queue in self._queues.items()}

    def __len__(self) -> int:
        return sum(len(queue.records) for queue in self._queues.values())

    def waiting(self, topic: str) -> int:
        """Count the buffered records of a topic."""
        return len(self._queues[topic].records)

    def take(self) -> list[RawRecord]:
        """Hand out the next batch: urgent topics in order, or one spare topic if they have no records."""
        batch: list[RawRecord] = []
        for queue in self._urgent:
            batch += self._take(queue, self._limits.urgent)
        for _ in range(0 if batch else len(self._spare)):
            queue = self._spare[0]
            self._spare.rotate(-1)
            if batch := self._take(queue, self._limits.spare):
                break
        return batch

    def _take(self, queue: _Queue, quota: int) -> list[RawRecord]:
        records = queue.records
        if not records:
            return []
        allowed = self._allowance(queue.topic)
        queue.held_back = allowed < quota or is_spare(queue.topic)
        count = max(0, min(quota, allowed, len(records)))
        pop = records.popleft
        return [pop() for _ in range(count)]

    def wants_more(self) -> bool:
        """Tell whether more records should be fetched now."""
        behind = sum(len(queue.records) for queue in self._urgent if not queue.held_back)
        return behind < self._limits.ahead

    def full(self) -> list[str]:
        """List topics that are held back and whose buffer is full."""
        return [
            queue.topic
            for queue in self._queues.values()
            if queue.held_back and len(queue.records) >= self._limits.high
        ]

    def hungry(self, topic: str) -> bool:
        """Tell whether a topic that is not fetched should be fetched again."""
        return len(self._queues[topic].records) <= self._limits.low

    def put_back(self, topic: str, records: Sequence[RawRecord]) -> None:
        """Take back records of a topic that were handed out last, in their order."""
        self._queues[topic].records.extendleft(reversed(records))

    def drop(self, topic: str, partition: int) -> None:
        """Throw away the buffered records of a partition."""
        records = self._queues[topic].records
        kept = [record for record in records if record.partition != partition]
        records.clear()
        records.extend(kept)

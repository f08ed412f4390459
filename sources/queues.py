"""What was read and is not handed out yet: priorities, credits, and which topics have enough."""

from collections import deque
from collections.abc import Callable, Sequence
from typing import NamedTuple

from tocsin.model import topics
from tocsin.model.raw import RawRecord

Allowance = Callable[[str], int]


class Flow(NamedTuple):
    """How much of what is handed out at once.

    Attributes:
        urgent: largest share of one urgent topic (events, profiles, messages now…) in a batch.
        spare: largest batch of a topic that gets only spare time (bulk).
        high: buffered records at which a topic that is held back is read no more.
        low: buffered records at which it is read again; more than is worked off in one fetch's time.
        ahead: buffered records of the other topics at which nothing more is read for now.
    """

    urgent: int = 500
    spare: int = 100
    high: int = 5_000
    low: int = 2_500
    ahead: int = 2_000


def is_spare(topic: str) -> bool:
    """Tell whether a topic gets only the time that urgent ones leave."""
    return topic == topics.BULK or topic.endswith(".bulk")


class _Queue:
    __slots__ = ("held_back", "records", "topic")

    def __init__(self, topic: str) -> None:
        self.topic = topic
        self.records: deque[RawRecord] = deque()
        self.held_back = is_spare(topic)


class Queues:
    """Per-topic queues, served in the order of `ORDER`; records of one partition stay in order.

    A topic that is served as fast as it comes slows the reading of all when it is behind: nothing is
    thrown away that was fetched. One that is held back (no credits, or spare) is `full` instead, so that the
    others are read on; both ways memory is bounded.
    """

    ORDER = (
        topics.PROFILES,
        topics.RECEIPTS,
        topics.RETRIES,
        topics.EVENTS,
        *(name for name in topics.MESSAGES if not is_spare(name)),
        topics.OUTCOMES,
        topics.BULK,
        *(name for name in topics.MESSAGES if is_spare(name)),
    )

    def __init__(self, names: Sequence[str], allowance: Allowance, flow: Flow) -> None:
        self._flow = flow
        self._allowance = allowance
        ranked = [name for name in self.ORDER if name in names]
        ranked += [name for name in names if name not in self.ORDER]
        self._queues = {name: _Queue(name) for name in ranked}
        self._urgent = [queue for name, queue in self._queues.items() if not is_spare(name)]
        self._spare = deque(queue for name, queue in self._queues.items() if is_spare(name))
        self.puts = {name: queue.records.append for name, queue in self._queues.items()}

    def __len__(self) -> int:
        return sum(len(queue.records) for queue in self._queues.values())

    def waiting(self, topic: str) -> int:
        """Count what is buffered of a topic."""
        return len(self._queues[topic].records)

    def take(self) -> list[RawRecord]:
        """Hand out the next batch: urgent topics in order; only if they have nothing, one spare topic."""
        batch: list[RawRecord] = []
        for queue in self._urgent:
            batch += self._take(queue, self._flow.urgent)
        for _ in range(0 if batch else len(self._spare)):
            queue = self._spare[0]
            self._spare.rotate(-1)
            if batch := self._take(queue, self._flow.spare):
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
        """Tell whether reading makes sense now."""
        behind = sum(len(queue.records) for queue in self._urgent if not queue.held_back)
        return behind < self._flow.ahead

    def full(self) -> list[str]:
        """Name topics that are held back and have enough buffered."""
        return [
            queue.topic
            for queue in self._queues.values()
            if queue.held_back and len(queue.records) >= self._flow.high
        ]

    def hungry(self, topic: str) -> bool:
        """Tell whether a topic that was stopped should be read again."""
        return len(self._queues[topic].records) <= self._flow.low

    def drop(self, topic: str, partition: int) -> None:
        """Throw away what is buffered of a partition."""
        records = self._queues[topic].records
        kept = [record for record in records if record.partition != partition]
        records.clear()
        records.extend(kept)

"""Plays what is planned, answers what comes of it, and keeps every line that was played.

A record goes to the partition of its key, as a producer sends it. What the flow forwards is read again as
Kafka would give it.
"""

import heapq
from collections import Counter
from collections.abc import Callable, Iterable
from itertools import count
from typing import NamedTuple

from tests.golden.answers import Answer, World
from tests.golden.driver import INPUT_TOPICS, Machine, home_of
from tests.golden.wire import Epoch, Headers, Line, Published, Record, Settings

_EPOCH_RECORDS = 60


class Planned(NamedTuple):
    """A record to be written at a time; without a partition, to that of its key.

    `stamp_ms` is Kafka's timestamp where a producer sets another one.
    """

    at_ms: int
    topic: str
    key: bytes | None
    value: bytes | None
    headers: Headers = ()
    partition: int | None = None
    stamp_ms: int | None = None


class Recorder:
    """Records one run.

    Args:
        machine: that plays it.
        settings: of the run.
        world: answers messages.
    """

    def __init__(self, machine: Machine, settings: Settings, world: World) -> None:
        self.lines: list[Line] = []
        self._machine = machine
        self._partitions = settings.partitions
        self._world = world
        self._offsets: Counter[tuple[str, int]] = Counter()
        self._queue: list[tuple[int, int, Planned]] = []
        self._number = count()
        self._seen = 0
        self._now_ms = 0

    def plan(self, records: Iterable[Planned]) -> None:
        """Queue records by their time."""
        for record in records:
            heapq.heappush(self._queue, (record.at_ms, next(self._number), record))

    def run(self, until_ms: int, between: Callable[[int], Line | None] = lambda _: None) -> None:
        """Play what is due by a time, with its answers.

        Args:
            until_ms: where to stop.
            between: gives a further line after so many epochs, if there is to be one.
        """
        epochs = 0
        while self._is_due(until_ms):
            for _ in range(_EPOCH_RECORDS):
                if self._is_due(until_ms):
                    self._write_next()
            self.epoch(self._now_ms)
            epochs += 1
            line = between(epochs)
            if line is not None:
                self.play(line)

    def _is_due(self, until_ms: int) -> bool:
        return bool(self._queue) and self._queue[0][0] <= until_ms

    def epoch(self, wall_ms: int) -> None:
        """Let an epoch pass, and plan what comes of what it published."""
        self.play(Epoch(wall_ms))
        new = self._machine.published[self._seen :]
        self._seen += len(new)
        self.plan(map(_forwarded(self._now_ms), (one for one in new if one.topic in INPUT_TOPICS)))
        self.plan(self._later(answer) for answer in self._world.answers(new))

    def play(self, line: Line) -> None:
        """Play a line, and keep it."""
        self._machine.play(line)
        self.lines.append(line)

    def _write_next(self) -> None:
        at_ms, _, record = heapq.heappop(self._queue)
        self._now_ms = max(self._now_ms, at_ms)
        key = record.key or b""
        partition = home_of(key, self._partitions) if record.partition is None else record.partition
        offset = self._offsets[record.topic, partition]
        self._offsets[record.topic, partition] += 1
        stamp_ms = self._now_ms if record.stamp_ms is None else record.stamp_ms
        self.play(Record(record.topic, partition, offset, stamp_ms, record.key, record.value, record.headers))

    def _later(self, answer: Answer) -> Planned:
        return Planned(max(answer.at_ms, self._now_ms), answer.topic, answer.key, answer.value)


def _forwarded(now_ms: int) -> Callable[[Published], Planned]:
    def planned(record: Published) -> Planned:
        return Planned(now_ms, record.topic, record.key, record.value, record.headers, record.partition)

    return planned

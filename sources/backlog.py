"""What waits in Kafka: how many records of each topic are not finished, since when, and when they will be.

Read from outside the shards: where topics end, and what the group of the shards has committed. A shard
commits about once a second, and of messages only what delivery has finished.
"""

import time
from collections.abc import Collection, Iterable, Mapping
from types import TracebackType
from typing import Any

import msgspec
from confluent_kafka import Consumer, KafkaException, TopicPartition

from sources.client import DEFAULTS, take
from sources.errors import EOF, describe
from sources.offsets import REQUEST_TIMEOUT_S, committed_offsets, offset_ranges
from sources.reader import away, silent_logger
from tocsin.errors import SourceError
from tocsin.model import topics

Place = tuple[str, int]
"""Topic without prefix, and partition."""


class Look(msgspec.Struct, frozen=True):
    """Positions at one moment.

    Attributes:
        at_s: when, by a monotonic clock.
        done: by place, the first offset that is not finished.
        ends: by place, the end.
    """

    at_s: float
    done: Mapping[Place, int]
    ends: Mapping[Place, int]


class Backlog(msgspec.Struct, frozen=True):
    """What waits in one topic.

    Attributes:
        topic: without prefix.
        waiting: records that are not finished; markers of transactions count until they are passed.
        oldest_s: age of the oldest of them; None if nothing waits.
        finished_per_s: records finished a second, between two looks.
        written_per_s: records written a second, between two looks.
    """

    topic: str
    waiting: int
    oldest_s: float | None
    finished_per_s: float
    written_per_s: float

    @property
    def drain_s(self) -> float | None:
        """Seconds until nothing waits, at the present rates; None while it does not shrink."""
        if not self.waiting:
            return 0.0
        shrinks_per_s = self.finished_per_s - self.written_per_s
        return self.waiting / shrinks_per_s if shrinks_per_s > 0 else None


class BacklogReader:
    """Asks Kafka for positions; commits nothing and joins no group.

    Args:
        kafka: bootstrap servers.
        prefix: prefix of the topics.
        options: further librdkafka options.

    Raises (from every method):
        SourceError: Kafka does not answer, or refuses.
    """

    def __init__(self, kafka: str, prefix: str, options: Mapping[str, str] | None = None) -> None:
        self._prefix = prefix
        group = topics.shard_group(prefix)
        self._kafka = kafka
        self._config: dict[str, Any] = {
            **DEFAULTS,
            "bootstrap.servers": kafka,
            "group.id": group,
            **(options or {}),
        }
        self._consumer = Consumer(self._config, logger=silent_logger())

    def __enter__(self) -> "BacklogReader":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._consumer.close()

    def look(self, wanted: Mapping[str, int]) -> Look:
        """Find the positions of topics now.

        Args:
            wanted: number of partitions by topic without prefix.
        """
        names = {topics.full_name(self._prefix, topic): topic for topic in wanted}
        partitions = {full: tuple(range(wanted[topic])) for full, topic in names.items()}
        places = [TopicPartition(full, each) for full, those in partitions.items() for each in those]
        committed = committed_offsets(self._consumer, names, partitions)
        ranges = offset_ranges(self._config, places)
        bounds = {(names[full], each): both for (full, each), both in ranges.items()}
        done = {place: max(low, committed.get(place, low)) for place, (low, _) in bounds.items()}
        return Look(time.monotonic(), done, {place: end for place, (_, end) in bounds.items()})

    def oldest_ms(self, look: Look) -> dict[Place, int]:
        """Read the time of the first unfinished record of each place that has one."""
        waiting = {place: done for place, done in look.done.items() if done < look.ends[place]}
        names = {topics.full_name(self._prefix, topic): topic for topic, _ in waiting}
        starts = [
            TopicPartition(topics.full_name(self._prefix, topic), partition, done)
            for (topic, partition), done in waiting.items()
        ]
        self._consumer.assign(starts)
        found: dict[Place, int] = {}
        seen: set[Place] = set()
        until_s = time.monotonic() + REQUEST_TIMEOUT_S
        while len(seen) < len(waiting) and time.monotonic() < until_s:
            for message in take(self._consumer, 1_000, 0.1):
                place = (names[str(message.topic())], int(message.partition() or 0))
                seen.add(place)
                if (error := message.error()) is None:
                    found.setdefault(place, message.timestamp()[1])
                elif error.code() != EOF:  # its end, where only markers of transactions follow
                    raise SourceError(describe(error, place[0]))
        self._consumer.unassign()
        return found

    def partitions(self, wanted: Iterable[str]) -> dict[str, int]:
        """Count the partitions of those of some topics that there are, by name without prefix."""
        try:
            there = self._consumer.list_topics(timeout=REQUEST_TIMEOUT_S).topics
        except KafkaException as failure:
            raise SourceError(away(failure, self._kafka)) from failure
        full = {topic: there.get(topics.full_name(self._prefix, topic)) for topic in wanted}
        return {name: len(found.partitions) for name, found in full.items() if found and not found.error}


def backlogs(
    wanted: Iterable[str], first: Look, last: Look, oldest_ms: Mapping[Place, int], now_ms: int
) -> list[Backlog]:
    """Compare two looks.

    Args:
        wanted: topics without prefix.
        first: the earlier look.
        last: the later one.
        oldest_ms: by place, the time of the first record that was unfinished at the later one.
        now_ms: wall time of the later one.
    """
    took_s = max(1e-9, last.at_s - first.at_s)
    return [_backlog(topic, first, last, oldest_ms, now_ms, took_s) for topic in wanted]


def _backlog(
    topic: str, first: Look, last: Look, oldest_ms: Mapping[Place, int], now_ms: int, took_s: float
) -> Backlog:
    places = [place for place in last.ends if place[0] == topic]
    times = [oldest_ms[place] for place in places if place in oldest_ms]
    waiting = sum(max(0, last.ends[place] - last.done[place]) for place in places)
    return Backlog(
        topic,
        waiting,
        max(0.0, (now_ms - min(times)) / 1_000) if times else None,
        _moved(places, first.done, last.done) / took_s,
        _moved(places, first.ends, last.ends) / took_s,
    )


def _moved(places: Collection[Place], first: Mapping[Place, int], last: Mapping[Place, int]) -> int:
    return sum(max(0, last[place] - first.get(place, last[place])) for place in places)

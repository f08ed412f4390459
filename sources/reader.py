"""Reads topics outside the flow: whole topics for the audit, or the newest records for a person."""

import logging
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from typing import Any, TypeVar

from confluent_kafka import OFFSET_INVALID, Consumer, KafkaException, TopicPartition

from sources.client import reader_config, take
from sources.records import is_record, raw_record
from sources.startup import ask_until_ready
from tocsin.errors import SinkError
from tocsin.model.raw import RawRecord
from tocsin.model.topics import full_name

T = TypeVar("T")

_POLL_S = 0.5
_QUIET_S = 0.3  # no record for this long behind the last known end: the end
_BATCH = 2_000
_EMPTY_POLLS = 40  # polls in a row without a record: the broker is away


class TopicReader:
    """Reads topics without belonging to a flow; commits nothing.

    Raises (from every method):
        SinkError: the broker does not answer.
    """

    def __init__(self, kafka: str, prefix: str, options: Mapping[str, str] | None = None) -> None:
        self._prefix = prefix
        self._kafka = kafka
        self._config = reader_config(kafka, f"{prefix}reader", options)
        self._consumer = Consumer(self._config, logger=silent_logger())
        self._groups: dict[str, Any] = {}
        self._names: dict[str, str] = {}

    def close(self) -> None:
        """Close all connections."""
        for consumer in (self._consumer, *self._groups.values()):
            consumer.close()

    def __enter__(self) -> "TopicReader":
        return self

    def __exit__(self, *_exc: object) -> None:
        self.close()

    def _full(self, topic: str) -> str:
        full = full_name(self._prefix, topic)
        self._names[full] = topic
        return full

    def names(self) -> list[str]:
        """List the topics that there are, without their prefix."""
        return own_names(self._consumer, self._prefix, self._kafka)

    def partitions(self, topic: str) -> list[int]:
        """List the partitions of a topic; empty if it does not exist."""
        name = self._full(topic)
        found = _ask(lambda: self._consumer.list_topics(name, timeout=10), self._kafka).topics[name]
        return [] if found.error is not None else sorted(found.partitions)

    def bounds(self, topic: str) -> dict[int, tuple[int, int]]:
        """Return the first offset and the end of each partition of a topic."""
        return {p: self._watermarks(topic, p) for p in self.partitions(topic)}

    def _watermarks(self, topic: str, partition: int) -> tuple[int, int]:
        place = TopicPartition(self._full(topic), partition)
        ask = self._consumer.get_watermark_offsets
        bounds: tuple[int, int] = _ask(lambda: ask(place, timeout=10), self._kafka)
        return bounds

    def committed(self, group: str, topic: str) -> dict[int, int]:
        """Return the offsets that a group committed, by partition; without those it never committed."""
        wanted = [TopicPartition(self._full(topic), p) for p in self.partitions(topic)]
        found = _ask(lambda: self._in_group(group).committed(wanted, timeout=10), self._kafka)
        return {at.partition: at.offset for at in found if at.offset != OFFSET_INVALID}

    def _in_group(self, group: str) -> Any:
        """Make a consumer with a group's id; it never joins the group."""
        if group not in self._groups:
            self._groups[group] = Consumer({**self._config, "group.id": group}, logger=silent_logger())
        return self._groups[group]

    def first_at(self, starts: Mapping[str, int]) -> dict[tuple[str, int], int]:
        """Return for each partition of some topics an offset that no record at or after a time comes before.

        Earlier records may follow it: producers' clocks differ, and some brokers answer with the first offset
        whatever they are asked. Whoever needs the time looks at the records. Others answer that there is no
        such record; so where they do, the last one is read.

        Args:
            starts: by topic, the time in ms.
        """
        told = {
            (topic, p): offset
            for topic, at_ms in starts.items()
            for p, offset in self._offsets_at(topic, at_ms).items()
        }
        bounds = {(topic, p): each for topic in starts for p, each in self.bounds(topic).items()}
        found = {
            place: high if told[place] < 0 else min(max(low, told[place]), high)
            for place, (low, high) in bounds.items()
        }
        unsure = {place for place, (low, high) in bounds.items() if told[place] < 0 and low < high}
        for record in self._lasts(unsure, found):
            place = (record.topic, record.partition)
            if place in unsure and record.timestamp_ms >= starts[record.topic]:
                found[place] = bounds[place][0]
        return found

    def _offsets_at(self, topic: str, at_ms: int) -> dict[int, int]:
        """Ask for the first offset at or after a time, of each partition; -1 where there is none."""
        asked = [TopicPartition(self._full(topic), p, at_ms) for p in self.partitions(topic)]
        told = _ask(lambda: self._consumer.offsets_for_times(asked, timeout=10), self._kafka) if asked else []
        return {at.partition: at.offset for at in told}

    def _lasts(
        self, places: Collection[tuple[str, int]], ends: Mapping[tuple[str, int], int]
    ) -> Iterator[RawRecord]:
        """Read the last record of some partitions."""
        names = dict.fromkeys(topic for topic, _ in places)
        starts = {place: end - (place in places) for place, end in ends.items()}
        return self.read(*names, starts=starts) if names else iter(())

    def read(
        self, *topics: str, last: int | None = None, starts: Mapping[tuple[str, int], int] | None = None
    ) -> Iterator[RawRecord]:
        """Read topics up to their present end.

        Some brokers report the end a batch too low, so reading goes on behind it until no record comes.

        Args:
            *topics: topics without prefix.
            last: read only this many records of each partition; None for all.
            starts: by topic and partition, the offset to begin at; without one the first that there is.
        """
        ends: dict[tuple[str, int], int] = {}
        places: list[TopicPartition] = []
        for topic in topics:
            for partition, (low, high) in self.bounds(topic).items():
                low = max(low, (starts or {}).get((topic, partition), low))
                first = low if last is None else max(low, high - last)
                ends[self._full(topic), partition] = high
                places.append(TopicPartition(self._full(topic), partition, first))
        if places:
            self._consumer.assign(places)
            yield from self._drain(ends)
            self._consumer.unassign()

    def _drain(self, ends: dict[tuple[str, int], int]) -> Iterator[RawRecord]:
        polls_left = _EMPTY_POLLS
        while polls_left:
            got = take(self._consumer, _BATCH, _POLL_S if ends else _QUIET_S)
            if not got and not ends:
                return
            polls_left = _EMPTY_POLLS if got else polls_left - 1
            for message in got:
                if is_record(message):
                    yield self._record(message)
                _note_end(ends, message)
        msg = f"the broker stopped answering before the end of {sorted(ends)[:5]}"
        raise SinkError(msg)

    def start(self, topics: Sequence[str]) -> None:
        """Begin to read topics from their first records on; `poll` returns them."""
        firsts = [
            TopicPartition(self._full(topic), partition, low)
            for topic in topics
            for partition, (low, _) in self.bounds(topic).items()
        ]
        self._consumer.assign(firsts)

    def poll(self, wait_s: float) -> list[RawRecord]:
        """Return the records that came since the last call; waits up to `wait_s` for the first."""
        return [
            self._record(message) for message in take(self._consumer, _BATCH, wait_s) if is_record(message)
        ]

    def lag(self, group: str, topics: Sequence[str]) -> int:
        """Count the records that a group has not committed, over all partitions of these topics."""
        behind = 0
        for topic in topics:
            done = self.committed(group, topic)
            for partition, (low, high) in self.bounds(topic).items():
                behind += max(0, high - done.get(partition, low))
        return behind

    def follow(self, topics: Sequence[str]) -> Iterator[RawRecord]:
        """Read records that arrive from now on, without end."""
        ends = [
            TopicPartition(self._full(topic), partition, high)
            for topic in topics
            for partition, (_, high) in self.bounds(topic).items()
        ]
        self._consumer.assign(ends)
        while True:
            yield from map(self._record, filter(is_record, take(self._consumer, _BATCH, _POLL_S)))

    def _record(self, message: Any) -> RawRecord:
        return raw_record(self._names[message.topic()], message)


def own_names(consumer: Any, prefix: str, kafka: str) -> list[str]:
    """List the topics with a prefix, without it; `kafka` are the bootstrap servers, for an error."""
    found = _ask(lambda: consumer.list_topics(timeout=10), kafka).topics
    there = [name for name, topic in found.items() if name.startswith(prefix) and topic.error is None]
    return sorted(name.removeprefix(prefix) for name in there)


def _ask(ask: Callable[[], T], kafka: str) -> T:
    try:
        return ask_until_ready(ask)
    except KafkaException as error:
        raise SinkError(away(error, kafka)) from error


def _note_end(ends: dict[tuple[str, int], int], message: Any) -> None:
    """Remove a partition that tells its end, behind its last record; put it back if records follow."""
    place, offset = (message.topic(), message.partition()), message.offset()
    if message.error() is None:
        ends[place] = max(ends.get(place, 0), offset + 1)
    elif offset is not None and offset >= ends.get(place, 0):
        ends.pop(place, None)


def away(error: KafkaException, kafka: str) -> str:
    """Say that the Kafka at these bootstrap servers does not answer, with the cure."""
    name = error.args[0].name() if error.args else "no reason given"
    return f"Kafka at {kafka} does not answer ({name}): is it up, and TOCSIN_KAFKA its address?"


def silent_logger() -> logging.Logger:
    """Make a logger that drops everything, for clients whose broker may stop before them."""
    logger = logging.getLogger("tocsin.reader")
    logger.addHandler(logging.NullHandler())
    logger.propagate = False
    return logger

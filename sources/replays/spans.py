"""Reads fixed ranges of topics, whatever arrives in the meantime."""

import gc
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import msgspec
from confluent_kafka import Consumer, KafkaException, TopicPartition

from sources.client import reader_config
from sources.errors import EOF, describe
from sources.offsets import offset_ranges
from sources.reader import away, own_names, silent_logger
from sources.records import raw_record
from sources.startup import ask_until_ready
from tocsin.errors import SourceError
from tocsin.model.raw import RawRecord
from tocsin.model.topics import full_name

_BATCH = 2_000
_POLL_S = 0.1
_SILENT_POLLS = 300
_TIMEOUT_S = 15.0
_LATE_MS = 3_600_000
"""Timestamps of a partition may run back: reading ends this long after the end of the time."""
_NEVER = 1 << 62


@contextmanager
def calm_collector() -> Iterator[None]:
    """Let the garbage collector look no more at what is loaded, and seldom at records.

    Records hold no cycles. Looking for some took half of the time of reading dead letters.
    """
    before = gc.get_threshold()
    gc.freeze()
    gc.set_threshold(100_000, 50, 50)
    try:
        yield
    finally:
        gc.set_threshold(*before)
        gc.unfreeze()


class Span(msgspec.Struct, frozen=True, array_like=True):
    """Records of one partition from `start` up to and without `end`; the topic without its prefix."""

    topic: str
    partition: int
    start: int
    end: int

    def __len__(self) -> int:
        return max(0, self.end - self.start)

    def __str__(self) -> str:
        return f"{self.topic}/{self.partition}/{self.start}-{self.end - 1}"


class SpanReader:
    """Finds ranges of topics by time, and reads them. Commits nothing.

    Raises (from every method):
        SourceError: Kafka does not answer, or refuses.
    """

    def __init__(self, kafka: str, prefix: str, options: Mapping[str, str] | None = None) -> None:
        self._prefix = prefix
        self._kafka = kafka
        self._config = reader_config(kafka, f"{prefix}reader", options)
        self._consumer = Consumer(self._config, logger=silent_logger())

    def names(self) -> list[str]:
        """List the topics that there are, without their prefix."""
        return own_names(self._consumer, self._prefix, self._kafka)

    def close(self) -> None:
        """Close the connection."""
        self._consumer.close()

    def __enter__(self) -> "SpanReader":
        return self

    def __exit__(self, *_exc: object) -> None:
        self.close()

    def whole(self, topic: str) -> list[Span]:
        """Return all that a topic holds now; empty if there is no such topic."""
        name = full_name(self._prefix, topic)
        wanted = [TopicPartition(name, partition) for partition in self.partitions(topic)]
        found = offset_ranges(self._config, wanted) if wanted else {}
        return [Span(topic, partition, low, end) for (_, partition), (low, end) in sorted(found.items())]

    def partitions(self, topic: str) -> list[int]:
        """List the partitions of a topic; empty if there is no such topic."""
        name = full_name(self._prefix, topic)
        found = self._ask(lambda: self._consumer.list_topics(name, timeout=_TIMEOUT_S)).topics[name]
        return [] if found.error is not None else sorted(found.partitions)

    def cluster(self) -> str:
        """Return the cluster's id, empty if it has none."""
        return self._ask(lambda: self._consumer.list_topics(timeout=_TIMEOUT_S)).cluster_id or ""

    def since(self, spans: Sequence[Span], since_ms: int) -> list[Span]:
        """Cut ranges down to where records of a time may begin; 0 for no bound.

        Older records may be left, since timestamps may run back: look at each.
        """
        if not since_ms:
            return list(spans)
        firsts = self._at(spans, since_ms)
        cut = [_from(span, firsts.get((span.topic, span.partition), span.start)) for span in spans]
        # No such record, says the broker. Some say so of any time, so the last record is looked at.
        ended = [whole for whole, rest in zip(spans, cut, strict=True) if len(whole) and not len(rest)]
        young = self._ending_since(ended, since_ms)
        return [
            whole if (whole.topic, whole.partition) in young else rest
            for whole, rest in zip(spans, cut, strict=True)
        ]

    def _at(self, spans: Sequence[Span], at_ms: int) -> dict[tuple[str, int], int]:
        """Find the first record at or after a time; the end of the range where there is none."""
        names = {full_name(self._prefix, span.topic): span.topic for span in spans}
        wanted = [TopicPartition(full_name(self._prefix, s.topic), s.partition, at_ms) for s in spans]
        found = self._ask(lambda: self._consumer.offsets_for_times(wanted, timeout=_TIMEOUT_S))
        ends = {(span.topic, span.partition): span.end for span in spans}
        at = {(names[tp.topic], tp.partition): tp.offset for tp in found if tp.error is None}
        return {place: offset if offset >= 0 else ends[place] for place, offset in at.items()}

    def _ending_since(self, spans: Sequence[Span], since_ms: int) -> set[tuple[str, int]]:
        """Return the partitions whose last record is not older than a time."""
        lasts = [_from(span, span.end - 1) for span in spans]
        found = [raw for batch in self.read(lasts) for raw in batch]
        return {(raw.topic, raw.partition) for raw in found if raw.timestamp_ms >= since_ms}

    def read(self, spans: Sequence[Span], until_ms: int = 0) -> Iterator[list[RawRecord]]:
        """Read ranges, a batch at a time; of one partition in order.

        With `until_ms`, a partition is read up to a record that is an hour younger.
        """
        left = {(full_name(self._prefix, s.topic), s.partition): s for s in spans if len(s)}
        topics = {name: span.topic for (name, _), span in left.items()}
        latest_ms = until_ms + _LATE_MS if until_ms else _NEVER
        self._consumer.assign([TopicPartition(*place, span.start) for place, span in left.items()])
        silent = 0
        while left:
            got = self._consumer.consume(_BATCH, _POLL_S)
            silent = 0 if got else silent + 1
            if silent == _SILENT_POLLS:
                msg = f"Kafka does not hand out {next(iter(left.values()))}; is it up?"
                raise SourceError(msg)
            if batch := _wanted(got, left, topics, latest_ms):
                yield batch
        self._consumer.unassign()

    def _ask(self, ask: Any) -> Any:
        try:
            return ask_until_ready(ask)
        except KafkaException as error:
            raise SourceError(away(error, self._kafka)) from error


def _from(span: Span, start: int) -> Span:
    return Span(span.topic, span.partition, max(span.start, start), span.end)


def _wanted(
    got: Sequence[Any], left: dict[tuple[str, int], Span], topics: Mapping[str, str], latest_ms: int
) -> list[RawRecord]:
    """Take the records that belong to a range, and strike out the ranges that are over."""
    batch = []
    for message in got:
        place = message.topic(), message.partition()
        span = left.get(place)
        if span is None:
            continue
        error, offset = message.error(), message.offset()
        if error is not None:
            _end_of(error, place[0])
            if offset >= span.end:
                del left[place]
            continue
        if offset < span.end:
            batch.append(raw_record(topics[place[0]], message))
        if offset + 1 >= span.end or message.timestamp()[1] >= latest_ms:
            del left[place]
    return batch


def _end_of(error: Any, topic: str) -> None:
    """Pass over the end of a partition and errors that pass; raise the others."""
    if error.code() != EOF and not error.retriable():
        raise SourceError(describe(error, topic))

"""Monitors the consumer from other threads: lag, and whether problems are over."""

import contextlib
import threading
import time

from confluent_kafka import Consumer, KafkaException

from sources.assignment import Assignment
from sources.client import BEGINNING, ConsumerPolicy, consumer_config
from sources.health import EVERYWHERE, KafkaHealth
from sources.offsets import offset_ranges
from tocsin.errors import SourceError

_TIMEOUT_S = 1.0
_INTERVAL_S = 2.0  # a look uses a consumer of its own, which has to connect each time
_LOOK_TIMEOUT_S = 5.0


class KafkaMonitor:
    """Answers health pages and metrics, and asks Kafka about topics that are not fetched now.

    Any thread but the worker's may call `lags` and `refresh`; both do nothing after `close`.

    Args:
        client: librdkafka's consumer.
        policy: configuration of the process's consumer.
        assignment: the topic partitions that are read.
        health: the problems to check again.
    """

    def __init__(
        self, client: Consumer, policy: ConsumerPolicy, assignment: Assignment, health: KafkaHealth
    ) -> None:
        self._client = client
        self._policy = policy
        self._assignment = assignment
        self._health = health
        self._in_use = threading.Lock()
        self._closed = False
        self._ranges: dict[tuple[str, int], tuple[int, int]] = {}
        self._next_s = 0.0

    def close(self) -> bool:
        """Stop using the client, after waiting for a call that does; return whether it was open."""
        with self._in_use:
            was_open, self._closed = not self._closed, True
        return was_open

    def lags(self) -> dict[tuple[str, int], int]:
        """Return the lag of each topic partition in records, where its end is known.

        librdkafka knows the end of partitions that are fetched; `refresh` has looked up the others.
        """
        with self._in_use:
            if self._closed:
                return {}
            cursors, paused = self._assignment.cursors, self._assignment.paused
            places = [(name, p) for name, each in cursors.items() for p in each if (name, p) not in paused]
            found = {place: self._lag(*place) for place in places}
        return {place: lag for place, lag in found.items() if lag is not None}

    def _lag(self, topic: str, partition: int) -> int | None:
        (place,) = self._assignment.places(topic, [partition])
        _, fetched_end = self._client.get_watermark_offsets(place, cached=True)
        low, end = self._ranges.get((topic, partition), (BEGINNING, BEGINNING))
        position = self._assignment.cursors[topic][partition].peek()
        start, end = position if position >= 0 else low, max(fetched_end, end)
        return max(0, end - start) if end >= 0 and start >= 0 else None

    def refresh(self) -> None:
        """Ask Kafka about topics that bring no records: is their problem over, where do they end now?

        May take seconds.
        """
        self._check_connection()
        if self._closed or EVERYWHERE in self._health.sentences or time.monotonic() < self._next_s:
            return
        self._check_topics()
        self._look_up_unread()
        self._next_s = time.monotonic() + _INTERVAL_S

    def _check_connection(self) -> None:
        with self._in_use:
            if self._closed or EVERYWHERE not in self._health.sentences:
                return
            try:
                self._client.list_topics(timeout=_TIMEOUT_S)
            except KafkaException:
                return
            self._health.resolve(EVERYWHERE)

    def _check_topics(self) -> None:
        sentences = self._health.sentences
        for topic, sentence in list(sentences.items()):
            # A problem that came during the look stays: its sentence is another object.
            if self._can_be_read(topic) and sentences.get(topic) is sentence:
                self._health.resolve(topic)

    def _can_be_read(self, topic: str) -> bool:
        places = self._assignment.places(topic, self._assignment.unpaused(topic))
        try:
            offset_ranges(consumer_config(self._policy), places, _TIMEOUT_S)
        except SourceError:
            return False
        return True

    def _look_up_unread(self) -> None:
        """Look up the ends of partitions that are not fetched now or have handed out no record yet."""
        cursors = self._assignment.cursors
        unread = [
            place
            for topic, gate in self._assignment.gates.items()
            if topic not in self._health.sentences
            for partition in self._assignment.unpaused(topic)
            if partition in gate.closed or cursors[topic][partition].peek() < 0
            for place in self._assignment.places(topic, [partition])
        ]
        with contextlib.suppress(SourceError):
            found = offset_ranges(consumer_config(self._policy), unread, _LOOK_TIMEOUT_S) if unread else {}
            names = self._assignment.names
            self._ranges = {(names[full], partition): ends for (full, partition), ends in found.items()}

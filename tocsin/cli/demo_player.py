"""Plays the demo's data into Kafka: profiles, then events at their own pace times `speed`."""

import threading
import time
from collections.abc import Callable, Iterable, Iterator
from typing import Any, Protocol

from confluent_kafka import KafkaException, Producer

from sources.partitioner import partition_of
from sources.reader import silent_logger
from tocsin.app.settings import Settings
from tocsin.devkit.demo_data import DemoRecord
from tocsin.devkit.passengers import TENANT
from tocsin.formats.subscriptions import subscription_key
from tocsin.model import topics

_SLICE_S = 0.05


class Played(Protocol):
    """Holds what can be played: profiles and events, in the order in which they are written to Kafka."""

    def profiles(self) -> Iterator[DemoRecord]:
        """Make the records of the profiles topic."""
        ...

    def events(self) -> Iterator[DemoRecord]:
        """Make the records of the events topic."""
        ...


class Player:
    """Publishes on a thread of its own; `problem` says why it stopped early, if it did.

    Args:
        settings: where to.
        data: what.
        speed: seconds of event time a second; 0 for as fast as Kafka takes them.
        span_ms: first and last moment of the event time.
        stamp_ms: Kafka time of the first event, each further one a millisecond later, so that the same input
            can be written twice; 0 leaves it to Kafka.
    """

    def __init__(
        self,
        settings: Settings,
        data: Played,
        speed: float,
        span_ms: tuple[int, int],
        *,
        stamp_ms: int = 0,
    ) -> None:
        self._data = data
        self._span_ms = span_ms
        self._speed = speed
        self._stamp_ms = stamp_ms
        self._partitions = settings.partitions
        self._prefix = settings.topic_prefix
        self._producer = Producer(
            {
                "bootstrap.servers": settings.kafka,
                "enable.idempotence": True,
                "linger.ms": 5,
                "compression.type": "lz4",
                **settings.kafka_options,
            },
            logger=silent_logger(),
        )
        self._thread = threading.Thread(target=self._run, name="player", daemon=True)
        self._stop = threading.Event()
        self._failed = 0
        self.profiles = 0
        self.events = 0
        self.stream_ms = 0
        self.problem = ""

    @property
    def share(self) -> float:
        """Return how much of the event time has been played, 0 to 1."""
        first_ms, last_ms = self._span_ms
        return min(1.0, max(0.0, (self.stream_ms - first_ms) / max(1, last_ms - first_ms)))

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def stop(self) -> None:
        """Stop early; what was handed to Kafka is flushed."""
        self._stop.set()
        self._thread.join(30)

    @property
    def done(self) -> bool:
        """Tell whether everything is written and acknowledged."""
        return not self._thread.is_alive()

    def publish_profiles(self) -> None:
        """Write all profiles and wait: a shard that starts afterwards knows everybody from the start."""
        for record in self._data.profiles():
            self._send(topics.PROFILES, record)
            self.profiles += 1
        self._producer.flush(60)

    def subscribe(self, topic: str, users: Iterable[str]) -> None:
        """Subscribe users to a topic; a person may then write to all of them by `tocsin send --topic`."""
        for user in users:
            key = subscription_key(TENANT, topic, user)
            self._send(topics.SUBSCRIPTIONS, DemoRecord(0, key, b"{}", ()))
        self._producer.flush(60)

    def _run(self) -> None:
        try:
            self._play()
        except (KafkaException, BufferError) as error:
            self.problem = f"publishing failed: {error}"
        if self._producer.flush(60) or self._failed:
            self.problem = self.problem or "Kafka did not acknowledge every record"

    def _play(self) -> None:
        pace = Pace(self._speed, self._stop)
        for record in self._data.events():
            if self._stop.is_set():
                return
            pace.wait_for(record.event_time_ms)
            self._send(topics.EVENTS, record, self._stamp_ms and self._stamp_ms + self.events)
            self.events += 1
            self.stream_ms = record.event_time_ms

    def _send(self, topic: str, record: DemoRecord, stamp_ms: int = 0) -> None:
        partition = partition_of(record.key, self._partitions)
        while not self._stop.is_set():
            try:
                self._producer.produce(
                    self._prefix + topic,
                    key=record.key,
                    value=record.value,
                    headers=list(record.headers),
                    partition=partition,
                    timestamp=stamp_ms,
                    on_delivery=self._report,
                )
            except BufferError:
                self._producer.poll(0.1)
            else:
                self._producer.poll(0)
                return

    def _report(self, error: Any, _message: Any) -> None:
        self._failed += error is not None


class Pace:
    """Holds events back until their time has come; never catches up by more than it slept."""

    def __init__(
        self, speed: float, stop: threading.Event, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._speed = speed
        self._stop = stop
        self._clock = clock
        self._first: tuple[int, float] | None = None

    def wait_for(self, event_ms: int) -> None:
        """Wait until the event is due."""
        if not self._speed:
            return
        if self._first is None:
            self._first = event_ms, self._clock()
        first_ms, began = self._first
        due = began + (event_ms - first_ms) / 1000 / self._speed
        while (left := due - self._clock()) > 0 and not self._stop.is_set():
            self._stop.wait(min(left, _SLICE_S))

"""Watches new outcomes for the demo, and how far the flow is behind its topics."""

import threading
import time
from types import TracebackType
from typing import Protocol, Self

import msgspec

from sources.reader import TopicReader
from tocsin.app.settings import Settings
from tocsin.errors import SinkError
from tocsin.model import topics
from tocsin.model.outcome import Outcome

_LAG_EVERY_S = 1.0
_RATE_OVER_S = 3.0
_outcome = msgspec.json.Decoder(Outcome).decode


class Calm:
    """Measures how long nothing has lagged, by looks that each begin at a moment and find a number.

    Only looks count: while one hangs, as it does when the broker is away, nothing is known. One look is not
    enough either, for what leaves a topic after it was looked at reaches one that was looked at before.
    """

    def __init__(self) -> None:
        self._first_s = self._last_s = 0.0
        self._lags = True

    def note(self, began_s: float, lag: int) -> None:
        """Take in one look."""
        if self._lags:
            self._first_s = began_s
        self._last_s, self._lags = began_s, lag != 0

    @property
    def seconds(self) -> float:
        """Return the time from the first to the last of the latest looks that all found nothing."""
        return 0.0 if self._lags else self._last_s - self._first_s


class Counts(Protocol):
    """Takes outcomes one by one."""

    def add(self, outcome: Outcome) -> None:
        """Take one."""
        ...


class Watch:
    """Follows the outcomes topic, and measures lag on a thread of its own.

    `lag` counts records of every topic behind the group's committed offsets; -1 until it was measured. As
    messages are committed only when they are done, 0 means that nothing is on its way, where the broker tells
    ends rightly; `events_read` does not depend on that.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._reader = TopicReader(settings.kafka, settings.topic_prefix, settings.kafka_options)
        self._group = topics.shard_group(settings.topic_prefix)
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._measure, name="lag", daemon=True)
        self._marks: list[tuple[float, int, int]] = []
        self._last_s = time.monotonic()
        self._calm = Calm()
        self.lag = -1
        self.events_read = 0

    def __enter__(self) -> Self:
        self._reader.start([topics.OUTCOMES])
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop.set()
        self._thread.join(10)
        self._reader.close()

    def read(self, stats: Counts, wait_s: float) -> None:
        """Hand on the outcomes that came; waits up to `wait_s` for the first."""
        records = self._reader.poll(wait_s)
        for record in records:
            stats.add(_outcome(record.value or b""))
        if records:
            self._last_s = time.monotonic()

    @property
    def quiet_s(self) -> float:
        """Return how long no outcome has come and nothing has lagged."""
        return min(time.monotonic() - self._last_s, self._calm.seconds)

    def _measure(self) -> None:
        settings = self._settings
        with TopicReader(settings.kafka, settings.topic_prefix, settings.kafka_options) as reader:
            keyed = [name for name in reader.names() if name in topics.KEYED or topics.channel_of(name)]
            while not self._stop.wait(_LAG_EVERY_S):
                began_s = time.monotonic()
                try:
                    self.lag = reader.lag(self._group, keyed)
                    self.events_read = sum(reader.committed(self._group, topics.EVENTS).values())
                except SinkError:
                    self.lag = max(self.lag, 1)
                self._calm.note(began_s, self.lag)

    def rates(self, events: int, outcomes: int) -> tuple[float, float]:
        """Give events and outcomes a second over the last few seconds."""
        now = time.monotonic()
        self._marks.append((now, events, outcomes))
        while len(self._marks) > 2 and now - self._marks[0][0] > _RATE_OVER_S:
            self._marks.pop(0)
        began, first_events, first_outcomes = self._marks[0]
        passed = max(now - began, 1e-9)
        return (events - first_events) / passed, (outcomes - first_outcomes) / passed

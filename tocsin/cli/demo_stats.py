"""Counts the outcomes topic for the demo; copies are dropped by id."""

from collections import Counter, deque
from collections.abc import Iterable

from tocsin.model.outcome import Outcome
from tocsin.model.statuses import FINAL, Channel, Reason, Status

_RECENT = 5_000  # latencies the live percentiles look at


def percentile(values: Iterable[int], share: float) -> int:
    """Give the value below which `share` of the values lie; 0 for none.

    >>> percentile([5, 1, 3], 0.5)
    3
    """
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(len(ordered) * share))] if ordered else 0


class ChannelCount:
    """Counts one channel: admitted, sent, suppressed, retried, dead, and recent latencies in ms."""

    def __init__(self) -> None:
        self.words: Counter[str] = Counter()
        self.latencies: deque[int] = deque(maxlen=_RECENT)

    @property
    def in_flight(self) -> int:
        """Count messages without a final outcome."""
        return max(0, self.words["admitted"] - self.words["done"])


class DemoStats:
    """Counts outcomes for the live view and the final report."""

    def __init__(self, *, remember: int = 2_000_000) -> None:
        self.outcomes = 0
        self.statuses: Counter[str] = Counter()
        self.reasons: Counter[str] = Counter()
        self.channels: dict[str, ChannelCount] = {}
        self.latencies: list[int] = []
        self.stream_ms = 0
        self.unknown: set[str] = set()
        self._held: set[str] = set()
        self._seen: set[str] = set()
        self._remember = remember

    def add(self, outcome: Outcome) -> None:
        """Count one outcome; a copy counts nothing."""
        if outcome.outcome_id in self._seen:
            return
        if len(self._seen) < self._remember:
            self._seen.add(outcome.outcome_id)
        self.outcomes += 1
        self.statuses[outcome.status] += 1
        if outcome.reason == Reason.UNKNOWN:
            self.unknown.add(outcome.message_id)
        if outcome.reason:
            self.reasons[outcome.reason] += 1
        self.stream_ms = max(self.stream_ms, outcome.event_time_ms)
        self._note_held(outcome)
        if outcome.channel != Channel.ANY:
            self._count(self.channels.setdefault(outcome.channel, ChannelCount()), outcome)

    def _count(self, channel: ChannelCount, outcome: Outcome) -> None:
        channel.words[outcome.status] += 1
        if outcome.message_id and outcome.status in FINAL:
            channel.words["done"] += 1
        if outcome.status == Status.SENT and outcome.latency_ms >= 0:
            channel.latencies.append(outcome.latency_ms)
            self.latencies.append(outcome.latency_ms)

    def _note_held(self, outcome: Outcome) -> None:
        subject = outcome.message_id or outcome.notification_id or outcome.origin
        if outcome.status == Status.HELD:
            self._held.add(subject)
        else:
            self._held.difference_update((subject, outcome.notification_id, outcome.origin))

    @property
    def held(self) -> int:
        """Count what the gate holds, as far as the log tells."""
        return len(self._held)

    @property
    def in_flight(self) -> int:
        """Count admitted messages without a final outcome."""
        return sum(channel.in_flight for channel in self.channels.values())

    def recent(self) -> list[int]:
        """Return recent latencies of all channels, in ms."""
        return [value for channel in self.channels.values() for value in channel.latencies]

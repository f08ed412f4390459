"""Plays the recorded inputs of one partition in the order in which they were decided.

Kafka orders the records of one topic, not those of two. Which event came before which receipt is in the
outcomes: the gate publishes them in the order of its decisions, and `at_ms` of an outcome is the `now` of its
decision. So the player follows the recorded outcomes, key group by key group:

1. An outcome names the input that led to it (`flows.simulation.pending`). That input is played now, with that
   `now`; before it those that stand before it in its topic.
2. An outcome of a timer says how far the time of its key group had come: timers due by then fire.
3. An input that leads to no outcome, as a profile, is played before the first input whose decision's time is
   not before Kafka's time of it. Under the stream clock that time says nothing of the wall's, so Kafka's time
   of the outcome stands in, less an epoch.

Without recorded outcomes, and behind the last one, inputs are played in the order of Kafka's times.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import islice
from typing import NamedTuple

from flows.simulation.comparison import Comparison
from flows.simulation.decided import Either, decode, is_decision
from flows.simulation.event_times import EventTimes
from flows.simulation.machine import Bounds, Machine
from flows.simulation.pending import Entry, Pending, Queue, at, is_evented
from flows.simulation.reading import Found, Named, Stream, decoded
from operators.decode import Decoder
from operators.gate_parts import GateInput, GroupBatch, Out
from operators.homes import Homes
from tocsin.model import topics
from tocsin.model.event import Event
from tocsin.model.message import Retry
from tocsin.model.outcome import ReceiptEvent
from tocsin.model.raw import OutRecord, RawRecord

_CHUNK = 1_000
"""Outcomes between two looks at the queues."""
_LOW, _HIGH = 4_000, 20_000
"""Inputs of a topic that are queued at least, while there are some, and at most."""
_DECODED = 500
_EPOCH = 20_000
"""Inputs between two writes to the store. A user's record is written once in between."""
_EPOCHS = 2
"""Epochs between a decision and Kafka's time of its outcome, at most: one that ends, one that publishes."""


_SOON_MS = 1_000
"""Receipts and returned messages wait for no other topic: under the wall clock, their outcomes are written so
soon. Under the stream clock hours may pass in a second, so there it is as soon as epochs allow."""
_RECEIPT_SOON_MS = 30_000
"""A receipt has one outcome of its own, and a shard on a busy machine writes it seconds later."""
_SKEW_MS = 10_000
"""Clocks of producers may be so far apart."""


class Side(NamedTuple):
    """One catalog's decisions: a machine, and where its decisions go."""

    machine: Machine
    report: Callable[[Either], None]
    is_history: bool


class Player:
    """Plays one partition.

    Args:
        bounds: as of the recorded process.
        decoder: the decode step.
        sides: the machines that decide each input: the simulation, or the present catalog before it.
        comparison: takes the decisions.
        until_ms: inputs of this time or later are not played.

    Attributes:
        ordered: inputs that were played where their outcome stands.
        timed: inputs that were played by Kafka's times.
        dropped: receipts and returned messages of messages that the simulation did not send.
        rewritten: records that the machines would have written to topics of the gate.
        latest_ms: the latest time of a decision.
    """

    def __init__(
        self, bounds: Bounds, decoder: Decoder, sides: tuple[Side, ...], comparison: Comparison, until_ms: int
    ) -> None:
        self._bounds = bounds
        self._decode = decoder
        self._sides = sides
        self._comparison = comparison
        self._until_ms = until_ms
        self._tenant = comparison.tenant
        self._pending = Pending()
        self._streams: Mapping[str, Stream] = {}
        self._homes = Homes(bounds.partitions, bounds.key_groups)
        self._clock: Counter[str] = Counter()
        self._played = 0
        self._passed: Counter[str] = Counter()
        self._times = EventTimes()
        self._behind_ms = 0
        # How long before Kafka's time of an outcome its decision was, at most, without a backlog.
        self._unsure_ms = _EPOCHS * bounds.epoch_ms
        self._soon_ms = self._unsure_ms if bounds.stream_clock else _SOON_MS
        # Unless a side decides as history did, the recorded outcomes are what is compared with.
        self._is_baseline = not any(side.is_history for side in sides)
        self.ordered = self.timed = self.dropped = 0
        self.rewritten: Counter[str] = Counter()
        self.latest_ms = 0

    def play(self, streams: Mapping[str, Stream], outcomes: Iterable[RawRecord] | None) -> None:
        """Play all inputs; `outcomes` are the recorded ones, None where there are none."""
        self._streams = streams
        if outcomes is not None:
            self._follow(outcomes)
        self._by_time()
        for side in self._sides:
            self._report(side, side.machine.fire_all(min(self.latest_ms, self._until_ms)))

    def _follow(self, outcomes: Iterable[RawRecord]) -> None:
        """Play inputs in the order of their outcomes, some outcomes ahead."""
        found = decoded(outcomes)
        chunk = list(islice(found, _CHUNK))
        while chunk:
            ahead = list(islice(found, _CHUNK))
            named = Named([*chunk, *ahead])
            self._fill(chunk, ahead)
            for each in chunk:
                if each.is_decision or each.decided.is_receipt:
                    self._outcome(each, named)
            chunk = ahead

    def _outcome(self, found: Found, named: Named) -> None:
        decided = found.decided
        if found.is_decision and self._is_baseline:
            self._comparison.before(decided)
        queue = self._queue(found)
        if queue is not None:
            self._play_until(queue, found, named)
        elif found.is_decision and decided.user and decided.at_ms < self._until_ms:
            self._advance(self._homes.of(f"{decided.tenant}/{decided.user}")[1], found, named)

    def _queue(self, found: Found) -> Queue | None:
        """Return the queue of the input that led to an outcome, if it is queued."""
        for key in found.keys:
            if key in self._passed:
                self._forget_passed(key)
                return None
            queue = self._pending.place(key)
            if queue is not None:
                return queue if queue.entries[0].read_ms <= found.written_ms + _SKEW_MS else None
        return None

    def _forget_passed(self, key: str) -> None:
        self._passed[key] -= 1
        if not self._passed[key]:
            del self._passed[key]

    def _advance(self, key_group: str, found: Found, named: Named) -> None:
        """Let the time of a key group come to that of an outcome: its timers fire."""
        now_ms = found.decided.at_ms
        if now_ms > self._clock[key_group]:
            if self._pending.has_unnamed(key_group):
                self._play_unnamed(key_group, found, 0, named)
            self._clock[key_group] = now_ms
            self.latest_ms = max(self.latest_ms, now_ms)
            for side in self._sides:
                self._report(side, side.machine.fire(key_group, now_ms))

    def _play_until(self, queue: Queue, found: Found, named: Named) -> None:
        """Play the input of an outcome, and what was decided before it."""
        first, second = found.keys
        now_ms = found.decided.at_ms if found.is_decision else 0
        if self._pending.has_unnamed(queue.key_group):
            self._play_unnamed(queue.key_group, found, queue.entries[0].read_ms, named)
        while queue.entries:
            entry = self._pending.pop(queue)
            if first in entry.keys or second in entry.keys:
                self.ordered += 1
                if not now_ms and self._bounds.stream_clock:
                    now_ms = self._clock[queue.key_group]  # a receipt's outcome tells no time of a decision
                if queue.is_evented:
                    self._behind_ms = max(0, found.written_ms - entry.read_ms - self._unsure_ms)
                self._play(queue.key_group, entry, now_ms, now_ms)
                return
            self.timed += 1
            self._play(queue.key_group, entry, 0, now_ms)

    def _play_unnamed(self, key_group: str, found: Found, read_ms: int, named: Named) -> None:
        """Play inputs that lead to no outcome and came before that of an outcome.

        Args:
            key_group: of the inputs.
            found: the outcome.
            read_ms: when Kafka had its input; 0 for the outcome of a timer.
            named: outcomes that follow.
        """
        now_ms = found.decided.at_ms if found.is_decision else 0
        stream = self._bounds.stream_clock
        by_ms = max(read_ms, found.written_ms - self._unsure_ms if stream else self._clock[key_group])
        for queue in self._pending.queues_of(key_group):
            while (entry := queue.head) is not None:
                is_later = entry.read_ms > found.written_ms  # a shard writes an outcome after its inputs
                if is_later or not self._came_before(entry, by_ms, now_ms):
                    break
                if entry.keys and (queue.is_evented or self._is_named_soon(entry, found, named)):
                    break
                self._pending.pop(queue)
                if queue.topic == topics.RECEIPTS:
                    self._passed.update(entry.keys)
                self.timed += 1
                self._play(key_group, entry, 0, now_ms)

    def _is_named_soon(self, entry: Entry, found: Found, named: Named) -> bool:
        """Tell whether an input that was there at an outcome has its own outcome soon behind.

        A message that came back and was sent again at once has none. It may come back again: its outcome of
        then has the same id, and belongs to the last of its returns.
        """
        soon_ms = _RECEIPT_SOON_MS if isinstance(entry.given.item, ReceiptEvent) else self._soon_ms
        first_ms, last_ms = found.written_ms, found.written_ms + soon_ms
        own = entry.keys if self._pending.is_last(entry) else entry.keys[:1]
        return any(named.between(key, first_ms, last_ms) for key in own)

    def _came_before(self, entry: Entry, by_ms: int, now_ms: int) -> bool:
        """Tell whether an input was decided before one that was decided at `now_ms` (0: not known)."""
        if not now_ms:
            return entry.read_ms <= by_ms
        own_ms = self._time_of(entry)
        if self._bounds.stream_clock and own_ms == now_ms:
            return entry.read_ms <= by_ms
        return own_ms <= now_ms

    def _time_of(self, entry: Entry) -> int:
        """Return how far the time of the partition had come when an input was read."""
        if not self._bounds.stream_clock:
            return entry.read_ms
        return max(entry.given.now_ms, self._times.by(entry.read_ms - self._behind_ms))

    def _play(self, key_group: str, entry: Entry, now_ms: int, most_ms: int = 0) -> None:
        """Decide an input on all sides.

        Args:
            key_group: of the input.
            entry: the input.
            now_ms: when it was decided; 0 where that is not known.
            most_ms: when a later input was decided; 0 where that is not known.
        """
        own_ms = entry.given.now_ms
        if not now_ms and self._bounds.stream_clock:
            own_ms = self._time_of(entry)
        if not now_ms:
            now_ms = max(self._clock[key_group], min(own_ms, most_ms) if most_ms else own_ms)
        if own_ms >= self._until_ms or now_ms >= self._until_ms:
            return
        if now_ms > self._clock[key_group]:
            self._clock[key_group] = now_ms
        self.latest_ms = max(self.latest_ms, now_ms)
        given = at(entry, now_ms, stream=self._bounds.stream_clock)
        always = isinstance(given.item, Event)
        for side in self._sides:
            if not always and self._is_never(side, key_group, given):
                self.dropped += 1
            else:
                self._report(side, side.machine.play(key_group, given))
        self._played += 1
        if self._played % _EPOCH == 0:
            for side in self._sides:
                side.machine.epoch()

    def _is_never(self, side: Side, key_group: str, given: GateInput) -> bool:
        """Tell whether an input never came, since the simulation did not send its message.

        A timer that is due may send it before.
        """
        if side.is_history or not self._is_needless(given):
            return False
        self._report(side, side.machine.fire(key_group, given.now_ms))
        return self._is_needless(given)

    def _is_needless(self, given: GateInput) -> bool:
        """Tell whether an input is about a message that the simulation did not send."""
        item = given.item
        if isinstance(item, Retry):
            return self._comparison.is_unsent(item.message.message_id)
        named = item.message_id if isinstance(item, ReceiptEvent) else ""
        return bool(named) and self._comparison.is_unsent(named)

    def _report(self, side: Side, records: Iterable[Out]) -> None:
        """Take what a machine decided, and what it would write to topics beside."""
        for outcome in side.machine.decided():
            if is_decision(outcome):
                side.report(outcome)
        for record in records:
            if isinstance(record, OutRecord):
                self._take_record(side, record)

    def _take_record(self, side: Side, record: OutRecord) -> None:
        if record.topic == topics.OUTCOMES:
            decided = decode(record.value or b"")
            if decided.is_decision:
                side.report(decided)
        elif record.topic in topics.GATE_INPUTS and not side.is_history:
            self.rewritten[record.topic] += 1

    def _fill(self, chunk: Sequence[Found], ahead: Sequence[Found]) -> None:
        """Read on, so that the inputs that outcomes may name are queued."""
        first_ms, last_ms = chunk[0].written_ms, chunk[-1].written_ms
        for topic, stream in self._streams.items():
            self._read_until(topic, stream, last_ms)
            while self._pending.size[topic] >= _HIGH and self._relieve(topic, first_ms, (*chunk, *ahead)):
                self._read_until(topic, stream, last_ms)

    def _read_until(self, topic: str, stream: Stream, last_ms: int) -> None:
        while self._wants(topic, stream, last_ms):
            self._read(topic, stream)

    def _wants(self, topic: str, stream: Stream, last_ms: int) -> bool:
        size = self._pending.size[topic]
        is_behind = self._pending.newest_ms[topic] <= last_ms and size < _HIGH
        return not stream.ended and (size < _LOW or is_behind)

    def _relieve(self, topic: str, first_ms: int, following: Iterable[Found]) -> bool:
        """Play inputs without an outcome from a full queue: old profiles, events whose outcomes are lost.

        A queue is also full where a shard came to a long backlog. Then the outcomes name its events.

        Returns:
            Whether any were played.
        """
        if is_evented(topic) and any(self._names_an_event(each) for each in following):
            return False
        played = self.timed
        for queue, entry in self._pending.older(topic, first_ms - 1):
            self.timed += 1
            self._play(queue.key_group, entry, 0)
        return self.timed > played

    def _names_an_event(self, found: Found) -> bool:
        """Tell whether an outcome names an event that is queued."""
        queue = self._pending.place(found.keys[0])
        return queue is not None and queue.is_evented

    def _read(self, topic: str, stream: Stream) -> None:
        batch = stream.take()
        for first in range(0, len(batch), _DECODED):
            for routed in self._decode(batch[first : first + _DECODED]):
                self._route(topic, routed.step, routed.bundle)

    def _route(self, topic: str, step: str, bundle: object) -> None:
        if isinstance(bundle, GroupBatch):
            if self._bounds.stream_clock and is_evented(topic):
                for given in bundle.inputs:
                    self._times.note(given.raw.timestamp_ms, given.now_ms)
            wanted = (
                [each for each in bundle.inputs if self._is_wanted(each)] if self._tenant else bundle.inputs
            )
            self._pending.add(topic, bundle.key_group, wanted)
            return
        assert isinstance(bundle, list), f"the simulation reads no inputs of {step}"
        for side in self._sides:
            self._report(side, bundle)

    def _is_wanted(self, given: GateInput) -> bool:
        return not given.user_key or given.user_key.startswith(f"{self._tenant}/")

    def _by_time(self) -> None:
        """Play what is left in the order of Kafka's times."""
        while True:
            for topic, stream in self._streams.items():
                while not stream.ended and self._pending.size[topic] < _LOW:
                    self._read(topic, stream)
            open_topics = [topic for topic, stream in self._streams.items() if not stream.ended]
            safe_ms = min((self._pending.newest_ms[topic] for topic in open_topics), default=1 << 62)
            taken = self._pending.by_time(safe_ms)
            if not taken and not open_topics:
                return
            self._play_timed(taken)

    def _play_timed(self, taken: list[tuple[str, Entry]]) -> None:
        """Play inputs in order; one clock counts for the partition, as the decode step has it."""
        now_ms = self.latest_ms
        for key_group, entry in taken:
            now_ms = max(now_ms, min(entry.given.now_ms, self._until_ms))
            self.timed += 1
            self._play(key_group, entry, now_ms)

"""The process's only Kafka consumer: one connection for all topics, with priorities, credits and pauses.

Positions come from the source's resume state: `assign()` with explicit offsets, and an offset that is not
there is an error, not a jump. What is committed to the group is for lag tools, to recognise a state directory
that was lost, and to know what another flow has finished of a topic that both may read (`policy.acked`).
"""

import contextlib
import logging
import re
import threading
import time
from typing import Any, NoReturn

from confluent_kafka import Consumer, KafkaError, KafkaException, TopicPartition

from sources.acks import AckTracker
from sources.clocks import PartitionClocks
from sources.consumer import (
    BEGINNING,
    EOF,
    HubPolicy,
    bounds,
    committed_offsets,
    consumer_config,
    describe,
    is_out_of_range,
)
from sources.gaps import Gaps
from sources.lines import Line
from sources.position import HubState, Offsets
from sources.queues import Allowance, Flow, Queues, is_spare
from sources.troubles import EVERYWHERE, Troubles
from sources.valve import Valve
from tocsin.errors import SourceError, StateError
from tocsin.model import topics
from tocsin.model.raw import RawRecord

_log = logging.getLogger("tocsin.kafka")
_UNLIMITED = 1 << 30
_NO_TIMESTAMP = 0
_ASK_S = 1.0
_LOOK_S = 2.0  # between two looks by a consumer of its own, which has to connect each time
_LOOK_TIMEOUT_S = 5.0


def unlimited(_topic: str) -> int:
    """Allow everything: the allowance of a process without credits."""
    return _UNLIMITED


class KafkaHub:
    """Reads all topics of a process, hands out batches, and says where it is.

    One thread calls it, except what is for health pages: `paused`, `troubles`, `deleted`, `lags()` and
    `ask_again()`.

    Attributes:
        clocks: the partitions' times, kept in the resume state.
        acks: where records of `policy.acked` topics are reported as finished.
        paused: topic partitions that are not read, each with a sentence.
        troubles: what Kafka complains about, by topic; an entry leaves when its topic answers again.
        deleted: what retention deleted unread of `policy.acked` topics, by topic partition, a sentence each.
    """

    def __init__(
        self,
        policy: HubPolicy,
        *,
        allowance: Allowance = unlimited,
        clocks: PartitionClocks | None = None,
        acks: AckTracker | None = None,
        flow: Flow | None = None,
    ) -> None:
        self.clocks = clocks or PartitionClocks()
        self.acks = acks or AckTracker()
        self.paused: dict[tuple[str, int], str] = {}
        self._troubles = Troubles()
        self.troubles = self._troubles.sentences
        self._gaps = Gaps()
        self.deleted = self._gaps.sentences
        self._policy = policy
        self._allowance = allowance
        self._names = {policy.prefix + name: name for name in policy.topics}
        self._gate_inputs = [name for name in policy.topics if name in topics.GATE_INPUTS]
        self._queues = Queues(policy.topics, self._allowed, flow or Flow())
        self._lines: dict[str, dict[int, Line]] = {}
        self._valves: dict[str, Valve] = {}
        self._loading: set[int] = set()
        self._consumer: Consumer | None = None
        self._open = threading.Lock()  # held by who is not the worker and needs the consumer open
        self._next_poll_s = 0.0
        self._next_commit_s = 0.0
        self._next_look_s = 0.0
        self._seen: dict[tuple[str, int], tuple[int, int]] = {}
        self._committed: Offsets = {}
        self._durable: HubState | None = None

    def start(
        self,
        resume: HubState | None,
        *,
        accept_bad: bool = False,
        forget: frozenset[str] = frozenset(),
    ) -> None:
        """Connect and seek: to the resume state, else, if nothing was ever committed, to the beginning.

        Args:
            resume: the state of the last durable epoch, None on a first start.
            accept_bad: read partitions again that too many bad records had paused.
            forget: topics to read from the oldest record that is left, whatever the state says.

        Raises:
            StateError: there is no state here, but the group has committed offsets of gate inputs.
            SourceError: Kafka does not answer or refuses.
        """
        config = consumer_config(self._policy)
        self._consumer = Consumer(config, error_cb=self._on_error, on_commit=self._on_commit, logger=_log)
        state = self._first_state() if resume is None else resume
        self.clocks.restore(state.clocks)
        self._loading = set(state.loading)
        known = {name: offsets for name, offsets in state.offsets.items() if name not in forget}
        finished = self._finished(forget)
        self._lines = {
            name: {
                p: Line(max(known.get(name, {}).get(p, BEGINNING), finished.get((name, p), BEGINNING)))
                for p in self._policy.partitions
            }
            for name in self._policy.topics
        }
        self.paused = {} if accept_bad else dict(state.paused)
        self._consumer.assign(self._assignment())
        self._valves = {name: self._valve(name) for name in self._policy.topics}

    def _first_state(self) -> HubState:
        assert self._consumer is not None
        names = {self._policy.prefix + name: name for name in self._gate_inputs}
        committed = committed_offsets(self._consumer, names, self._policy.partitions) if names else {}
        if read := {place: offset for place, offset in committed.items() if offset > 0}:
            topic, partition = min(read)
            msg = (
                f"the state directory is empty, but group {self._policy.group_id} has read"
                f" {topic}/{partition} up to {read[topic, partition]}: decisions would be made twice."
                " Restore the state directory, or run `tocsin offsets forget` to begin anew"
            )
            raise StateError(msg)
        loading = self._policy.partitions if topics.PROFILES in self._gate_inputs else ()
        return HubState(0, {}, {}, {}, loading)

    def _finished(self, forget: frozenset[str]) -> dict[tuple[str, int], int]:
        """Look how far acked topics are finished, here or by another flow: they hold no other state.

        What is committed is shown too (`durable`), so nothing is lost that only this state would read again.
        """
        assert self._consumer is not None
        names = {self._policy.prefix + name: name for name in self._policy.acked - forget}
        return committed_offsets(self._consumer, names, self._policy.partitions) if names else {}

    def _assignment(self) -> list[TopicPartition]:
        return [
            TopicPartition(self._policy.prefix + name, p, line.next())
            for name, lines in self._lines.items()
            for p, line in lines.items()
            if (name, p) not in self.paused
        ]

    def _valve(self, topic: str) -> Valve:
        assert self._consumer is not None
        partitions = [p for p in self._policy.partitions if (topic, p) not in self.paused]
        if is_spare(topic):
            self._consumer.pause(self._named(topic, partitions))
        return Valve(partitions, closed=is_spare(topic))

    def _named(self, topic: str, partitions: list[int]) -> list[TopicPartition]:
        return [TopicPartition(self._policy.prefix + topic, partition) for partition in partitions]

    def _allowed(self, topic: str) -> int:
        if self._loading and topic != topics.PROFILES and topic in topics.GATE_INPUTS:
            return 0
        return self._allowance(topic)

    def take(self) -> list[RawRecord]:
        """Read what came and hand out the next batch; never blocks.

        Raises:
            StateError: an offset of the state is not in its topic any more.
            SourceError: the consumer is beyond repair.
        """
        self._pump()
        batch = self._queues.take()
        acked, lines = self._policy.acked, self._lines
        for record in batch:
            lines[record.topic][record.partition].position = record.offset + 1
            if record.topic in acked:
                self.acks.read(record.topic, record.partition, record.offset)
        if self._loading:
            self._note_loaded()
        return batch

    def _pump(self) -> None:
        assert self._consumer is not None
        now_s = time.monotonic()
        self._turn_valves(now_s)
        if now_s < self._next_poll_s or not self._queues.wants_more():
            return
        self._next_poll_s = now_s + self._policy.poll_s
        try:
            messages = self._consumer.consume(self._policy.poll_records, 0)
        except KafkaException as failure:
            self._on_error(failure.args[0])
        else:
            self._sort(messages)

    def _sort(self, messages: list[Any]) -> None:
        names, lines, puts = self._names, self._lines, self._queues.puts
        watched = bool(self.troubles or self._gaps)
        for message in messages:
            error = message.error()
            if error is not None:
                self._on_message_error(message, error)
                continue
            topic, partition, offset = names[message.topic()], message.partition(), message.offset()
            if watched:
                self._answered(topic, partition, offset)
            if (topic, partition) in self.paused:
                continue
            lines[topic][partition].arrived = offset
            headers = message.headers()
            puts[topic](
                RawRecord(
                    topic,
                    partition,
                    offset,
                    max(message.timestamp()[1], _NO_TIMESTAMP),
                    message.key(),
                    message.value(),
                    tuple([(name, value or b"") for name, value in headers]) if headers else (),
                )
            )

    def _turn_valves(self, now_s: float) -> None:
        assert self._consumer is not None
        for topic in self._queues.full():
            if closing := self._valves[topic].close():
                self._consumer.pause(self._named(topic, closing))
                for partition in closing:
                    self._lines[topic][partition].forget_end()
        for topic, valve in self._valves.items():
            if valve.closed and self._queues.hungry(topic) and (opening := valve.open_next(now_s)):
                self._consumer.resume(self._named(topic, opening))

    def _on_message_error(self, message: Any, error: KafkaError) -> None:
        topic = self._names.get(message.topic() or "", "")
        if error.code() == EOF:
            self._lines[topic][message.partition()].end = message.offset()
            self._answered(topic, message.partition(), message.offset())
        elif is_out_of_range(error):
            self._out_of_range(topic, message.partition())
        else:
            self._on_error(error, topic, message.partition())

    def _answered(self, topic: str, partition: int, offset: int) -> None:
        self._troubles.answered(topic, partition)
        if not self._gaps.end(topic, partition, offset):
            self._refuse_offset(topic, partition)

    def _out_of_range(self, topic: str, partition: int) -> None:
        if topic not in self._policy.acked:
            self._refuse_offset(topic, partition)
        self._skip_gap(topic, partition)

    def _skip_gap(self, topic: str, partition: int) -> None:
        """Go on at the oldest record left: no decision rests on what is gone, and all others wait for us."""
        assert self._consumer is not None
        line = self._lines[topic][partition]
        self._gaps.begin(topic, partition, max(line.arrived + 1, line.peek()))
        places = self._named(topic, [partition])
        self._consumer.incremental_unassign(places)
        places[0].offset = BEGINNING
        self._consumer.incremental_assign(places)
        if partition in self._valves[topic].closed:
            self._consumer.pause(places)

    def _refuse_offset(self, topic: str, partition: int) -> NoReturn:
        line = self._lines[topic][partition]
        msg = (
            f"{topic}/{partition}: offset {line.next()} is not in the topic: retention deleted what was not"
            " read yet, or the topic was created anew. Restore the topic, or begin anew: stop all shards,"
            " remove their state, and run `tocsin offsets forget`"
        )
        raise StateError(msg)

    def _on_error(self, error: KafkaError, topic: str = "", partition: int | None = None) -> None:
        if not topic:
            topic, partition = self._place_in(error.str())
        if error.fatal():
            msg = f"{topic}: {error.name()}; the consumer cannot go on: start the shard again"
            raise SourceError(msg)
        self._troubles.add(topic, partition, describe(error, topic))

    def _place_in(self, text: str) -> tuple[str, int | None]:
        """Find topic and partition in librdkafka's words: `<topic> [<partition>]: …`."""
        named = [full for full in self._names if full in text]
        if not named:
            return EVERYWHERE, None
        full = max(named, key=len)
        partition = re.search(rf"{re.escape(full)} \[(\d+)\]", text)
        return self._names[full], int(partition[1]) if partition else None

    def _note_loaded(self) -> None:
        lines = self._lines[topics.PROFILES]
        self._loading = {partition for partition in self._loading if not lines[partition].at_end()}

    @property
    def loading(self) -> bool:
        """Whether profiles are still read to where they ended at the first start."""
        return bool(self._loading)

    def pause(self, topic: str, partition: int, sentence: str) -> None:
        """Stop reading a partition, until a start with `accept_bad`; what is buffered is read again then."""
        assert self._consumer is not None
        if (topic, partition) in self.paused:
            return
        self.paused[topic, partition] = sentence
        self._queues.drop(topic, partition)
        self._valves[topic].remove(partition)
        self._consumer.pause(self._named(topic, [partition]))
        if topic == topics.PROFILES:
            self._loading.discard(partition)

    def caught_up(self, partition: int) -> bool:
        """Tell whether every gate input of a partition is handed out to its end, as far as known."""
        return all(
            self._lines[name][partition].at_end() or (name, partition) in self.paused
            for name in self._gate_inputs
        )

    def state(self, epoch: int) -> HubState:
        """Return the resume state as of now, for the end of epoch number `epoch`."""
        return HubState(
            epoch,
            {name: {p: self._low(name, p) for p in lines} for name, lines in self._lines.items()},
            self.clocks.closing(),
            dict(self.paused),
            tuple(sorted(self._loading)),
        )

    def _low(self, topic: str, partition: int) -> int:
        low = self.acks.low(topic, partition) if topic in self._policy.acked else None
        read = self._lines[topic][partition].next()
        return read if low is None or low > self._lines[topic][partition].arrived else low

    def durable(self, state: HubState) -> None:
        """Take note that the epoch of `state` is durable: its times are stable.

        The epoch before it is also shown by now (`Epochs.closing`): its offsets are committed. Were it this
        one, a crash could leave finished to the group what only our own outbox, run again, would still show.
        """
        self.clocks.durable()
        shown, self._durable = self._durable, state
        now_s = time.monotonic()
        if shown is not None and now_s >= self._next_commit_s:
            self._next_commit_s = now_s + self._policy.commit_s
            self.commit(shown, wait=False)

    def commit(self, state: HubState, *, wait: bool) -> None:
        """Commit offsets of a state whose epoch is durable and shown to the group, those that changed."""
        assert self._consumer is not None
        changed = [
            TopicPartition(self._policy.prefix + topic, partition, offset)
            for topic, offsets in state.offsets.items()
            for partition, offset in offsets.items()
            if offset >= 0 and self._committed.get(topic, {}).get(partition) != offset
        ]
        if not changed:
            return
        try:
            if wait:
                self._consumer.commit(offsets=changed, asynchronous=False)
                self._on_commit(None, changed)
            else:
                self._consumer.commit(offsets=changed, asynchronous=True)
        except KafkaException as failure:
            sentence = describe(failure.args[0], "committing offsets")
            self._troubles.add(EVERYWHERE, None, sentence)

    def _on_commit(self, error: KafkaError | None, places: list[TopicPartition]) -> None:
        """Note what the group has; what failed while Kafka was away is committed again."""
        for place in places:
            if error is None and place.error is None:
                offsets = self._committed.setdefault(self._names[place.topic], {})
                offsets[place.partition] = place.offset

    def lags(self) -> dict[tuple[str, int], int]:
        """Return how far each topic partition is behind, where its end is known.

        Of what is read, librdkafka knows the end; of what is held back, `ask_again` looked.
        """
        with self._open:
            if self._consumer is None:
                return {}
            places = [(name, p) for name, lines in self._lines.items() for p in lines]
            found = {place: self._lag(self._consumer, *place) for place in places if place not in self.paused}
        return {place: lag for place, lag in found.items() if lag is not None}

    def _lag(self, consumer: Consumer, topic: str, partition: int) -> int | None:
        (place,) = self._named(topic, [partition])
        _, told = consumer.get_watermark_offsets(place, cached=True)
        low, seen = self._seen.get((topic, partition), (BEGINNING, BEGINNING))
        position = self._lines[topic][partition].peek()
        start, end = position if position >= 0 else low, max(told, seen)
        return max(0, end - start) if end >= 0 and start >= 0 else None

    def ask_again(self) -> None:
        """Ask Kafka what no record tells: whether troubles of quiet topics are over, what piled up unread.

        May take seconds; never for the worker.
        """
        self._ask_whether_up()
        if self._consumer is None or EVERYWHERE in self.troubles or time.monotonic() < self._next_look_s:
            return
        self._look_at_troubles()
        self._look_at_unread()
        self._next_look_s = time.monotonic() + _LOOK_S

    def _look_at_troubles(self) -> None:
        for topic, sentence in list(self.troubles.items()):
            # A trouble that came while we looked stays: its sentence is another object.
            if self._can_be_read(topic) and self.troubles.get(topic) is sentence:
                self._troubles.end(topic)

    def _look_at_unread(self) -> None:
        """See how far partitions go that are not read now, or of which nothing was handed out yet."""
        unread = [
            place
            for topic, valve in self._valves.items()
            if topic not in self.troubles
            for partition in self._policy.partitions
            if partition in valve.closed or self._lines[topic][partition].peek() < 0
            for place in self._named(topic, [partition])
            if (topic, partition) not in self.paused
        ]
        with contextlib.suppress(SourceError):
            found = bounds(consumer_config(self._policy), unread, _LOOK_TIMEOUT_S) if unread else {}
            self._seen = {(self._names[full], partition): ends for (full, partition), ends in found.items()}

    def _ask_whether_up(self) -> None:
        with self._open:
            if self._consumer is None or EVERYWHERE not in self.troubles:
                return
            try:
                self._consumer.list_topics(timeout=_ASK_S)
            except KafkaException:
                return
            self._troubles.end(EVERYWHERE)

    def _can_be_read(self, topic: str) -> bool:
        partitions = [p for p in self._policy.partitions if (topic, p) not in self.paused]
        try:
            bounds(consumer_config(self._policy), self._named(topic, partitions), _ASK_S)
        except SourceError:
            return False
        return True

    def close(self) -> None:
        """Leave Kafka."""
        with self._open:
            if self._consumer is not None:
                self._consumer.close()
                self._consumer = None

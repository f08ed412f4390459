"""Runs the only Kafka consumer of a process, for all its topics, with priorities, credits and pauses."""

import logging
import time
from collections.abc import Sequence

from confluent_kafka import Consumer

from sources.acks import AckTracker
from sources.assignment import Assignment
from sources.client import BEGINNING, ConsumerPolicy, consumer_config
from sources.clocks import PartitionClocks
from sources.committer import OffsetCommitter
from sources.fetcher import Fetcher
from sources.health import KafkaHealth
from sources.monitor import KafkaMonitor
from sources.offsets import committed_offsets
from sources.queues import Allowance, BatchLimits, Queues
from sources.state import Offsets, SourceState
from sources.waiting import WaitingTopics
from tocsin.errors import StateError
from tocsin.model import topics
from tocsin.model.raw import RawRecord

_log = logging.getLogger("tocsin.kafka")
_UNLIMITED = 1 << 30


def unlimited(_topic: str) -> int:
    """Allow everything: the allowance of a process without credits."""
    return _UNLIMITED


def _is_gate_input(topic: str) -> bool:
    return topic in topics.GATE_INPUTS or topics.is_declared(topic)


class KafkaConsumer:
    """Reads all topics of a process and hands out batches.

    Offsets come from the source's resume state. An offset that its topic does not hold is an error, never a
    jump. Records of one partition keep their order. Only the worker's thread may call the methods; other
    threads may read `paused`, `health.sentences` and `gaps.sentences`, and use `monitor`.

    Args:
        policy: topics, partitions and librdkafka's options.
        allowance: how many records of a topic the flow can take now.
        limits: sizes of batches and buffers.

    Attributes:
        clocks: time of each partition; part of the resume state.
        acks: receives the finished records of `policy.acked` topics.
        health: what Kafka complains about.
        gaps: records that retention deleted unread.
        monitor: lag, and checks whether problems are over.
        assignment: cursor, fetch gate and pause of each topic partition.
        queues: records that were fetched and not handed out.
        waiting: declared topics that wait for a schema.

    Raises:
        KafkaException: librdkafka refuses an option.
    """

    def __init__(
        self,
        policy: ConsumerPolicy,
        *,
        allowance: Allowance = unlimited,
        limits: BatchLimits | None = None,
    ) -> None:
        self.clocks = PartitionClocks()
        self.acks = AckTracker()
        self.assignment = Assignment(policy)
        self.health = KafkaHealth(self.assignment.names)
        self.queues = Queues(policy.topics, self._allowed, limits or BatchLimits())
        self._policy = policy
        self._allowance = allowance
        self._gate_inputs = [name for name in policy.topics if _is_gate_input(name)]
        self._read_first = [name for name in topics.READ_FIRST if name in policy.topics]
        self._loading: set[int] = set()
        self._refusal = ""
        self._undeclared: Offsets = {}
        self.waiting = WaitingTopics()
        self._committer = OffsetCommitter(policy, self.health)
        self._client = Consumer(
            consumer_config(policy),
            error_cb=self.health.on_error,
            on_commit=self._committer.on_commit,
            logger=_log,
        )
        self._fetcher = Fetcher(self._client, policy, self.assignment, self.queues, self.health)
        self.gaps = self._fetcher.gaps
        self.monitor = KafkaMonitor(self._client, policy, self.assignment, self.health)

    @property
    def paused(self) -> dict[tuple[str, int], str]:
        """Return topic partitions that are not read, each with a sentence."""
        return self.assignment.paused

    @property
    def loading(self) -> bool:
        """Tell whether compacted topics are still read to where they ended at the first start."""
        return bool(self._loading)

    def start(
        self,
        resume: SourceState | None,
        *,
        accept_bad: bool = False,
        forget: frozenset[str] = frozenset(),
    ) -> None:
        """Assign all partitions at the offsets of the resume state; on a first start, at the beginning.

        Args:
            resume: state of the last durable epoch; None on a first start.
            accept_bad: read partitions again that decode errors had paused.
            forget: topics to read from their oldest record, whatever the state says.

        Raises:
            StateError: there is no state, but the group has committed offsets of gate inputs.
            SourceError: Kafka does not answer or refuses.
        """
        state = self._first_state() if resume is None else resume
        self.clocks.restore(state.clocks)
        self._loading = set(state.loading)
        self._undeclared = {
            topic: offsets
            for topic, offsets in state.offsets.items()
            if topics.is_declared(topic) and topic not in self.assignment.cursors
        }
        self.assignment.begin(self._starts(state, forget), {} if accept_bad else state.paused)
        self._client.assign(self.assignment.starts())
        if closed := self.assignment.closed_places():
            self._client.pause(closed)

    def _first_state(self) -> SourceState:
        committed = self._committed(self._gate_inputs)
        if read := {place: offset for place, offset in committed.items() if offset > 0}:
            topic, partition = min(read)
            msg = (
                f"the state directory is empty, but group {self._policy.group_id} has read"
                f" {topic}/{partition} up to {read[topic, partition]}: decisions would be made twice."
                " Restore the state directory, or run `tocsin offsets forget` to begin anew"
            )
            raise StateError(msg)
        loading = self._policy.partitions if self._read_first else ()
        return SourceState(0, {}, {}, {}, loading)

    def _starts(self, state: SourceState, forget: frozenset[str]) -> dict[tuple[str, int], int]:
        """Take each offset from the state or, of acked topics, from the group if that is further.

        Another flow may have finished records of acked topics. Committed records are also published
        (`OffsetCommitter.durable`), so none is lost that only this state would read again.
        """
        known = {
            (topic, p): offset
            for topic, offsets in state.offsets.items()
            if topic not in forget
            for p, offset in offsets.items()
        }
        for place, offset in self._committed(self._policy.acked - forget).items():
            known[place] = max(offset, known.get(place, BEGINNING))
        return known

    def _committed(self, wanted: "frozenset[str] | list[str]") -> dict[tuple[str, int], int]:
        policy = self._policy
        names = {policy.full_name(name): name for name in wanted}
        partitions = {full: policy.partitions_of(name) for full, name in names.items()}
        return committed_offsets(self._client, names, partitions) if names else {}

    def _allowed(self, topic: str) -> int:
        if self._loading and topic not in self._read_first and _is_gate_input(topic):
            return 0
        if self.waiting.must_wait(topic, time.monotonic()):
            return 0
        return self._allowance(topic)

    @property
    def held_back(self) -> bool:
        """Whether records are buffered. After an empty `take` the flow has no room for any of them."""
        return len(self.queues) > 0

    def take(self) -> list[RawRecord]:
        """Fetch what has come and hand out the next batch; never blocks.

        Raises:
            StateError: a topic of the gate does not hold the next offset any more, or the state was refused.
            SourceError: the consumer cannot go on.
        """
        if self._refusal:
            raise StateError(self._refusal)
        now_s = time.monotonic()
        self.waiting.expire(now_s)
        self._fetcher.poll(now_s)
        batch = self.queues.take()
        acked, cursors = self._policy.acked, self.assignment.cursors
        for record in batch:
            cursors[record.topic][record.partition].position = record.offset + 1
            if record.topic in acked:
                self.acks.read(record.topic, record.partition, record.offset)
        if self._loading:
            self._note_loaded()
        return batch

    def _note_loaded(self) -> None:
        at_end = self.assignment.at_end
        self._loading = {p for p in self._loading if not all(at_end(name, p) for name in self._read_first)}

    def pause(self, topic: str, partition: int, sentence: str) -> None:
        """Stop reading a partition until a start with `accept_bad`; its buffered records are dropped."""
        if (topic, partition) in self.paused:
            return
        self.assignment.pause(topic, partition, sentence)
        self.queues.drop(topic, partition)
        self._client.pause(self.assignment.places(topic, [partition]))

    def refuse(self, sentence: str) -> None:
        """Make the next `take` raise `StateError`; from any thread."""
        self._refusal = sentence

    def put_back(self, records: Sequence[RawRecord], sentence: str) -> None:
        """Take back records of one topic that cannot be decoded yet. The topic waits for a moment.

        Must be called before the next `take` or `state`: the records count as not read.

        Args:
            records: the last of the topic that were handed out, in their order.
            sentence: what it waits for, for `/healthz`.
        """
        topic = records[0].topic
        cursors = self.assignment.cursors[topic]
        for record in reversed(records):
            cursors[record.partition].position = record.offset
        kept = [record for record in records if (topic, record.partition) not in self.paused]
        self.queues.put_back(topic, kept)
        self.waiting.put_back(topic, sentence, time.monotonic())

    def caught_up(self, partition: int) -> bool:
        """Tell whether every gate input of a partition is handed out up to its last known end.

        A topic that waits for a schema does not count: timers go on, as beside a paused partition.
        """
        waiting = self.waiting.sentences
        return all(name in waiting or self.assignment.at_end(name, partition) for name in self._gate_inputs)

    def state(self, epoch: int) -> SourceState:
        """Return the resume state as of now, for the end of epoch number `epoch`."""
        cursors = self.assignment.cursors
        return SourceState(
            epoch,
            self._undeclared | {name: {p: self._low(name, p) for p in cursors[name]} for name in cursors},
            self.clocks.closing(),
            dict(self.paused),
            tuple(sorted(self._loading)),
        )

    def _low(self, topic: str, partition: int) -> int:
        low = self.acks.low(topic, partition) if topic in self._policy.acked else None
        cursor = self.assignment.cursors[topic][partition]
        read = cursor.next()
        return read if low is None or low > cursor.arrived else low

    def durable(self, state: SourceState) -> None:
        """Note that the epoch that ended with `state` is durable: a crash cannot take its times back."""
        self.clocks.durable()
        self._committer.durable(self._client, state, time.monotonic())

    def commit(self, state: SourceState, *, wait: bool) -> None:
        """Commit offsets of a state whose records are published to the group, those that changed."""
        self._committer.commit(self._client, state, wait=wait)

    def close(self) -> None:
        """Close the connection; a second call does nothing."""
        if self.monitor.close():
            self._client.close()

"""Fetches records from librdkafka into the queues, no more than the queues want."""

from typing import Any, NoReturn

from confluent_kafka import Consumer, KafkaError, KafkaException

from sources.assignment import Assignment
from sources.client import BEGINNING, ConsumerPolicy
from sources.errors import EOF, is_out_of_range
from sources.health import KafkaHealth
from sources.queues import Queues
from sources.retention import RetentionGaps
from tocsin.errors import StateError
from tocsin.model.raw import RawRecord

_NO_TIMESTAMP = 0


class Fetcher:
    """Polls librdkafka and sorts what it delivers: records, ends of partitions, errors.

    Args:
        client: librdkafka's consumer.
        policy: configuration of the process's consumer.
        assignment: the topic partitions to read.
        queues: receive the records.
        health: receives the errors.
    """

    def __init__(
        self,
        client: Consumer,
        policy: ConsumerPolicy,
        assignment: Assignment,
        queues: Queues,
        health: KafkaHealth,
    ) -> None:
        self.gaps = RetentionGaps()
        self._client = client
        self._policy = policy
        self._assignment = assignment
        self._queues = queues
        self._health = health
        self._next_poll_s = 0.0

    def poll(self, now_s: float) -> None:
        """Open and close fetch gates, then take over what librdkafka has; never blocks.

        Args:
            now_s: present time of a monotonic clock.

        Raises:
            StateError: a topic of the gate does not hold the next offset any more.
            SourceError: the consumer cannot go on.
        """
        self._turn_gates(now_s)
        if now_s < self._next_poll_s or not self._queues.wants_more():
            return
        self._next_poll_s = now_s + self._policy.poll_s
        try:
            messages = self._client.consume(self._policy.poll_records, 0)
        except KafkaException as failure:
            self._health.on_error(failure.args[0])
        else:
            self._sort(messages)

    def _turn_gates(self, now_s: float) -> None:
        assignment = self._assignment
        for topic in self._queues.full():
            if closing := assignment.gates[topic].close():
                self._client.pause(assignment.places(topic, closing))
                for partition in closing:
                    assignment.cursors[topic][partition].forget_end()
        for topic, gate in assignment.gates.items():
            if gate.closed and self._queues.hungry(topic) and (opening := gate.open_next(now_s)):
                self._client.resume(assignment.places(topic, opening))

    def _sort(self, messages: list[Any]) -> None:
        assignment, puts = self._assignment, self._queues.puts
        names, cursors, paused = assignment.names, assignment.cursors, assignment.paused
        watched = bool(self._health.sentences or self.gaps)
        for message in messages:
            error = message.error()
            if error is not None:
                self._on_message_error(message, error)
                continue
            topic, partition, offset = names[message.topic()], message.partition(), message.offset()
            if watched:
                self._answered(topic, partition, offset)
            if (topic, partition) in paused:
                continue
            cursors[topic][partition].arrived = offset
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

    def _on_message_error(self, message: Any, error: KafkaError) -> None:
        topic, partition = self._assignment.names.get(message.topic() or "", ""), message.partition()
        if error.code() == EOF:
            self._assignment.cursors[topic][partition].end = message.offset()
            self._answered(topic, partition, message.offset())
        elif is_out_of_range(error):
            self._out_of_range(topic, partition)
        else:
            self._health.on_error(error, topic, partition)

    def _answered(self, topic: str, partition: int, offset: int) -> None:
        self._health.answered(topic, partition)
        if not self.gaps.end(topic, partition, offset):
            self._refuse_offset(topic, partition)

    def _out_of_range(self, topic: str, partition: int) -> None:
        if topic not in self._policy.acked:
            self._refuse_offset(topic, partition)
        self._skip_gap(topic, partition)

    def _skip_gap(self, topic: str, partition: int) -> None:
        """Go on at the oldest record left: no decision rests on the deleted ones, and other topics wait."""
        cursor = self._assignment.cursors[topic][partition]
        self.gaps.begin(topic, partition, max(cursor.arrived + 1, cursor.peek()))
        places = self._assignment.places(topic, [partition])
        self._client.incremental_unassign(places)
        places[0].offset = BEGINNING
        self._client.incremental_assign(places)
        if partition in self._assignment.gates[topic].closed:
            self._client.pause(places)

    def _refuse_offset(self, topic: str, partition: int) -> NoReturn:
        offset = self._assignment.cursors[topic][partition].next()
        msg = (
            f"{topic}/{partition}: offset {offset} is not in the topic: retention deleted what was not"
            " read yet, or the topic was created anew. Restore the topic, or begin anew: stop all shards,"
            " remove their state, and run `tocsin offsets forget`"
        )
        raise StateError(msg)

"""Kafka out: what an epoch decided, published at once and confirmed before the next epoch may close.

A record too large for its topic cannot be helped by trying again, and must not stop the shard for ever: it
becomes a dead letter of stage `publish`, reason `too_large`, with its bytes; should those not fit there
either, without. A message that ends so has an outcome, and its places in limits come back. Events are limited
long before (`EventLimits.max_bytes`), so this is the last resort.
"""

import logging
import time
from collections import deque
from collections.abc import Sequence
from contextlib import suppress
from functools import partial
from typing import Any

import msgspec
from confluent_kafka import KafkaError, KafkaException, Producer

from tocsin.delivery import records
from tocsin.delivery.records import ProviderCall
from tocsin.errors import SinkError
from tocsin.formats.codec import decode_message
from tocsin.formats.dead_letters import dead_letter
from tocsin.model import topics
from tocsin.model.raw import OutRecord, RawRecord
from tocsin.model.statuses import Reason, Status

_log = logging.getLogger("tocsin.kafka")
# Full batches stay well under a topic's default limit of 1 MiB, so only a single record can be too large.
_BATCH_BYTES = 500_000
_FLUSH_S = 0.5
_CONNECT_S = 5.0
_QUEUE_FULL: int = KafkaError._QUEUE_FULL  # noqa: SLF001 -- librdkafka's name
_TOO_LARGE = frozenset({KafkaError.MSG_SIZE_TOO_LARGE, KafkaError.RECORD_LIST_TOO_LARGE})

_DEFAULTS: dict[str, str | int | bool] = {
    "enable.idempotence": True,
    "acks": "all",
    "partitioner": "murmur2_random",
    "compression.type": "lz4",
    "linger.ms": 1,
    "batch.size": _BATCH_BYTES,
    "message.max.bytes": 8_388_608,
    "queue.buffering.max.messages": 1_000_000,
    "queue.buffering.max.kbytes": 262_144,
    # Kafka away is waited out; who confirms decides for how long.
    "message.timeout.ms": 0,
    "reconnect.backoff.max.ms": 1_000,
    # A failure calls back, a success does not: `flush() == 0` and no failure prove it, at half the cost.
    "delivery.report.only.error": True,
    "allow.auto.create.topics": False,
}


class PublisherPolicy(msgspec.Struct, frozen=True):
    """Where records go.

    Attributes:
        bootstrap: Kafka bootstrap servers.
        prefix: prefix of every topic.
        options: further librdkafka options; they win over Tocsin's own.
    """

    bootstrap: str
    prefix: str
    options: dict[str, str] = {}


class KafkaPublisher:
    """Publishes `OutRecord`s: idempotent producer, acks from all replicas, each failure noticed.

    Records of one topic and partition arrive in the order they are given, across calls, and once as long as
    the process lives; `confirm` returns only when every one is acknowledged.
    """

    def __init__(self, policy: PublisherPolicy) -> None:
        ours = {"bootstrap.servers": policy.bootstrap}
        self._producer = Producer({**_DEFAULTS, **ours, **policy.options}, logger=_log)
        self._prefix = policy.prefix
        self._backlog: deque[list[OutRecord]] = deque()
        self._oversized: list[OutRecord] = []
        self._fault = ""

    def connect(self) -> None:
        """Connect to Kafka before the first epoch ends, so that the epoch after it waits for nothing.

        An idempotent producer asks for its id once a broker answers. If none does when it is made, it asks
        again after 0.5 s, and records wait for that. An answer that comes within a millisecond or two can be
        too early for it as well, in a quarter of all starts. A second one never was.
        Where Kafka is away, `confirm` waits and tells.
        """
        with suppress(KafkaException):
            for _ in range(2):
                self._producer.list_topics(self._prefix + topics.OUTCOMES, _CONNECT_S)

    def publish(self, records: Sequence[OutRecord]) -> None:
        """Start sending; what the producer's queue has no room for is sent by `confirm`."""
        groups: dict[tuple[str, int], list[OutRecord]] = {}
        for record in records:
            groups.setdefault((record.topic, record.partition), []).append(record)
        self._backlog.extend(groups.values())
        self._work_off()
        self._producer.poll(0)

    def confirm(self, timeout_s: float) -> None:
        """Wait until all that was started is acknowledged.

        Raises:
            SinkError: something is not, by then or for ever; the text names topic and error, no content.
        """
        deadline_s = time.monotonic() + timeout_s
        while True:
            self._work_off()
            left_s = deadline_s - time.monotonic()
            waiting = self._producer.flush(max(0.0, min(_FLUSH_S, left_s)))
            self._dead_letter_oversized()
            if self._fault:
                raise SinkError(self._fault)
            if not (waiting or self._backlog):
                return
            if left_s <= 0:
                count = waiting + sum(map(len, self._backlog))
                msg = f"{count} records not acknowledged within {timeout_s:g} s; is Kafka up and in sync?"
                raise SinkError(msg)

    def _work_off(self) -> None:
        while self._backlog and not self._fault:
            records = self._backlog.popleft()
            batched = not any(record.headers for record in records)
            rest = self._send_batch(records) if batched else self._send_each(records)
            if rest:
                self._backlog.appendleft(rest)
                return

    def _send_batch(self, records: list[OutRecord]) -> list[OutRecord]:
        """Queue records of one partition, without headers; return those that found no room.

        `produce_batch` ignores a partition given per message, so a call serves one partition.
        """
        topic, partition = records[0].topic, records[0].partition
        messages: list[dict[str, Any]] = [{"key": record.key, "value": record.value} for record in records]
        queued = self._producer.produce_batch(
            self._prefix + topic, messages, partition=partition, on_delivery=self._on_delivery
        )
        if queued == len(messages):
            return []
        rest = []
        for record, message in zip(records, messages, strict=True):
            error = message.get("_error")
            if error is not None and error.code() == _QUEUE_FULL:
                rest.append(record)
            elif error is not None:
                self._on_failure(record, error)
        return rest

    def _send_each(self, records: list[OutRecord]) -> list[OutRecord]:
        """Queue records with headers; return those that found no room."""
        for at, record in enumerate(records):
            try:
                self._producer.produce(
                    self._prefix + record.topic,
                    value=record.value,
                    key=record.key,
                    partition=record.partition,
                    headers=list(record.headers),
                    on_delivery=partial(self._on_marked, record),
                )
            except BufferError:
                return records[at:]
            except KafkaException as failure:
                self._on_failure(record, failure.args[0])
        return []

    def _on_delivery(self, error: KafkaError | None, message: Any) -> None:
        if error is not None:
            topic = message.topic().removeprefix(self._prefix)
            self._on_failure(OutRecord(topic, message.partition(), message.key(), message.value()), error)

    def _on_marked(self, record: OutRecord, error: KafkaError | None, _message: object) -> None:
        """Learn about a record with headers: what librdkafka reports has lost them."""
        if error is not None:
            self._on_failure(record, error)

    def _on_failure(self, record: OutRecord, error: KafkaError) -> None:
        size = len(record.value or b"") + len(record.key or b"")
        if error.code() in _TOO_LARGE and size > _BATCH_BYTES:
            self._oversized.append(record)
        elif not self._fault:
            cure = f"; the topic's max.message.bytes must be over {_BATCH_BYTES}"
            hint = cure if error.code() in _TOO_LARGE else ""
            self._fault = f"{record.topic}/{record.partition}: not acknowledged ({error.name()}){hint}"

    def _dead_letter_oversized(self) -> None:
        oversized, self._oversized = self._oversized, []
        self._backlog.extend([made] for record in oversized for made in (_too_large(record), *_ended(record)))


def _too_large(record: OutRecord) -> OutRecord:
    """Make the dead letter of a record that is too large; without its value if it was one already."""
    value = None if record.topic == topics.DEAD else record.value
    raw = RawRecord(record.topic, record.partition, -1, 0, record.key, value, record.headers)
    text = f"value: {len(record.value or b'')} bytes do not fit topic {record.topic}; send smaller data"
    return dead_letter(raw, "publish", Reason.TOO_LARGE, text)


def _ended(record: OutRecord) -> list[OutRecord]:
    """Write the outcome of a message that is too large, and the receipt that gives its slots back.

    Its time is that of the decision: a copy after a crash is equal byte for byte.
    """
    if not topics.channel_of(record.topic):
        return []
    raw = RawRecord(record.topic, record.partition, -1, 0, record.key, record.value, record.headers)
    message = decode_message(raw)
    call = ProviderCall(message.decided_ms)
    line = records.outcome(message, Status.DEAD, Reason.TOO_LARGE, message.attempt, call)
    return records.expand(raw, message, (line, *records.failed(message, Reason.TOO_LARGE, call)))

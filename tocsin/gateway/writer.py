"""Records to Kafka: a handler awaits until all replicas have its record.

One producer a process. The event loop itself polls librdkafka, each millisecond while somebody waits: so a
request waits for no `flush()` of others. A thread that polls would cost more: it and the loop would wait for
each other's turn at every acknowledgement.
"""

import asyncio
import logging
import time
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any, NamedTuple

import msgspec
from confluent_kafka import KafkaError, KafkaException

from tocsin.gateway.lasting_producer import LastingProducer
from tocsin.gateway.problems import Problem, not_ready

_log = logging.getLogger("tocsin.kafka")
_POLL_S = 0.001
_IDLE_POLL_S = 0.1
_FLUSH_S = 10.0
_AGAIN_S = 2
_PROBING = 16
"""Requests that wait while Kafka is away, to see when it comes back; others are refused at once."""
_AWAY = "Kafka did not acknowledge the record: nothing is promised; send it again"
_TOO_LARGE = frozenset({KafkaError.MSG_SIZE_TOO_LARGE, KafkaError.RECORD_LIST_TOO_LARGE})
_DEFAULTS: dict[str, object] = {
    "enable.idempotence": True,
    "acks": "all",
    # Of a key as every other producer of Tocsin finds it (`sources.partitioner`).
    "partitioner": "murmur2_random",
    "compression.type": "lz4",
    "linger.ms": 1,
    "message.max.bytes": 8_388_608,
    "queue.buffering.max.messages": 200_000,
    "queue.buffering.max.kbytes": 131_072,
    "reconnect.backoff.max.ms": 1_000,
    "allow.auto.create.topics": False,
}


class Record(NamedTuple):
    """A record to write.

    Attributes:
        topic: without the prefix.
        key: `tenant/user`: its hash is the partition.
        value: None erases, in a compacted topic.
        headers: headers of the record.
        partition: its partition; -1 for that of the key.
    """

    topic: str
    key: bytes
    value: bytes | None
    headers: tuple[tuple[str, bytes], ...] = ()
    partition: int = -1


class Placed(NamedTuple):
    """Where an acknowledged record is."""

    partition: int
    offset: int


class Failure(NamedTuple):
    """Why a record is not acknowledged.

    Attributes:
        problem: what to answer.
        final: writing it again cannot help.
    """

    problem: Problem
    final: bool


class WriterPolicy(msgspec.Struct, frozen=True):
    """Where records go.

    Attributes:
        bootstrap: Kafka bootstrap servers.
        prefix: prefix of every topic.
        options: further librdkafka options; they win over Tocsin's own.
        timeout_s: how long to wait for an acknowledgement before a record counts as not written.
    """

    bootstrap: str
    prefix: str
    options: Mapping[str, str] = {}
    timeout_s: float = 5.0


_Result = Placed | Failure


class _Batch:
    """Records that one caller waits for. Only the event loop touches it."""

    __slots__ = ("done", "left", "results")

    def __init__(self, done: "asyncio.Future[None]", size: int) -> None:
        self.done = done
        self.left = size
        self.results: list[_Result | None] = [None] * size

    def note(self, number: int, result: _Result) -> None:
        """Note the result of one record; the last one wakes the caller."""
        self.results[number] = result
        self.left -= 1
        if not self.left and not self.done.done():
            self.done.set_result(None)


class Writer:
    """Writes records: idempotent producer, acks from all replicas.

    A record that failed may yet be in Kafka: the acknowledgement may have been lost. So whoever repeats a
    request must write the same event id.
    """

    def __init__(self, policy: WriterPolicy) -> None:
        ours = {
            "bootstrap.servers": policy.bootstrap,
            "message.timeout.ms": int(policy.timeout_s * 1_000),
        }
        self._config = {**_DEFAULTS, **ours, **policy.options}
        self._prefix = policy.prefix
        self._waiting = 0
        self._done: list[tuple[_Batch, int, _Result]] = []
        self._failed_s = 0.0
        self._acked_s = 0.0
        self.written = 0
        self.failed = 0
        self._loop: asyncio.AbstractEventLoop
        self._producer: LastingProducer
        self._next_poll: asyncio.TimerHandle

    def start(self) -> None:
        """Begin, on the running event loop."""
        self._loop = asyncio.get_running_loop()
        self._producer = LastingProducer(self._config)
        self._next_poll = self._loop.call_later(_IDLE_POLL_S, self._poll)

    async def write(self, record: Record) -> Placed:
        """Write one record, and wait until all replicas have it.

        Raises:
            Problem: 503 with Retry-After if Kafka does not take it, 413 if it is too large for its topic.
        """
        (result,) = await self.write_all((record,))
        if isinstance(result, Failure):
            raise result.problem
        return result

    async def write_all(self, records: Sequence[Record]) -> list[_Result]:
        """Write records, and wait for all of them; the results in the order of the records."""
        if self.is_away and self._waiting >= _PROBING:
            return [Failure(not_ready(_AWAY, _AGAIN_S), final=False)] * len(records)
        if not records:
            return []
        batch = _Batch(self._loop.create_future(), len(records))
        self._waiting += 1
        if self._waiting == 1:
            self._next_poll.cancel()
            self._next_poll = self._loop.call_later(_POLL_S, self._poll)
        try:
            for number, record in enumerate(records):
                if (failure := self._start(batch, number, record)) is not None:
                    batch.note(number, failure)
            await batch.done
        finally:
            self._waiting -= 1
        return [result for result in batch.results if result is not None]

    def _start(self, batch: _Batch, number: int, record: Record) -> Failure | None:
        """Give one record to librdkafka; a failure if it takes none."""
        try:
            self._producer.produce(
                self._prefix + record.topic,
                value=record.value,
                key=record.key,
                headers=list(record.headers) or None,
                partition=record.partition,
                on_delivery=partial(self._on_delivery, batch, number),
            )
        except BufferError:
            return Failure(not_ready("Kafka does not keep up: send it again", _AGAIN_S), final=False)
        except KafkaException as error:
            return self._failure(error.args[0])
        return None

    def _on_delivery(self, batch: _Batch, number: int, error: KafkaError | None, message: Any) -> None:
        """Note a result; called within `poll` and `flush`."""
        result = Placed(message.partition(), message.offset()) if error is None else self._failure(error)
        self._done.append((batch, number, result))

    def _failure(self, error: KafkaError) -> Failure:
        if error.code() in _TOO_LARGE:
            return Failure(Problem(413, "Kafka's topic takes no record of this size: send less data"), True)
        _log.warning("a record was not acknowledged: %s", error.name())
        return Failure(
            not_ready(_AWAY, _AGAIN_S),
            final=False,
        )

    def _poll(self) -> None:
        """Take what librdkafka has, and do so again; soon, if anybody waits."""
        self._producer.poll()
        self._resolve()
        self._next_poll = self._loop.call_later(_POLL_S if self._waiting else _IDLE_POLL_S, self._poll)

    def _resolve(self) -> None:
        if not self._done:
            return
        done, self._done = self._done, []
        now_s = time.monotonic()
        for batch, number, result in done:
            if isinstance(result, Failure):
                self.failed += 1
                self._failed_s = now_s
            else:
                self.written += 1
                self._acked_s = now_s
            batch.note(number, result)

    @property
    def replaced(self) -> int:
        """Count the producers that had to be replaced."""
        return self._producer.replaced

    @property
    def is_away(self) -> bool:
        """Tell whether the last result was a failure."""
        return self._failed_s > self._acked_s

    async def close(self) -> None:
        """Wait for what is in flight, then stop."""
        self._next_poll.cancel()
        await asyncio.to_thread(self._producer.flush, _FLUSH_S)
        self._next_poll.cancel()
        self._resolve()

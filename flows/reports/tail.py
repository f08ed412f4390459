"""Reads the outcomes from given offsets, without a consumer group; calls wait on threads of their own."""

import asyncio
import logging
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any, NamedTuple, TypeVar

import msgspec
from confluent_kafka import Consumer, KafkaException, TopicPartition

from sources.client import reader_config, take
from sources.errors import EOF
from tocsin.errors import DecodeError, SourceError
from tocsin.formats.codec import decode_outcome
from tocsin.model import topics
from tocsin.model.outcome import Outcome
from tocsin.model.raw import RawRecord

T = TypeVar("T")
_log = logging.getLogger("tocsin.kafka")
_ASK_S = 15.0
_BATCH = 500


class TailPolicy(msgspec.Struct, frozen=True):
    """Which outcomes are read.

    Attributes:
        bootstrap: Kafka bootstrap servers.
        prefix: prefix of the topics.
        partitions: those of this shard.
        options: further librdkafka options.
    """

    bootstrap: str
    prefix: str
    partitions: tuple[int, ...]
    options: Mapping[str, str] = {}


class Line(NamedTuple):
    """One record, or an end of a partition (without a value); `tenant` is that of its key."""

    partition: int
    offset: int
    timestamp_ms: int
    tenant: str
    value: bytes | None

    def outcome(self) -> Outcome | None:
        """Decode it; None if it is no outcome."""
        try:
            return decode_outcome(RawRecord(topics.OUTCOMES, 0, 0, 0, None, self.value or b"", ()))
        except DecodeError:
            return None


class Tail:
    """One consumer. Open it with `opened`.

    Raises (from every method):
        SourceError: Kafka does not answer.
    """

    def __init__(self, policy: TailPolicy, threads: ThreadPoolExecutor) -> None:
        self._policy = policy
        self._threads = threads
        self._topic = policy.prefix + topics.OUTCOMES
        options = {"queued.max.messages.kbytes": "8192", **policy.options}
        config = reader_config(policy.bootstrap, f"{policy.prefix}reports", options)
        self._consumer = Consumer(config, logger=_log)

    async def ends(self) -> dict[int, int]:
        """Return the end of each partition."""
        return {partition: (await self._bounds(partition))[1] for partition in self._policy.partitions}

    async def at(self, partition: int, from_ms: int) -> int:
        """Return the first offset at or after a time; earlier records may follow it."""
        place = TopicPartition(self._topic, partition, max(0, from_ms))  # a time below 0 is no time to Kafka
        found = await self._ask(lambda: self._consumer.offsets_for_times([place], timeout=_ASK_S))
        low, high = await self._bounds(partition)
        return high if found[0].offset < 0 else min(max(low, found[0].offset), high)

    async def _bounds(self, partition: int) -> tuple[int, int]:
        place = TopicPartition(self._topic, partition)
        found: tuple[int, int] = await self._ask(
            lambda: self._consumer.get_watermark_offsets(place, timeout=_ASK_S)
        )
        return found

    async def start(self, offsets: Mapping[int, int]) -> None:
        """Read from these offsets on."""
        places = [TopicPartition(self._topic, partition, at) for partition, at in offsets.items()]
        await self._ask(lambda: self._consumer.assign(places))

    async def read(self, wait_s: float) -> list[Line]:
        """Return the next records, and the ends of partitions that were reached."""
        found = await self._ask(lambda: take(self._consumer, _BATCH, wait_s))
        return list(_lines(found))

    async def close(self) -> None:
        """Close the connections."""
        await self._ask(self._consumer.close)

    async def _ask(self, ask: Callable[[], T]) -> T:
        try:
            return await asyncio.get_running_loop().run_in_executor(self._threads, ask)
        except KafkaException as error:
            msg = f"Kafka does not answer: {error.args[0].str()}"
            raise SourceError(msg) from error


def _lines(messages: Iterable[Any]) -> Iterable[Line]:
    for message in messages:
        error = message.error()
        if error is None:
            tenant = (message.key() or b"").split(b"/", 1)[0].decode("utf-8", "replace")
            at_ms = message.timestamp()[1]
            yield Line(message.partition(), message.offset(), at_ms, tenant, message.value() or b"")
        elif error.code() == EOF:
            yield Line(message.partition(), message.offset(), 0, "", None)
        else:
            _log.warning("reading the outcomes: %s", error.name())

"""Feeds the view of profiles from Kafka: one process at a time, by a lease in Redis; the others stand by.

A process that dies is followed within seconds. Until then the view lacks what others write to the topic, but
nothing that was written through the gateway.
"""

import asyncio
import contextlib
import logging
import secrets
from collections.abc import Callable
from typing import Any, Final

from confluent_kafka import Consumer, KafkaError, KafkaException, TopicPartition

from sources.client import reader_config, take
from sources.reader import silent_logger
from sources.records import is_end, raw_record
from tocsin.app.settings import Settings
from tocsin.gateway.people.changing import passed
from tocsin.gateway.people.feeding import TOPICS, DisplacedError, Feeding
from tocsin.gateway.people.view import AWAY, ProfileView
from tocsin.model.raw import RawRecord
from tocsin.model.topics import full_name

_log = logging.getLogger("tocsin.gateway")
LEASE_MS: Final = 6_000
_AGAIN_S: Final = 1.0
_POLL_S: Final = 0.2
_BATCH: Final = 500
_ASK_S: Final = 5.0


class Feeder:
    """Reads `profiles` and `subscriptions` into the view for as long as this process has the lease.

    Args:
        settings: of the gateway.
        view: the view.
        clock_ms: the wall clock.
        stop: set to end it. It is not cancelled: a thread may be in a call of its consumer.
    """

    def __init__(
        self, settings: Settings, view: ProfileView, clock_ms: Callable[[], int], stop: asyncio.Event
    ) -> None:
        self._settings = settings
        self._view = view
        self._clock_ms = clock_ms
        self._stop = stop
        self._said = ""
        self._name = secrets.token_hex(8)
        self._names = {full_name(settings.topic_prefix, topic): topic for topic in TOPICS}

    async def run(self) -> None:
        """Feed whenever the lease is ours; failures are logged and tried again."""
        while not self._stop.is_set():
            await self._try()
            await passed(self._stop, _AGAIN_S)
        with contextlib.suppress(AWAY):
            await self._view.rest(self._name)

    async def _try(self) -> None:
        try:
            if await self._view.feeds(self._name, LEASE_MS):
                await self._feed()
        except (AWAY, KafkaException, DisplacedError) as failure:
            self._say(_said(failure))
        else:
            self._said = ""

    def _say(self, what: str) -> None:
        """Log a fault once, until there is another."""
        if what != self._said:
            _log.warning("the view of profiles is not fed: %s", what)
        self._said = what

    async def _feed(self) -> None:
        consumer = await asyncio.to_thread(self._consumer)
        try:
            await self._follow(consumer)
        finally:
            await asyncio.to_thread(consumer.close)

    def _consumer(self) -> Any:
        group, options = f"{self._settings.topic_prefix}gateway-view", self._settings.kafka_options
        return Consumer(reader_config(self._settings.kafka, group, options), logger=silent_logger())

    async def _follow(self, consumer: Any) -> None:
        """Read from where the view is; say that it is complete once all partitions were read to their end."""
        offsets = await self._view.offsets()
        unread = await asyncio.to_thread(self._assign, consumer, offsets)
        feeding = Feeding(self._view, self._settings.partitions, offsets)
        ready, renewed_ms = False, self._clock_ms()
        while not self._stop.is_set():
            got = await asyncio.to_thread(_poll, consumer)
            now_ms = self._clock_ms()
            if records := [self._record(message) for message in got if message.error() is None]:
                await feeding.take(records, now_ms)
            unread -= {_place(message) for message in got if is_end(message)}
            if not unread and not ready:
                if not await self._view.set_ready(feeding.offsets):
                    raise DisplacedError
                ready = True
            if now_ms - renewed_ms > LEASE_MS // 3:
                await self._renew(ready=ready)
                renewed_ms = now_ms

    async def _renew(self, *, ready: bool) -> None:
        if not await self._view.feeds(self._name, LEASE_MS):
            raise DisplacedError
        if ready and not await self._view.is_ready():
            raise DisplacedError

    def _assign(self, consumer: Any, offsets: dict[str, int]) -> set[tuple[str, int]]:
        """Begin to read; returns all partitions."""
        found = []
        for full, topic in self._names.items():
            there = consumer.list_topics(full, timeout=_ASK_S).topics[full]
            if there.error is not None:
                raise KafkaException(there.error)
            for partition in there.partitions:
                place = TopicPartition(full, partition)
                low, high = consumer.get_watermark_offsets(place, timeout=_ASK_S)
                at = offsets.get(f"{topic}/{partition}", 0)
                found.append(TopicPartition(full, partition, min(max(at, low), high)))
        consumer.assign(found)
        return {(place.topic, place.partition) for place in found}

    def _record(self, message: Any) -> RawRecord:
        return raw_record(self._names[message.topic()], message)


def _said(failure: Exception) -> str:
    """Name a fault without its text, which may hold an address."""
    about = failure.args[0] if isinstance(failure, KafkaException) and failure.args else None
    named = f" ({about.name()})" if isinstance(about, KafkaError) else ""
    cure = ": does `tocsin topics create` have to run?" if "UNKNOWN_TOPIC" in named else ""
    return f"{type(failure).__name__}{named}{cure}"


def _poll(consumer: Any) -> list[Any]:
    got = take(consumer, _BATCH, _POLL_S)
    for message in got:
        error = message.error()
        if error is not None and not is_end(message) and not error.retriable():
            raise KafkaException(error)
    return got


def _place(message: Any) -> tuple[str, int]:
    return message.topic(), message.partition()

"""A producer of librdkafka that is replaced where librdkafka has ended it for good.

An idempotent producer ends so where a broker and it no longer agree on the order of its records, as after a
broker lost its state. `poll` then raises, and every record that it is given afterwards fails.
"""

import logging
import time
from collections.abc import Callable, Mapping
from typing import Any

from confluent_kafka import KafkaError, KafkaException, Producer

_log = logging.getLogger("tocsin.kafka")
_AGAIN_S = 1.0
"""Shortest time between two producers: where the cause lasts, the next one ends as soon as it begins."""
OnDelivery = Callable[[KafkaError | None, Any], None]


class LastingProducer:
    """Produces for as long as the process runs. Only one thread may use it.

    Args:
        config: of librdkafka.
        clock_s: a clock that never goes back.

    Attributes:
        replaced: how many producers were given up.
    """

    def __init__(self, config: Mapping[str, object], clock_s: Callable[[], float] = time.monotonic) -> None:
        self._config = dict(config)
        self._clock_s = clock_s
        self._ended: list[Producer] = []
        self._is_over = False
        self._next_s = 0.0
        self.replaced = 0
        self._producer = Producer(self._config, logger=_log)

    def produce(
        self,
        topic: str,
        *,
        key: bytes,
        value: bytes | None,
        headers: list[tuple[str, str | bytes | None]] | None,
        partition: int,
        on_delivery: OnDelivery,
    ) -> None:
        """Give one record to librdkafka.

        Raises:
            BufferError: its queue is full.
            KafkaException: it takes none; also while a producer that has ended waits to be replaced.
        """
        self._producer.produce(
            topic, value=value, key=key, headers=headers, partition=partition, on_delivery=on_delivery
        )

    def poll(self) -> None:
        """Call back for all that was acknowledged or has failed; replace the producer if it has ended."""
        try:
            self._producer.poll(0)
        except KafkaException as error:
            self._end(error.args[0])
        if self._is_over or self._ended:
            self._tidy()

    def _end(self, error: KafkaError) -> None:
        if not self._is_over:
            _log.error("the producer of Kafka has ended for good: %s", error.str())
        self._is_over = True

    def _tidy(self) -> None:
        """Replace what has ended, and call back for the records that it held."""
        if self._is_over and self._clock_s() >= self._next_s:
            self._producer.purge()
            self._ended.append(self._producer)
            self._producer = Producer(self._config, logger=_log)
            self._is_over, self._next_s = False, self._clock_s() + _AGAIN_S
            self.replaced += 1
            _log.warning("a new producer of Kafka takes over")
        for each in self._ended:
            _served(each)
        self._ended = [each for each in self._ended if len(each)]

    def flush(self, timeout_s: float) -> None:
        """Wait until Kafka has all records, or they have failed."""
        for each in (*self._ended, self._producer):
            try:
                each.flush(timeout_s)
            except KafkaException as error:
                self._end(error.args[0])


def _served(ended: Producer) -> None:
    """Call back for records of a producer that has ended; it may say once more that it has."""
    try:
        ended.poll(0)
    except KafkaException as error:
        _log.debug("an ended producer: %s", error.args[0].name())

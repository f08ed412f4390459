"""Writes the records of a replay to Kafka, and knows where each one landed."""

import time
from collections.abc import Mapping
from typing import Any

from confluent_kafka import KafkaError, Message, Producer

from sources.reader import silent_logger
from tocsin.errors import SourceError
from tocsin.model.raw import OutRecord
from tocsin.model.topics import full_name

_FLUSH_S = 0.5
_FULL_S = 0.1


class ReplayWriter:
    """Writes records: idempotent producer, acks from all replicas.

    Attributes:
        ends: by `topic/partition`, the offset behind the last confirmed record of ours.
    """

    def __init__(self, kafka: str, prefix: str, options: Mapping[str, str] | None = None) -> None:
        config: dict[str, Any] = {
            "bootstrap.servers": kafka,
            "enable.idempotence": True,
            "acks": "all",
            "linger.ms": 5,
            "compression.type": "lz4",
            "message.max.bytes": 8_388_608,
            "allow.auto.create.topics": False,
            **(options or {}),
        }
        self._producer = Producer(config, logger=silent_logger())
        self._prefix = prefix
        self._names: dict[str, str] = {}
        self._fault = ""
        self.ends: dict[str, int] = {}

    def write(self, record: OutRecord) -> None:
        """Start to write a record.

        Raises:
            SourceError: Kafka refused an earlier one.
        """
        name = full_name(self._prefix, record.topic)
        self._names[name] = record.topic
        while True:
            self._raise_fault()
            try:
                self._producer.produce(
                    name,
                    value=record.value,
                    key=record.key,
                    partition=record.partition,
                    headers=list(record.headers),
                    on_delivery=self._landed,
                )
            except BufferError:
                self._producer.poll(_FULL_S)
            else:
                break
        self._producer.poll(0)

    def confirm(self, timeout_s: float = 60.0) -> None:
        """Wait until all records are confirmed.

        Raises:
            SourceError: Kafka refused one, or does not confirm in time.
        """
        deadline_s = time.monotonic() + timeout_s
        while self._producer.flush(_FLUSH_S):
            self._raise_fault()
            if time.monotonic() > deadline_s:
                msg = (
                    f"Kafka has not confirmed {len(self._producer)} records within {timeout_s:g} s; is it up?"
                )
                raise SourceError(msg)
        self._raise_fault()

    def close(self) -> None:
        """Drop what is not confirmed."""
        self._producer.purge()

    def _raise_fault(self) -> None:
        if self._fault:
            raise SourceError(self._fault)

    def _landed(self, error: KafkaError | None, message: Message) -> None:
        name, partition, offset = message.topic(), message.partition(), message.offset()
        topic = self._names.get(name or "", name or "")
        if error is not None:
            self._fault = self._fault or f"{topic}: Kafka refused a record: {error.str()}"
        elif partition is not None and offset is not None:
            key = f"{topic}/{partition}"
            self.ends[key] = max(self.ends.get(key, 0), offset + 1)

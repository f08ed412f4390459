"""Configures librdkafka's consumer."""

from collections.abc import Mapping
from typing import Any

import msgspec
from confluent_kafka import OFFSET_BEGINNING

from tocsin.model import topics

BEGINNING: int = OFFSET_BEGINNING

# Fetches are small: what is fetched of a topic that is then paused is thrown away, and urgent topics must not
# queue behind a large answer. The wait is short: a topic that is resumed joins only the next fetch. At 10 ms
# the embedded broker spends 0.6 of a core on two idle shards; at 25 ms it spends 0.2, and an event comes 4 ms
# later. Apache Kafka answers as soon as 2 KB have come. At 1,000 events/s an answer for each record costs so
# much on both sides that events come later, not sooner.
DEFAULTS: dict[str, str | int | bool] = {
    "enable.auto.commit": False,
    "enable.auto.offset.store": False,
    "auto.offset.reset": "error",
    "enable.partition.eof": True,
    "fetch.wait.max.ms": 25,
    "fetch.min.bytes": 2_048,
    "fetch.error.backoff.ms": 100,
    "fetch.queue.backoff.ms": 5,
    "queued.min.messages": 2_000,
    "queued.max.messages.kbytes": 32_768,
    "max.partition.fetch.bytes": 65_536,
    "reconnect.backoff.max.ms": 1_000,
    "topic.metadata.refresh.interval.ms": 30_000,
    "allow.auto.create.topics": False,
}

# A reader learns that a partition has ended from a fetch that finds nothing, and librdkafka's own wait would
# make it half a second late. Records do not wait for this: a broker answers when there are some.
_READER: dict[str, str | int | bool] = {
    "enable.auto.commit": False,
    "enable.auto.offset.store": False,
    "auto.offset.reset": "earliest",
    "enable.partition.eof": True,
    "fetch.wait.max.ms": 50,
}


class ConsumerPolicy(msgspec.Struct, frozen=True):
    """Configures the consumer of one process.

    Attributes:
        bootstrap: Kafka bootstrap servers.
        prefix: prefix of every topic.
        topics: topics to read, without the prefix.
        partitions: the partitions of every topic that this shard owns.
        declared: the partitions of each declared topic that this shard owns; their counts are their own.
        acked: topics whose offsets advance only when their records are finished (`AckTracker`).
        options: further librdkafka options; they win over Tocsin's own.
        group: group id for committed offsets; `<prefix>shard` if empty.
        poll_s: shortest time between two polls of librdkafka.
        poll_records: largest number of records that one poll takes over.
        commit_s: shortest time between two commits to the group.
    """

    bootstrap: str
    prefix: str
    topics: tuple[str, ...]
    partitions: tuple[int, ...]
    acked: frozenset[str] = frozenset()
    declared: Mapping[str, tuple[int, ...]] = {}
    options: dict[str, str] = {}
    group: str = ""
    poll_s: float = 0.0008
    poll_records: int = 2_000
    commit_s: float = 1.0

    def partitions_of(self, topic: str) -> tuple[int, ...]:
        """List the partitions of a topic that this shard owns."""
        return self.declared.get(topic, self.partitions)

    def full_name(self, topic: str) -> str:
        """Return a topic's name in Kafka."""
        return topics.full_name(self.prefix, topic)

    @property
    def group_id(self) -> str:
        """Return the group that offsets are committed to."""
        return self.group or topics.shard_group(self.prefix)


def consumer_config(policy: ConsumerPolicy) -> dict[str, object]:
    """Return librdkafka's configuration.

    The consumer never joins the group, never commits on its own, and never resets an offset on its own.
    """
    ours: dict[str, object] = {"bootstrap.servers": policy.bootstrap, "group.id": policy.group_id}
    return {**DEFAULTS, **ours, **policy.options}


def reader_config(bootstrap: str, group: str, options: Mapping[str, str] | None = None) -> dict[str, Any]:
    """Return the configuration of a consumer outside the flow, which belongs to no group and commits nothing.

    Args:
        bootstrap: Kafka bootstrap servers.
        group: group id of its requests.
        options: further librdkafka options; they win over Tocsin's own.
    """
    return {**_READER, "bootstrap.servers": bootstrap, "group.id": group, **(options or {})}


def take(consumer: Any, most: int, wait_s: float) -> list[Any]:
    """Take what has come, up to `most` messages; wait up to `wait_s` for the first.

    librdkafka itself would wait all that time, unless `most` messages come.
    """
    first: list[Any] = consumer.consume(1, wait_s)
    return first + consumer.consume(most - 1, 0) if first else []

"""librdkafka's consumer as Tocsin sets it up, and what its errors mean."""

import logging
import time
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec
from confluent_kafka import OFFSET_BEGINNING, Consumer, KafkaError, KafkaException, TopicPartition

from sources.settling import settled
from tocsin.errors import SourceError
from tocsin.model import topics

_log = logging.getLogger("tocsin.kafka")
BEGINNING: int = OFFSET_BEGINNING
EOF: int = KafkaError._PARTITION_EOF  # noqa: SLF001 -- librdkafka's names for its own errors
ADMIN_TIMEOUT_S = 15.0

# Fetches are small, because what is fetched of a topic that is then paused is thrown away, and so that
# urgent topics never queue long behind others. The wait is short, because a topic that is read again joins
# only the next fetch; at 10 ms the embedded broker spends 0.6 of a core on two idle shards, at 25 ms 0.2, and
# an event comes 4 ms later. Apache Kafka answers as soon as 2 KB have come: at 1,000 events/s an answer for
# each record, over all partitions, costs both sides so much that events come later, not sooner.
_DEFAULTS: dict[str, str | int | bool] = {
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

_REFUSED = frozenset(
    {
        KafkaError.TOPIC_AUTHORIZATION_FAILED,
        KafkaError.GROUP_AUTHORIZATION_FAILED,
        KafkaError.CLUSTER_AUTHORIZATION_FAILED,
        KafkaError.SASL_AUTHENTICATION_FAILED,
        KafkaError._AUTHENTICATION,  # noqa: SLF001
    }
)
_MISSING = frozenset(
    {
        KafkaError.UNKNOWN_TOPIC_OR_PART,
        KafkaError._UNKNOWN_TOPIC,  # noqa: SLF001
        KafkaError._UNKNOWN_PARTITION,  # noqa: SLF001
    }
)
_OUT_OF_RANGE = frozenset(
    {
        KafkaError.OFFSET_OUT_OF_RANGE,
        KafkaError._AUTO_OFFSET_RESET,  # noqa: SLF001
    }
)


class HubPolicy(msgspec.Struct, frozen=True):
    """What one process reads.

    Attributes:
        bootstrap: Kafka bootstrap servers.
        prefix: prefix of every topic.
        topics: topics without the prefix.
        partitions: the partitions of every topic that this shard owns.
        acked: topics whose offsets advance only when their records are finished (`AckTracker`).
        options: further librdkafka options; they win over Tocsin's own.
        group: group id for committed offsets, `<prefix>shard` if empty.
        poll_s: shortest time between two polls of librdkafka.
        poll_records: largest number of records a poll takes over.
        commit_s: shortest time between two commits to the group; they are for lag tools only.
    """

    bootstrap: str
    prefix: str
    topics: tuple[str, ...]
    partitions: tuple[int, ...]
    acked: frozenset[str] = frozenset()
    options: dict[str, str] = {}
    group: str = ""
    poll_s: float = 0.0008
    poll_records: int = 2_000
    commit_s: float = 1.0

    @property
    def group_id(self) -> str:
        """The group that offsets are committed to."""
        return self.group or topics.shard_group(self.prefix)


def consumer_config(policy: HubPolicy) -> dict[str, object]:
    """Return librdkafka's configuration: no group membership, no commit and no reset behind our back."""
    ours: dict[str, object] = {"bootstrap.servers": policy.bootstrap, "group.id": policy.group_id}
    return {**_DEFAULTS, **ours, **policy.options}


def is_out_of_range(error: KafkaError) -> bool:
    """Tell whether the offset asked for is not in the topic."""
    return error.code() in _OUT_OF_RANGE


def describe(error: KafkaError, topic: str) -> str:
    """Return a sentence with the cure for an error that the flow waits out."""
    if error.code() in _REFUSED:
        return f"{topic}: Kafka refuses access ({error.name()}); correct the ACL or TOCSIN_KAFKA_OPTIONS"
    if error.code() in _MISSING:
        return f"{topic}: the topic or a partition is missing; run `tocsin topics create`"
    return f"{topic}: {error.name()}; reading goes on when Kafka answers"


def committed_offsets(
    consumer: Consumer, names: Mapping[str, str], partitions: tuple[int, ...]
) -> dict[tuple[str, int], int]:
    """Read what the group has committed, by topic without prefix; only what exists.

    Raises:
        SourceError: Kafka did not answer, or refused.
    """
    wanted = [TopicPartition(full, partition) for full in names for partition in partitions]
    try:
        answers = settled(lambda: consumer.committed(wanted, timeout=ADMIN_TIMEOUT_S))
    except KafkaException as failure:
        msg = describe(failure.args[0], "committed offsets")
        raise SourceError(msg) from failure
    for answer in answers:
        if answer.error is not None:
            raise SourceError(describe(answer.error, answer.topic))
    return {(names[tp.topic], tp.partition): tp.offset for tp in answers if tp.offset >= 0}


def bounds(
    config: Mapping[str, object], wanted: Sequence[TopicPartition], timeout_s: float = ADMIN_TIMEOUT_S
) -> dict[tuple[str, int], tuple[int, int]]:
    """Find where partitions begin and end now, by topic and partition, by reading on from their last record.

    Asking the broker is not enough: Tansu counts the last batch as one record, whatever it holds; and a
    broker may tell where a topic ends that it does not let us read.

    Args:
        config: of a consumer; nothing is committed.
        wanted: partitions by full topic name.
        timeout_s: how long a broker may take for an answer.

    Raises:
        SourceError: Kafka did not answer, or refused.
    """
    consumer = Consumer({**_DEFAULTS, "group.id": "none", **config}, logger=_log)
    try:
        told = {(tp.topic, tp.partition): _watermarks(consumer, tp, timeout_s) for tp in wanted}
        consumer.assign([TopicPartition(*place, max(low, end - 1)) for place, (low, end) in told.items()])
        ends: dict[tuple[str, int], int] = {}
        deadline_s = time.monotonic() + timeout_s
        while len(ends) < len(told) and time.monotonic() < deadline_s:
            ends |= _ends_among(consumer.consume(1_000, 0.1))
    finally:
        consumer.close()
    if len(ends) < len(told):
        msg = "Kafka does not hand out the last records; is it up?"
        raise SourceError(msg)
    return {place: (low, ends[place]) for place, (low, _) in told.items()}


def _watermarks(consumer: Consumer, tp: TopicPartition, timeout_s: float) -> tuple[int, int]:
    try:
        found = settled(lambda: consumer.get_watermark_offsets(tp, timeout=timeout_s), timeout_s)
    except KafkaException as failure:
        raise SourceError(describe(failure.args[0], tp.topic)) from failure
    low, high = found or (0, 0)
    return low, high


def _ends_among(messages: Sequence[Any]) -> dict[tuple[str, int], int]:
    ends = {}
    for message in messages:
        error = message.error()
        if error is not None and error.code() == EOF:
            ends[message.topic(), message.partition()] = message.offset()
    return ends

"""Asks brokers for offsets: committed ones, and where partitions begin and end."""

import logging
import time
from collections.abc import Mapping, Sequence
from typing import Any

from confluent_kafka import Consumer, KafkaException, TopicPartition

from sources.client import DEFAULTS, take
from sources.errors import EOF, describe
from sources.startup import ask_until_ready
from tocsin.errors import SourceError

_log = logging.getLogger("tocsin.kafka")
REQUEST_TIMEOUT_S = 15.0


def committed_offsets(
    consumer: Consumer, names: Mapping[str, str], partitions: Mapping[str, tuple[int, ...]]
) -> dict[tuple[str, int], int]:
    """Read the offsets that the consumer's group has committed.

    Args:
        consumer: any consumer with the group's id.
        names: topic without prefix, by full topic name.
        partitions: partitions of each topic, by full topic name.

    Returns:
        Offsets by topic without prefix and partition; without those that were never committed.

    Raises:
        SourceError: Kafka did not answer, or refused.
    """
    wanted = [TopicPartition(full, partition) for full in names for partition in partitions[full]]
    try:
        answers = ask_until_ready(lambda: consumer.committed(wanted, timeout=REQUEST_TIMEOUT_S))
    except KafkaException as failure:
        msg = describe(failure.args[0], "committed offsets")
        raise SourceError(msg) from failure
    for answer in answers:
        if answer.error is not None:
            raise SourceError(describe(answer.error, answer.topic))
    return {(names[tp.topic], tp.partition): tp.offset for tp in answers if tp.offset >= 0}


def offset_ranges(
    config: Mapping[str, object], wanted: Sequence[TopicPartition], timeout_s: float = REQUEST_TIMEOUT_S
) -> dict[tuple[str, int], tuple[int, int]]:
    """Find the first offset and the present end of partitions. Reads from the last record on to the end.

    The broker's own answer is not enough. Tansu counts the last batch as one record, however many it holds.
    A broker may also name the end of a topic that it does not let us read.

    Args:
        config: configuration of a consumer; nothing is committed.
        wanted: partitions by full topic name.
        timeout_s: how long one answer of the broker may take.

    Returns:
        First offset and end, by full topic name and partition.

    Raises:
        SourceError: Kafka did not answer, or refused.
    """
    consumer = Consumer({**DEFAULTS, "group.id": "none", **config}, logger=_log)
    try:
        known = {(tp.topic, tp.partition): _watermarks(consumer, tp, timeout_s) for tp in wanted}
        consumer.assign([TopicPartition(*place, max(low, end - 1)) for place, (low, end) in known.items()])
        ends: dict[tuple[str, int], int] = {}
        deadline_s = time.monotonic() + timeout_s
        while len(ends) < len(known) and time.monotonic() < deadline_s:
            ends |= _ends_among(take(consumer, 1_000, 0.1))
    finally:
        consumer.close()
    if len(ends) < len(known):
        msg = "Kafka does not hand out the last records; is it up?"
        raise SourceError(msg)
    return {place: (low, ends[place]) for place, (low, _) in known.items()}


def _watermarks(consumer: Consumer, tp: TopicPartition, timeout_s: float) -> tuple[int, int]:
    try:
        found = ask_until_ready(lambda: consumer.get_watermark_offsets(tp, timeout=timeout_s), timeout_s)
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

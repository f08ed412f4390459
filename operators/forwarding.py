"""Forwards records to the partition on which they belong, marked with where they were first read."""

from collections import Counter

from operators.homes import Homes
from tocsin.errors import DecodeError
from tocsin.formats.forwarded import CONTENT_TYPE, ORIGIN_HEADER, marks_of, tombstone
from tocsin.model import topics
from tocsin.model.raw import OutRecord, RawRecord
from tocsin.model.statuses import Reason


class Forwarder:
    """Writes the copies for other partitions. A record is forwarded once: a second time is an error.

    Args:
        homes: where users and topics live.

    Attributes:
        forwarded: records forwarded so far, by topic.
    """

    def __init__(self, homes: Homes) -> None:
        self._homes = homes
        self.forwarded: Counter[str] = Counter()

    def home_of(self, key: str) -> int:
        """Return the partition on which a user or topic (`tenant/name`) belongs."""
        return self._homes.of(key)[0]

    def forward(self, raw: RawRecord, home: int, key: bytes) -> list[OutRecord]:
        """Send a record to its user's partition, once.

        What a declared topic held goes to `events`. A profile leaves a tombstone for compaction.

        Raises:
            DecodeError: it was forwarded before and is still not at home.
        """
        if any(name == ORIGIN_HEADER for name, _ in raw.headers):
            raise DecodeError(
                Reason.FORWARD_LOOP,
                "forwarded here and not at home: does TOCSIN_PARTITIONS equal the topics' own count?",
            )
        self.forwarded[raw.topic] += 1
        if topics.is_declared(raw.topic):
            return [OutRecord(topics.EVENTS, home, key, raw.value, (CONTENT_TYPE, *marks_of(raw)))]
        stays = raw.topic == topics.PROFILES and raw.key is not None and raw.value is not None
        return [marked_copy(raw, home, key), tombstone(raw, home)] if stays else [marked_copy(raw, home, key)]


def marked_copy(raw: RawRecord, partition: int, key: bytes) -> OutRecord:
    """Copy a record to a partition, marked with where and when it was first read."""
    return OutRecord(raw.topic, partition, key, raw.value, (*raw.headers, *marks_of(raw)))

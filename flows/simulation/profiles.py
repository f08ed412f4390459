"""Profiles of a partition from the beginning, where compaction has removed older ones.

Compaction keeps the newest record of a user. A user whose profile changed within the range is then unknown at
its beginning, although the shards knew him. His oldest record that is left stands in from the beginning on.
"""

from collections.abc import Iterable, Iterator

from tocsin.model.raw import RawRecord

_BATCH = 2_000


class Profiles:
    """Reads the profiles of one partition.

    Args:
        batches: the records, in order.
        start_ms: Kafka's time of the first record of the other topics.

    Attributes:
        stand_ins: users whose oldest record that is left stands in for one that is gone.
    """

    def __init__(self, batches: Iterable[list[RawRecord]], start_ms: int) -> None:
        self._batches = batches
        self._start_ms = start_ms
        self.stand_ins = 0

    def read(self) -> Iterator[list[RawRecord]]:
        """Read stand-ins, then all that is left. The records are in memory until the last one is read."""
        records = [record for batch in self._batches for record in batch]
        if records and records[-1].offset + 1 > len(records):
            records = [*self._stand_ins(records), *records]
        for first in range(0, len(records), _BATCH):
            yield records[first : first + _BATCH]

    def _stand_ins(self, records: list[RawRecord]) -> list[RawRecord]:
        oldest: dict[bytes | None, RawRecord] = {}
        for record in records:
            oldest.setdefault(record.key, record)
        found = [each for each in oldest.values() if each.timestamp_ms > self._start_ms and each.value]
        self.stand_ins = len(found)
        return [each._replace(timestamp_ms=self._start_ms) for each in found]

"""Counts gaps that retention left: records that were deleted before they were read.

Only topics without state of the gate may have gaps (`ConsumerPolicy.acked`); others stop the shard.
"""

import logging

_log = logging.getLogger("tocsin.kafka")


class RetentionGaps:
    """Counts deleted records per topic partition, and describes them for `/healthz` and the log.

    Attributes:
        sentences: one for each topic partition that lost records since the start.
    """

    def __init__(self) -> None:
        self.sentences: dict[tuple[str, int], str] = {}
        self._missing: dict[tuple[str, int], int] = {}
        self._open: dict[tuple[str, int], int] = {}

    def __bool__(self) -> bool:
        """Tell whether the end of any gap is still unknown."""
        return bool(self._open)

    def begin(self, topic: str, partition: int, offset: int) -> None:
        """Note that the record at `offset`, the next to read, was deleted."""
        self._open[topic, partition] = offset

    def end(self, topic: str, partition: int, offset: int) -> bool:
        """Note the first offset after a gap; does nothing if no gap began in this partition.

        Returns:
            False if the offset is before the gap: the topic was created anew and holds other records.
        """
        first = self._open.pop((topic, partition), offset)
        if offset > first:
            self._count(topic, partition, offset - first)
        return offset >= first

    def _count(self, topic: str, partition: int, count: int) -> None:
        missing = self._missing.get((topic, partition), 0) + count
        self._missing[topic, partition] = missing
        sentence = (
            f"{topic}/{partition}: retention deleted {missing} records that were not read yet; reading went"
            " on behind them. Raise the retention; this stays here until the shard starts again"
        )
        self.sentences[topic, partition] = sentence
        _log.error("%s", sentence)

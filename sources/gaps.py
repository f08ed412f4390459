"""Records that retention deleted before they were read, of topics that hold no state of the gate."""

import logging

_log = logging.getLogger("tocsin.kafka")


class Gaps:
    """What is missing, counted: it can neither be read nor made up for, but never goes unsaid.

    Attributes:
        sentences: by topic and partition, what is missing since the start.
    """

    def __init__(self) -> None:
        self.sentences: dict[tuple[str, int], str] = {}
        self._missing: dict[tuple[str, int], int] = {}
        self._open: dict[tuple[str, int], int] = {}

    def __bool__(self) -> bool:
        """Tell whether the end of a gap is looked for."""
        return bool(self._open)

    def begin(self, topic: str, partition: int, offset: int) -> None:
        """Note that the record at `offset`, the next to read, is gone."""
        self._open[topic, partition] = offset

    def end(self, topic: str, partition: int, offset: int) -> bool:
        """Note where a partition goes on, if a gap began in it.

        Returns:
            False if that is before the gap: these are other records, not what retention left.
        """
        first = self._open.pop((topic, partition), offset)
        if offset > first:
            self._say(topic, partition, offset - first)
        return offset >= first

    def _say(self, topic: str, partition: int, count: int) -> None:
        missing = self._missing.get((topic, partition), 0) + count
        self._missing[topic, partition] = missing
        sentence = (
            f"{topic}/{partition}: retention deleted {missing} records that were not read yet; reading went"
            " on behind them. Raise the retention; this is told until the shard starts again"
        )
        self.sentences[topic, partition] = sentence
        _log.error("%s", sentence)

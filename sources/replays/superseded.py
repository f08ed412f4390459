"""Keeps old profiles and subscriptions from taking the place of newer ones.

Their topics are compacted: the last record of a key counts. A dead letter of such a topic goes back only if
nobody has written a newer record of its key.
"""

from sources.replays.facts import Facts
from sources.replays.spans import SpanReader
from tocsin.model import topics


class Superseded:
    """Knows the newest record of each key; reads a topic when the first letter of it comes."""

    def __init__(self, reader: SpanReader) -> None:
        self._reader = reader
        self._newest: dict[str, dict[bytes, tuple[int, int, int]]] = {}

    def load(self, topic: str) -> None:
        """Read a topic once; not while its reader reads another one."""
        if topic in self._newest:
            return
        newest = self._newest[topic] = {}
        for batch in self._reader.read(self._reader.whole(topic)):
            for raw in batch:
                at = raw.timestamp_ms, raw.partition, raw.offset
                if raw.key is not None and at > newest.get(raw.key, (0, 0, 0)):
                    newest[raw.key] = at

    def objection(self, facts: Facts) -> str:
        """Say why a letter does not go back; empty if it may."""
        raw, letter = facts.raw, facts.letter
        if letter is None or raw.topic not in topics.READ_FIRST:
            return ""
        self.load(raw.topic)
        at_ms, partition, offset = self._newest[raw.topic].get(raw.key or b"", (0, 0, 0))
        is_newer = offset > raw.offset if partition == raw.partition else at_ms > letter.first_ms
        return f"{raw.topic} of which a newer record was written" if is_newer else ""

"""Carries a replay out: reads, chooses, writes at a pace, and keeps its state.

Guarantee: after a kill at any moment and a resume, each chosen record is written once. The state says up to
where all records are done. What was written behind that is found in the topics themselves, by its mark.
"""

import time
from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

from sources.replays.chooser import Chooser
from sources.replays.facts import Facts
from sources.replays.outcomes import Index
from sources.replays.rewriting import Rewriter, mark_of
from sources.replays.selection import Selection
from sources.replays.spans import Span, SpanReader
from sources.replays.state import ReplayState, StateFolder, Status, key_of
from sources.replays.superseded import Superseded
from sources.replays.writer import ReplayWriter
from tocsin.errors import DecodeError
from tocsin.formats.replays import REPLAY_HEADER
from tocsin.model.raw import RawRecord

_CHECKPOINT_S = 1.0
_CHECKPOINT_RECORDS = 5_000
_SLICE_S = 0.05


class Candidate(NamedTuple):
    """A record that a selection asks for; `left_out` says why it is not replayed, empty if it is."""

    facts: Facts
    left_out: str


def read_index(
    reader: SpanReader,
    selection: Selection,
    spans: Sequence[Span],
    forgotten_ms: int,
    seen: Callable[[int], None] = lambda _: None,
) -> Index:
    """Read the outcomes of a time; `seen` is told how many records were read."""
    index = Index(selection, forgotten_ms)
    for batch in reader.read(spans):
        index.add(batch)
        seen(len(batch))
    return index


class Scan:
    """Reads ranges and yields what a selection asks for, in the order of each partition.

    Args:
        reader: reads the ranges.
        selection: what is asked for.
        index: what the outcomes say; None if they are not read.
        superseded: knows records of which there is a newer one.
        forgotten_ms: what was sent before this time the send ledger may have forgotten.

    Attributes:
        read: records read.
        chooser: knows which ids of a list were found.
    """

    def __init__(
        self,
        reader: SpanReader,
        selection: Selection,
        index: Index | None,
        superseded: Superseded,
        forgotten_ms: int = 0,
    ) -> None:
        self._reader = reader
        self._superseded = superseded
        self._until_ms = selection.until_ms
        self.chooser = Chooser(selection, index, forgotten_ms)
        self.read = 0

    def run(
        self, spans: Sequence[Span], seen: Callable[[int], None] = lambda _: None
    ) -> Iterator[tuple[RawRecord, Candidate | None]]:
        """Yield every record of the ranges; with it, the candidate that it is, or None."""
        for batch in self._reader.read(spans, self._until_ms):
            for raw in batch:
                yield raw, self._judge(raw)
            self.read += len(batch)
            seen(len(batch))

    def _judge(self, raw: RawRecord) -> Candidate | None:
        try:
            facts = Facts(raw)
        except DecodeError:  # somebody else wrote to the topic of dead letters
            return None
        if not self.chooser.is_asked(facts):
            return None
        return Candidate(facts, self.chooser.left_out(facts) or self._superseded.objection(facts))


class Pace:
    """Lets at most so many records pass a second; 0 for no bound."""

    def __init__(self, per_s: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._per_s = per_s
        self._clock = clock
        self._next_s = clock()

    def wait_s(self) -> float:
        """Take a place, and return how long to wait for it."""
        if not self._per_s:
            return 0.0
        now_s = self._clock()
        self._next_s = max(self._next_s, now_s - _SLICE_S) + 1 / self._per_s
        return max(0.0, self._next_s - now_s)


class Replaying:
    """Carries out one replay.

    Args:
        scan: reads and chooses.
        reader: reads what was written before a kill.
        writer: writes the records.
        folder: keeps the state.
        state: of the replay, new or loaded.
        stopped: tells whether somebody asked to stop.
    """

    def __init__(
        self,
        scan: Scan,
        reader: SpanReader,
        writer: ReplayWriter,
        folder: StateFolder,
        state: ReplayState,
        stopped: Callable[[], bool] = lambda: False,
    ) -> None:
        self.state = state
        self._scan = scan
        self._reader = reader
        self._writer = writer
        self._folder = folder
        self._stopped = stopped
        self._rewriter = Rewriter(state.id, state.selection.force, state.created_ms, state.partitions)
        self._positions = dict(state.positions)
        self._there: set[tuple[str, bytes]] = set()
        self._pending = 0
        self._chosen = 0

    def run(self, wrote: Callable[[int], None] = lambda _: None) -> ReplayState:
        """Write what is left; ends early when asked to. `wrote` is told how many records are done."""
        self._there = self._written_before()
        self._choose_again()
        pace, checked_s = Pace(self.state.rate), time.monotonic()
        for raw, candidate in self._scan.run(self.state.left()):
            if self._is_enough() or self._stopped():
                break
            if candidate is not None and not candidate.left_out:
                self._write(candidate.facts, pace)
                wrote(self._chosen)
            self._positions[key_of(raw.topic, raw.partition)] = raw.offset + 1
            if self._pending >= _CHECKPOINT_RECORDS or time.monotonic() - checked_s > _CHECKPOINT_S:
                self._checkpoint("running")
                checked_s = time.monotonic()
        else:
            self._checkpoint("done")
            return self.state
        self._checkpoint("done" if self._is_enough() else "stopped")
        return self.state

    def _is_enough(self) -> bool:
        limit = self.state.selection.limit
        return 0 < limit <= self._chosen + len(self._there)

    def _write(self, facts: Facts, pace: Pace) -> None:
        """Write a record, unless it was written before a kill."""
        record = self._rewriter.written(facts)
        self._chosen += 1
        if (mark := mark_of(record)) in self._there:
            self._there.remove(mark)
            return
        self._sleep(pace.wait_s())
        self._writer.write(record)
        self._pending += 1

    def _sleep(self, wait_s: float) -> None:
        """Wait, but not long after somebody asked to stop."""
        until_s = time.monotonic() + wait_s
        while (left_s := until_s - time.monotonic()) > 0 and not self._stopped():
            time.sleep(min(left_s, _SLICE_S))

    def _checkpoint(self, status: Status) -> None:
        """Confirm what was written, then remember that all read so far is done."""
        self._writer.confirm()
        self._pending = 0
        state = self.state
        written = self._chosen + len(self._there)
        state.positions, state.written, state.status = dict(self._positions), written, status
        for key, end in self._writer.ends.items() if not self._there else ():
            state.marks[key] = max(state.marks.get(key, 0), end)
        self._folder.save(state)

    def _choose_again(self) -> None:
        """Choose what was done before once more, without writing: copies of it are known by that.

        What stays in `_there` is behind the positions.
        """
        done = [
            Span(
                s.topic, s.partition, s.start, self.state.positions.get(key_of(s.topic, s.partition), s.start)
            )
            for s in self.state.spans
        ]
        for _, candidate in self._scan.run(done):
            if candidate is not None and not candidate.left_out:
                self._chosen += 1
                if self._there:
                    self._there.discard(mark_of(self._rewriter.written(candidate.facts)))

    def _written_before(self) -> set[tuple[str, bytes]]:
        """Find the records that this replay wrote behind the last checkpoint."""
        found: set[tuple[str, bytes]] = set()
        named = self.state.id.encode() + b" "
        for batch in self._reader.read(self._behind_marks()):
            for raw in batch:
                mark = dict(raw.headers).get(REPLAY_HEADER, b"")
                if mark.startswith(named):
                    found.add((raw.topic, mark))
        return found

    def _behind_marks(self) -> list[Span]:
        marks = self.state.marks
        wholes = [
            span
            for topic in sorted({key.rpartition("/")[0] for key in marks})
            for span in self._reader.whole(topic)
        ]
        return [
            Span(s.topic, s.partition, max(s.start, marks[key]), s.end)
            for s in wholes
            if (key := key_of(s.topic, s.partition)) in marks
        ]

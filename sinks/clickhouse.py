"""Outcomes, dead letters and audit records into ClickHouse, inserted in batches by background threads.

Outcomes are the topic's own JSON lines; `sinks.clickhouse_lines` makes lines of the others.

Guarantee: a record is reported done only after the server took its batch; a batch is tried again, with
backoff, for as long as it takes. Copies are harmless (the table replaces by `outcome_id`). While ClickHouse
is away records wait in Kafka: `room()` becomes 0 and the source stops reading the topic.
"""

import contextlib
import logging
import queue
import threading
from collections import deque
from collections.abc import Sequence
from typing import Protocol

import msgspec

from operators.track import Finished
from sinks.clickhouse_lines import TABLES, Erased, lines_of
from tocsin.errors import SinkError, kind_and_place
from tocsin.model import topics
from tocsin.model.outcome import Outcome
from tocsin.model.raw import RawRecord

_log = logging.getLogger("tocsin.clickhouse")
# The lines are inserted as they stand; ClickHouse parses them.
INSERT_SETTINGS = {
    "input_format_skip_unknown_fields": 1,
    "input_format_defaults_for_omitted_fields": 1,
    "input_format_json_read_objects_as_strings": 1,
    # Writers already run side by side; cutting a batch for several parsers costs more CPU than it saves time.
    "input_format_parallel_parsing": 0,
    # Each reader drops copies, and merges drop them later. Dropping them at each insert took 29 % of its CPU.
    "optimize_on_insert": 0,
}
_SCHEMA = "ClickHouse refuses rows that are well-formed: bring its schema up to date (`tocsin db migrate`)"
OUTCOMES = "outcomes"
WRITERS = 2
"""Threads a process stores by."""
_MAX_ROWS = 25_000
_LINGER_S = 1.0
"""How long a small batch waits for company. Each insert makes a part that is merged later: at 0.2 s and 1,000
events a second, inserts took three times the CPU, and the events twice as long."""
_BACKOFF_MAX_S = 5.0
Inserted = tuple[Sequence[RawRecord], list[Finished]]
"""Records that are stored, and those that never can be."""


class LineStore(Protocol):
    """Where lines go: `SinkError` when the store is away, `ValueError` when it refuses a line."""

    def insert(self, lines: bytes, table: str = OUTCOMES) -> None:
        """Insert JSON lines, all or none."""
        ...

    def erase(self, users: Sequence[Erased]) -> None:
        """Make the rows of users anonymous, those that come late included."""
        ...


class OutcomeWriter:
    """Accumulates records and inserts them; `finished()` gives back what is done.

    Args:
        stores: one a thread, used there alone; with two, one batch is put together while another is stored.
        capacity: records it takes before the source must wait.
        linger_s: how long a batch waits that is not full.
    """

    def __init__(self, *stores: LineStore, capacity: int = 100_000, linger_s: float = _LINGER_S) -> None:
        self._capacity = capacity
        self._linger_s = linger_s
        self._collecting = threading.Lock()
        self._inbox: queue.SimpleQueue[RawRecord | None] = queue.SimpleQueue()
        self._finished: deque[Finished] = deque()
        self._waiting = 0
        self._stop = threading.Event()
        self._full = threading.Event()  # a whole batch is there, or the end: no use to wait for company
        self.problem = ""
        self.rows = 0
        self._counting = threading.Lock()
        self._threads = [
            threading.Thread(target=self._run, args=(store,), name="clickhouse", daemon=True)
            for store in stores
        ]
        for thread in self._threads:
            thread.start()

    def submit(self, records: Sequence[RawRecord]) -> None:
        """Take records; never blocks."""
        self._waiting += len(records)
        for record in records:
            self._inbox.put(record)
        if self._inbox.qsize() >= _MAX_ROWS:
            self._full.set()

    def room(self) -> int:
        """How many more records may be submitted now; 0 while the store is away."""
        return 0 if self.problem else max(0, self._capacity - self._waiting)

    @property
    def waiting(self) -> int:
        """Records submitted and not yet given back."""
        return self._waiting

    def finished(self) -> list[Finished]:
        """Give back what has been stored, or could never be, since the last call."""
        done: list[Finished] = []
        while self._finished:
            done.append(self._finished.popleft())
        self._waiting -= len(done)
        return done

    def close(self, timeout_s: float = 5.0) -> None:
        """Stop; what is not stored yet stays unreported and is read again later."""
        self._stop.set()
        self._full.set()
        self._inbox.put(None)
        for thread in self._threads:
            thread.join(timeout_s)

    def _run(self, store: LineStore) -> None:
        while not self._stop.is_set():
            for part in _by_topic(self._collect()):
                self._store(store, part)

    def _collect(self) -> list[RawRecord]:
        """Gather a batch, one thread at a time: two would halve each other's batches."""
        with self._collecting:
            first = self._inbox.get()
            self._full.clear()
            if self._inbox.qsize() < _MAX_ROWS and not self._stop.is_set():
                self._full.wait(self._linger_s)
            return self._gathered(first)

    def _gathered(self, record: RawRecord | None) -> list[RawRecord]:
        """Take what is there, up to a batch; the end is handed on to the other threads."""
        batch: list[RawRecord] = []
        with contextlib.suppress(queue.Empty):
            while record is not None:
                batch.append(record)
                if len(batch) == _MAX_ROWS:
                    return batch
                record = self._inbox.get_nowait()
            self._inbox.put(None)
        return batch

    def _store(self, store: LineStore, batch: list[RawRecord]) -> None:
        backoff_s = 0.1
        while not self._stop.is_set():
            try:
                done = self._insert(store, batch)
            except SinkError as error:
                self._note_problem(str(error))
            except Exception as error:  # the flow's edge: dead threads would leave outcomes waiting unsaid
                self._note_problem(f"ClickHouse cannot take outcomes ({kind_and_place(error)})")
            else:
                # First: who hears of what is done must not find a problem that is over.
                self._note_problem("")
                self._finished.extend(done)
                return
            self._stop.wait(backoff_s)
            backoff_s = min(backoff_s * 2, _BACKOFF_MAX_S)

    def _note_problem(self, problem: str) -> None:
        """Take over the present problem, and log when one begins and when it ends."""
        with self._counting:
            before, self.problem = self.problem, problem
        if problem and not before:
            _log.warning("%s; outcomes wait in Kafka, sending goes on", problem)
        elif before and not problem:
            _log.warning("ClickHouse takes outcomes again; %d wait", self._waiting)

    def _insert(self, store: LineStore, batch: list[RawRecord]) -> list[Finished]:
        """Insert records of one topic; returns what is to be reported of them."""
        insert = self._insert_outcomes if batch[0].topic == topics.OUTCOMES else self._insert_others
        taken, refused = insert(store, batch)
        with self._counting:
            self.rows += len(taken)
        return [*refused, *map(Finished, taken)]

    def _insert_outcomes(self, store: LineStore, batch: list[RawRecord]) -> Inserted:
        """Insert outcomes; where the store refuses them, look at each line and set the bad ones aside."""
        try:
            store.insert(_joined(batch))
        except ValueError as refused:
            good, bad = _sort(batch)
            if not bad:
                msg = f"{_SCHEMA}: {refused}"
                raise SinkError(msg) from None
            if good:
                store.insert(_joined(good))
            return good, bad
        return batch, []

    def _insert_others(self, store: LineStore, batch: list[RawRecord]) -> Inserted:
        """Insert dead letters or audit records, and erase the users that these name."""
        made = lines_of(batch)
        try:
            if made.lines:
                store.insert(b"\n".join(made.lines), TABLES[batch[0].topic])
        except ValueError as refused:
            msg = f"{_SCHEMA}: {refused}"
            raise SinkError(msg) from None
        if made.erased:
            store.erase(made.erased)
        return made.taken, [Finished(record, error) for record, error in made.refused]


def _by_topic(batch: list[RawRecord]) -> list[list[RawRecord]]:
    """Part a batch by topic: each part is tried again alone, so that none is reported twice."""
    parts: dict[str, list[RawRecord]] = {}
    for record in batch:
        parts.setdefault(record.topic, []).append(record)
    return list(parts.values())


def _joined(batch: Sequence[RawRecord]) -> bytes:
    return b"\n".join([record.value or b"{}" for record in batch])


_decode = msgspec.json.Decoder(Outcome).decode


def _sort(batch: Sequence[RawRecord]) -> tuple[list[RawRecord], list[Finished]]:
    good: list[RawRecord] = []
    bad: list[Finished] = []
    for record in batch:
        try:
            _decode(record.value or b"")
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            bad.append(Finished(record, f"not an outcome: {error}"))
        else:
            good.append(record)
    return good, bad

"""The outcome writer: nothing is reported done before it is stored, whatever the store does."""

import logging
import threading
import time
from collections.abc import Sequence

import msgspec
import pytest

from operators.track import Finished
from sinks.clickhouse import LineStore, OutcomeWriter
from sinks.clickhouse_lines import Erased
from tests.waiting import PATIENCE_S, until
from tocsin.errors import SinkError
from tocsin.model.audit import AuditRecord
from tocsin.model.outcome import Outcome
from tocsin.model.raw import RawRecord


def record(offset: int, value: bytes | None = None) -> RawRecord:
    line = msgspec.json.encode(Outcome(outcome_id=str(offset), status="sent", tenant="t", at_ms=offset))
    return RawRecord("outcomes", 0, offset, 0, b"t/u", value if value is not None else line, ())


class Memory:
    """A store that keeps lines, refuses lines that are no outcomes, and can be away."""

    def __init__(self) -> None:
        self.lines: list[bytes] = []
        self.away = threading.Event()
        self.inserts = 0
        self.others: dict[str, list[bytes]] = {}
        self.erased: list[Erased] = []

    def erase(self, users: Sequence[Erased]) -> None:
        self.erased += users

    def insert(self, lines: bytes, table: str = "outcomes") -> None:
        if table != "outcomes":
            self.others.setdefault(table, []).extend(lines.split(b"\n"))
            return
        if self.away.is_set():
            raise SinkError("away")
        rows = lines.split(b"\n")
        for row in rows:
            try:
                msgspec.json.decode(row, type=Outcome)
            except msgspec.DecodeError as error:
                raise ValueError("26") from error
        self.inserts += 1
        self.lines += rows


@pytest.fixture
def store() -> Memory:
    return Memory()


def collect(writer: OutcomeWriter, count: int, within_s: float = PATIENCE_S) -> list[Finished]:
    done: list[Finished] = []
    end = time.monotonic() + within_s
    while len(done) < count and time.monotonic() < end:
        done += writer.finished()
        time.sleep(0.01)
    return done


def writer_over(*stores: LineStore, capacity: int = 1_000, linger_s: float = 0.2) -> OutcomeWriter:
    return OutcomeWriter(*stores, capacity=capacity, linger_s=linger_s)


def test_records_are_stored_in_one_batch_and_reported_done(store: Memory) -> None:
    writer = writer_over(store)
    writer.submit([record(n) for n in range(100)])
    assert [one.record.offset for one in collect(writer, 100)] == list(range(100))
    assert len(store.lines) == 100
    assert store.inserts <= 2
    assert writer.waiting == 0
    writer.close()


class Meeting(Memory):
    """A store that takes its first lines only while the other one takes some, too."""

    def __init__(self, both: threading.Barrier) -> None:
        super().__init__()
        self._both = both

    def insert(self, lines: bytes, table: str = "outcomes") -> None:
        if not self.inserts:
            self._both.wait(PATIENCE_S)
        super().insert(lines, table)


def test_two_stores_share_the_records_and_store_each_once() -> None:
    both = threading.Barrier(2)
    stores = Meeting(both), Meeting(both)
    writer = OutcomeWriter(*stores, capacity=100_000)
    writer.submit([record(n) for n in range(60_000)])
    done = collect(writer, 60_000)
    assert sorted(one.record.offset for one in done) == list(range(60_000))
    assert all(store.lines for store in stores)
    lines = [line for store in stores for line in store.lines]
    assert len(lines) == len(set(lines)) == writer.rows == 60_000
    writer.close()


def test_two_threads_do_not_halve_each_others_batches() -> None:
    """Only a full batch ends the wait here: one that was halved would wait for a minute and more."""
    stores = Memory(), Memory()
    writer = writer_over(*stores, capacity=100_000, linger_s=2 * PATIENCE_S)
    writer.submit([record(1)])
    time.sleep(0.1)
    writer.submit([record(number) for number in range(2, 25_002)])
    assert len(collect(writer, 25_000)) == 25_000
    assert sum(store.inserts for store in stores) == 1
    writer.close()


def test_a_full_batch_does_not_wait_for_company(store: Memory) -> None:
    writer = writer_over(store, capacity=100_000, linger_s=60)
    writer.submit([record(n) for n in range(25_001)])
    assert len(collect(writer, 25_000)) == 25_000
    writer.close()


def test_both_threads_end_at_the_close() -> None:
    before = set(threading.enumerate())
    writer = OutcomeWriter(Memory(), Memory())
    assert len(set(threading.enumerate()) - before) == 2
    writer.close(timeout_s=10)
    assert set(threading.enumerate()) <= before


def test_nothing_is_done_while_the_store_is_away_and_all_is_when_it_comes_back(store: Memory) -> None:
    store.away.set()
    writer = writer_over(store)
    writer.submit([record(1), record(2)])
    until(lambda: writer.problem == "away")
    assert writer.finished() == []
    assert writer.room() == 0
    store.away.clear()
    assert len(collect(writer, 2)) == 2
    assert writer.problem == ""
    assert writer.room() == 1_000
    writer.close()


def test_a_line_that_is_no_outcome_is_set_aside_with_its_reason_and_the_rest_is_stored(store: Memory) -> None:
    writer = writer_over(store)
    writer.submit([record(1), record(2, b'{"status": 7}'), record(3), record(4, b"\xff")])
    done = {one.record.offset: one.error for one in collect(writer, 4)}
    assert sorted(done) == [1, 2, 3, 4]
    assert done[1] == done[3] == ""
    assert "status" in done[2] or "outcome_id" in done[2]
    assert done[4].startswith("not an outcome")
    assert len(store.lines) == 2
    writer.close()


class Refusing:
    """A store whose schema does not fit: it refuses whatever comes."""

    def erase(self, users: Sequence[Erased]) -> None:
        raise AssertionError

    def insert(self, lines: bytes, table: str = "outcomes") -> None:
        raise ValueError("16")


def test_well_formed_outcomes_that_are_refused_wait_and_say_what_to_do() -> None:
    writer = writer_over(Refusing())
    writer.submit([record(1)])
    until(lambda: "tocsin db migrate" in writer.problem)
    assert writer.finished() == []
    writer.close()


class Broken:
    """A store that fails as nobody foresaw, until it is mended."""

    def __init__(self) -> None:
        self.mended = threading.Event()

    def erase(self, users: Sequence[Erased]) -> None:
        raise AssertionError

    def insert(self, lines: bytes, table: str = "outcomes") -> None:
        if not self.mended.is_set():
            raise KeyError("ann@mail.example")


def test_a_failure_nobody_foresaw_is_told_without_content_and_tried_again() -> None:
    store = Broken()
    writer = writer_over(store)
    writer.submit([record(1)])
    until(lambda: writer.problem.startswith("ClickHouse cannot take outcomes (KeyError at test_clickhouse"))
    assert "ann@" not in writer.problem
    assert writer.finished() == []
    store.mended.set()
    assert len(collect(writer, 1)) == 1
    assert writer.problem == ""
    writer.close()


def test_room_shrinks_with_what_waits(store: Memory) -> None:
    store.away.set()
    writer = writer_over(store, capacity=10)
    assert writer.room() == 10
    writer.submit([record(n) for n in range(4)])
    assert writer.room() in (0, 6)
    writer.close()


def test_close_leaves_what_is_not_stored_unreported(store: Memory) -> None:
    store.away.set()
    writer = writer_over(store)
    writer.submit([record(1)])
    until(lambda: writer.problem == "away")
    writer.close()
    assert writer.finished() == []
    assert store.lines == []


def test_a_store_that_is_away_is_logged_once_and_once_when_it_is_back(
    store: Memory, caplog: pytest.LogCaptureFixture
) -> None:
    store.away.set()
    writer = writer_over(store)
    writer.submit([record(1)])
    until(lambda: writer.problem == "away")
    time.sleep(0.5)
    store.away.clear()
    assert len(collect(writer, 1)) == 1
    writer.close()
    assert caplog.messages == [
        "away; outcomes wait in Kafka, sending goes on",
        "ClickHouse takes outcomes again; 1 wait",
    ]


class AtTheEnd(logging.Handler):
    """Looks at what is reported done in the moment in which a problem is told to be over."""

    def __init__(self, writer: OutcomeWriter) -> None:
        super().__init__()
        self.done: list[int] = []
        self._writer = writer

    def emit(self, record: logging.LogRecord) -> None:
        if "again" in record.getMessage():
            self.done.append(len(self._writer.finished()))


def test_a_problem_is_over_before_what_was_stored_is_reported_done(store: Memory) -> None:
    """Else the source finds no room although the store takes records again."""
    store.away.set()
    writer = writer_over(store)
    watch, log = AtTheEnd(writer), logging.getLogger("tocsin.clickhouse")
    log.addHandler(watch)
    writer.submit([record(1)])
    until(lambda: writer.problem == "away")
    store.away.clear()
    assert len(collect(writer, 1)) == 1
    assert (watch.done, writer.problem, writer.room()) == ([0], "", 1_000)
    log.removeHandler(watch)
    writer.close()


def audit(offset: int, user: str) -> RawRecord:
    erased = AuditRecord(audit_id=str(offset), at_ms=offset, action="user_erased", tenant="t", user=user)
    return RawRecord("audit", 0, offset, 0, b"t/u", msgspec.json.encode(erased), ())


class Forgetful(Memory):
    """A store that takes rows and cannot erase for a while."""

    def __init__(self) -> None:
        super().__init__()
        self.erasing = threading.Event()

    def erase(self, users: Sequence[Erased]) -> None:
        if not self.erasing.is_set():
            raise SinkError("away")
        super().erase(users)


def test_an_erasure_is_done_only_once_the_store_has_erased() -> None:
    """A crash before reads the record again: the user is erased then."""
    store = Forgetful()
    writer = writer_over(store)
    writer.submit([record(2), audit(1, "ann"), audit(3, "bob")])
    until(lambda: writer.problem == "away")
    assert [one.record.topic for one in writer.finished()] == ["outcomes"]
    assert writer.room() == 0
    store.erasing.set()
    assert [one.record.offset for one in collect(writer, 2)] == [1, 3]
    assert {one.user for one in store.erased} == {"ann", "bob"}
    writer.close()

"""Processes that share the partitions: one result, steady progress, and nothing left behind."""

import os
import signal
import tempfile
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec
import pytest

from flows.simulation.report import Report
from flows.simulation.request import Place, Request
from flows.simulation.simulation import simulate
from flows.simulation.workers import largest_first, worthwhile
from sources.history import Bounds as Offsets
from sources.history import FolderHistory, History
from tests.decision.gate_world import MINUTE, NOON, SMALL
from tests.golden import wire
from tests.golden.driver import home_of
from tests.simulation.recorded import changed, history, request
from tests.simulation.test_small_histories import LANDED, PROFILE
from tocsin.errors import SinkError, SourceError
from tocsin.model import topics
from tocsin.model.raw import RawRecord

PARTITIONS = 3
SETTINGS = wire.Settings(catalog=str(SMALL), stream_clock=False, partitions=PARTITIONS, key_groups=2)
KINDS = ("flight.landed", "flight.delayed", "nothing", "once")


class _Records:
    """Records of some users, each in the partition of its user."""

    def __init__(self) -> None:
        self.lines: list[wire.Line] = []

    def write(self, topic: str, at_ms: int, user: str, document: object) -> None:
        key = f"quiet/{user}".encode()
        home = home_of(key, PARTITIONS)
        before = [each for each in self.lines if isinstance(each, wire.Record)]
        offset = sum((each.topic, each.partition) == (topic, home) for each in before)
        value = msgspec.json.encode(document)
        self.lines += [wire.Record(topic, home, offset, at_ms, key, value), wire.Epoch(at_ms)]


def _lines() -> list[wire.Line]:
    records = _Records()
    users = [f"u{number}" for number in range(12)]
    for user in users:
        records.write(topics.PROFILES, NOON, user, PROFILE)
    for number in range(60):
        user, at_ms = users[number % 12 if number % 5 else 0], NOON + number * MINUTE
        event = {"specversion": "1.0", "id": f"e{number}", "source": "/t", "type": KINDS[number % 4]}
        time = datetime.fromtimestamp(at_ms / 1000, UTC).isoformat()
        more = {"subject": user, "tenant": "quiet", "time": time, "data": {"flight": "UA 1545", "delay": 72}}
        records.write(topics.EVENTS, at_ms, user, event | more)
    return records.lines


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Record an hour of twelve users in three partitions."""
    place = tmp_path_factory.mktemp("shared")
    return history(place / "shard", SETTINGS, _lines()).write(place / "history", "wall", PARTITIONS)


@pytest.fixture(autouse=True)
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Give temporary files a folder, which must be empty afterwards."""
    place = tmp_path / "temporary"
    place.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(place))
    yield place
    assert not list(place.iterdir())


def asked(folder: Path, tmp_path: Path, **more: Any) -> Request:
    """Ask for a simulation by a catalog that sends other messages."""
    new = changed(tmp_path / "new", LANDED, LANDED.replace("inapp, email", "inapp, sms"))
    return request(folder, SETTINGS, new, **more)


def _bytes(report: Report) -> bytes:
    return msgspec.json.encode(msgspec.structs.replace(report, seconds=0.0))


@pytest.mark.parametrize("is_replayed", [False, True])
def test_the_result_is_the_same_with_any_number_of_processes(
    folder: Path, tmp_path: Path, is_replayed: bool
) -> None:
    simulated = asked(folder, tmp_path, is_replayed=is_replayed)
    one, two, many = (simulate(simulated, workers=count) for count in (1, 2, 9))
    assert one.result.differing > 10
    assert len(one.result.examples) > PARTITIONS
    assert _bytes(one) == _bytes(two) == _bytes(many)


def test_progress_counts_each_record_as_it_is_read(folder: Path, tmp_path: Path) -> None:
    simulated, alone, shared = asked(folder, tmp_path), list[int](), list[int]()
    simulate(simulated, alone.append)
    simulate(simulated, shared.append, workers=2)
    assert sum(shared) == sum(alone) >= 72
    assert len(shared) > PARTITIONS, "a partition is read in steps"


def test_a_mistake_in_the_history_is_told_as_one_process_tells_it(folder: Path, tmp_path: Path) -> None:
    copy = tmp_path / "copy"
    copy.mkdir()
    for file in folder.iterdir():
        (copy / file.name).write_bytes(file.read_bytes())
    cut = copy / "events-1.jsonl.gz"
    cut.write_bytes(cut.read_bytes()[:-20])
    said = set()
    for workers in (1, 2):
        with pytest.raises(SourceError, match=r"events-1\.jsonl\.gz cannot be read to its end") as found:
            simulate(asked(copy, tmp_path), workers=workers)
        said.add(str(found.value))
    assert len(said) == 1


class _Away(FolderHistory):
    """A history whose broker goes away."""

    def read(self, topic: str, partition: int, since_ms: int = 0) -> Iterator[list[RawRecord]]:
        if topic == topics.EVENTS and partition == 1:
            msg = "the broker stopped answering in the middle of a topic"
            raise SinkError(msg)
        yield from super().read(topic, partition, since_ms)


class _AwayPlace(Place):
    __slots__ = ()

    def open(self, names: Iterable[str], offsets: Offsets | None = None) -> History:
        assert self.folder is not None, "the tests use a folder"
        return _Away(self.folder)


class _DeadlyPlace(Place):
    __slots__ = ()

    def open(self, names: Iterable[str], offsets: Offsets | None = None) -> History:
        if offsets is not None:  # only the processes that share the partitions have asked nobody
            os.kill(os.getpid(), signal.SIGKILL)
        return super().open(names, offsets)


def test_kafka_away_is_told_as_one_process_tells_it(folder: Path, tmp_path: Path) -> None:
    simulated = asked(folder, tmp_path)._replace(place=_AwayPlace(folder))
    for workers in (1, 2):
        with pytest.raises(SinkError, match="the broker stopped answering"):
            simulate(simulated, workers=workers)


def test_a_process_that_is_killed_is_told_with_a_cure(folder: Path, tmp_path: Path) -> None:
    simulated = asked(folder, tmp_path)._replace(place=_DeadlyPlace(folder))
    with pytest.raises(SourceError, match=r"ended with code -9 before its result.*--workers 1 needs less"):
        simulate(simulated, workers=2)


def test_ctrl_c_ends_the_processes(folder: Path, tmp_path: Path) -> None:
    def stop(_: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        simulate(asked(folder, tmp_path), stop, workers=2)


def test_the_largest_partitions_are_played_first_and_empty_ones_not_at_all() -> None:
    offsets = {
        topics.EVENTS: {0: (0, 5), 1: (10, 30), 2: (7, 7), 3: (0, 9), 9: (0, 99)},
        topics.PROFILES: {0: (0, 9), 3: (2, 3)},
    }
    assert largest_first(offsets, 4) == [1, 0, 3]


def test_a_short_history_is_played_by_one_process() -> None:
    assert [worthwhile(records, 4) for records in (0, 30_000, 45_000, 10**9)] == [1, 1, 2, 4]

"""The store inside the real engine: the call orders it rests on, and kill -9 at random moments."""

import json
import random
import signal
import subprocess
import sys
import time
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import bytewax.operators as op
import pytest
from bytewax.dataflow import Dataflow
from bytewax.inputs import FixedPartitionedSource, StatefulSourcePartition
from bytewax.outputs import FixedPartitionedSink, StatefulSinkPartition
from bytewax.recovery import RecoveryConfig
from bytewax.run import cli_main

from core.errors import StateError
from state import Shard
from state.directory import recovery_dir
from tests.state.flow import dataflow
from tests.state.rig import IDENTITY, Text, World

EVENTS = 12_000
KILLS = 8


class Calls(list[str]):
    """What the engine called, in order."""


class _Source(StatefulSourcePartition[tuple[str, int], int]):
    def __init__(self, calls: Calls, resume: int | None, batches: int) -> None:
        calls.append(f"source built {resume}")
        self._calls = calls
        self._at = resume or 0
        self._end = self._at + batches

    def next_batch(self) -> list[tuple[str, int]]:
        self._calls.append("next_batch")
        if self._at == self._end:
            raise StopIteration
        self._at += 1
        return [] if self._at == 2 else [(str(self._at % 2), self._at)]

    def snapshot(self) -> int:
        self._calls.append("source snapshot")
        return self._at


class _Lane(op.StatefulBatchLogic[int, int, int]):
    def __init__(self, calls: Calls, resume: int | None, wakes: bool) -> None:
        calls.append(f"lane built {resume}")
        self._calls = calls
        self._sum = resume or 0
        self._wakes = wakes

    def on_batch(self, values: list[int]) -> tuple[list[int], bool]:
        self._calls.append("lane batch")
        self._sum += sum(values)
        return values, False

    def on_notify(self) -> tuple[list[int], bool]:
        self._calls.append("lane notify")
        return [0], False

    def on_eof(self) -> tuple[list[int], bool]:
        self._calls.append("lane eof")
        return [], False

    def notify_at(self) -> datetime | None:
        return datetime.now(timezone.utc) if self._wakes else None

    def snapshot(self) -> int:
        self._calls.append("lane snapshot")
        return self._sum


class _Sink(StatefulSinkPartition[int, int]):
    def __init__(self, calls: Calls, resume: int | None) -> None:
        calls.append(f"sink built {resume}")
        self._calls = calls

    def write_batch(self, items: list[int]) -> None:
        self._calls.append("sink write")

    def snapshot(self) -> int:
        self._calls.append("sink snapshot")
        return 7


class _In(FixedPartitionedSource[tuple[str, int], int]):
    def __init__(self, calls: Calls, batches: int) -> None:
        self._calls, self._batches = calls, batches

    def list_parts(self) -> list[str]:
        return ["hub"]

    def build_part(self, step_id: str, for_part: str, resume_state: int | None) -> _Source:
        return _Source(self._calls, resume_state, self._batches)


class _Out(FixedPartitionedSink[int, int]):
    def __init__(self, calls: Calls) -> None:
        self._calls = calls

    def list_parts(self) -> list[str]:
        return ["outbox"]

    def build_part(self, step_id: str, for_part: str, resume_state: int | None) -> _Sink:
        return _Sink(self._calls, resume_state)


def _run(store: Path, batches: int, *, wakes: bool = False, epoch_ms: int = 0) -> Calls:
    calls = Calls()
    flow = Dataflow("order")
    items = op.input("in", flow, _In(calls, batches))
    lanes = op.stateful_batch("lane", items, lambda resume: _Lane(calls, resume, wakes))
    op.output("out", op.map("key", lanes, lambda pair: ("outbox", pair[1])), _Out(calls))
    cli_main(
        flow,
        epoch_interval=timedelta(milliseconds=epoch_ms),
        recovery_config=RecoveryConfig(store, timedelta(0)),
    )
    return calls


@pytest.fixture
def store(tmp_path: Path) -> Path:
    shard: Shard[str] = Shard.open(
        tmp_path, identity=IDENTITY, codec=Text(), cache_users=1, publish=World()
    )
    shard.close()
    return recovery_dir(tmp_path)


def test_an_epoch_closes_from_source_to_sink_before_the_next_batch(store: Path) -> None:
    calls = _run(store, 1)
    assert calls[:8] == [
        "source built None",
        "next_batch",
        "source snapshot",
        "lane built None",
        "lane batch",
        "sink built None",
        "sink write",
        "lane snapshot",
    ]
    assert calls[8:10] == ["sink snapshot", "next_batch"]


def test_who_was_not_awake_is_not_snapshotted(store: Path) -> None:
    """So a lane's newest row may be of an older epoch, and the sink's too."""
    calls = _run(store, 2)
    second = [index for index, call in enumerate(calls) if call == "next_batch"][1:3]
    assert calls[second[0] : second[1]] == ["next_batch", "source snapshot"]


def test_all_stored_rows_are_built_before_the_first_batch(store: Path) -> None:
    """The store does not rely on it: it takes rows over until the first epoch after the start is durable."""
    _run(store, 5)
    assert _run(store, 1)[:5] == [
        "source built 5",
        "lane built 4",
        "lane built 9",
        "sink built 7",
        "next_batch",
    ]


def test_the_end_of_input_snapshots_once_more_and_asks_for_no_batch(store: Path) -> None:
    """Hence `Shard.finish`: the last epoch is durable when the flow returns, but nobody is told."""
    calls = _run(store, 1)
    end = [index for index, call in enumerate(calls) if call == "next_batch"][-1]
    assert calls[end:][:3] == ["next_batch", "source snapshot", "lane eof"]
    assert "next_batch" not in calls[end + 1 :]
    assert "lane snapshot" in calls[end:]


def test_lanes_are_woken_between_the_source_snapshot_and_the_next_batch(store: Path) -> None:
    """Why `pop_due` gives nothing in the gap, and what is written there counts for the next epoch."""
    calls = _run(store, 400, wakes=True, epoch_ms=2)
    gap, woken_in_gap = False, 0
    for call in calls:
        gap = call == "source snapshot" or (gap and call != "next_batch")
        woken_in_gap += gap and call == "lane notify"
    assert woken_in_gap > 0


@contextmanager
def _running(path: Path) -> Iterator[subprocess.Popen[str]]:
    command = [sys.executable, "-m", "tests.state.flow", str(path), str(EVENTS)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        yield process


def _shown(path: Path) -> dict[str, list[tuple[str, str]]]:
    """All copies of each record that arrived whole."""
    found: dict[str, list[tuple[str, str]]] = defaultdict(list)
    for line in (path / "shown").read_text().splitlines():
        if line.endswith("]"):
            name, content, stamp = json.loads(line)
            found[name].append((content, stamp))
    return found


def test_killed_at_random_moments_it_shows_what_an_unbroken_run_shows(tmp_path: Path) -> None:
    seed = random.randrange(1 << 30)
    print(f"seed {seed}")
    moments = random.Random(seed)
    whole, broken = tmp_path / "whole", tmp_path / "broken"
    whole.mkdir()
    broken.mkdir()
    with _running(whole) as process:
        assert process.wait(60) == 0
    for _ in range(KILLS):
        with _running(broken) as process:
            time.sleep(moments.uniform(0.02, 0.45))
            process.send_signal(signal.SIGKILL)
    with _running(broken) as process:
        assert process.wait(60) == 0
    expected, got = _shown(whole), _shown(broken)
    assert {name: copies[0][0] for name, copies in got.items()} == {
        name: copies[0][0] for name, copies in expected.items()
    }
    differing = [name for name, copies in got.items() if len(set(copies)) > 1]
    assert differing == []
    writers = {stamp.split()[0] for copies in got.values() for _, stamp in copies}
    assert len(writers) > 3, "too few processes got far enough for the kills to prove anything"


def test_a_flow_on_a_store_put_back_from_an_older_copy_is_refused(tmp_path: Path) -> None:
    shard: Shard[str] = Shard.open(
        tmp_path, identity=IDENTITY, codec=Text(), cache_users=9, publish=World()
    )
    empty = (shard.recovery_dir / "part-0.sqlite3").read_bytes()
    cli_main(
        dataflow(shard, 200),
        epoch_interval=timedelta(0),
        recovery_config=RecoveryConfig(shard.recovery_dir, timedelta(0)),
    )
    shard.finish()
    shard.close()
    (shard.recovery_dir / "part-0.sqlite3").write_bytes(empty)
    again: Shard[Any] = Shard.open(tmp_path, identity=IDENTITY, codec=Text(), cache_users=9, publish=World())
    with pytest.raises(StateError, match="recovery store was lost or put back"):
        cli_main(
            dataflow(again, 200),
            epoch_interval=timedelta(0),
            recovery_config=RecoveryConfig(again.recovery_dir, timedelta(0)),
        )
    again.close()

"""The call orders of the engine that the exact store rests on, pinned."""

import itertools
from datetime import UTC, datetime, timedelta
from pathlib import Path

import bytewax.operators as op
import pytest
from bytewax.dataflow import Dataflow
from bytewax.inputs import FixedPartitionedSource, StatefulSourcePartition
from bytewax.outputs import FixedPartitionedSink, StatefulSinkPartition

from tests.store.flow import run
from tests.store.rig import IDENTITY, Text, World
from tocsin.store import Shard
from tocsin.store.directory import recovery_dir

_EPOCHS = 100


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


class _Group(op.StatefulBatchLogic[int, int, int]):
    def __init__(self, calls: Calls, resume: int | None) -> None:
        calls.append(f"key group built {resume}")
        self._calls = calls
        self._sum = resume or 0

    def on_batch(self, values: list[int]) -> tuple[list[int], bool]:
        self._calls.append("key_group batch")
        self._sum += sum(values)
        return values, False

    def on_eof(self) -> tuple[list[int], bool]:
        self._calls.append("key_group eof")
        return [], False

    def snapshot(self) -> int:
        self._calls.append("key_group snapshot")
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


class _Ledger:
    """Which records key groups and sink count to the epoch that closed last."""

    def __init__(self) -> None:
        self.key_groups: set[int] = set()
        self.sink: set[int] = set()
        self.serial = itertools.count()
        self.in_gap = False
        self.epochs = self.woken_in_gap = self.disagreements = 0

    def settle(self) -> None:
        """Compare, once the epoch is durable."""
        self.in_gap = False
        self.disagreements += self.key_groups != self.sink
        self.key_groups, self.sink = set(), set()


class _Tick(StatefulSourcePartition[tuple[str, int], int]):
    """Goes on until enough epochs are over: on a fast disk they take more batches."""

    def __init__(self, ledger: _Ledger) -> None:
        self._ledger = ledger
        self._at = 0

    def next_batch(self) -> list[tuple[str, int]]:
        self._ledger.settle()
        self._at += 1
        if self._at > 400 and self._ledger.epochs > _EPOCHS:
            raise StopIteration
        return [(str(self._at % 5), self._at)] if self._at % 3 else []

    def next_awake(self) -> datetime:
        return datetime.now(UTC) + timedelta(microseconds=300)

    def snapshot(self) -> int:
        self._ledger.in_gap = True
        self._ledger.epochs += 1
        return self._at


class _Ticks(FixedPartitionedSource[tuple[str, int], int]):
    def __init__(self, ledger: _Ledger) -> None:
        self._ledger = ledger

    def list_parts(self) -> list[str]:
        return ["hub"]

    def build_part(self, step_id: str, for_part: str, resume_state: int | None) -> _Tick:
        return _Tick(self._ledger)


class _Waking(op.StatefulBatchLogic[int, int, int]):
    def __init__(self, ledger: _Ledger) -> None:
        self._ledger = ledger
        self._open: set[int] = set()

    def _emit(self) -> int:
        record = next(self._ledger.serial)
        self._open.add(record)
        return record

    def on_batch(self, values: list[int]) -> tuple[list[int], bool]:
        return [self._emit() for _ in values], False

    def on_notify(self) -> tuple[list[int], bool]:
        self._ledger.woken_in_gap += self._ledger.in_gap
        return [self._emit()], False

    def notify_at(self) -> datetime:
        return datetime.now(UTC)

    def snapshot(self) -> int:
        self._ledger.key_groups |= self._open
        self._open = set()
        return 1


class _LedgerSlot(StatefulSinkPartition[int, int]):
    def __init__(self, ledger: _Ledger) -> None:
        self._ledger = ledger
        self._open: set[int] = set()

    def write_batch(self, items: list[int]) -> None:
        self._open.update(items)

    def snapshot(self) -> int:
        self._ledger.sink |= self._open
        self._open = set()
        return 1


class _Ledgers(FixedPartitionedSink[int, int]):
    def __init__(self, ledger: _Ledger) -> None:
        self._ledger = ledger

    def list_parts(self) -> list[str]:
        return ["outbox"]

    def build_part(self, step_id: str, for_part: str, resume_state: int | None) -> _LedgerSlot:
        return _LedgerSlot(self._ledger)


def _run(store: Path, batches: int) -> Calls:
    calls = Calls()
    flow = Dataflow("order")
    items = op.input("in", flow, _In(calls, batches))
    key_groups = op.stateful_batch("key_group", items, lambda resume: _Group(calls, resume))
    op.output("out", op.map("key", key_groups, lambda pair: ("outbox", pair[1])), _Out(calls))
    run(flow, store)
    return calls


@pytest.fixture
def store(tmp_path: Path) -> Path:
    shard: Shard[str] = Shard.open(tmp_path, identity=IDENTITY, codec=Text(), cache_users=1, publish=World())
    shard.close()
    return recovery_dir(tmp_path)


def test_an_epoch_closes_from_source_to_sink_before_the_next_batch(store: Path) -> None:
    calls = _run(store, 1)
    assert calls[:8] == [
        "source built None",
        "next_batch",
        "source snapshot",
        "key group built None",
        "key_group batch",
        "sink built None",
        "sink write",
        "key_group snapshot",
    ]
    assert calls[8:10] == ["sink snapshot", "next_batch"]


def test_who_was_not_awake_is_not_snapshotted(store: Path) -> None:
    """So a key group's newest row may be of an older epoch, and the sink's too."""
    calls = _run(store, 2)
    second = [index for index, call in enumerate(calls) if call == "next_batch"][1:3]
    assert calls[second[0] : second[1]] == ["next_batch", "source snapshot"]


def test_all_stored_rows_are_built_before_the_first_batch(store: Path) -> None:
    """The store does not rely on it: it takes rows over until the first epoch after the start is durable."""
    _run(store, 5)
    assert _run(store, 1)[:5] == [
        "source built 5",
        "key group built 4",
        "key group built 9",
        "sink built 7",
        "next_batch",
    ]


def test_the_end_of_input_snapshots_once_more_and_asks_for_no_batch(store: Path) -> None:
    """Hence `Shard.finish`: the last epoch is durable when the flow returns, but nobody is told."""
    calls = _run(store, 1)
    end = [index for index, call in enumerate(calls) if call == "next_batch"][-1]
    assert calls[end:][:3] == ["next_batch", "source snapshot", "key_group eof"]
    assert "next_batch" not in calls[end + 1 :]
    assert "key_group snapshot" in calls[end:]


def test_what_a_key_group_emits_before_its_snapshot_is_what_the_sink_has_at_its_own(store: Path) -> None:
    """Also for key groups woken in the gap, before and after their snapshot, through a chain of steps.

    So key groups and outbox may both be cut at their own snapshots, and agree about the epoch of each record.
    """
    ledger = _Ledger()
    flow = Dataflow("cut")
    out = op.stateful_batch("key_group", op.input("in", flow, _Ticks(ledger)), lambda _: _Waking(ledger))
    for step in range(8):
        out = op.flat_map_batch(f"step{step}", out, list)
    op.output("out", op.map("key", out, lambda pair: ("outbox", pair[1])), _Ledgers(ledger))
    run(flow, store, epoch_ms=1)
    assert ledger.epochs > _EPOCHS
    assert ledger.woken_in_gap > 300
    assert ledger.disagreements == 0

"""A whole dataflow over the exact store, to be killed: `python -m tests.store.flow DIR EVENTS [BYTES DELAY]`.

With BYTES it kills itself, DELAY seconds after it has published so much: a test that did it from outside
would come too late now and then.

Each decision names the process and moment that made it, so a decision that is made twice differs from
itself. Time is the number of the event; the last event fires all timers.
"""

import json
import os
import signal
import sys
import threading
import time
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, TextIO

import bytewax.operators as op
from bytewax.dataflow import Dataflow
from bytewax.inputs import FixedPartitionedSource, StatefulSourcePartition
from bytewax.outputs import FixedPartitionedSink, StatefulSinkPartition
from bytewax.recovery import RecoveryConfig
from bytewax.run import cli_main

from tests.store.rig import IDENTITY, KEY_GROUPS, Text
from tocsin.store import KeyGroup, Shard

USERS = 400
BATCH = 20
FOR_EVER = 1 << 60
Item = tuple[str, int]


class Lines:
    """Publishes to a file, one line a record; a line without an end was never acknowledged."""

    def __init__(self, path: Path) -> None:
        self._file: TextIO = path.open("a")
        self._file.write("\n")

    def publish(self, records: Sequence[Any]) -> None:
        for record in records:
            self._file.write(json.dumps(record) + "\n")

    def confirm(self, timeout_s: float) -> None:
        self._file.flush()


class Hub(StatefulSourcePartition[Item, tuple[int, int]]):
    def __init__(self, shard: Shard[str], events: int, resume: tuple[int, int] | None) -> None:
        epoch, self._position = resume or (None, 0)
        shard.resume(epoch)
        self._shard = shard
        self._events = events

    def next_batch(self) -> list[Item]:
        self._shard.durable()
        if self._position > self._events:
            raise StopIteration
        start, self._position = self._position, min(self._position + BATCH, self._events)
        if start == self._events:
            self._position += 1
            return [(key, FOR_EVER) for key in KEY_GROUPS]
        return [
            (KEY_GROUPS[number % USERS % len(KEY_GROUPS)], number) for number in range(start, self._position)
        ]

    def next_awake(self) -> datetime:
        return datetime.now(UTC) + timedelta(milliseconds=1)

    def snapshot(self) -> tuple[int, int]:
        return self._shard.closing(), self._position


class Input(FixedPartitionedSource[Item, tuple[int, int]]):
    def __init__(self, shard: Shard[str], events: int) -> None:
        self._shard = shard
        self._events = events

    def list_parts(self) -> list[str]:
        return ["hub"]

    def build_part(self, step_id: str, for_part: str, resume_state: tuple[int, int] | None) -> Hub:
        return Hub(self._shard, self._events, resume_state)


class Counting(op.StatefulBatchLogic[int, list[str], Any]):
    """Counts a user's events; every third sets a timer, every ninth moves it, every fifteenth cancels it."""

    def __init__(self, shard: Shard[str], stored: tuple[str, Any] | None) -> None:
        self._shard = shard
        self._key_group: KeyGroup[str] | None = shard.key_group(*stored) if stored else None

    def on_batch(self, values: list[int]) -> tuple[list[list[str]], bool]:
        out: list[list[str]] = []
        for number in values:
            key = KEY_GROUPS[number % USERS % len(KEY_GROUPS)]
            key_group = self._key_group or self._shard.key_group(key)
            self._key_group = key_group
            out += self._fire(key_group, number)
            if number != FOR_EVER:
                out.append(self._decide(key_group, number))
        return out, False

    def _fire(self, key_group: KeyGroup[str], now: int) -> Iterable[list[str]]:
        while (timer := key_group.pop_due(now)) is not None:
            yield [f"timer {timer.timer_id}", timer.payload.decode(), stamp()]

    def _decide(self, key_group: KeyGroup[str], number: int) -> list[str]:
        user = f"t/u{number % USERS}"
        count = int(key_group.get(user) or 0) + 1
        key_group.put(user, None if count % 50 == 0 else str(count))
        due = number + USERS * 3 // 2
        if number % 3 == 0:
            key_group.hold(user, f"{user} {count // 2}", due, str(count).encode())
        if number % 15 == 0:
            key_group.release(user, f"{user} {count // 2}", due)
        return [f"event {number}", str(count), stamp()]

    def on_notify(self) -> tuple[list[list[str]], bool]:
        return [], False

    def on_eof(self) -> tuple[list[list[str]], bool]:
        return [], False

    def notify_at(self) -> None:
        return None

    def snapshot(self) -> Any:
        assert self._key_group is not None
        return self._key_group.key, self._key_group.snapshot()


class Slot(StatefulSinkPartition[list[list[str]], Any]):
    def __init__(self, shard: Shard[str], resume: Any) -> None:
        shard.outbox_resume(resume)
        self._shard = shard

    def write_batch(self, items: list[list[list[str]]]) -> None:
        for records in items:
            self._shard.collect(records)

    def snapshot(self) -> Any:
        return self._shard.outbox_snapshot()


class Output(FixedPartitionedSink[list[list[str]], Any]):
    def __init__(self, shard: Shard[str]) -> None:
        self._shard = shard

    def list_parts(self) -> list[str]:
        return ["outbox"]

    def build_part(self, step_id: str, for_part: str, resume_state: Any) -> Slot:
        return Slot(self._shard, resume_state)


def stamp() -> str:
    return f"{os.getpid()} {time.perf_counter_ns()}"


def dataflow(shard: Shard[str], events: int) -> Dataflow:
    flow = Dataflow("exact")
    items = op.input("hub", flow, Input(shard, events))
    decided = op.stateful_batch("lanes", items, lambda stored: Counting(shard, stored))
    records = op.map("records", decided, lambda pair: ("outbox", [pair[1]]))
    op.output("outbox", records, Output(shard))
    return flow


def run(flow: Dataflow, store: Path, *, epoch_ms: int = 0) -> None:
    recovery = RecoveryConfig(store, timedelta(0))
    cli_main(flow, epoch_interval=timedelta(milliseconds=epoch_ms), recovery_config=recovery)


def kill_after(published: Path, growth: int, delay_s: float) -> None:
    """Kill this process after some progress: how much that is depends on no machine."""
    enough = published.stat().st_size + growth
    while published.stat().st_size < enough:
        time.sleep(0.001)
    time.sleep(delay_s)
    os.kill(os.getpid(), signal.SIGKILL)


def main(path: Path, events: int, *kill: str) -> None:
    shard = Shard.open(
        path / "shard",
        identity=IDENTITY,
        codec=Text(),
        cache_users=40,
        publish=Lines(path / "published"),
        patience_s=10,
    )
    if kill:
        threading.Thread(
            target=kill_after, args=(path / "published", int(kill[0]), float(kill[1])), daemon=True
        ).start()
    run(dataflow(shard, events), shard.recovery_dir, epoch_ms=15)
    shard.finish()
    shard.close()


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]), *sys.argv[3:])

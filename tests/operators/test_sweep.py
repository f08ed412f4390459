"""The sweep: who never comes back leaves nothing behind, and nobody else notices."""

from pathlib import Path
from typing import Any

import msgspec
import pytest

from operators.gate_parts import GateInput
from tests.decision.gate_world import HOUR, NOON, SECOND
from tests.operators.test_gate_logic import KEY_GROUP, USER, Process, change, event, words
from tocsin.model.event import Event, Recipient

_DAY = 24 * HOUR


@pytest.fixture
def process(tmp_path: Path) -> Process:
    return Process(tmp_path / "shard", {})


def guest(number: int, at: int = 0) -> GateInput:
    """An event for somebody without a profile."""
    entry = event(at, number, "flight.cancelled")
    assert isinstance(entry.item, Event)
    contact = Recipient(email=f"guest{number}@mail.example")
    item = msgspec.structs.replace(entry.item, user=f"guest{number}", recipient=contact)
    return msgspec.structs.replace(entry, user_key=f"quiet/guest{number}", item=item)


def stored(process: Process) -> list[str]:
    """List the users in the base that have not been erased since."""
    return [user for user, _ in process.shard.key_group(KEY_GROUP).sweep(1_000)]


def sweep(process: Process, at: int, turns: int = 20) -> None:
    """Let time pass, turn by turn, each with an epoch of its own."""
    for turn in range(turns):
        process.clock.wall_ms = process.clock.until_ms = NOON + at + turn * 61 * SECOND
        process.notify()
        process.epoch()


def test_one_off_recipients_leave_nothing_behind_and_a_profile_stays(process: Process) -> None:
    process.give(change(), event(0, 9_999, "flight.cancelled"), *(guest(number) for number in range(100)))
    process.epoch()
    process.epoch()
    assert len(stored(process)) == 101
    sweep(process, at=9 * _DAY)
    assert stored(process) == [USER]
    record = process.shard.key_group(KEY_GROUP).get(USER)
    assert record is not None
    assert (record.version, record.seen, record.keys, record.counts) == (1, b"", b"", {})


def test_what_a_later_decision_needs_is_kept(process: Process) -> None:
    process.give(guest(1))
    process.epoch()
    sweep(process, at=HOUR)
    assert words(process.give(guest(1, at=2 * HOUR))) == [], "a copy of the very same record"
    copy = guest(1, at=2 * HOUR)
    assert isinstance(copy.item, Event)
    other = msgspec.structs.replace(copy.item, origin=msgspec.structs.replace(copy.item.origin, offset=77))
    assert words(process.give(msgspec.structs.replace(copy, item=other))) == [("suppressed", "duplicate")]


def test_a_sweep_waits_its_turn_and_never_runs_in_the_gap(process: Process) -> None:
    process.give(*(guest(number) for number in range(40)))
    process.epoch()
    process.epoch()
    process.clock.gap = True
    process.clock.wall_ms = process.clock.until_ms = NOON + 9 * _DAY
    process.notify()
    process.clock.gap = False
    process.epoch()
    process.epoch()
    assert len(stored(process)) == 40
    process.notify()
    process.notify()
    process.epoch()
    process.epoch()
    assert len(stored(process)) == 8, "one turn of 32 users; the next is due a second later"


def test_a_crash_in_a_sweep_repeats_it(tmp_path: Path) -> None:
    rows: dict[str, Any] = {}
    first = Process(tmp_path / "shard", rows)
    first.give(*(guest(number) for number in range(3)))
    first.epoch()
    first.clock.wall_ms = first.clock.until_ms = NOON + 9 * _DAY
    first.notify()
    first.shard.close()

    second = Process(tmp_path / "shard", rows)
    second.epoch()
    assert len(stored(second)) == 3
    sweep(second, at=10 * _DAY)
    assert stored(second) == []
    second.shard.close()

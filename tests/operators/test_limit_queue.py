"""The queue of a limit in the store: a slot passes on, and a crash between neither loses nor doubles one."""

from pathlib import Path
from typing import Any

import msgspec
import pytest

from operators.gate_parts import GateInput
from tests.decision.gate_world import MINUTE, NOON, RULES, profile, with_preferences
from tests.operators.test_gate_logic import RAW, Process, outcomes
from tocsin.decision.gate import Gate
from tocsin.decision.policy import GatePolicy
from tocsin.formats.codec import ProfileChange
from tocsin.formats.forwarded import rewritten
from tocsin.model.event import Event, Origin
from tocsin.model.profile import Profile

USER = "lab/ann"


def started(path: Path, stored: dict[str, Any]) -> Process:
    return Process(path, stored, Gate(RULES, GatePolicy()))


def event(minute: int, kind: str) -> GateInput:
    at_ms = NOON + minute * MINUTE
    item = Event(
        tenant="lab", id=f"e{minute}", source="/s", type=f"shared.{kind}", user="ann", time_ms=at_ms,
        data=msgspec.Raw(b'{"delay": 72}'), origin=Origin("events", 0, minute), received_ms=at_ms,
    )  # fmt: skip
    return GateInput(at_ms, USER, item, rewritten(item))


def change(minute: int, wanted: Profile) -> GateInput:
    return GateInput(NOON + minute * MINUTE, USER, ProfileChange("lab", "ann", wanted), RAW)


def fire(process: Process, minute: int) -> list[tuple[str, str, float]]:
    process.clock.wall_ms = process.clock.until_ms = NOON + minute * MINUTE
    return [
        (one.event_id, one.status, (one.at_ms - NOON) / MINUTE)
        for one in outcomes(process.notify())
        if one.status != "held"
    ]


@pytest.mark.parametrize("crash", ["before the slot", "after the slot", "in the epoch of the slot"])
def test_a_slot_passes_on_whenever_the_process_dies(tmp_path: Path, crash: str) -> None:
    stored: dict[str, Any] = {}
    process = started(tmp_path / "shard", stored)
    kinds = ("first", "first", "third", "third")
    process.give(change(0, profile()), *(event(minute, kind) for minute, kind in enumerate(kinds)))
    process.give(change(10, with_preferences(notifications={"first": False})))
    process.epoch()
    slot = [("e1", "suppressed", 30), ("e2", "admitted", 30)]
    if crash != "before the slot":
        assert fire(process, 31) == slot
        if crash == "after the slot":
            process.epoch()
    process.shard.close()

    again = started(tmp_path / "shard", stored)
    assert fire(again, 31) == ([] if crash == "after the slot" else slot)
    assert fire(again, 120) == [("e3", "admitted", 60)]
    again.epoch()
    again.shard.close()

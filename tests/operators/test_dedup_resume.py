"""Dedup on meaning over the real store: wherever the process dies, duplicates name their original."""

from pathlib import Path
from typing import Any

import msgspec
import pytest

from operators.gate_parts import GateInput
from tests.decision.gate_world import CAPS, MINUTE, NOON, profile
from tests.operators.test_gate_logic import RAW, Process, outcomes
from tocsin.decision.gate import Gate
from tocsin.decision.policy import GatePolicy
from tocsin.formats.codec import ProfileChange
from tocsin.formats.forwarded import rewritten
from tocsin.model.event import Event, Origin

USER = "calm/ann"
KNOWN = GateInput(NOON, USER, ProfileChange("calm", "ann", profile()), RAW)


def started(path: Path, stored: dict[str, Any]) -> Process:
    return Process(path, stored, Gate(CAPS, GatePolicy()))


def event(minute: int, key: str) -> GateInput:
    at_ms = NOON + minute * MINUTE
    item = Event(
        tenant="calm", id=f"e{minute}", source="/s", type="hourly", user="ann", time_ms=at_ms,
        data=msgspec.Raw(msgspec.json.encode({"key": key})), origin=Origin("events", 0, minute),
        received_ms=at_ms,
    )  # fmt: skip
    return GateInput(at_ms, USER, item, rewritten(item))


def told(outs: Any) -> list[tuple[str, str, object]]:
    return [
        (one.event_id, one.reason or one.status, one.detail.get("original", "")) for one in outcomes(outs)
    ]


FIRST = [("e1", "admitted", ""), ("e2", "duplicate_key", "events/0/1"), ("e3", "admitted", "")]


@pytest.mark.parametrize("crash", ["before they come", "in their epoch", "after their epoch"])
def test_a_key_is_taken_once_wherever_the_process_dies(tmp_path: Path, crash: str) -> None:
    stored: dict[str, Any] = {}
    process = started(tmp_path / "shard", stored)
    process.give(KNOWN)
    process.epoch()
    records = event(1, "k"), event(2, "k"), event(3, "l")
    if crash != "before they come":
        assert told(process.give(*records)) == FIRST
        if crash == "after their epoch":
            process.epoch()
    process.shard.close()

    again = started(tmp_path / "shard", stored)
    if crash != "after their epoch":
        assert told(again.give(*records)) == FIRST, "the epoch is not durable: its inputs come again"
    assert told(again.give(event(60, "k"), event(61, "k"), event(62, "l"))) == [
        ("e60", "duplicate_key", "events/0/1"),
        ("e61", "admitted", ""),
        ("e62", "duplicate_key", "events/0/3"),
    ]
    again.epoch()
    again.shard.close()

"""A failed send in the store: its place comes back once, whenever the process dies; what waits moves up."""

from pathlib import Path
from typing import Any

import msgspec
import pytest

from operators.gate_parts import GateInput
from tests.decision.gate_world import CAPS, MINUTE, NOON, profile
from tests.operators.test_gate_logic import RAW, Process, outcomes
from tocsin.decision.gate import Gate
from tocsin.decision.policy import GatePolicy
from tocsin.delivery import records
from tocsin.delivery.records import ProviderCall
from tocsin.formats.codec import ProfileChange
from tocsin.formats.forwarded import rewritten
from tocsin.model.event import Event, Origin
from tocsin.model.message import Message
from tocsin.model.outcome import ReceiptEvent
from tocsin.model.raw import OutRecord
from tocsin.model.statuses import Reason

USER = "calm/ann"


def started(path: Path, stored: dict[str, Any]) -> Process:
    return Process(path, stored, Gate(CAPS, GatePolicy()))


def event(minute: int, number: int) -> GateInput:
    at_ms = NOON + minute * MINUTE
    item = Event(
        tenant="calm", id=f"e{number}", source="/s", type="drip", user="ann", time_ms=at_ms,
        data=msgspec.Raw(b"{}"), origin=Origin("events", 0, number), received_ms=at_ms,
    )  # fmt: skip
    return GateInput(at_ms, USER, item, rewritten(item))


def messages(out: list[Any]) -> list[Message]:
    sent = (one for one in out if isinstance(one, OutRecord) and one.topic.startswith("messages."))
    return [msgspec.json.decode(one.value or b"", type=Message) for one in sent]


def failure(message: Message, minute: int) -> GateInput:
    """What delivery writes of a message that it does not send."""
    ((_, value, _),) = records.failed(message, Reason.REJECTED, ProviderCall(NOON + minute * MINUTE))
    return GateInput(NOON + minute * MINUTE, USER, msgspec.json.decode(value, type=ReceiptEvent), RAW)


def left(out: list[Any]) -> list[tuple[str, int]]:
    """Who was admitted, and in which minute."""
    return [(one.event_id, (one.at_ms - NOON) // MINUTE) for one in outcomes(out) if one.status == "admitted"]


@pytest.mark.parametrize("crash", ["before the failure", "in its epoch", "after it"])
def test_a_place_comes_back_once_whenever_the_process_dies(tmp_path: Path, crash: str) -> None:
    """Two in ten minutes: at 0 and 1; two wait for 10 and 11. At 5 the first turns out dead, told twice."""
    stored: dict[str, Any] = {}
    process = started(tmp_path / "shard", stored)
    change = GateInput(NOON, USER, ProfileChange("calm", "ann", profile(devices=())), RAW)
    out = process.give(change, *(event(minute, n) for n, minute in enumerate((0, 1, 2, 3))))
    assert left(out) == [("e0", 0), ("e1", 1)]
    (first, _) = messages(out)
    process.epoch()
    came = [] if crash == "before the failure" else process.give(failure(first, 5))
    if crash == "after it":
        process.epoch()
    process.shard.close()

    again = started(tmp_path / "shard", stored)
    if crash != "after it":
        came = []
    came += again.give(failure(first, 5))
    again.epoch()
    came += again.give(failure(first, 6))
    again.clock.wall_ms = again.clock.until_ms = NOON + 60 * MINUTE
    came += again.notify()
    assert left(came) == [("e2", 5), ("e3", 11)]
    again.epoch()
    again.shard.close()


def test_a_place_that_comes_back_is_taken_before_the_next_event_is_decided(tmp_path: Path) -> None:
    """Also in one bundle: what moved up to now fires before the record behind."""
    process = started(tmp_path / "shard", {})
    change = GateInput(NOON, USER, ProfileChange("calm", "ann", profile(devices=())), RAW)
    (first, _) = messages(process.give(change, *(event(minute, n) for n, minute in enumerate((0, 1, 2)))))
    out = process.give(failure(first, 5), event(5, 7))
    assert left(out) == [("e2", 5)]
    process.epoch()
    process.shard.close()

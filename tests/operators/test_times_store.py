"""Times in the store: wherever the process dies, what is replaced, cancelled or due is decided once."""

from pathlib import Path
from typing import Any

import msgspec
import pytest

from operators.gate_parts import GateInput
from tests.decision.gate_world import HOUR, MINUTE, NOON, profile
from tests.decision.test_schedule import TIMES
from tests.docs.timelines import write_catalog
from tests.operators.test_gate_logic import RAW, Process, outcomes
from tocsin.catalog.loader import load
from tocsin.decision.gate import Gate
from tocsin.decision.policy import GatePolicy
from tocsin.formats.codec import ProfileChange
from tocsin.formats.forwarded import rewritten
from tocsin.model.event import Event, Origin
from tocsin.model.profile import Profile, QuietHours

USER = "texts/ann"
MOVING = """
```yaml
# tenants/texts.yaml
categories: {updates: {}}
limits: []
```
```yaml
# notifications/all.yaml
daily: {on: {type: daily}, category: updates, channels: [email], digest: {at: "18:00"}}
found: {on: {type: found}, category: updates, channels: [email], at: {expression: data.at}}
```
"""


def started(path: Path, stored: dict[str, Any]) -> Process:
    return Process(path, stored, Gate(TIMES, GatePolicy()))


def event(minute: int, kind: str, **data: object) -> GateInput:
    at_ms = NOON + minute * MINUTE
    item = Event(
        tenant="texts", id=f"e{minute}", source="/s", type=kind, user="ann", time_ms=at_ms,
        data=msgspec.Raw(msgspec.json.encode(data)), origin=Origin("events", 0, minute), received_ms=at_ms,
    )  # fmt: skip
    return GateInput(at_ms, USER, item, rewritten(item))


def known(wanted: Profile) -> GateInput:
    return GateInput(NOON, USER, ProfileChange("texts", "ann", wanted), RAW)


def told(outs: Any) -> list[tuple[str, str, str, str]]:
    return [(one.event_id, one.status, one.reason, one.channel) for one in outcomes(outs)]


def fire(process: Process, minute: int) -> list[tuple[str, str, str, str]]:
    process.clock.wall_ms = process.clock.until_ms = NOON + minute * MINUTE
    return told(process.notify())


MORNING = 20 * 60
FIRST = (
    known(profile()),
    event(600, "news", room="a"),
    event(601, "reminder", room="m", meeting=7, starts=NOON + 30 * HOUR),
    event(602, "reminder", room="n", meeting=8, starts=NOON + 31 * HOUR),
)
SECOND = (
    event(603, "news", room="a"),
    event(604, "reminder", room="o", meeting=7, starts=NOON + 32 * HOUR),
    event(605, "tocsin.cancel", cancel_key=8),
)
REPLACED = [
    ("e603", "admitted", "", "email"),
    ("e600", "merged", "collapsed", "sms"),
    ("e603", "held", "send_window", "sms"),
    ("e601", "cancelled", "rescheduled", "*"),
    ("e604", "held", "scheduled", "*"),
    ("e602", "cancelled", "cancelled_by_event", "*"),
    ("e605", "suppressed", "cancel_applied", "*"),
]


@pytest.mark.parametrize("crash", ["before they come", "in their epoch", "after their epoch"])
def test_what_is_replaced_or_cancelled_is_so_once_wherever_the_process_dies(
    tmp_path: Path, crash: str
) -> None:
    stored: dict[str, Any] = {}
    process = started(tmp_path / "shard", stored)
    process.give(*FIRST)
    process.epoch()
    if crash != "before they come":
        assert told(process.give(*SECOND)) == REPLACED
        if crash == "after their epoch":
            process.epoch()
    process.shard.close()

    again = started(tmp_path / "shard", stored)
    if crash != "after their epoch":
        assert told(again.give(*SECOND)) == REPLACED, "the epoch is not durable: its inputs come again"
    assert fire(again, MORNING - 1) == []
    assert fire(again, MORNING) == [("e603", "admitted", "", "sms")]
    again.epoch()
    again.shard.close()

    last = started(tmp_path / "shard", stored)
    assert fire(last, 32 * 60 - 11) == []
    assert fire(last, 32 * 60 - 10) == [("e604", "admitted", "", "email"), ("e604", "admitted", "", "sms")]
    last.epoch()
    assert fire(last, 100 * 60) == []
    last.shard.close()


@pytest.mark.parametrize("crash", ["in its epoch", "after its epoch"])
def test_a_text_that_waits_for_its_window_and_the_quiet_hours_leaves_once(tmp_path: Path, crash: str) -> None:
    """The window opens at eight, within the quiet hours: the timer is that of nine from the start."""
    stored: dict[str, Any] = {}
    process, text = started(tmp_path / "shard", stored), event(570, "news", room="a")
    process.give(known(profile(quiet_hours=QuietHours("22:00", "09:00"))))
    process.epoch()
    said = [("e570", "admitted", "", "email"), ("e570", "held", "quiet_hours", "sms")]
    assert told(process.give(text)) == said
    if crash == "after its epoch":
        process.epoch()
    process.shard.close()

    again = started(tmp_path / "shard", stored)
    if crash == "in its epoch":
        assert told(again.give(text)) == said
    assert fire(again, MORNING) == [], "the window is open, and the quiet hours go on"
    assert fire(again, MORNING + 60) == [("e570", "admitted", "", "sms")]
    again.epoch()
    again.shard.close()


@pytest.mark.parametrize("crash", ["in its epoch", "after its epoch"])
def test_what_follows_the_clock_of_a_user_who_moves_is_due_there_once(tmp_path: Path, crash: str) -> None:
    """A digest of six in the evening and a clock time of the event, both an hour earlier in Berlin."""
    write_catalog(MOVING, tmp_path / "catalog")
    stored: dict[str, Any] = {}
    gate = Gate(load(tmp_path / "catalog"), GatePolicy())
    process = Process(tmp_path / "shard", stored, gate)
    process.give(known(profile()), event(1, "daily"), event(2, "found", at="2023-11-14 18:00"))
    process.epoch()
    moved = GateInput(
        NOON + HOUR, USER, ProfileChange("texts", "ann", profile(timezone="Europe/Berlin", version=2)), RAW
    )
    process.give(moved)
    if crash == "after its epoch":
        process.epoch()
    process.shard.close()

    again = Process(tmp_path / "shard", stored, gate)
    if crash == "in its epoch":
        again.give(moved)
    assert fire(again, 300 - 1) == []
    assert fire(again, 300) == [("e1", "admitted", "", "email"), ("e2", "admitted", "", "email")]
    again.epoch()
    assert fire(again, 100 * 60) == []
    again.shard.close()


def test_what_moves_up_in_a_queue_fires_at_its_new_time(tmp_path: Path) -> None:
    """A cancel event moves the next one up: a timer earlier than the first that the key group knew of."""
    process = started(tmp_path / "shard", {})
    process.give(known(profile()), *(event(minute, "turns", key=minute) for minute in range(1, 4)))
    assert told(process.give(event(5, "tocsin.cancel", cancel_key=2)))[-1][2] == "cancel_applied"
    assert told(process.give(event(62, "evening")))[0] == ("e3", "admitted", "", "email")
    process.epoch()
    process.shard.close()

"""Digests in the store: a crash at any step neither loses nor doubles an item, and nothing stays behind."""

from pathlib import Path
from typing import Any

import msgspec
import pytest

from operators.gate_parts import GateInput
from tests.decision.gate_world import HOUR, MINUTE, NOON, profile
from tests.decision.test_digests import CATALOG
from tests.operators.test_gate_logic import IDENTITY, KEY_GROUP, RAW, USER, Process
from tocsin.decision.gate import Gate
from tocsin.decision.policy import GatePolicy
from tocsin.formats.codec import ProfileChange
from tocsin.formats.forwarded import rewritten
from tocsin.model import topics
from tocsin.model.audit import AuditRecord
from tocsin.model.event import Event, Origin
from tocsin.model.message import Message
from tocsin.model.outcome import Outcome
from tocsin.model.profile import Preferences, Profile
from tocsin.model.raw import OutRecord
from tocsin.store.base import Base
from tocsin.store.directory import base_dir
from tocsin.store.keys import group_keys

Step = GateInput | int
"""An input, or the time (ms after noon) until which timers may fire."""


def change(at: int, wanted: Profile | None) -> GateInput:
    return GateInput(NOON + at, USER, ProfileChange("quiet", "ann", wanted), RAW)


def item(at: int, kind: str, number: int) -> GateInput:
    event = Event(
        tenant="quiet", id=f"e{number}", source="/s", type=kind, user="ann", time_ms=NOON + at,
        data=msgspec.Raw(b'{"n":%d,"key":"k"}' % number), origin=Origin("events", 0, number),
        received_ms=NOON + at,
    )  # fmt: skip
    return GateInput(NOON + at, USER, event, rewritten(event))


OFF = Preferences(notifications={"counted": False})
STEPS: tuple[Step, ...] = (
    change(0, profile()),
    item(1, "hourly", 1),
    item(2, "sliding", 2),
    item(3, "hourly", 3),
    item(8 * MINUTE, "sliding", 4),
    12 * MINUTE,
    18 * MINUTE,
    item(20 * MINUTE, "counted", 5),
    item(21 * MINUTE, "counted", 6),
    item(22 * MINUTE, "counted", 7),
    item(22 * MINUTE, "counted", 8),
    change(23 * MINUTE, profile(version=2, preferences=OFF)),
    item(24 * MINUTE, "spilling", 10),
    item(25 * MINUTE, "spilling", 11),
    item(26 * MINUTE, "spilling", 12),
    45 * MINUTE,
    item(46 * MINUTE, "spilling", 13),
    HOUR + 1,
    item(HOUR + 2, "hourly", 9),
    change(HOUR + 3, None),
)


def started(path: Path, stored: dict[str, Any]) -> Process:
    return Process(path, stored, Gate(CATALOG, GatePolicy()))


def do(process: Process, step: Step) -> None:
    if isinstance(step, GateInput):
        process.give(step)
        return
    process.clock.wall_ms = process.clock.until_ms = NOON + step
    process.notify()


def run(path: Path, crash: int = len(STEPS), *, stored: bool = False) -> list[Any]:
    """Do all steps, with a crash behind one: before its epoch is stored, or before it reaches the base."""
    rows: dict[str, Any] = {}
    first = started(path, rows)
    for step in STEPS[:crash]:
        do(first, step)
    first.epoch()
    for step in STEPS[crash : crash + 1]:
        do(first, step)
    if stored:
        first.store_rows()
    first.shard.close()
    second = started(path, rows)
    for step in STEPS[crash + stored :]:
        do(second, step)
    second.epoch()
    assert second.shard.key_group(KEY_GROUP).held() == 0
    second.shard.finish()
    second.shard.close()
    assert left(path) == []
    return first.published.records + second.published.records


def left(path: Path) -> list[bytes]:
    """List rows of timers, and of what is kept beside them, that nobody will ever read."""
    base, keys = Base(base_dir(path), IDENTITY), group_keys(KEY_GROUP)
    rows = [key for key, _ in base.scan(keys.held, keys.record)]
    base.close()
    return rows


def told(records: list[Any]) -> dict[str, bytes]:
    """What came out, by id; copies must be equal."""
    found: dict[str, bytes] = {}
    for record in (one for one in records if isinstance(one, OutRecord)):
        value = record.value or b""
        if record.topic == topics.OUTCOMES:
            name = msgspec.json.decode(value, type=Outcome).outcome_id
        elif record.topic == topics.AUDIT:
            name = f"audit/{msgspec.json.decode(value, type=AuditRecord).audit_id}"
        else:
            name = f"{msgspec.json.decode(value, type=Message).message_id} {record.topic}"
        assert found.setdefault(name, value) == value
    return found


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    return told(run(tmp_path_factory.mktemp("undisturbed") / "shard"))


def test_what_comes_out_without_a_crash(undisturbed: dict[str, bytes]) -> None:
    outcomes = [msgspec.json.decode(one, type=Outcome) for name, one in undisturbed.items() if name.isalnum()]
    messages = [msgspec.json.decode(one, type=Message) for name, one in undisturbed.items() if " " in name]
    merged = [one for one in outcomes if one.status == "merged"]
    assert len(merged) == 12
    counts = sorted(
        (one.notification, msgspec.json.decode(one.data)["count"]) for one in messages if one.digest
    )
    assert counts == [("counted", 3), ("hourly", 2), ("sliding", 2), ("spilling", 2)]
    assert [one.event_id for one in messages if not one.digest] == ["e10"], "the first had room in the limit"
    ends = sorted((one.notification, one.reason) for one in outcomes if one.status == "suppressed")
    assert ends == [("counted", "erased"), ("hourly", "erased"), ("spilling", "erased")]


@pytest.mark.parametrize("stored", [False, True], ids=["before it is stored", "before it is in the base"])
def test_a_crash_behind_any_step_changes_nothing(
    tmp_path: Path, undisturbed: dict[str, bytes], stored: bool
) -> None:
    """Each kind of crash behind every other step: items, firings and the erasure meet both."""
    for crash in range(1 + stored, len(STEPS), 2):
        assert told(run(tmp_path / str(crash), crash, stored=stored)) == undisturbed

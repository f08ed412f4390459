"""People in the store: wherever the process dies, arms, versions and tenants are decided as if it had not."""

from pathlib import Path
from typing import Any

import msgspec
import pytest

from operators.gate_parts import GateInput
from tests.decision.gate_world import HOUR, MINUTE, NOON, profile
from tests.decision.test_tenants import ACTIVE, FAULTY
from tests.decision.test_variants import ARMS, arm_of, catalog
from tests.operators.test_gate_logic import RAW, Process, outcomes
from tocsin.catalog.loader import Catalog
from tocsin.decision.faulty import LOOK_AGAIN_MS
from tocsin.decision.gate import Gate
from tocsin.decision.policy import GatePolicy
from tocsin.formats.codec import ProfileChange
from tocsin.formats.forwarded import rewritten
from tocsin.model.event import Event, Origin
from tocsin.model.profile import Preferences, Profile

USER = "quiet/ann"
HELD = catalog(ARMS, delay="1h")
TURNED = catalog(
    [{**ARMS[0], "weight": 0}, {**ARMS[1], "weight": 0}, {"name": "new", "weight": 1}], "w", delay="1h"
)
OUT = profile(version=5, preferences=Preferences(enabled=False))


def started(path: Path, stored: dict[str, Any], found: Catalog) -> Process:
    return Process(path, stored, Gate(found, GatePolicy()))


def event(minute: int, kind: str = "t") -> GateInput:
    at_ms = NOON + minute * MINUTE
    item = Event(
        tenant="quiet", id=f"e{minute}", source="/s", type=kind, user="ann", time_ms=at_ms,
        data=msgspec.Raw(b"{}"), origin=Origin("events", 0, minute), received_ms=at_ms,
    )  # fmt: skip
    return GateInput(at_ms, USER, item, rewritten(item))


def known(wanted: Profile, minute: int = 0) -> GateInput:
    return GateInput(NOON + minute * MINUTE, USER, ProfileChange("quiet", "ann", wanted), RAW)


def fire(process: Process, until_ms: int) -> list[tuple[str, str, str]]:
    process.clock.wall_ms = process.clock.until_ms = NOON + until_ms
    return [(one.status, one.reason, one.variant) for one in outcomes(process.notify())]


@pytest.mark.parametrize("crash", ["in its epoch", "after its epoch"])
def test_the_arm_of_what_is_held_outlives_a_crash_and_a_change_of_the_weights(
    tmp_path: Path, crash: str
) -> None:
    arm, stored = arm_of(HELD, "ann"), dict[str, Any]()
    process = started(tmp_path / "shard", stored, HELD)
    process.give(known(profile()))
    process.epoch()
    assert [one.variant for one in outcomes(process.give(event(1)))] == [arm]
    if crash == "after its epoch":
        process.epoch()
    process.shard.close()

    again = started(tmp_path / "shard", stored, HELD)
    if crash == "in its epoch":
        assert [one.variant for one in outcomes(again.give(event(1)))] == [arm], "it comes again"
    again.epoch()
    again.shard.close()

    last = started(tmp_path / "shard", stored, TURNED)
    assert fire(last, 2 * HOUR) == [("admitted", "", arm)]
    last.shard.close()


@pytest.mark.parametrize("crash", ["in its epoch", "after its epoch"])
def test_an_opt_out_is_not_undone_by_an_older_profile_after_a_crash(tmp_path: Path, crash: str) -> None:
    stored: dict[str, Any] = {}
    process = started(tmp_path / "shard", stored, ACTIVE)
    process.give(known(profile(version=1)))
    process.epoch()
    process.give(known(OUT, 1))
    if crash == "after its epoch":
        process.epoch()
    process.shard.close()

    again = started(tmp_path / "shard", stored, ACTIVE)
    if crash == "in its epoch":
        again.give(known(OUT, 1))
    again.give(known(profile(version=4), 2))
    assert [one.reason for one in outcomes(again.give(event(3)))] == ["opted_out"]
    again.shard.close()


def test_what_is_held_outlives_starts_without_a_catalog_of_its_tenant(tmp_path: Path) -> None:
    stored: dict[str, Any] = {}
    process = started(tmp_path / "shard", stored, ACTIVE)
    process.give(known(profile()), event(1, "n"), event(2, "n"))
    process.epoch()
    process.shard.close()

    for hours in (9, 10):
        broken = started(tmp_path / "shard", stored, FAULTY)
        assert fire(broken, hours * HOUR) == []
        broken.epoch()
        broken.shard.close()

    mended = started(tmp_path / "shard", stored, ACTIVE)
    assert fire(mended, 10 * HOUR + 2 * LOOK_AGAIN_MS) == [("admitted", "", ""), ("admitted", "", "")]
    mended.epoch()
    assert fire(mended, 30 * HOUR) == []
    mended.shard.close()

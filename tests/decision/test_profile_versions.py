"""Profiles that come late or out of order: a lower version never overwrites a higher one."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.decision.gate_world import HOUR, MINUTE, World, profile
from tests.decision.test_moved_profiles import read
from tocsin.model.profile import Preferences
from tocsin.model.statuses import Reason

OUT = Preferences(enabled=False)


def address(world: World, at: int) -> str:
    return world.event("flight.landed", at=at).messages[-1].target.address


def test_an_opt_out_is_not_undone_by_an_older_profile_that_comes_late() -> None:
    world = World()
    read(world, profile(version=5, preferences=OUT), at=0)
    step = read(world, profile(version=4), at=MINUTE)
    (letter,) = step.dead_letters
    assert (letter.reason, step.touched, step.profile_version) == (Reason.OUTDATED, False, None)
    assert letter.error.startswith("version: 4, and version 5 was applied before; write the newest")
    assert world.event("flight.landed", at=HOUR).messages == []


def test_a_record_of_the_user_stays_so_that_no_tombstone_is_written() -> None:
    """Only a copy for a user who was erased is taken out of the topic."""
    world = World()
    read(world, profile(version=5), at=0)
    step = read(world, profile(version=4), at=MINUTE)
    assert step.record is not None
    assert step.record.version


@pytest.mark.parametrize("version", [0, 5])
def test_without_a_version_and_under_the_same_the_order_of_the_topic_holds(version: int) -> None:
    world = World()
    read(world, profile(version=5), at=0)
    read(world, profile(version=version, email="later@mail.example"), at=MINUTE)
    assert address(world, HOUR) == "later@mail.example"
    step = read(world, profile(version=4), at=2 * HOUR)
    assert [one.reason for one in step.dead_letters] == [Reason.OUTDATED]


def test_what_the_gate_adds_to_the_version_refuses_nobody() -> None:
    """Blocks and careless producers raise the version in force; the producer's own stays apart."""
    world = World()
    for turn in range(5):
        read(world, profile(version=1, email=f"{turn}@mail.example"), at=turn)
    record = world.record()
    assert record is not None
    assert (record.version, record.written_version) == (5, 1)
    read(world, profile(version=2, email="second@mail.example"), at=MINUTE)
    assert address(world, HOUR) == "second@mail.example"


def test_after_an_erasure_a_user_may_begin_anew() -> None:
    world = World()
    read(world, profile(version=5), at=0)
    read(world, None, at=MINUTE)
    read(world, profile(version=1), at=HOUR)
    assert address(world, 2 * HOUR) == "ann@mail.example"


def test_a_forwarded_profile_is_newer_by_its_producers_version_whatever_the_gate_added() -> None:
    world = World()
    for turn in range(3):
        read(world, profile(version=1, email=f"{turn}@mail.example"), at=HOUR + turn)
    read(world, profile(version=2, email="newer@mail.example"), at=2 * HOUR, first=MINUTE)
    assert address(world, 3 * HOUR) == "newer@mail.example"


@given(st.permutations(range(1, 7)))
def test_in_whatever_order_versions_come_the_highest_is_in_force(order: list[int]) -> None:
    world = World()
    for turn, version in enumerate(order):
        read(world, profile(version=version, email=f"v{version}@mail.example"), at=turn)
    assert address(world, HOUR) == "v6@mail.example"
    refused = sum(len(step.dead_letters) for step in world.steps)
    assert refused == sum(version < max(order[: turn + 1]) for turn, version in enumerate(order))

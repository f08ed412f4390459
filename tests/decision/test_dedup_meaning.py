"""Dedup on meaning: any key, any window of event time, shared as the catalog says; the original is named."""

import pytest

from tests.decision.gate_world import CAPS, DAY, HOUR, MINUTE, World, profile, said, sent
from tocsin.decision.policy import GatePolicy

DUPLICATE = [("suppressed", "duplicate_key", "*")]


@pytest.fixture
def calm() -> World:
    world = World("calm", catalog=CAPS)
    world.profile(profile())
    return world


def test_notifications_of_a_category_share_their_keys(calm: World) -> None:
    first = calm.event("shared.one", data={"key": "k"})
    assert sent(first) == ["email"]
    step = calm.event("shared.two", at=MINUTE, data={"key": "k"})
    assert said(step) == DUPLICATE
    assert step.outcomes[0].detail == {"original": first.outcomes[0].origin}
    assert sent(calm.event("shared.two", at=MINUTE, data={"key": "l"})) == ["inapp"]


def test_each_notification_asks_for_its_own_window_and_the_longest_is_remembered(calm: World) -> None:
    """Two remembers its key for an hour only by itself; One asks for thirty days."""
    calm.event("shared.two", data={"key": "k"})
    assert sent(calm.event("shared.two", at=HOUR, data={"key": "k"})) == ["inapp"]
    assert said(calm.event("shared.one", at=29 * DAY, data={"key": "k"})) == DUPLICATE
    assert sent(calm.event("shared.one", at=40 * DAY, data={"key": "k"})) == ["email"]


def test_the_window_is_of_event_time_whenever_the_events_come(calm: World) -> None:
    calm.event("hourly", at=3 * HOUR, time=0, data={"key": "k"})
    assert said(calm.event("hourly", at=3 * HOUR, time=-59 * MINUTE, data={"key": "k"})) == DUPLICATE
    assert said(calm.event("hourly", at=4 * HOUR, time=59 * MINUTE, data={"key": "k"})) == DUPLICATE
    assert sent(calm.event("hourly", at=4 * HOUR, time=HOUR, data={"key": "k"})) == ["inapp"]


def test_a_year_is_a_year_whatever_comes_between() -> None:
    world = World("calm", catalog=CAPS, policy=GatePolicy(keys_max=32))
    world.profile(profile())
    world.event("yearly", data={"key": "k"})
    for number in range(200):
        world.event("hourly", at=number, data={"key": f"k{number}"})
    assert said(world.event("yearly", at=364 * DAY, data={"key": "k"})) == DUPLICATE
    assert sent(world.event("yearly", at=365 * DAY, data={"key": "k"})) == ["inapp"]
    assert all(len(data) < 32 * 35 + 128 * 35 + 600 for data in world.records.values())


@pytest.mark.parametrize("key", [1, 1.5, True, "1", "", "\u00fc/\n"])
def test_a_key_is_any_text_or_number(calm: World, key: object) -> None:
    assert sent(calm.event("hourly", data={"key": key})) == ["inapp"]
    assert said(calm.event("hourly", at=1, data={"key": str(key)})) == DUPLICATE
    assert sent(calm.event("hourly", at=2, data={"key": f"{key} and more"})) == ["inapp"]


def test_what_is_suppressed_takes_its_key_and_a_duplicate_does_not(calm: World) -> None:
    """A duplicate does not move the window: an hour after the first, the next one is sent."""
    calm.event("hourly", data={"key": "k"})
    for minute in (20, 40, 59):
        assert said(calm.event("hourly", at=minute * MINUTE, data={"key": "k"})) == DUPLICATE
    assert sent(calm.event("hourly", at=HOUR, data={"key": "k"})) == ["inapp"]

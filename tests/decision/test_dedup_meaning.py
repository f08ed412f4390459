"""Dedup on meaning: any key, any window of event time, shared as the catalog says; the original is named."""

from typing import Any

import pytest

from tests.decision.gate_world import CAPS, DAY, HOUR, MINUTE, World, profile, said, sent
from tocsin.catalog.catalog import Catalog
from tocsin.catalog.compile import compile_tenant
from tocsin.catalog.spec import NotificationSpec, TenantSpec
from tocsin.decision.policy import GatePolicy
from tocsin.model.profile import QuietHours

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


def offers(**changes: Any) -> World:
    """One notification with a dedup key; it waits ten minutes and expires after twenty."""
    notice = {
        "on": {"type": "t"}, "category": "a", "channels": ["email", "sms"], "delay": "10m", "expires": "20m",
        "dedup": {"key": "data.key", "window": "12h"},
    } | changes  # fmt: skip
    tenant = {"categories": {"a": {}}, "limits": [], "windows": {"sms": {"start": "08:00", "end": "12:10"}}}
    specs = {"offer": NotificationSpec.model_validate(notice)}
    compiled = compile_tenant("quiet", TenantSpec.model_validate(tenant), specs, "v")
    world = World(catalog=Catalog("v", {"quiet": compiled}))
    world.profile(profile(attributes={"plan": "gold"}))
    return world


def test_what_is_held_and_expires_when_it_is_due_gives_its_key_back() -> None:
    """Nobody was told: the next event with the key is no duplicate."""
    world = offers()
    assert said(world.event("t")) == [("held", "scheduled", "*")]
    assert said(world.event("t", at=1)) == DUPLICATE
    world.profile(profile(version=2, quiet_hours=QuietHours("12:05", "13:00")), at=2)
    world.advance(30 * MINUTE)
    assert said(world.steps[-1]) == [("expired", "too_late", "*")]
    assert said(world.event("t", at=HOUR)) == [("held", "scheduled", "*")]


def test_what_expires_at_once_takes_no_key() -> None:
    world = offers()
    assert said(world.event("t", expires=5 * MINUTE)) == [("expired", "too_late", "*")]
    assert said(world.event("t", at=21 * MINUTE, time=0)) == [("expired", "too_late", "*")]
    assert said(world.event("t", at=22 * MINUTE)) == [("held", "scheduled", "*")]


def test_a_channel_that_expires_does_not_give_the_key_of_all_back() -> None:
    world = offers()
    world.event("t")
    world.advance(10 * MINUTE)
    assert said(world.steps[-1]) == [("admitted", "", "email"), ("expired", "too_late", "sms")]
    assert said(world.event("t", at=HOUR)) == DUPLICATE


def test_a_replay_of_what_is_dead_when_it_is_due_is_no_duplicate() -> None:
    world = offers(on={"type": "t", "when": "user.attributes.plan == 'gold'"})
    world.event("t", event_id="x")
    world.profile(profile(version=2), at=1)
    world.advance(10 * MINUTE)
    assert said(world.steps[-1]) == [("dead", "bad_expression", "*")]
    world.profile(profile(version=3, attributes={"plan": "gold"}), at=11 * MINUTE)
    assert said(world.event("t", event_id="x", at=12 * MINUTE)) == [("held", "scheduled", "*")]
    assert said(world.event("t", at=13 * MINUTE)) == DUPLICATE


def test_the_key_that_comes_back_is_that_of_the_event_and_not_of_the_moment_when_it_was_due() -> None:
    world = offers(dedup={"key": "now.date", "window": "12h"}, delay="18h", expires="19h", channels=["email"])
    world.event("t", at=-3 * HOUR)
    world.profile(profile(version=2, quiet_hours=QuietHours("02:00", "06:00")), at=-2 * HOUR)
    world.advance(20 * HOUR)
    assert said(world.steps[-1]) == [("expired", "too_late", "*")]
    assert said(world.event("t", at=20 * HOUR, time=-2 * HOUR)) != DUPLICATE
    record = world.record()
    assert record is not None
    assert len(record.keys) <= 35, "the key of the ninth hour is gone"

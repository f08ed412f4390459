"""What the rules choose where people could expect either; docs/rules.md states each choice."""

import pytest

from tests.decision.gate_world import (
    DAY,
    HOUR,
    MINUTE,
    NOON,
    RULES,
    SECOND,
    World,
    profile,
    said,
    sent,
    with_preferences,
)
from tocsin.model.event import Recipient
from tocsin.model.profile import Device

EXPIRED = [("expired", "too_late", "*")]
LIMITED = [("suppressed", "limit", "*")]


@pytest.fixture
def ann() -> World:
    return known()


def known(**switches: object) -> World:
    world = World("lab", catalog=RULES)
    world.profile(with_preferences(**switches))
    return world


def decided(world: World) -> list[tuple[str, float]]:
    """List what was sent, with the minute of each decision."""
    return [(message.event_id, (message.decided_ms - NOON) / MINUTE) for message in world.messages]


# Limits that hold


def test_each_waits_for_the_first_slot_that_those_before_it_leave(ann: World) -> None:
    for minute in (0, 1, 2, 3):
        ann.event("pair", at=minute * MINUTE, event_id=f"e{minute}")
    ann.advance(HOUR)
    email = [each for each in decided(ann) if each[1] in (0, 1, 10, 11)]
    assert [name for name, _ in dict.fromkeys(email)] == ["e0", "e1", "e2", "e3"]


def test_a_slot_that_is_not_taken_goes_to_the_next_and_so_on(ann: World) -> None:
    for minute, kind in enumerate(("first", "first", "third", "third")):
        ann.event(f"shared.{kind}", at=minute * MINUTE, event_id=f"e{minute}")
    ann.profile(with_preferences(notifications={"first": False}), at=10 * MINUTE)
    ann.advance(2 * HOUR)
    assert decided(ann) == [("e0", 0), ("e2", 30), ("e3", 60)]


def test_one_that_expires_before_its_own_slot_takes_a_slot_that_another_leaves(ann: World) -> None:
    for minute, kind in enumerate(("first", "first", "second", "third")):
        ann.event(f"shared.{kind}", at=minute * MINUTE, event_id=f"e{minute}")
    assert [said(step)[0][:2] for step in ann.steps[2:]] == [("held", "limit_hold")] * 3
    ann.profile(with_preferences(notifications={"first": False}), at=10 * MINUTE)
    ann.advance(2 * HOUR)
    assert decided(ann) == [("e0", 0), ("e2", 30), ("e3", 60)]


def test_one_that_no_other_leaves_a_slot_expires_in_time_and_delays_nobody(ann: World) -> None:
    for minute, kind in enumerate(("first", "first", "second", "third")):
        ann.event(f"shared.{kind}", at=minute * MINUTE, event_id=f"e{minute}")
    ann.advance(2 * HOUR)
    assert decided(ann) == [("e0", 0), ("e1", 30), ("e3", 60)]
    [ended] = [word for word in ann.outcomes if word.status == "expired"]
    assert (ended.event_id, ended.at_ms - NOON) == ("e2", 47 * MINUTE)


def test_without_any_room_in_time_it_expires_at_once(ann: World) -> None:
    ann.event("shared.first")
    assert said(ann.event("shared.second", at=MINUTE, expires=30 * MINUTE - 1)) == EXPIRED
    assert said(ann.event("shared.second", at=MINUTE, expires=30 * MINUTE))[0][:2] == ("held", "limit_hold")
    ann.advance(HOUR)
    assert decided(ann)[-1] == ("e3", 30)


# Times


def test_a_notification_may_leave_at_the_millisecond_of_its_expiry(ann: World) -> None:
    assert sent(ann.event("notice.a", expires=0)) == ["email", "inapp"]
    assert said(ann.event("notice.a", at=1, expires=0)) == EXPIRED
    assert said(ann.event("notice.b", at=2, send_at=HOUR, expires=HOUR))[0][:2] == ("held", "scheduled")
    assert said(ann.event("notice.b", at=3, send_at=HOUR, expires=HOUR - 1)) == EXPIRED
    ann.advance(HOUR)
    assert decided(ann)[-1] == ("e3", 60)


@pytest.mark.parametrize(("send_at", "due"), [(MINUTE, 2 * MINUTE), (5 * MINUTE, 5 * MINUTE)])
def test_the_delay_and_the_time_that_the_event_asks_for_both_hold(ann: World, send_at: int, due: int) -> None:
    step = ann.event("update", send_at=send_at, data={"delay": 0, "key": "k"})
    assert [(one.timer_id[0], one.due_ms - NOON) for one in step.set_timers] == [("n", due)]


def test_a_critical_notification_keeps_to_its_own_send_window(ann: World) -> None:
    ann.event("urgent", at=9 * HOUR)
    assert said(ann.steps[-1]) == [("held", "send_window", "*")]
    assert sent(ann.event("alarm", at=11 * HOUR)) == ["sms", "push"]
    ann.advance(DAY)
    assert decided(ann)[-1] == ("e1", 20 * 60)


# What counts


def test_critical_ones_meet_no_limit_and_are_counted_on_their_channels(ann: World) -> None:
    assert [sent(ann.event("alarm", at=second * SECOND)) for second in range(3)] == [["sms", "push"]] * 3
    step = ann.event("pair", at=MINUTE)
    assert said(step) == [("admitted", "", "email"), ("suppressed", "limit", "sms")]
    assert step.outcomes[1].detail["count"] == 3


def test_critical_ones_are_not_counted_by_a_limit_of_the_user(ann: World) -> None:
    for second in range(6):
        ann.event("alarm", at=second * SECOND)
    steps = [ann.event("notice.a", at=MINUTE + second) for second in range(4)]
    assert [sent(step) for step in steps] == [["email", "inapp"]] * 4
    assert said(ann.event("notice.a", at=2 * MINUTE)) == LIMITED


def test_a_limit_of_a_channel_counts_notifications_and_not_devices(ann: World) -> None:
    ann.profile(profile(devices=tuple(Device("ios", token=f"t{number}") for number in range(3))))
    steps = [ann.event("update", at=second * SECOND, data={"delay": 20, "key": "k"}) for second in range(4)]
    assert [sent(step).count("push") for step in steps] == [3, 3, 3, 0]
    assert ("suppressed", "limit", "push") in said(steps[3])


# Dedup


@pytest.mark.parametrize("apart", [DAY - 1, 1 - DAY])
def test_events_are_one_on_both_sides_of_the_window(ann: World, apart: int) -> None:
    ann.event("notice.a", event_id="same", time=-2 * DAY)
    step = ann.event("notice.a", event_id="same", at=1, time=apart - 2 * DAY)
    assert said(step) == [("suppressed", "duplicate", "*")]


@pytest.mark.parametrize("apart", [DAY, -DAY])
def test_events_a_window_apart_are_two(ann: World, apart: int) -> None:
    ann.event("notice.a", event_id="same", time=-2 * DAY)
    step = ann.event("notice.a", event_id="same", at=1, time=apart - 2 * DAY)
    assert said(step) == EXPIRED, "decided, not a duplicate"


def test_a_suppressed_notification_takes_its_dedup_key() -> None:
    world = known(categories={"offers": False})
    assert said(world.event("offer")) == [("suppressed", "category_off", "*")]
    world.profile(with_preferences(), at=1)
    assert said(world.event("offer", at=2)) == [("suppressed", "duplicate_key", "*")]


# Who


@pytest.mark.parametrize(
    "switches",
    [
        {"channels": {"email": False, "inapp": False}},
        {"snoozed_until": "2999-01-01T00:00:00Z"},
        {"enabled": False},
    ],
)
def test_a_required_category_passes_switches_and_a_snooze(switches: dict[str, object]) -> None:
    assert sent(known(**switches).event("notice.a")) == ["email", "inapp"]


def test_a_profile_beats_an_inline_recipient(ann: World) -> None:
    step = ann.event("notice.a", recipient=Recipient(email="other@mail.example"))
    assert [message.target.address for message in step.messages] == ["ann@mail.example", "ann"]


def test_an_event_of_a_type_that_nothing_asks_for_waits_for_nobody() -> None:
    world = World("lab", catalog=RULES)
    assert said(world.event("unheard.of")) == [("suppressed", "no_match", "*")]
    assert said(world.event("update", data={"delay": 0, "key": "k"}))[0][:2] == ("held", "awaiting_profile")


# The first reason counts


@pytest.mark.parametrize(
    ("switches", "reason"),
    [
        ({"enabled": False, "snoozed_until": "2999-01-01T00:00:00Z"}, "opted_out"),
        ({"snoozed_until": "2999-01-01T00:00:00Z", "notifications": {"offer": False}}, "notification_off"),
        ({"notifications": {"offer": False}, "categories": {"offers": False}}, "notification_off"),
        ({"categories": {"offers": False}, "channels": {"email": False, "sms": False}}, "category_off"),
    ],
)
def test_the_widest_switch_that_is_off_gives_the_reason(switches: dict[str, object], reason: str) -> None:
    assert said(known(**switches).event("offer")) == [("suppressed", reason, "*")]


def test_a_channel_of_a_category_comes_before_the_channel() -> None:
    world = known(
        categories={"offers": {"email": False, "sms": True}}, channels={"email": False, "sms": False}
    )
    assert said(world.event("offer")) == [
        ("suppressed", "category_off", "email"),
        ("suppressed", "channel_off", "sms"),
    ]

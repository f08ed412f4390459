"""Slots: limits count what is sent. What is not sent gives its places back, once, and what waits moves up."""

import pytest
from msgspec.structs import replace

from tests.decision.gate_world import (
    CAPS,
    HOUR,
    MINUTE,
    NOON,
    SMALL,
    World,
    profile,
    said,
    sent,
    with_preferences,
)
from tocsin.catalog.caps import Cap
from tocsin.catalog.loader import load
from tocsin.decision import limits
from tocsin.decision.policy import GatePolicy
from tocsin.decision.user_state import expire
from tocsin.model.event import Recipient
from tocsin.model.profile import Device
from tocsin.model.statuses import Status

TWO_DEVICES = (Device("ios", token="token-1"), Device("android", token="token-2"))


@pytest.fixture
def calm() -> World:
    world = World("calm", catalog=CAPS)
    world.profile(profile(devices=TWO_DEVICES))
    return world


def admitted(world: World) -> list[tuple[str, int]]:
    """What was admitted by mail: event and minute."""
    return [
        (one.event_id, (one.at_ms - NOON) // MINUTE)
        for one in world.outcomes
        if one.status == Status.ADMITTED and one.channel == "email"
    ]


def test_the_slot_comes_back_when_every_message_has_failed(calm: World) -> None:
    first = calm.event("daily").messages
    assert [(one.channel, one.slots and (one.slots.targets, one.slots.channels)) for one in first] == [
        ("email", (1, 2)), ("push", (2, 2)), ("push", (2, 2)),
    ]  # fmt: skip
    assert len(sent(calm.event("daily", at=1))) == 3
    for message in first[:2]:
        calm.failed(message, at=MINUTE)
        assert said(calm.event("daily", at=MINUTE)) == [("suppressed", "limit", "*")]
    calm.failed(first[2], at=MINUTE)
    assert len(sent(calm.event("daily", at=MINUTE))) == 3
    assert said(calm.event("daily", at=MINUTE)) == [("suppressed", "limit", "*")]


def test_a_copy_of_a_failure_gives_nothing_back(calm: World) -> None:
    (first,), (second,) = calm.event("drip", at=0).messages[:1], calm.event("weekly", at=1).messages
    calm.failed(second, at=2)
    before = calm.records["ann"]
    calm.failed(second, at=3)
    assert calm.records["ann"] == before
    assert first.slots is not None


@pytest.mark.parametrize("kind", ["weekly", "daily"], ids=["it holds", "it drops"])
def test_who_comes_back_after_an_erasure_gets_no_slot_for_what_was_counted_before(
    calm: World, kind: str
) -> None:
    """An erasure forgets the counters. Those of the next profile never counted the message that fails."""
    calm.profile(profile())
    before = calm.event(kind).messages
    calm.erase(at=HOUR)
    calm.profile(profile(), at=2 * HOUR)
    while sent(calm.event(kind, at=3 * HOUR)):
        pass
    counted = len(calm.messages)
    for message in before:
        calm.failed(message, at=3 * HOUR)
    calm.event(kind, at=4 * HOUR)
    assert len(calm.messages) == counted


def test_nor_does_a_guest_after_the_erasure(calm: World) -> None:
    calm.profile(profile(devices=()))
    before = calm.event("daily").messages
    calm.erase(at=HOUR)
    guest = Recipient(email="ann@mail.example")
    for _ in range(2):
        assert sent(calm.event("daily", at=2 * HOUR, recipient=guest)) == ["email"]
    calm.failed(before[0], at=3 * HOUR)
    assert said(calm.event("daily", at=3 * HOUR, recipient=guest)) == [("suppressed", "limit", "*")]


def test_what_was_counted_after_the_return_gives_its_slot_back(calm: World) -> None:
    calm.profile(profile(devices=()))
    calm.event("daily")
    calm.erase(at=HOUR)
    calm.profile(profile(devices=()), at=2 * HOUR)
    messages = [calm.event("daily", at=3 * HOUR).messages[0] for _ in range(2)]
    assert not sent(calm.event("daily", at=3 * HOUR))
    calm.failed(messages[0], at=4 * HOUR)
    assert sent(calm.event("daily", at=4 * HOUR)) == ["email"]


def test_failures_of_one_millisecond_give_back_one_slot_each() -> None:
    world = World("calm", catalog=CAPS)
    world.profile(profile())
    one, other = (world.event("weekly").messages[0] for _ in range(2))
    for _ in range(3):
        world.failed(one, at=1)
    assert sent(world.event("weekly", at=1)) == ["email"]
    assert said(world.event("weekly", at=1)) == [("held", "limit_hold", "*")]
    world.failed(other, at=2)
    assert sent(world.steps[-1]) == []
    world.advance(2)
    assert sent(world.steps[-1]) == ["email"]


def test_the_first_that_waits_takes_the_place_and_the_others_move_up(calm: World) -> None:
    """Two in ten minutes: at 0 and 4; the next would leave at 10, 14, 20. At 5 the second turns out dead."""
    calm.profile(profile(devices=()))
    times = enumerate((0, 4, 4, 4, 4))
    messages = [calm.event("drip", event_id=f"e{n}", at=at * MINUTE).messages for n, at in times]
    calm.failed(messages[1][0], at=5 * MINUTE)
    calm.advance(HOUR)
    assert admitted(calm) == [("e0", 0), ("e1", 4), ("e2", 5), ("e3", 10), ("e4", 15)]


def test_a_message_that_ends_in_the_gate_gives_its_slot_back(calm: World) -> None:
    for at in range(2):
        calm.event("weekly", at=at)
    assert said(calm.event("weekly", at=2)) == [("held", "limit_hold", "*")]
    calm.profile(with_preferences(notifications={"weekly": False}), at=3)
    calm.retry(calm.messages[0], at=4, due=HOUR)
    assert said(calm.steps[-1]) == [("suppressed", "notification_off", "email")]
    calm.profile(profile(), at=5)
    assert said(calm.steps[-2]) == [("suppressed", "notification_off", "*")], "the one that waited moved up"
    assert sent(calm.event("weekly", at=6)) == ["email"]


def test_a_retry_keeps_its_slot_and_gives_back_that_of_its_first_admission(calm: World) -> None:
    first = calm.event("weekly").messages[0]
    calm.retry(first, at=HOUR, due=2 * HOUR)
    calm.advance(2 * HOUR)
    again = calm.messages[-1]
    assert again.slots is not None
    assert (again.decided_ms, again.slots.channel_ms) == (NOON + 2 * HOUR, NOON)
    calm.event("weekly", at=2 * HOUR)
    assert said(calm.event("weekly", at=2 * HOUR)) == [("held", "limit_hold", "*")]
    calm.failed(again, at=3 * HOUR)
    calm.advance(3 * HOUR)
    assert sent(calm.steps[-1]) == ["email"]


def test_what_may_have_been_sent_keeps_its_slot(calm: World) -> None:
    """Delivery leaves the slots out of what it returns after an answer that never came."""
    for at in range(2):
        calm.event("weekly", at=at)
    kept = replace(calm.messages[0], slots=None)
    calm.profile(with_preferences(notifications={"weekly": False}), at=3)
    calm.retry(kept, at=4)
    calm.profile(profile(), at=5)
    assert said(calm.event("weekly", at=6)) == [("held", "limit_hold", "*")]


def test_a_channel_that_waits_and_is_not_sent_gives_the_slots_back(calm: World) -> None:
    """A text waits for the limit of texts; the only other channel fails, and the text is switched off."""
    calm.event("texts")
    step = calm.event("texts", at=MINUTE)
    assert said(step) == [("admitted", "", "inapp"), ("held", "limit_hold", "sms")]
    assert step.outcomes[1].detail["window_end_ms"] == NOON + MINUTE
    assert step.outcomes[1].detail["due_ms"] == NOON + HOUR
    calm.advance(HOUR)
    assert sent(calm.steps[-1]) == ["sms"]
    record = calm.record()
    assert record is not None
    assert limits.room_at(record.counts, _cap("texts", "sms"), NOON + HOUR) == NOON + 2 * HOUR
    calm.failed(calm.messages[-1], at=HOUR + 1)
    record = calm.record()
    assert record is not None
    assert limits.room_at(record.counts, _cap("texts", "sms"), NOON + HOUR + 1) == 0


def _cap(notification: str, channel: str) -> Cap:
    compiled = CAPS.notification("calm", notification)
    assert compiled is not None
    found = compiled.channel(channel)
    assert found is not None
    return found.caps[0]


def test_what_expires_in_front_of_a_full_channel_gives_no_slot_back_that_it_never_took(calm: World) -> None:
    assert sent(calm.event("paged")) == ["sms"]
    assert said(calm.event("paged", at=MINUTE, expires=10 * MINUTE)) == [("expired", "too_late", "sms")]
    assert sent(calm.event("paged", at=61 * MINUTE)) == ["sms"]
    assert said(calm.event("paged", at=122 * MINUTE)) == [("suppressed", "limit", "*")]


def test_a_channel_that_expired_is_none_of_those_that_must_fail_for_the_slot(calm: World) -> None:
    calm.event("paged")
    step = calm.event("chased", at=MINUTE, expires=10 * MINUTE)
    assert said(step) == [("expired", "too_late", "sms"), ("admitted", "", "email")]
    calm.failed(step.messages[0], at=2 * MINUTE)
    assert sent(calm.event("chased", at=3 * MINUTE, expires=10 * MINUTE)) == ["email"]


def test_texts_that_wait_leave_one_an_hour_in_order(calm: World) -> None:
    for at in range(4):
        calm.event("texts", event_id=f"t{at}", at=at)
    calm.advance(12 * HOUR)
    texts = [
        (one.event_id, (one.at_ms - NOON) // HOUR)
        for one in calm.outcomes
        if one.channel == "sms" and one.status == Status.ADMITTED
    ]
    assert texts == [("t0", 0), ("t1", 1), ("t2", 2), ("t3", 3)]


def test_what_is_remembered_of_failures_is_bounded_and_expires(calm: World) -> None:
    world = World("calm", catalog=CAPS, policy=GatePolicy(failed_max=4))
    world.profile(profile())
    for at in range(8):
        for message in world.event("drip", at=at).messages[:1]:
            world.failed(message, at=at)
    record = world.record()
    assert record is not None
    assert len(record.failed) <= 4 * 34
    for message in world.event("drip", at=HOUR).messages:
        world.failed(message, at=HOUR)
    record = world.record()
    assert record is not None
    assert len(record.failed) == 2 * 34


@pytest.mark.parametrize("slots", [None, [1, 1, 1 << 63, 1 << 63], [70_000, -3, -9, 0]])
def test_a_failure_that_nobody_could_mean_changes_no_limit(calm: World, slots: list[int] | None) -> None:
    calm.event("weekly")
    before = calm.codec.decode(calm.records["ann"]).counts
    places: dict[str, object] = {} if slots is None else {"slots": slots}
    places |= {"notification": "weekly", "channel": "email", "message_id": "x"}
    calm.receipt("failed", at=1, user="ann", **places)
    assert [letter.reason for letter in calm.steps[-1].dead_letters] == ["bad_field"] * (slots is None)
    after = calm.record()
    assert after is not None
    assert after.counts == before
    assert not expire(after, NOON + HOUR)


def test_a_later_step_that_is_too_late_takes_no_part_in_the_slot() -> None:
    world = World("lab", catalog=load(SMALL.parent / "later"))
    world.profile(profile())
    assert said(world.event("scarce", expires=5 * MINUTE)) == [
        ("admitted", "", "push"),
        ("expired", "too_late", "email"),
    ]
    world.failed(world.messages[0], at=MINUTE)
    assert sent(world.event("scarce", at=2 * MINUTE)) == ["push"]


def test_a_later_step_that_nobody_could_hold_takes_no_part_in_the_slot() -> None:
    world = World("lab", catalog=load(SMALL.parent / "later"), policy=GatePolicy(holds_max=1))
    world.profile(profile())
    world.retry(world.event("plain").messages[0], due=20 * HOUR)
    step = world.event("scarce", at=1)
    assert said(step) == [("admitted", "", "push"), ("suppressed", "limit", "email")]
    world.failed(step.messages[0], at=MINUTE)
    assert sent(world.event("scarce", at=2 * MINUTE)) == ["push"]

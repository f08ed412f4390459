"""Returned messages: decided again by the preferences, blocks and hours of now, and never counted twice."""

import msgspec
import pytest

from tests.decision.gate_world import HOUR, MINUTE, NOON, SECOND, World, profile, said, sent, with_preferences
from tocsin.decision.policy import GatePolicy
from tocsin.model import ids
from tocsin.model.event import Recipient
from tocsin.model.message import Message, Target
from tocsin.model.profile import Device, QuietHours


@pytest.fixture
def ann() -> World:
    world = World()
    world.profile(profile())
    return world


def first(world: World, kind: str = "flight.landed", channel: str = "email", at: int = 0) -> Message:
    step = world.event(kind, at=at)
    return next(message for message in step.messages if message.channel == channel)


def test_a_retry_is_held_and_sent_when_due(ann: World) -> None:
    message = first(ann)
    step = ann.retry(message, at=SECOND, due=5 * MINUTE)
    assert said(step) == [("held", "retry_later", "email")]
    word = step.outcomes[0]
    assert (word.message_id, word.attempt, word.detail) == (
        message.message_id,
        2,
        {"due_ms": NOON + 5 * MINUTE},
    )
    ann.advance(5 * MINUTE - 1)
    assert len(ann.messages) == 2
    ann.advance(5 * MINUTE)
    again = ann.messages[-1]
    assert (again.message_id, again.attempt, again.decided_ms) == (message.message_id, 2, NOON + 5 * MINUTE)
    assert ann.timers == {}


def test_a_retry_that_is_due_is_sent_at_once(ann: World) -> None:
    step = ann.retry(first(ann), at=MINUTE, due=MINUTE)
    assert (len(step.messages), step.outcomes) == (1, [])


def test_a_copy_of_a_retry_is_not_decided_again(ann: World) -> None:
    """A crash may show a record twice, byte for byte: the second would be another final word."""
    message = first(ann)
    assert len(ann.retry(message, due=0).messages) == 1
    ann.profile(with_preferences(categories={"updates": False}), at=1)
    copy = ann.retry(message, at=2, due=0)
    assert (copy.messages, copy.outcomes, copy.set_timers) == ([], [], [])


def test_a_copy_of_a_retry_that_is_held_is_not_held_again(ann: World) -> None:
    message = first(ann)
    ann.retry(message, due=HOUR)
    assert ann.retry(message, at=1, due=HOUR + MINUTE).outcomes == []
    ann.advance(2 * HOUR)
    assert len(ann.messages) == 3


def test_each_admission_is_a_pass_of_its_own_even_when_time_stands_still(ann: World) -> None:
    message = first(ann)
    again = ann.retry(message, reason="stale_profile", attempt=1).messages[0]
    third = ann.retry(again, reason="stale_profile", attempt=1).messages[0]
    assert message.decided_ms < again.decided_ms < third.decided_ms


def test_a_retry_is_not_counted_again(ann: World) -> None:
    message = first(ann, "few")
    for attempt in range(2, 7):
        assert len(ann.retry(message, due=0, attempt=attempt).messages) == 1
    assert ann.event("few", at=1).messages != []


def test_an_opt_out_while_a_retry_waits_wins(ann: World) -> None:
    ann.retry(first(ann), due=HOUR)
    ann.profile(with_preferences(categories={"updates": False}), at=MINUTE)
    ann.advance(HOUR)
    assert len(ann.messages) == 2
    assert (ann.outcomes[-1].status, ann.outcomes[-1].reason) == ("suppressed", "category_off")
    assert (ann.outcomes[-1].channel, ann.outcomes[-1].target) == ("email", ids.target_id("ann@mail.example"))


@pytest.mark.parametrize(
    ("switches", "reason"),
    [
        ({"enabled": False}, "opted_out"),
        ({"notifications": {"landed": False}}, "notification_off"),
        ({"categories": {"updates": {"email": False}}}, "category_off"),
        ({"channels": {"email": False}}, "channel_off"),
    ],
)
def test_every_refusal_ends_a_retry(ann: World, switches: dict[str, object], reason: str) -> None:
    message = first(ann)
    ann.profile(with_preferences(**switches), at=1)
    assert said(ann.retry(message, at=2)) == [("suppressed", reason, "email")]


def test_a_required_category_is_retried_in_spite_of_an_opt_out(ann: World) -> None:
    message = first(ann, "flight.cancelled")
    ann.profile(with_preferences(enabled=False), at=1)
    assert len(ann.retry(message, at=2).messages) == 1


def test_a_stale_message_is_sent_at_once_with_the_profile_of_now(ann: World) -> None:
    message = first(ann)
    ann.profile(profile(locale="es", timezone="Europe/Madrid"), at=1)
    step = ann.retry(message, at=2, due=HOUR, reason="stale_profile", attempt=1)
    again = step.messages[0]
    assert (again.locale, again.timezone, again.profile_version) == ("es", "Europe/Madrid", 2)
    assert (again.message_id, again.attempt) == (message.message_id, 1)
    assert step.profile_version is None


def test_a_device_is_refreshed(ann: World) -> None:
    message = first(ann, "flight.cancelled", "push")
    ann.profile(profile(devices=(Device("ios", token="token-1", app="new.app"),)), at=1)
    assert ann.retry(message, at=2).messages[0].target.app == "new.app"


def test_a_target_that_left_the_profile_gets_nothing(ann: World) -> None:
    message = first(ann)
    ann.profile(profile(email="new@mail.example"), at=1)
    assert said(ann.retry(message, at=2)) == [("suppressed", "no_channel", "email")]


def test_a_blocked_target_gets_nothing(ann: World) -> None:
    ann.retry(first(ann), due=HOUR)
    ann.receipt("gone", at=1, target=ids.target_id("ann@mail.example"))
    ann.advance(HOUR)
    assert (ann.outcomes[-1].status, ann.outcomes[-1].reason) == ("suppressed", "target_blocked")


def test_an_erased_user_gets_nothing(ann: World) -> None:
    message = first(ann)
    ann.profile(None, at=1)
    step = ann.retry(message, at=2, due=HOUR)
    assert said(step) == [("suppressed", "erased", "email")]
    assert (step.touched, step.record) == (False, None)


def test_a_copy_of_a_retry_that_an_erasure_ended_gets_the_same_outcome(ann: World) -> None:
    message = first(ann)
    ann.retry(message, due=HOUR)
    (ended,) = ann.profile(None, at=1).outcomes
    (again,) = ann.retry(message, at=1, due=HOUR).outcomes
    assert again == ended


def test_a_retry_beyond_its_expiry_is_expired_and_not_held(ann: World) -> None:
    message = first(ann)
    assert said(ann.retry(message, at=1, due=6 * HOUR + 1)) == [("expired", "too_late", "email")]
    assert sent(ann.retry(message, at=6 * HOUR, attempt=3)) == ["email"]
    assert said(ann.retry(message, at=6 * HOUR + 1, attempt=4)) == [("expired", "too_late", "email")]


def test_a_notification_that_left_the_catalog_is_cancelled(ann: World) -> None:
    message = msgspec.structs.replace(first(ann), notification="gone")
    assert said(ann.retry(message, at=1)) == [("cancelled", "no_match", "email")]


def test_quiet_hours_hold_a_retry_once_more(ann: World) -> None:
    message = first(ann, "few")
    ann.profile(profile(quiet_hours=QuietHours("13:00", "14:00")), at=1)
    ann.retry(message, at=2, due=90 * MINUTE)
    ann.advance(90 * MINUTE)
    words = ann.outcomes[-2:]
    assert [word.reason for word in words] == ["retry_later", "quiet_hours"]
    assert words[0].outcome_id != words[1].outcome_id
    ann.advance(2 * HOUR)
    assert ann.messages[-1].decided_ms == NOON + 2 * HOUR


def test_retries_held_for_one_moment_leave_in_the_order_in_which_they_came(ann: World) -> None:
    messages = [first(ann, "few", at=number) for number in range(3)]
    ann.profile(profile(quiet_hours=QuietHours("12:30", "14:00")), at=SECOND)
    for number, message in enumerate(messages):
        ann.retry(message, at=HOUR + number)
    ann.advance(3 * HOUR)
    assert [one.message_id for one in ann.messages[-3:]] == [one.message_id for one in messages]


def test_a_retry_that_waits_moves_no_decision_of_an_event(ann: World) -> None:
    """Decisions of events are the same whatever providers answer."""
    message = first(ann, "few")
    ann.profile(profile(quiet_hours=QuietHours("12:30", "14:00")), at=SECOND)
    ann.retry(message, at=HOUR)
    (hold,) = ann.event("few", at=HOUR + SECOND).set_timers
    assert hold.due_ms == NOON + 2 * HOUR


def test_a_critical_retry_does_not_wait_for_morning(ann: World) -> None:
    message = first(ann, "flight.cancelled")
    ann.profile(profile(quiet_hours=QuietHours("11:00", "14:00")), at=1)
    assert len(ann.retry(message, at=2).messages) == 1


def test_an_inline_recipient_is_retried_without_a_profile() -> None:
    world = World()
    step = world.event("flight.landed", recipient=Recipient(email="guest@mail.example"))
    step = world.retry(step.messages[0], due=HOUR)
    assert said(step) == [("held", "retry_later", "email")]
    world.advance(HOUR)
    assert world.messages[-1].target.address == "guest@mail.example"
    assert world.messages[-1].attempt == 2


def test_a_stale_message_of_somebody_erased_never_loops() -> None:
    world = World()
    step = world.event("flight.landed", recipient=Recipient(email="guest@mail.example"))
    step = world.retry(step.messages[0], reason="stale_profile", attempt=1)
    assert said(step) == [("suppressed", "erased", "email")]


def test_the_ledger_is_told_again_where_it_took_a_fresh_message_for_stale(ann: World) -> None:
    ann.profile(None)
    ann.profile(profile(), at=1)
    step = ann.retry(first(ann, at=2), at=3, reason="stale_profile", attempt=1)
    assert (len(step.messages), step.profile_version) == (1, 1)


def test_retries_held_are_bounded() -> None:
    world = World(policy=GatePolicy(holds_max=1))
    world.profile(profile())
    step = world.event("flight.cancelled")
    assert said(world.retry(step.messages[0], due=HOUR)) == [("held", "retry_later", "push")]
    assert said(world.retry(step.messages[0], due=HOUR, attempt=3)) == [("held", "retry_later", "push")]
    assert said(world.retry(step.messages[1], due=HOUR)) == [("suppressed", "limit", "sms")]


def test_each_hold_is_a_word_of_its_own_although_no_attempt_was_used_up(ann: World) -> None:
    """A message may come back uncalled again and again, under the same attempt: its provider is down."""
    words = []
    message = first(ann)
    for turn in range(3):
        words += ann.retry(message, at=turn * HOUR, due=turn * HOUR + MINUTE).outcomes
        ann.advance(turn * HOUR + MINUTE)
        message = ann.messages[-1]
    assert [word.status for word in words] == ["held"] * 3
    assert len({word.outcome_id for word in words}) == 3


TOKYO = Recipient(email="guest@mail.example", phone="+12125550199", timezone="Asia/Tokyo")
EVENING = 2 * HOUR  # 23:00 in Tokyo, where noon UTC is 21:00


def test_the_time_zone_of_an_inline_recipient_holds_a_retry_as_it_holds_an_event() -> None:
    world = World("default")
    message = world.event("offer.x", recipient=TOKYO).messages[0]
    new = world.event("offer.y", at=EVENING, recipient=TOKYO)
    returned = world.retry(message, at=EVENING)
    assert said(new) == [("held", "quiet_hours", "*")]
    assert said(returned) == [("held", "quiet_hours", "email")]
    assert new.set_timers[0].due_ms == returned.set_timers[0].due_ms == NOON + 10 * HOUR
    world.advance(10 * HOUR)
    again = next(one for one in world.messages if one.attempt == 2)
    assert (again.decided_ms, again.timezone) == (NOON + 10 * HOUR, "Asia/Tokyo")
    assert again.target == message.target


def test_the_tenants_defaults_refuse_a_retry_to_an_inline_recipient_as_they_refuse_an_event() -> None:
    """They were not in force when it was admitted: a reload switched them on."""
    world = World("default")
    event = world.event("offer.x", recipient=TOKYO)
    assert ("suppressed", "category_off", "sms") in said(event)
    text = msgspec.structs.replace(
        event.messages[0], channel="sms", target=Target("+12125550199"), message_id="sms"
    )
    assert said(world.retry(text, at=1)) == [("suppressed", "category_off", "sms")]


def test_a_message_on_a_channel_that_left_the_notification_is_cancelled(ann: World) -> None:
    """As a held notification is not sent on a channel that the catalog has dropped meanwhile."""
    message = msgspec.structs.replace(first(ann), channel="sms", target=Target("+12125550100"))
    assert said(ann.retry(message, at=1)) == [("cancelled", "no_match", "sms")]


def test_a_copy_of_a_retry_to_a_guest_without_a_record_is_not_decided_again() -> None:
    """A guest's record is erased when his windows have passed; his message may return later."""
    world = World()
    message = world.event("flight.landed", recipient=TOKYO).messages[0]
    world.records.clear()
    assert len(world.retry(message, at=1).messages) == 1
    copy = world.retry(message, at=2)
    assert (copy.messages, copy.outcomes, copy.touched) == ([], [], False)

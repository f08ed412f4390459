"""Windows of channels: one channel waits for the hours that a law allows, the others go on."""

import pytest

from tests.decision.gate_world import DAY, HOUR, MINUTE, NOON, SECOND, World, profile, said, sent
from tests.decision.test_schedule import TIMES, left, world
from tocsin.model.event import Recipient

NEWS = {"room": "a"}


def test_a_text_waits_for_the_morning_and_the_mail_does_not() -> None:
    found = world()
    step = found.event("news", at=9 * HOUR, data=NEWS)
    assert said(step) == [("admitted", "", "email"), ("held", "send_window", "sms")]
    held = step.outcomes[1]
    assert held.rule == "channel_window"
    assert held.detail == {
        "due_ms": NOON + 20 * HOUR, "window_start": "08:00", "window_end": "21:00", "zone": "UTC",
    }  # fmt: skip
    found.advance(DAY)
    assert left(found) == [("email", "2023-11-14T21:00:00Z"), ("sms", "2023-11-15T08:00:00Z")]


@pytest.mark.parametrize(
    ("zone", "channels"),
    [("UTC", ["email", "sms"]), ("Asia/Tokyo", ["email"]), ("America/Los_Angeles", ["email"])],
)
def test_the_hours_are_those_of_the_user(zone: str, channels: list[str]) -> None:
    """Noon in London is 21:00 in Tokyo, when the window is over, and four in the morning in California."""
    assert sent(world(zone=zone).event("news", data=NEWS)) == channels


@pytest.mark.parametrize(("tenant", "channels"), [("texts", ["email"]), ("nights", ["sms", "email"])])
def test_critical_ones_wait_unless_the_window_lets_them_pass(tenant: str, channels: list[str]) -> None:
    assert sent(world(tenant).event("alarm", at=10 * HOUR)) == channels


def test_nothing_is_held_for_whoever_has_no_number() -> None:
    found = world()
    found.profile(profile(phone="", version=2), at=1)
    step = found.event("news", at=10 * HOUR, data=NEWS)
    assert said(step) == [("admitted", "", "email"), ("suppressed", "no_channel", "sms")]


def test_a_text_that_would_be_too_late_expires_and_the_mail_is_sent() -> None:
    found = world()
    starts = NOON + 10 * HOUR + 10 * MINUTE
    step = found.event("reminder", at=10 * HOUR, data={"starts": starts, "room": "a", "meeting": 1})
    assert said(step) == [("admitted", "", "email"), ("expired", "too_late", "sms")]
    assert step.outcomes[1].detail["held_for"] == "send_window"


def test_a_returned_text_waits_for_the_window_too() -> None:
    found = world()
    message = found.event("news", at=8 * HOUR, data=NEWS).messages[1]
    step = found.retry(message, at=9 * HOUR, due=9 * HOUR)
    assert said(step) == [("held", "send_window", "sms")]
    found.advance(DAY)
    assert left(found)[-1] == ("sms", "2023-11-15T08:00:00Z")


def test_an_inline_recipient_has_the_hours_of_the_clock_that_the_event_names() -> None:
    found = World("texts", catalog=TIMES)
    guest = Recipient(phone="+12125550100", timezone="Asia/Tokyo")
    assert ("held", "send_window", "sms") in said(found.event("news", recipient=guest, data=NEWS))
    here = Recipient(phone="+12125550100")
    assert ("held", "send_window", "sms") in said(found.event("news", user="bob", recipient=here, data=NEWS))
    later = found.event("news", at=2 * HOUR, user="eve", recipient=here, data=NEWS)
    assert sent(later) == ["sms"], "nine in New York, where the tenant is"


def test_a_text_that_queues_beyond_its_window_is_held_for_the_next_morning() -> None:
    """It must not reach the provider at 21:00 or later. No attempt is spent, and no limit counts it again."""
    found = world()
    texts = found.event("news", at=9 * HOUR - MINUTE, data=NEWS).messages
    assert [(one.channel, one.send_by_ms) for one in texts] == [("email", 0), ("sms", NOON + 9 * HOUR)]
    step = found.retry(texts[1], at=9 * HOUR + MINUTE, due=9 * HOUR, reason="send_window", attempt=1)
    assert said(step) == [("held", "send_window", "sms")]
    assert step.outcomes[0].detail["due_ms"] == NOON + 20 * HOUR
    found.advance(DAY)
    again = found.messages[-1]
    assert (again.message_id, again.attempt, again.decided_ms) == (
        texts[1].message_id, 1, NOON + 20 * HOUR,
    )  # fmt: skip
    assert again.send_by_ms == NOON + 9 * HOUR + DAY


def test_it_waits_for_the_end_of_its_window_where_the_gate_s_clock_is_behind() -> None:
    """Otherwise it would go to and fro between the gate and the provider's queue."""
    found = world()
    text = found.event("news", at=9 * HOUR - MINUTE, data=NEWS).messages[1]
    step = found.retry(text, at=9 * HOUR - SECOND, due=9 * HOUR, reason="send_window", attempt=1)
    assert (said(step), step.messages) == ([("held", "retry_later", "sms")], [])
    found.advance(9 * HOUR)
    assert (found.outcomes[-1].reason, found.outcomes[-1].detail["due_ms"]) == (
        "send_window", NOON + 20 * HOUR,
    )  # fmt: skip


def test_one_that_expires_before_the_window_opens_is_expired() -> None:
    found = world()
    text = found.event("news", at=9 * HOUR - MINUTE, expires=10 * HOUR, data=NEWS).messages[1]
    step = found.retry(text, at=9 * HOUR, due=9 * HOUR, reason="send_window", attempt=1)
    assert said(step) == [("expired", "too_late", "sms")]


@pytest.mark.parametrize(("tenant", "send_by"), [("texts", 9 * HOUR), ("nights", 0)])
def test_critical_ones_have_no_such_end_where_the_window_lets_them_pass(tenant: str, send_by: int) -> None:
    texts = [one for one in world(tenant).event("alarm").messages if one.channel == "sms"]
    assert [one.send_by_ms for one in texts] == [send_by and NOON + send_by]

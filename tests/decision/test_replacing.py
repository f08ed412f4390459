"""What is held gives way to a newer one: by its cancel key, or by its collapse key."""

from typing import Any

import pytest

from tests.decision.gate_world import DAY, HOUR, MINUTE, NOON, World, profile, said
from tests.decision.test_schedule import left, world, written
from tocsin.catalog.catalog import Catalog
from tocsin.catalog.compile import compile_tenant
from tocsin.catalog.spec import NotificationSpec, TenantSpec
from tocsin.model.event import Recipient
from tocsin.model.outcome import Outcome


def meeting(hours: float, *, room: str = "a", number: object = 7) -> dict[str, Any]:
    return {"starts": written(int(hours * HOUR)), "room": room, "meeting": number}


def ended(found: World, status: str) -> list[Outcome]:
    return [one for one in found.outcomes if one.status == status]


# Rescheduled


def test_a_second_event_with_the_cancel_key_takes_the_place_of_the_first() -> None:
    found = world()
    first = found.event("reminder", data=meeting(2, room="a")).outcomes[0]
    step = found.event("reminder", at=MINUTE, data=meeting(4, room="b"))
    assert said(step) == [("cancelled", "rescheduled", "*"), ("held", "scheduled", "*")]
    old, new = step.outcomes
    assert (old.notification_id, old.detail["by"]) == (first.notification_id, new.notification_id)
    assert old.rule == "cancel_key"
    found.advance(DAY)
    assert left(found) == [(name, "2023-11-14T15:50:00Z") for name in ("email", "sms")]


def test_another_key_or_another_user_is_left_alone() -> None:
    found = world()
    found.profile(profile(), user="bob", at=-DAY)
    found.event("reminder", data=meeting(2))
    found.event("reminder", data=meeting(2, number=8, room="b"))
    found.event("reminder", data=meeting(3), user="bob")
    assert ended(found, "cancelled") == []


def test_a_key_may_be_a_number_or_a_text() -> None:
    found = world()
    found.event("reminder", data=meeting(2, number=7))
    assert said(found.event("reminder", data=meeting(3, number="7")))[0][:2] == ("cancelled", "rescheduled")


@pytest.mark.parametrize("hours", [0.1, -1])
def test_the_first_ends_also_if_the_second_leaves_at_once_or_is_too_late(hours: float) -> None:
    found = world()
    found.event("reminder", data=meeting(2, room="a"))
    step = found.event("reminder", at=MINUTE, data=meeting(hours, room="b"))
    assert said(step)[0][:2] == ("cancelled", "rescheduled")
    found.advance(DAY)
    assert all(one.event_id == "e2" for one in found.messages)


def test_a_copy_of_the_event_replaces_nothing() -> None:
    found = world()
    found.event("reminder", event_id="x", data=meeting(2))
    assert said(found.event("reminder", event_id="x", at=1, data=meeting(2))) == [
        ("suppressed", "duplicate", "*")
    ]
    found.advance(DAY)
    assert len(found.messages) == 2


# Collapsed


def test_of_what_the_night_holds_only_the_newest_is_sent() -> None:
    found = world("nights")
    for minute in range(3):
        found.event("news", at=11 * HOUR + minute * MINUTE, data={"room": "a"})
    found.event("news", at=12 * HOUR, data={"room": "b"})
    merged = ended(found, "merged")
    newest = [one.notification_id for one in ended(found, "held")][2]
    assert [(one.reason, one.rule, one.event_id) for one in merged] == [
        ("collapsed", "collapse_key", "e1"), ("collapsed", "collapse_key", "e2"),
    ]  # fmt: skip
    assert merged[-1].detail == {"into": newest}
    found.advance(DAY)
    assert {one.event_id for one in found.messages} == {"e3", "e4"}


def test_what_is_sent_at_once_replaces_what_is_held_on_its_channels() -> None:
    """The first text waits for the morning. The second has a mail and a text, the latter of which waits."""
    found = world()
    found.event("news", at=10 * HOUR, data={"room": "a"})
    step = found.event("news", at=11 * HOUR, data={"room": "a"})
    assert said(step) == [
        ("admitted", "", "email"), ("merged", "collapsed", "sms"), ("held", "send_window", "sms"),
    ]  # fmt: skip
    assert step.outcomes[1].detail == {"into": step.outcomes[0].notification_id}
    found.advance(DAY)
    assert [(one.channel, one.event_id) for one in found.messages] == [
        ("email", "e1"), ("email", "e2"), ("sms", "e2"),
    ]  # fmt: skip


def test_a_channel_that_the_newer_one_does_not_use_keeps_what_it_holds() -> None:
    found = world()
    found.event("news", at=10 * HOUR, data={"room": "a"})
    found.profile(profile(phone="", version=2), at=10 * HOUR + 1)
    step = found.event("news", at=11 * HOUR, data={"room": "a"})
    assert said(step) == [("admitted", "", "email"), ("suppressed", "no_channel", "sms")]


def test_what_is_suppressed_replaces_nothing() -> None:
    found = world("nights")
    found.event("news", at=11 * HOUR, data={"room": "a"})
    late = found.event("news", at=11 * HOUR + 1, data={"room": "a"}, expires=12 * HOUR)
    assert said(late) == [("expired", "too_late", "*")]
    found.advance(DAY)
    assert {one.event_id for one in found.messages} == {"e1"}


def test_the_newer_one_takes_the_slot_of_the_older_in_the_queue_of_a_limit() -> None:
    """A flow of news of one room does not send it back to the end of the queue again and again."""
    found = world()
    for minute, room in enumerate("abcab"):
        found.event("slow", at=minute * MINUTE, data={"room": room})
    found.advance(DAY)
    when = [(one.event_id, (one.decided_ms - NOON) // MINUTE) for one in found.messages]
    assert when == [("e1", 0), ("e5", 60), ("e3", 120), ("e4", 180)]
    assert [(one.event_id, one.reason) for one in ended(found, "merged")] == [("e2", "collapsed")]


def test_a_retry_gives_way_to_what_is_held_of_a_newer_one() -> None:
    found = world("nights")
    message = found.event("news", at=9 * HOUR, data={"room": "a"}).messages[0]
    newer = found.event("news", at=11 * HOUR, data={"room": "a"}).outcomes[-1]
    step = found.retry(message, at=11 * HOUR + 1, due=12 * HOUR)
    assert said(step) == [("merged", "collapsed", "email")]
    assert step.outcomes[0].detail == {"into": newer.notification_id}
    assert step.outcomes[0].message_id == message.message_id


def test_a_held_retry_gives_way_to_a_newer_one_on_its_channel() -> None:
    found = world("nights")
    mail = found.event("news", data={"room": "a"}).messages[0]
    found.retry(mail, at=1, due=5 * HOUR)
    found.profile(profile(version=2, phone=""), at=2)
    step = found.event("news", at=HOUR, data={"room": "a"})
    assert [word for word in said(step) if word[0] == "merged"] == [("merged", "collapsed", "email")]
    found.advance(DAY)
    assert [one.event_id for one in found.messages if one.channel == "email"] == ["e1", "e2"]


@pytest.mark.parametrize("later_first", [False, True])
def test_of_two_retries_to_one_target_the_later_event_wins(later_first: bool) -> None:
    found = world("nights")
    first = found.event("news", data={"room": "a"}).messages[0]
    second = found.event("news", at=1, data={"room": "a"}).messages[0]
    for at, message in enumerate((second, first) if later_first else (first, second)):
        found.retry(message, at=10 + at, due=HOUR)
    merged = ended(found, "merged")
    assert [one.message_id for one in merged] == [first.message_id]
    found.advance(DAY)
    assert [one.message_id for one in found.messages[4:]] == [second.message_id]


def test_events_that_waited_for_the_profile_collapse_and_are_rescheduled_at_once() -> None:
    """One decision sets a timer, cancels it and sets the next: only the last is left."""
    found = World("texts", catalog=world().gate.catalog)
    for number, hours in enumerate((3, 4, 5)):
        found.event("reminder", at=number, data=meeting(hours))
    found.event("news", at=3, data={"room": "a"})
    step = found.profile(profile(), at=4)
    assert [word[:2] for word in said(step)[:5]] == [
        ("held", "scheduled"), ("cancelled", "rescheduled"), ("held", "scheduled"),
        ("cancelled", "rescheduled"), ("held", "scheduled"),
    ]  # fmt: skip
    assert len(found.timers) == 1
    found.advance(DAY)
    assert found.timers == {}
    assert {one.event_id for one in found.messages} == {"e3", "e4"}


def test_slots_move_up_when_the_first_of_a_queue_is_replaced() -> None:
    """An inline recipient's queue: what is rescheduled leaves its slot to the next."""
    found = World("texts", catalog=world().gate.catalog)
    guest = Recipient(email="a@mail.example")
    for minute, key in enumerate((1, 2, 3)):
        found.event("turns", at=minute * MINUTE, data={"key": key}, recipient=guest)
    found.event("turns", at=3 * MINUTE, data={"key": 2}, recipient=guest)
    found.advance(DAY)
    when = [(one.event_id, (one.decided_ms - NOON) // MINUTE) for one in found.messages]
    assert when == [("e1", 0), ("e3", 60), ("e4", 120)]


# Limits


def queue() -> World:
    """One an hour of all that the user gets; texts from 8 to 21."""
    notices = {
        "text": {"channels": ["sms"], "collapse_key": "data.room", "on": {"type": "text"}},
        "mail": {"channels": ["email"], "on": {"type": "mail"}},
    }
    specs = {
        name: NotificationSpec.model_validate({"category": "updates", **notice})
        for name, notice in notices.items()
    }
    tenant = {
        "categories": {"updates": {}},
        "limits": [{"max": 1, "per": "1h", "scope": "user", "overflow": "hold"}],
        "windows": {"sms": {"start": "08:00", "end": "21:00"}},
    }
    compiled = compile_tenant("quiet", TenantSpec.model_validate(tenant), specs, "v")
    found = World(catalog=Catalog("v", {"quiet": compiled}))
    found.profile(profile())
    return found


def test_what_a_newer_one_replaces_gives_its_slot_back_and_the_queue_moves_up() -> None:
    """The first text was counted at 21:00 and waits for the morning. At 21:02 a newer one replaces it."""
    found = queue()
    found.event("text", at=9 * HOUR, data={"room": "a"})
    assert said(found.event("mail", at=9 * HOUR + MINUTE)) == [("held", "limit_hold", "*")]
    step = found.event("text", at=9 * HOUR + 2 * MINUTE, data={"room": "a"})
    assert said(step) == [("merged", "collapsed", "sms"), ("held", "limit_hold", "*")]
    found.advance(DAY)
    assert left(found) == [("email", "2023-11-14T21:02:00Z"), ("sms", "2023-11-15T08:00:00Z")]

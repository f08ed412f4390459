"""A profile that moves the quiet hours or the zone moves what they hold: it leaves when they end now."""

from typing import Any

import pytest

from tests.decision.edits import ann, notification, of
from tests.decision.gate_world import DAY, HOUR, MINUTE, NOON, World, profile, said
from tests.decision.test_schedule import left, world
from tocsin.model.profile import QuietHours


def night(**changes: Any) -> World:
    """Quiet hours from 22:00 to 07:00, and two mails that came at 23:00."""
    found = world("nights")
    for room in ("a", "b"):
        step = found.event("news", at=11 * HOUR, data={"room": room}, **changes)
        assert said(step) == [("held", "quiet_hours", "*")]
    return found


def dues(found: World) -> list[int]:
    record = found.record()
    assert record is not None
    assert {key[1]: due for key, (due, _) in found.timers.items()} == {
        timer_id: ref.due_ms for timer_id, ref in record.holds.items()
    }
    return sorted(ref.due_ms - NOON for ref in record.holds.values())


@pytest.mark.parametrize(
    ("changes", "due"),
    [
        ({"quiet_hours": QuietHours("22:00", "05:00")}, 17 * HOUR),
        ({"quiet_hours": QuietHours("22:00", "09:00")}, 21 * HOUR),
        ({"quiet_hours": QuietHours("12:00", "13:00")}, 12 * HOUR),
        ({"timezone": "Europe/Athens"}, 17 * HOUR),
        ({"timezone": "America/New_York"}, 12 * HOUR),
        ({"timezone": "Atlantic/Azores"}, 20 * HOUR),
        ({"locale": "de"}, 19 * HOUR),
    ],
)
def test_what_the_night_holds_leaves_when_the_night_of_the_new_profile_ends(
    changes: dict[str, Any], due: int
) -> None:
    found = night()
    found.profile(profile(version=2, **changes), at=12 * HOUR)
    assert dues(found) == [due, due + 1], "in the order of the events"
    found.advance(3 * DAY)
    mails = [one for one in found.messages if one.channel == "email"]
    assert [(one.event_id, one.decided_ms - NOON) for one in mails] == [("e1", due), ("e2", due + 1)]
    assert sum(one.reason == "quiet_hours" for one in found.outcomes) == 2, "it is not held once more"


def test_what_would_expire_at_the_later_end_is_expired_when_it_was_due() -> None:
    found = night(expires=20 * HOUR)
    found.profile(profile(version=2, quiet_hours=QuietHours("22:00", "09:00")), at=12 * HOUR)
    assert dues(found) == [19 * HOUR, 19 * HOUR + 1]
    found.advance(DAY)
    assert {(one.status, one.reason) for one in found.outcomes[-2:]} == {("expired", "too_late")}


def test_a_text_that_waits_for_its_window_follows_the_zone() -> None:
    found = world()
    found.event("news", at=10 * HOUR, data={"room": "a"})
    found.profile(profile(version=2, timezone="Asia/Tokyo"), at=10 * HOUR + MINUTE)
    assert dues(found) == [11 * HOUR], "eight in the morning of Tokyo"
    found.advance(DAY)
    assert left(found)[-1] == ("sms", "2023-11-14T23:00:00Z")


def test_a_message_that_returned_follows_too() -> None:
    found = world("nights")
    message = found.event("news", data={"room": "a"}).messages[0]
    assert said(found.retry(message, at=11 * HOUR))[0][1] == "quiet_hours"
    found.profile(profile(version=2, quiet_hours=QuietHours("01:00", "02:00")), at=12 * HOUR)
    assert dues(found) == [12 * HOUR]


def test_what_waits_for_something_else_stays() -> None:
    found = world()
    found.event("evening", send_at=6 * HOUR)
    found.profile(profile(version=2, quiet_hours=QuietHours("12:00", "13:00")), at=1)
    assert dues(found) == [6 * HOUR]


def test_what_moves_to_the_end_of_another_s_wait_leaves_a_millisecond_before_it() -> None:
    """A text waits for the hours of its channel; a note, for the night. A new night ends with those hours."""
    chased = notification("siren", channels=["push", "sms"], priority="critical")
    note = notification("note", channels=["email", "sms"])
    hours = {"windows": {"sms": {"start": "08:00", "end": "21:00"}}}
    found = ann(of(chased, note, quiet_hours={"start": "22:00", "end": "07:00"}, **hours))
    for room, kind in enumerate(("note", "siren")):
        found.event(kind, at=11 * HOUR + room)
    found.profile(profile(version=2, email="", quiet_hours=QuietHours("13:00", "15:00")), at=12 * HOUR)
    assert dues(found) == [20 * HOUR, 20 * HOUR + 1]
    found.advance(DAY)
    assert [one.event_id for one in found.messages if one.channel == "sms"] == ["e1", "e2"]

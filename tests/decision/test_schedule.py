"""Schedules: `at` of the catalog, in whose clock, and when it is too late."""

from datetime import UTC, datetime
from pathlib import Path

import msgspec
import pytest

from tests.catalog.test_loader import NOTICE, problems
from tests.decision.gate_world import DAY, HOUR, MINUTE, NOON, SMALL, World, profile, said, with_preferences
from tocsin.catalog.loader import load
from tocsin.model.event import Recipient

TIMES = load(SMALL.parent / "times")


def world(tenant: str = "texts", zone: str = "UTC") -> World:
    found = World(tenant, catalog=TIMES)
    found.profile(profile(timezone=zone), at=-DAY)
    return found


def written(at: int) -> str:
    return f"{datetime.fromtimestamp((NOON + at) / 1000, UTC):%Y-%m-%dT%H:%M:%SZ}"


def left(found: World) -> list[tuple[str, str]]:
    """When each message left, by its channel."""
    return [(one.channel, written(one.decided_ms - NOON)) for one in found.messages]


@pytest.mark.parametrize(
    ("zone", "leaves"),
    [
        ("UTC", "2023-11-14T18:00:00Z"),
        ("Asia/Tokyo", "2023-11-15T09:00:00Z"),
        ("America/New_York", "2023-11-14T23:00:00Z"),
    ],
)
def test_a_clock_time_is_the_next_one_on_the_clock_of_the_user(zone: str, leaves: str) -> None:
    found = world(zone=zone)
    found.event("evening")
    found.advance(2 * DAY)
    assert left(found) == [("email", leaves)]
    held = found.outcomes[0]
    assert (held.status, held.reason, held.rule, held.detail["zone"]) == (
        "held",
        "scheduled",
        "schedule",
        zone,
    )


def test_a_date_is_on_the_clock_that_the_catalog_names() -> None:
    found = world(zone="Asia/Tokyo")
    found.event("campaign")
    found.advance(2 * DAY)
    assert left(found) == [("email", "2023-11-15T14:00:00Z")]
    assert said(found.event("campaign", at=2 * DAY))[0][0] == "admitted", "a time in the past is now"


@pytest.mark.parametrize(
    ("starts", "leaves"),
    [
        ("2023-11-14T14:00:00Z", "2023-11-14T13:50:00Z"),
        ("2023-11-14T14:00:00+01:00", "2023-11-14T12:50:00Z"),
        (NOON + HOUR, "2023-11-14T12:50:00Z"),
        ("2023-11-14T23:00", "2023-11-14T13:50:00Z"),
        ("2023-11-14 21:05:30", "2023-11-14T12:00:00Z"),
    ],
)
def test_a_time_in_the_event_with_an_offset(starts: object, leaves: str) -> None:
    """A local time is one of the user's clock, in Tokyo; one that is over means at once."""
    found = world(zone="Asia/Tokyo")
    found.event("reminder", data={"starts": starts, "room": "a", "meeting": 1})
    found.advance(DAY)
    assert left(found)[0] == ("email", leaves)


def test_what_is_too_late_expires() -> None:
    found = world()
    early, late = [{"starts": written(-minutes * MINUTE), "room": "a", "meeting": 1} for minutes in (5, 6)]
    assert said(found.event("reminder", data=early))[0][0] == "admitted"
    assert said(found.event("reminder", data=late)) == [("expired", "too_late", "*")]
    assert found.outcomes[-1].detail == {"expires_ms": NOON - MINUTE}


@pytest.mark.parametrize("starts", ["soon", "2023-13-01T00:00", 1_700_000_000, True, [], None, "", -1, 1e300])
def test_a_time_that_is_none_is_a_dead_letter(starts: object) -> None:
    found = world()
    step = found.event("reminder", data={"starts": starts, "room": "a", "meeting": 1})
    assert said(step) == [("dead", "bad_expression", "*")]
    [letter] = step.dead_letters
    assert "`data.starts`" in letter.error
    assert letter.reason == "bad_expression"
    assert "soon" not in letter.error


def test_whoever_moves_gets_it_by_the_new_clock() -> None:
    found = world(zone="UTC")
    found.event("evening")
    found.profile(profile(timezone="America/New_York", version=2), at=MINUTE)
    found.advance(2 * DAY)
    assert left(found) == [("email", "2023-11-14T23:00:00Z")]


def test_a_snooze_that_ends_early_lets_go_what_it_held() -> None:
    found = World("texts", catalog=TIMES)
    found.profile(with_preferences(snoozed_until="2023-11-15T00:00:00Z"), at=-HOUR)
    for minute in range(3):
        found.event("turns", at=minute * MINUTE, data={"key": minute})
    found.event("alarm", at=3 * MINUTE)
    assert {one.event_id for one in found.messages} == {"e4"}, "critical ones pass"
    found.profile(profile(version=2), at=HOUR)
    found.advance(HOUR + 5)
    assert left(found)[2:] == [("email", "2023-11-14T13:00:00Z")]
    assert [one.event_id for one in found.messages[2:]] == ["e1"], "the first; the limit holds the others"
    found.advance(DAY)
    assert [one.event_id for one in found.messages[2:]] == ["e1", "e2", "e3"]
    assert found.timers == {}


def test_a_longer_snooze_holds_on() -> None:
    found = World("texts", catalog=TIMES)
    found.profile(with_preferences(snoozed_until="2023-11-14T13:00:00Z"), at=-HOUR)
    found.event("evening", at=-MINUTE, time=-DAY)
    wanted = with_preferences(snoozed_until="2023-11-14T15:00:00Z")
    found.profile(msgspec.structs.replace(wanted, version=2), at=MINUTE)
    found.advance(DAY)
    assert left(found) == [("email", "2023-11-14T15:00:00Z")]


def test_an_inline_recipient_has_a_clock_too() -> None:
    found = World("texts", catalog=TIMES)
    found.event("evening", recipient=Recipient(email="a@mail.example", timezone="Asia/Kolkata"))
    found.advance(DAY)
    assert left(found) == [("email", "2023-11-14T12:30:00Z")]


@pytest.mark.parametrize(
    ("line", "said_of_it"),
    [
        ("at: noon", "`at` is wrong: not a time, write HH:MM, a date and time such as"),
        ("at: {}", "`at` is wrong: it has no time, write `time` or `expression`"),
        ("at: {time: 18:00, expression: data.x}", "exclude each other, write one of them"),
        ("at: {time: 18:00, offset: -1h}", "`offset` moves the time of an `expression`"),
        ("at: {expression: data., offset: -1h}", "`expression` is wrong: not an expression"),
        ("at: {expression: data.x, offset: soon}", "`offset` is wrong: not an offset, write -10m for"),
        ("at: {expression: data.x, zone: Mars}", "`zone` is wrong: not a time zone, write user, tenant, UTC"),
        ("at: {expression: data.x, when: 1}", "unknown field `when`"),
        ("cancel_key: data.", "`cancel_key` is wrong: not an expression"),
    ],
)
def test_mistakes_have_a_file_a_line_and_a_cure(line: str, said_of_it: str, tmp_path: Path) -> None:
    [found] = problems(tmp_path, notifications__all=f"{NOTICE}  {line}\n")
    assert found.startswith("notifications/all.yaml:5: ")
    assert said_of_it in found


def test_types_of_control_events_are_taken(tmp_path: Path) -> None:
    text = NOTICE.replace("a.b", "tocsin.cancel")
    [found] = problems(tmp_path, notifications__all=text)
    assert found == (
        "notifications/all.yaml:2: types that begin with `tocsin.` are for control events, choose another one"
    )


@pytest.mark.parametrize(
    ("line", "said_of_it"),
    [
        ("windows: {sms: {start: 08:00, end: 08:00}}", "start equals end"),
        ("windows: {fax: {start: 08:00, end: 21:00}}", "`fax` is no channel, use email, sms"),
        ("windows: {sms: {start: 08:00, end: 21:00, critical: never}}", "`critical: never` is not allowed"),
        ("snooze: maybe", "`snooze: maybe` is not allowed, write one of 'hold' or 'drop'"),
    ],
)
def test_mistakes_of_a_tenant_have_them_too(line: str, said_of_it: str, tmp_path: Path) -> None:
    tenant = f"categories:\n  news: {{}}\n{line}\n"
    [found] = problems(tmp_path, tenants__default=tenant)
    assert found.startswith("tenants/default.yaml:3: ")
    assert said_of_it in found

"""Hours that follow on each other hold once: until the first moment at which all of them let it pass."""

from collections import Counter
from datetime import UTC, datetime
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from tests.decision.gate_world import DAY, HOUR, MINUTE, NOON, World, profile, said
from tests.docs.timelines import write_catalog
from tocsin.catalog.loader import Catalog, load
from tocsin.decision.daily_span import clock_time
from tocsin.decision.open_hours import Closed, first_open
from tocsin.model.explanations import explain
from tocsin.model.outcome import Outcome
from tocsin.model.profile import Preferences, Profile, QuietHours

FILES = """
```yaml
# tenants/default.yaml
categories: {updates: {}, security: {required: true}}
limits: []
windows: {sms: {start: "08:00", end: "21:00"}, whatsapp: {start: "10:00", end: "20:00"}}
```
```yaml
# notifications/all.yaml
news: {on: {type: news}, category: updates, channels: [email, sms]}
text: {on: {type: text}, category: updates, channels: [sms]}
texts: {on: {type: texts}, category: updates, channels: [whatsapp, sms]}
daytime: {on: {type: daytime}, category: updates, channels: [email],
  send_window: {start: "08:00", end: "20:00"}}
chase: {on: {type: chase}, category: updates, channels: [email],
  escalate: [{after: 10h, unless: read, channels: [sms]}]}
alarm: {on: {type: alarm}, category: updates, priority: critical, channels: [sms]}
login: {on: {type: login}, category: security, channels: [sms]}
```
"""
LATE = {"quiet_hours": QuietHours("22:00", "09:00")}
EARLY = {"quiet_hours": QuietHours("22:00", "07:00")}


@pytest.fixture(scope="module")
def catalog(tmp_path_factory: pytest.TempPathFactory) -> Catalog:
    folder: Path = tmp_path_factory.mktemp("catalog")
    write_catalog(FILES, folder)
    return load(folder)


@pytest.fixture
def world(catalog: Catalog) -> World:
    return World("default", catalog=catalog)


def held(outcomes: list[Outcome]) -> list[tuple[str, str, str, float]]:
    """List what is held: on which channel, why, by which rule, until how many hours after noon."""
    found = [one for one in outcomes if one.status == "held"]
    return [(one.channel, one.reason, one.rule, (due(one) - NOON) / HOUR) for one in found]


def due(one: Outcome) -> int:
    found = one.detail["due_ms"]
    assert isinstance(found, int)
    return found


def test_a_text_whose_window_opens_within_the_quiet_hours_is_held_once_until_these_end(world: World) -> None:
    world.profile(profile(**LATE))
    step = world.event("news", at=9 * HOUR + 30 * MINUTE)  # 21:30
    assert said(step) == [("admitted", "", "email"), ("held", "quiet_hours", "sms")]
    assert held(step.outcomes) == [("sms", "quiet_hours", "channel_window", 21)]
    told = explain("quiet_hours", step.outcomes[1].detail)
    assert told == (
        "It may be sent from 08:00 to 21:00 in UTC, and not in the quiet hours, 22:00 to 09:00; it is held"
        " until 2023-11-15 09:00:00 UTC."
    )
    world.advance(2 * DAY)
    assert said(world.steps[-1]) == [("admitted", "", "sms")]
    assert len(held(world.outcomes)) == 1


def test_a_time_that_was_asked_for_is_kept_and_the_hours_of_then_hold_from_it_on(world: World) -> None:
    """Until then the user may end the quiet hours or move, and gets it at the time asked for."""
    world.profile(profile(**LATE))
    for send_at in (11 * HOUR, 35 * HOUR):  # 23:00
        step = world.event("news", send_at=send_at)
        assert held(step.outcomes) == [("*", "scheduled", "schedule", send_at / HOUR)]
    world.advance(12 * HOUR)
    assert held(world.steps[-1].outcomes) == [("*", "quiet_hours", "quiet_hours", 21)]
    world.profile(profile(version=2), at=DAY)
    world.advance(35 * HOUR)
    assert world.steps[-1].messages[0].decided_ms == NOON + 35 * HOUR


def test_a_text_whose_window_opens_after_the_quiet_hours_is_held_once(world: World) -> None:
    world.profile(profile(**EARLY))
    assert held(world.event("text", at=11 * HOUR).outcomes) == [("*", "send_window", "quiet_hours", 20)]
    world.advance(2 * DAY)
    assert said(world.steps[-1]) == [("admitted", "", "sms")]


def test_the_first_of_several_windows_counts_and_not_that_of_a_channel_without_an_address(
    world: World,
) -> None:
    world.profile(profile(**EARLY))
    assert held(world.event("texts", at=11 * HOUR).outcomes)[0][3] == 20
    world.profile(profile(phone="", version=2, **EARLY), at=11 * HOUR + 1)
    assert held(world.event("texts", at=11 * HOUR + 2).outcomes)[0][3] == 19, "nothing waits for a window"


def test_a_notification_with_another_channel_leaves_on_that_when_the_quiet_hours_end(world: World) -> None:
    world.profile(profile(**EARLY))
    world.event("news", at=11 * HOUR)
    world.advance(DAY)
    assert held(world.outcomes) == [
        ("*", "quiet_hours", "quiet_hours", 19), ("sms", "send_window", "channel_window", 20),
    ]  # fmt: skip


def test_a_send_window_that_opens_within_the_quiet_hours_is_held_once(world: World) -> None:
    world.profile(profile(quiet_hours=QuietHours("07:00", "10:00")))
    step = world.event("daytime", at=18 * HOUR)  # six in the morning
    assert held(step.outcomes) == [("*", "quiet_hours", "quiet_hours", 22)]
    assert step.outcomes[0].detail["send_start"] == "08:00"
    world.advance(DAY)
    assert len(held(world.outcomes)) == 1


def test_a_snooze_that_ends_within_the_quiet_hours_is_held_once(world: World) -> None:
    world.profile(snoozed(23, **EARLY))
    step = world.event("text", at=9 * HOUR)
    assert held(step.outcomes) == [("*", "send_window", "snooze", 20)]
    told = explain("send_window", step.outcomes[0].detail)
    assert told.startswith("The user snoozed notifications until 2023-11-14 23:00:00 UTC")
    world.advance(2 * DAY)
    assert said(world.steps[-1]) == [("admitted", "", "sms")]


def test_a_snooze_that_is_shortened_leaves_the_quiet_hours(world: World) -> None:
    world.profile(snoozed(23, **EARLY))
    world.event("news", at=9 * HOUR)
    assert held(world.outcomes) == [("*", "quiet_hours", "snooze", 19)]
    world.profile(snoozed(22, version=2, **EARLY), at=9 * HOUR + MINUTE)
    assert timers(world) == [19]
    world.profile(profile(version=3, **EARLY), at=9 * HOUR + 2 * MINUTE)
    assert [one.channel for one in world.messages] == [], "it is due now, and fires with the next record"
    world.advance(9 * HOUR + 3 * MINUTE)
    assert [one.channel for one in world.messages] == ["email"], "21:02: no quiet hours yet"


def test_who_has_a_snooze_ended_gets_a_critical_or_required_one_in_its_hours(world: World) -> None:
    world.profile(snoozed(36, **LATE))
    assert held(world.event("alarm", at=11 * HOUR).outcomes)[0][3] == 20, "it passes both but for the window"
    assert held(world.event("login", at=11 * HOUR).outcomes)[0][3] == 21, "it passes the snooze alone"


def test_a_later_step_is_held_once(world: World) -> None:
    world.profile(profile(**LATE))
    world.event("chase", at=0)
    world.advance(10 * HOUR)
    assert held(world.steps[-1].outcomes) == [("sms", "quiet_hours", "quiet_hours", 21)]
    world.advance(DAY)
    assert said(world.steps[-1]) == [("admitted", "", "sms")]


def test_a_returned_text_is_held_once(world: World) -> None:
    world.profile(profile(**LATE))
    text = world.event("text", at=8 * HOUR).messages[0]
    step = world.retry(text, at=9 * HOUR + MINUTE, due=9 * HOUR)
    assert held(step.outcomes) == [("sms", "quiet_hours", "channel_window", 21)]
    world.advance(DAY)
    assert [(one.channel, (one.decided_ms - NOON) / HOUR) for one in world.messages[1:]] == [("sms", 21)]
    assert len(held(world.outcomes)) == 1


def test_one_that_expires_before_all_hours_allow_it_expires_at_once(world: World) -> None:
    world.profile(profile(**LATE))
    step = world.event("news", at=9 * HOUR + 30 * MINUTE, expires=20 * HOUR + 30 * MINUTE)
    assert said(step)[1] == ("expired", "too_late", "sms")


def test_a_profile_with_other_hours_moves_it_to_where_all_allow_it(world: World) -> None:
    world.profile(profile(**LATE))
    world.event("news", at=9 * HOUR + 30 * MINUTE)
    world.profile(profile(version=2, quiet_hours=QuietHours("22:00", "10:30")), at=9 * HOUR + 31 * MINUTE)
    assert timers(world) == [22.5]
    world.profile(profile(version=3, **EARLY), at=9 * HOUR + 32 * MINUTE)
    assert timers(world) == [20]


def snoozed(hour: int, **changes: object) -> Profile:
    until = datetime.fromtimestamp((NOON + (hour - 12) * HOUR) / 1_000, UTC)
    return profile(preferences=Preferences(snoozed_until=until), **changes)


def timers(world: World) -> list[float]:
    return sorted((due_ms - NOON) / HOUR for due_ms, _ in world.timers.values())


ZONES = ("UTC", "Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "Asia/Kathmandu", "Pacific/Apia")
# Mornings about the changes of the clock in 2026, the day that Samoa skipped, and any other day.
_DAYS = ("2026-03-28", "2026-10-24", "2026-03-07", "2026-10-31", "2026-04-04", "2026-10-03", "2011-12-29")
DAYS = [int(datetime.fromisoformat(f"{day}T00:00Z").timestamp()) * 1_000 for day in (*_DAYS, "2026-06-15")]
MINUTES = st.integers(0, 95).map(lambda quarter: quarter * 15) | st.integers(0, 1_439)
SPANS = st.tuples(MINUTES, MINUTES).filter(lambda span: span[0] != span[1])


def is_open(zone: str, quiet: tuple[int, int] | None, windows: list[tuple[int, int]], at_ms: int) -> bool:
    """Read the clock on the wall, and no other code."""
    shown = datetime.fromtimestamp(at_ms / 1_000, ZoneInfo(zone))
    minute = shown.hour * 60 + shown.minute
    return all(minute in minutes(*each) for each in windows) and not (quiet and minute in minutes(*quiet))


def minutes(start: int, end: int) -> set[int]:
    return set(range(start, end)) if start <= end else set(range(start, 1_440)) | set(range(end))


@settings(max_examples=150, deadline=None)
@given(
    st.sampled_from(ZONES),
    st.sampled_from(DAYS),
    st.integers(0, 2 * DAY),
    st.none() | SPANS,
    st.lists(SPANS, max_size=2),
)
@example("Europe/Berlin", DAYS[0], 20 * HOUR, (21 * 60, 2 * 60 + 30), [(2 * 60, 3 * 60 + 15)])
@example("Pacific/Apia", DAYS[6], 12 * HOUR, (22 * 60, 9 * 60), [(8 * 60, 21 * 60)])
def test_the_moment_is_the_first_minute_that_all_hours_allow(
    zone: str, day: int, later: int, quiet: tuple[int, int] | None, windows: list[tuple[int, int]]
) -> None:
    closed = [Closed(*quiet)] if quiet else []
    closed += [Closed(end, start, window=True) for start, end in windows]
    from_ms = day + later
    found, first = first_open(zone, closed, from_ms), from_ms
    if not any(is_open("UTC", quiet, windows, minute * MINUTE) for minute in range(1_440)):
        assert found.at_ms == from_ms, "hours that leave no time are not waited for"
        return
    while not is_open(zone, quiet, windows, first):
        first = (first // MINUTE + 1) * MINUTE
    assert found.at_ms == first


@settings(max_examples=60, deadline=None)
@given(
    st.sampled_from(ZONES[:4]),
    st.sampled_from(DAYS[:6]),
    SPANS,
    st.integers(0, 30 * HOUR),
    st.lists(
        st.tuples(st.sampled_from(("news", "text", "daytime", "chase", "alarm")), st.integers(0, DAY)),
        max_size=8,
    ),
)
def test_nothing_is_held_twice_by_hours_while_the_profile_stays(
    catalog: Catalog,
    zone: str,
    day: int,
    quiet: tuple[int, int],
    snooze: int,
    events: list[tuple[str, int]],
) -> None:
    """A channel is held once, and once with its whole notification before."""
    world = World("default", catalog=catalog)
    start = day - NOON
    until = datetime.fromtimestamp((day + snooze) // 1_000, UTC)
    hours = QuietHours(*map(clock_time, quiet))
    world.profile(
        profile(timezone=zone, quiet_hours=hours, preferences=Preferences(snoozed_until=until)), at=start
    )
    for kind, at in sorted(events, key=lambda one: one[1]):
        world.event(kind, at=start + at)
    world.advance(start + 9 * DAY)
    assert not world.timers
    by_hours = [one for one in world.outcomes if one.reason in ("quiet_hours", "send_window", "snoozed")]
    twice = Counter((one.notification_id, one.channel) for one in by_hours if one.status == "held")
    assert max(twice.values(), default=1) == 1

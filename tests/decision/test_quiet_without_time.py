"""Quiet hours of which a window leaves nothing: it is suppressed, for it would be held for ever."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.decision.gate_world import HOUR, MINUTE, World, profile, said
from tests.docs.timelines import write_catalog
from tocsin.catalog.loader import load
from tocsin.decision.daily_span import leaves_time, within
from tocsin.model.explanations import explain
from tocsin.model.profile import QuietHours

FILES = """
```yaml
# tenants/default.yaml
categories: {updates: {}}
limits: []
windows: {sms: {start: "08:00", end: "21:00", critical: hold}}
```
```yaml
# notifications/all.yaml
tip: {on: {type: tip}, category: updates, channels: [email], send_window: {start: "13:00", end: "15:00"}}
news: {on: {type: news}, category: updates, channels: [email, sms]}
alarm: {on: {type: alarm}, category: updates, priority: critical, channels: [email, sms]}
```
"""


@pytest.fixture
def world(tmp_path: Path) -> World:
    """Ann works at night and sleeps from seven to eleven in the evening; it is noon."""
    write_catalog(FILES, tmp_path)
    made = World("default", catalog=load(tmp_path))
    asleep(made, "07:00", "23:00")
    return made


def asleep(world: World, start: str, end: str, *, version: int = 1, at: int = 0) -> None:
    world.profile(profile(quiet_hours=QuietHours(start, end), version=version), at=at)


def test_a_send_window_within_the_quiet_hours_is_never_open(world: World) -> None:
    step = world.event("tip")
    assert said(step) == [("suppressed", "send_window", "*")]
    told = explain("send_window", step.outcomes[0].detail)
    hours = "It may be sent from 13:00 to 15:00 in UTC, and the quiet hours, 07:00 to 23:00,"
    assert told == f"{hours} leave no time of that."
    assert not world.timers


def test_the_channel_whose_hours_are_over_is_left_out_and_the_others_go(world: World) -> None:
    assert said(world.event("news")) == [("held", "quiet_hours", "*")]
    world.advance(11 * HOUR)
    assert said(world.steps[-1]) == [("admitted", "", "email"), ("suppressed", "send_window", "sms")]
    assert not world.timers


def test_a_critical_one_passes_the_quiet_hours_and_waits_for_the_channel(world: World) -> None:
    at = 10 * HOUR
    assert said(world.event("alarm", at=at)) == [("admitted", "", "email"), ("held", "send_window", "sms")]
    world.advance(at + 10 * HOUR)
    assert said(world.steps[-1]) == [("admitted", "", "sms")]


def test_one_minute_that_is_left_is_waited_for(world: World) -> None:
    asleep(world, "13:01", "13:00", version=2)
    assert said(world.event("tip")) == [("held", "quiet_hours", "*")]
    world.advance(HOUR)
    assert said(world.steps[-1]) == [("admitted", "", "email")]


def test_what_is_held_is_suppressed_when_its_user_changes_the_hours(world: World) -> None:
    asleep(world, "00:00", "01:00", version=2)
    assert said(world.event("tip")) == [("held", "send_window", "*")]
    asleep(world, "12:00", "18:00", version=3, at=MINUTE)
    world.advance(48 * HOUR)
    assert [(one.status, one.reason) for one in world.outcomes][1:] == [("suppressed", "send_window")]
    assert not world.timers


SPANS = st.tuples(st.integers(0, 1_439), st.integers(0, 1_439))


@given(st.none() | SPANS, st.lists(SPANS.filter(lambda span: span[0] != span[1]), min_size=1, max_size=3))
def test_whether_time_is_left_is_what_every_minute_says(
    quiet: tuple[int, int] | None, windows: list[tuple[int, int]]
) -> None:
    free = any(
        all(within(*window, minute) for window in windows) and not (quiet and within(*quiet, minute))
        for minute in range(1_440)
    )
    assert leaves_time(quiet, *windows) == free

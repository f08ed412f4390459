"""Local times as moments: over both changes of the clock, in zones that skip a day, against a plain walk."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.decision.test_daily_span import ZONES, ms
from tocsin.decision.local_time import first_moment, next_clock_time
from tocsin.model.zones import zone as zone_of

MINUTE, DAY = 60_000, 86_400_000
CHANGES = [
    ("Europe/Berlin", "2024-03-31T02:30"),
    ("Europe/Berlin", "2024-10-27T02:30"),
    ("America/New_York", "2024-03-10T02:30"),
    ("America/New_York", "2024-11-03T01:30"),
    ("Australia/Lord_Howe", "2024-10-06T02:10"),
    ("Australia/Lord_Howe", "2024-04-07T01:40"),
    ("Pacific/Apia", "2011-12-30T12:00"),
    ("Africa/Casablanca", "2024-03-10T02:30"),
]


def local(text: str) -> int:
    """A local time as ms, as if the clock were that of UTC."""
    return ms(f"{text}+00:00")


@pytest.mark.parametrize(
    ("zone", "shown", "moment"),
    [
        ("UTC", "2024-01-01T09:00", "2024-01-01T09:00:00+00:00"),
        ("Asia/Tokyo", "2024-01-01T09:00", "2024-01-01T09:00:00+09:00"),
        # Leapt over: the first moment after the gap, whatever the minute.
        ("Europe/Berlin", "2024-03-31T02:00", "2024-03-31T03:00:00+02:00"),
        ("Europe/Berlin", "2024-03-31T02:30", "2024-03-31T03:00:00+02:00"),
        ("Europe/Berlin", "2024-03-31T02:59:59", "2024-03-31T03:00:00+02:00"),
        ("Europe/Berlin", "2024-03-31T03:00", "2024-03-31T03:00:00+02:00"),
        ("America/New_York", "2024-03-10T02:30", "2024-03-10T03:00:00-04:00"),
        # Shown twice: the first.
        ("Europe/Berlin", "2024-10-27T02:30", "2024-10-27T02:30:00+02:00"),
        ("Europe/Berlin", "2024-10-27T03:00", "2024-10-27T03:00:00+01:00"),
        ("America/New_York", "2024-11-03T01:30", "2024-11-03T01:30:00-04:00"),
        # Samoa had no 30 December 2011.
        ("Pacific/Apia", "2011-12-29T23:59", "2011-12-29T23:59:00-10:00"),
        ("Pacific/Apia", "2011-12-30T12:00", "2011-12-31T00:00:00+14:00"),
        ("Pacific/Apia", "2011-12-31T12:00", "2011-12-31T12:00:00+14:00"),
        # Half an hour of summer time.
        ("Australia/Lord_Howe", "2024-10-06T02:10", "2024-10-06T02:30:00+11:00"),
        ("Australia/Lord_Howe", "2024-04-07T01:40", "2024-04-07T01:40:00+11:00"),
    ],
)
def test_the_first_moment_of_a_local_time(zone: str, shown: str, moment: str) -> None:
    assert first_moment(zone, local(shown)) == ms(moment)


@pytest.mark.parametrize(
    ("zone", "minute", "start", "moment"),
    [
        ("UTC", 540, "2024-01-01T08:59:59+00:00", "2024-01-01T09:00:00+00:00"),
        ("UTC", 540, "2024-01-01T09:00:00+00:00", "2024-01-01T09:00:00+00:00"),
        ("UTC", 540, "2024-01-01T09:00:00.001+00:00", "2024-01-02T09:00:00+00:00"),
        ("Asia/Tokyo", 540, "2024-01-01T20:00:00+00:00", "2024-01-02T09:00:00+09:00"),
        ("Europe/Berlin", 150, "2024-03-30T12:00:00+01:00", "2024-03-31T03:00:00+02:00"),
        ("Europe/Berlin", 150, "2024-03-31T03:00:00.001+02:00", "2024-04-01T02:30:00+02:00"),
        ("Europe/Berlin", 150, "2024-10-27T02:45:00+02:00", "2024-10-28T02:30:00+01:00"),
        ("Pacific/Apia", 720, "2011-12-29T13:00:00-10:00", "2011-12-31T00:00:00+14:00"),
    ],
)
def test_the_next_time_that_a_clock_shows(zone: str, minute: int, start: str, moment: str) -> None:
    assert next_clock_time(zone, minute, ms(start)) == ms(moment)


def shown_at(zone: str, at_ms: int) -> int:
    clock = datetime.fromtimestamp(at_ms / 1000, zone_of(zone)).replace(tzinfo=UTC)
    return int(clock.timestamp() * 1000)


near_changes = st.builds(
    lambda change, minutes: (change[0], local(change[1]) + minutes * MINUTE),
    st.sampled_from(CHANGES),
    st.integers(-180, 180),
)
anywhere = st.tuples(
    st.sampled_from(ZONES),
    st.integers(local("1975-01-01T00:00") // MINUTE, local("2037-01-01T00:00") // MINUTE).map(
        lambda minute: minute * MINUTE
    ),
)


@settings(max_examples=40, deadline=None)
@given(near_changes | anywhere)
def test_the_clock_shows_no_such_time_before_and_shows_it_then_unless_it_leaps(
    where: tuple[str, int],
) -> None:
    zone, wanted = where
    found = first_moment(zone, wanted)
    assert shown_at(zone, found) >= wanted
    start = found - 26 * 60 * MINUTE
    earlier = (start + step * MINUTE for step in range(26 * 60))
    if shown_at(zone, found) == wanted:
        assert all(shown_at(zone, moment) != wanted for moment in earlier)
    else:
        assert shown_at(zone, found - MINUTE) < wanted


def test_every_zone_and_the_end_of_time_have_an_answer() -> None:
    last = local("9999-12-30T00:00")
    for zone in (*ZONES, "Mars/Olympus"):
        assert abs(first_moment(zone, last) - last) <= timedelta(hours=15) // timedelta(milliseconds=1)

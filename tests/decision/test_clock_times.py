"""Times of day of a clock against a plain walk through local clocks, a quarter of an hour at a time."""

from datetime import UTC, datetime

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from tests.decision.test_daily_span import ZONES, minute, ms
from tocsin.decision.clock_times import next_at
from tocsin.decision.daily_span import DAY_MS
from tocsin.model.zones import zone as zone_of

QUARTER_MS = 15 * 60_000
DAYS = {"mon": 0, "fri": 4}


@pytest.mark.parametrize(
    ("zone", "at", "days", "after", "expected"),
    [
        ("UTC", "08:00", "", "2024-01-02T07:59:59+00:00", "2024-01-02T08:00:00+00:00"),
        ("UTC", "08:00", "", "2024-01-02T08:00:00+00:00", "2024-01-03T08:00:00+00:00"),
        ("Asia/Tokyo", "08:00", "", "2024-01-02T00:00:00+00:00", "2024-01-02T23:00:00+00:00"),
        ("UTC", "08:00", "fri", "2024-01-05T08:00:00+00:00", "2024-01-12T08:00:00+00:00"),
        ("UTC", "08:00", "fri mon", "2024-01-05T08:00:00+00:00", "2024-01-08T08:00:00+00:00"),
        # The clock leaps from 02:00 to 03:00, and comes back from 02:00 to 01:00.
        ("America/New_York", "02:30", "", "2024-03-10T00:00:00-05:00", "2024-03-10T03:00:00-04:00"),
        ("America/New_York", "02:30", "", "2024-03-10T03:00:00-04:00", "2024-03-11T02:30:00-04:00"),
        ("America/New_York", "01:30", "", "2024-11-03T00:00:00-04:00", "2024-11-03T01:30:00-04:00"),
        ("America/New_York", "01:30", "", "2024-11-03T01:30:00-04:00", "2024-11-04T01:30:00-05:00"),
        ("America/New_York", "08:00", "", "2024-03-09T08:00:00-05:00", "2024-03-10T08:00:00-04:00"),
        # Samoa had no Friday, 30 December 2011.
        ("Pacific/Apia", "08:00", "", "2011-12-29T08:00:00-10:00", "2011-12-31T08:00:00+14:00"),
        ("Pacific/Apia", "08:00", "fri", "2011-12-29T08:00:00-10:00", "2011-12-31T08:00:00+14:00"),
        ("Pacific/Apia", "08:00", "fri", "2011-12-31T08:00:00+14:00", "2012-01-06T08:00:00+14:00"),
    ],
)
def test_the_next_time_of_day(zone: str, at: str, days: str, after: str, expected: str) -> None:
    weekdays = [DAYS[day] for day in days.split()]
    assert next_at(zone, minute(at), weekdays, ms(after)) == ms(expected)


def walked(zone: str, at_min: int, weekdays: set[int], after_ms: int) -> int:
    """Walk through a fortnight: where the clock first shows, or has passed, the time of each day."""
    passed: dict[int, int] = {}
    first_ms = after_ms // QUARTER_MS * QUARTER_MS - 3 * DAY_MS
    latest = -1
    for at_ms in range(first_ms, first_ms + 17 * DAY_MS, QUARTER_MS):
        local = datetime.fromtimestamp(at_ms / 1000, zone_of(zone)).replace(tzinfo=UTC)
        shown = int(local.timestamp()) // 60
        if latest >= 0:
            day = (latest - at_min) // 1_440 + 1
            while day * 1_440 + at_min <= shown:
                passed[day] = at_ms
                day += 1
        latest = max(latest, shown)
    for day in sorted(passed, reverse=True):
        skipped = day + 1 in passed and _date(zone, passed[day]) != day
        passed[day] = passed[day + 1] if skipped else passed[day]
    wanted = [at for day, at in passed.items() if not weekdays or (day + 3) % 7 in weekdays]
    return min(at for at in wanted if at > after_ms)


def _date(zone: str, at_ms: int) -> int:
    local = datetime.fromtimestamp(at_ms / 1000, zone_of(zone)).replace(tzinfo=UTC)
    return int(local.timestamp()) // 86_400


@given(
    zone=st.sampled_from(ZONES),
    quarter=st.integers(0, 95),
    weekdays=st.sets(st.integers(0, 6), max_size=2),
    after_ms=st.integers(1_100_000_000_000, 1_900_000_000_000),
)
@example("Pacific/Apia", 32, {4}, 1_325_100_000_000)
@example("Australia/Lord_Howe", 9, set(), 1_728_140_000_000)
@example("Australia/Lord_Howe", 7, set(), 1_712_400_000_000)
@settings(max_examples=25, deadline=None)
def test_it_agrees_with_a_walk(zone: str, quarter: int, weekdays: set[int], after_ms: int) -> None:
    expected = walked(zone, quarter * 15, weekdays, after_ms)
    assert next_at(zone, quarter * 15, weekdays, after_ms) == expected

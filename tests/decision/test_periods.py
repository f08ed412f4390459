"""Calendar periods: against a walk over the minutes of the local clock, at changes of it and in odd zones."""

from datetime import UTC, date, datetime

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.decision.gate_world import DAY, HOUR, MINUTE
from tocsin.catalog.caps import PERIODS_MS
from tocsin.decision.periods import period
from tocsin.model.rfc3339 import LATEST_MS
from tocsin.model.zones import zone as find_zone


def ms(text: str) -> int:
    return int(datetime.fromisoformat(text).timestamp() * 1000)


def spelled(unit: str, zone: str, at: str) -> list[str]:
    """Start and end on the local clock."""
    return [
        datetime.fromtimestamp(each / 1000, find_zone(zone)).isoformat(timespec="minutes")
        for each in period(unit, zone, ms(at))
    ]


@pytest.mark.parametrize(
    ("unit", "zone", "at", "start", "end"),
    [
        ("day", "Europe/Berlin", "2026-03-29T12:00Z", "2026-03-29T00:00+01:00", "2026-03-30T00:00+02:00"),
        ("day", "Europe/Berlin", "2026-10-25T12:00Z", "2026-10-25T00:00+02:00", "2026-10-26T00:00+01:00"),
        ("week", "Europe/Berlin", "2026-03-29T21:59Z", "2026-03-23T00:00+01:00", "2026-03-30T00:00+02:00"),
        ("week", "Europe/Berlin", "2026-03-29T22:00Z", "2026-03-30T00:00+02:00", "2026-04-06T00:00+02:00"),
        ("month", "Asia/Kathmandu", "2026-01-31T18:15Z", "2026-02-01T00:00+05:45", "2026-03-01T00:00+05:45"),
        ("hour", "Asia/Kathmandu", "2026-01-31T18:20Z", "2026-02-01T00:00+05:45", "2026-02-01T01:00+05:45"),
        ("minute", "Asia/Dubai", "2026-01-31T18:20:59Z", "2026-01-31T22:20+04:00", "2026-01-31T22:21+04:00"),
        # Midnight does not exist, comes twice, and comes a second time a minute later.
        ("day", "America/Sao_Paulo", "2018-11-04T12:00Z", "2018-11-04T01:00-02:00", "2018-11-05T00:00-02:00"),
        ("day", "America/Havana", "2025-11-02T05:30Z", "2025-11-02T00:00-04:00", "2025-11-03T00:00-05:00"),
        ("day", "America/St_Johns", "2010-11-07T03:00Z", "2010-11-06T00:00-02:30", "2010-11-07T00:00-03:30"),
        # Samoa had no 30 December 2011.
        ("day", "Pacific/Apia", "2011-12-30T05:00Z", "2011-12-29T00:00-10:00", "2011-12-31T00:00+14:00"),
        ("week", "Pacific/Apia", "2011-12-30T15:00Z", "2011-12-26T00:00-10:00", "2012-01-02T00:00+14:00"),
    ],
)  # fmt: skip
def test_a_period_starts_and_ends_on_the_local_clock(
    unit: str, zone: str, at: str, start: str, end: str
) -> None:
    assert spelled(unit, zone, at) == [start, end]


ZONES = [
    "UTC", "Europe/Berlin", "America/New_York", "Asia/Kathmandu", "Australia/Lord_Howe", "Africa/Casablanca",
    "America/Havana", "America/Asuncion", "America/Santiago", "Pacific/Apia", "Asia/Beirut",
]  # fmt: skip
moments = st.integers(ms("2011-01-01T00:00Z"), ms("2035-01-01T00:00Z"))


def shown(unit: str, zone: str, at_ms: int) -> tuple[int, ...]:
    local = datetime.fromtimestamp(at_ms / 1000, find_zone(zone)).date()
    if unit == "week":
        return local.isocalendar()[:2]
    return (local.year, local.month) if unit == "month" else (local.toordinal(),)


@settings(max_examples=200, deadline=None)
@given(st.sampled_from(["day", "week", "month"]), st.sampled_from(ZONES), moments)
def test_a_period_is_all_of_one_date_on_the_local_clock(unit: str, zone: str, at_ms: int) -> None:
    """The minute before the start and the end show other dates; a minute within shows the same."""
    start_ms, end_ms = period(unit, zone, at_ms)
    here = shown(unit, zone, at_ms)
    assert start_ms <= at_ms < end_ms <= start_ms + PERIODS_MS[unit] + HOUR
    assert shown(unit, zone, start_ms - MINUTE) < here < shown(unit, zone, end_ms)
    assert shown(unit, zone, start_ms) == here == shown(unit, zone, end_ms - MINUTE)
    assert period(unit, zone, end_ms)[0] == end_ms


@given(st.sampled_from(["minute", "hour"]), st.sampled_from(ZONES), moments)
def test_minutes_and_hours_keep_their_length(unit: str, zone: str, at_ms: int) -> None:
    start_ms, end_ms = period(unit, zone, at_ms)
    assert start_ms <= at_ms < end_ms == start_ms + PERIODS_MS[unit]


def test_no_time_and_no_zone_is_refused() -> None:
    for at_ms in (0, 1, LATEST_MS - 1, LATEST_MS):
        for unit in PERIODS_MS:
            start_ms, end_ms = period(unit, "Nowhere/Else", at_ms)
            assert start_ms <= at_ms < end_ms or at_ms > LATEST_MS - 40 * DAY
    assert date(1970, 1, 1) == datetime.fromtimestamp(0, UTC).date()

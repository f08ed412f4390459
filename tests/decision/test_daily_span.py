"""Quiet hours against a plain walk, minute by minute, through local clocks."""

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tocsin.decision import daily_span
from tocsin.model.zones import zone as zone_of

MINUTE, DAY = 60_000, 86_400_000
ZONES = [
    "UTC",
    "America/New_York",
    "Europe/Berlin",
    "Asia/Kolkata",
    "Australia/Lord_Howe",
    "Africa/Casablanca",
    "America/St_Johns",
    "Pacific/Apia",
]


def test_the_end_of_time_has_an_offset_too() -> None:
    assert daily_span.offset_ms("Asia/Tokyo", 253_402_300_799_000) == 9 * 60 * MINUTE


def ms(text: str) -> int:
    return int(datetime.fromisoformat(text).timestamp() * 1000)


def clock(zone: str, at_ms: int) -> int:
    local = datetime.fromtimestamp(at_ms / 1000, zone_of(zone))
    return local.hour * 60 + local.minute


def minute(text: str) -> int:
    return int(text[:2]) * 60 + int(text[3:])


@pytest.mark.parametrize(
    ("zone", "start", "end", "now", "until"),
    [
        ("UTC", "22:00", "07:00", "2024-01-01T21:59:59+00:00", None),
        ("UTC", "22:00", "07:00", "2024-01-01T22:00:00+00:00", "2024-01-02T07:00:00+00:00"),
        ("UTC", "22:00", "07:00", "2024-01-02T06:59:59+00:00", "2024-01-02T07:00:00+00:00"),
        ("UTC", "22:00", "07:00", "2024-01-02T07:00:00+00:00", None),
        ("UTC", "12:00", "13:00", "2024-01-02T12:30:00+00:00", "2024-01-02T13:00:00+00:00"),
        ("UTC", "12:00", "12:00", "2024-01-02T12:00:00+00:00", None),
        ("Asia/Kolkata", "22:00", "07:00", "2024-01-01T17:00:00+00:00", "2024-01-02T01:30:00+00:00"),
        # Spring: the night is an hour shorter. Autumn: it is an hour longer.
        ("Europe/Berlin", "22:00", "07:00", "2024-03-30T22:30:00+01:00", "2024-03-31T07:00:00+02:00"),
        ("Europe/Berlin", "22:00", "07:00", "2024-10-26T22:30:00+02:00", "2024-10-27T07:00:00+01:00"),
        # The end is leapt over: it is quiet until the leap.
        ("Europe/Berlin", "22:00", "02:30", "2024-03-31T01:00:00+01:00", "2024-03-31T03:00:00+02:00"),
        # The end comes twice: the first one counts, then the hour's own second pass is quiet again.
        ("Europe/Berlin", "22:00", "02:30", "2024-10-27T01:00:00+02:00", "2024-10-27T02:30:00+02:00"),
        ("Europe/Berlin", "22:00", "02:30", "2024-10-27T02:10:00+01:00", "2024-10-27T02:30:00+01:00"),
    ],
)
def test_when_a_span_ends(zone: str, start: str, end: str, now: str, until: str | None) -> None:
    found = daily_span.ends_at(zone, minute(start), minute(end), ms(now))
    assert found == (ms(until) if until else 0)


def test_an_unknown_zone_counts_as_utc() -> None:
    assert daily_span.local_minute("Mars/Olympus", ms("2024-01-01T03:04:00+00:00")) == 184
    assert daily_span.local_minute("../../etc/passwd", 0) == 0


def moments() -> st.SearchStrategy[int]:
    """Moments of all kinds, and many around changes of clocks."""
    changes = [
        "2024-03-31T01:00",
        "2024-10-27T01:00",
        "2024-03-10T07:00",
        "2024-11-03T06:00",
        "2024-04-06T15:00",
    ]
    near = st.builds(
        lambda text, shift: int(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp() * 1000) + shift,
        st.sampled_from(changes),
        st.integers(-DAY, DAY),
    )
    return near | st.integers(ms("1975-01-01T00:00:00+00:00"), ms("2037-01-01T00:00:00+00:00"))


@given(st.sampled_from(ZONES), moments())
def test_the_minute_is_the_one_of_the_local_clock(zone: str, at_ms: int) -> None:
    assert daily_span.local_minute(zone, at_ms) == clock(zone, at_ms)


@given(st.sampled_from(ZONES), st.integers(0, 1_439), st.integers(0, 1_439), moments())
def test_the_end_is_the_first_minute_outside(zone: str, start: int, end: int, now_ms: int) -> None:
    until = daily_span.ends_at(zone, start, end, now_ms)
    if start == end or not daily_span.within(start, end, clock(zone, now_ms)):
        assert until == 0
        return
    assert now_ms < until <= now_ms + DAY + 120 * MINUTE
    assert not daily_span.within(start, end, clock(zone, until))
    walk = now_ms - now_ms % MINUTE
    while daily_span.within(start, end, clock(zone, walk)):
        walk += MINUTE
    assert until == walk

"""Limits: packed rolling windows against a plain list of times."""

from datetime import datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.decision.gate_world import HOUR
from tocsin.catalog.caps import Cap, Counter
from tocsin.decision import limits

CAP = Cap("user", 3, 1_000)
COUNTER = Counter("user", 3, 1_000)


def counted(times: list[int], counter: Counter = COUNTER) -> dict[str, bytes]:
    counts: dict[str, bytes] = {}
    for time in times:
        limits.count(counts, (counter,), time, "UTC")
    return counts


def test_room_until_the_cap_is_reached() -> None:
    assert limits.room_at({}, CAP, 0) == 0
    assert limits.room_at(counted([1, 2]), CAP, 3) == 0
    assert limits.room_at(counted([1, 2, 3]), CAP, 3) == 1_001


def test_room_comes_back_as_the_oldest_leaves_the_window() -> None:
    counts = counted([0, 500, 900])
    assert limits.room_at(counts, CAP, 999) == 1_000
    assert limits.room_at(counts, CAP, 1_000) == 0
    assert limits.window(counts, CAP, 1_000).number == 2


def test_caps_of_one_counter_share_its_times() -> None:
    both = Counter("user", 5, 60_000)
    counts = counted([0, 10_000, 20_000, 20_100, 20_200], both)
    assert limits.room_at(counts, Cap("user", 5, 60_000), 20_300) == 60_000
    assert limits.room_at(counts, Cap("user", 4, 1_000), 20_300) == 0
    assert limits.window(counts, Cap("user", 4, 1_000), 20_300).number == 3


def test_no_more_times_are_kept_than_the_largest_cap_needs() -> None:
    """A few more are kept, for those that were counted beyond the limit: their slots may come back."""
    assert len(counted(list(range(100)))["user"]) == 8 + (3 + 64) * 8


def test_time_never_runs_backwards() -> None:
    counts = counted([1_000, 400])
    assert limits.room_at(counts, Cap("user", 1, 1_000), 1_500) == 2_000


def test_expiry_drops_times_and_empty_counters() -> None:
    counts = counted([0, 500])
    assert not limits.expire(counts, 999)
    assert limits.expire(counts, 1_000)
    assert limits.window(counts, CAP, 1_000).number == 1
    assert limits.expire(counts, 1_500)
    assert counts == {}


@given(
    st.lists(st.tuples(st.integers(0, 700), st.booleans()), max_size=60),
    st.integers(1, 4),
    st.integers(1, 2_000),
)
def test_never_more_than_max_in_any_rolling_window(
    pauses: list[tuple[int, bool]], most: int, window: int
) -> None:
    cap, counter = Cap("c", most, window), Counter("c", most + 1, window + 500)
    counts: dict[str, bytes] = {}
    admitted: list[int] = []
    now = 0
    for pause, sweep in pauses:
        now += pause
        if sweep:
            limits.expire(counts, now)
        inside = [time for time in admitted if time > now - window]
        free_ms = limits.room_at(counts, cap, now)
        assert (free_ms == 0) == (len(inside) < most)
        assert limits.window(counts, cap, now).number == len(inside) <= most
        if free_ms == 0:
            limits.count(counts, (counter,), now, "UTC")
            admitted.append(now)
        else:
            assert free_ms == inside[-most] + window


@given(st.lists(st.integers(0, 700), max_size=30), st.integers(0, 3_000))
def test_a_hold_until_there_is_room_finds_room(pauses: list[int], wait: int) -> None:
    counts: dict[str, bytes] = {}
    now = 0
    for pause in pauses:
        now += pause
        limits.count(counts, (COUNTER,), now, "UTC")
    free_ms = limits.room_at(counts, CAP, now + wait)
    assert limits.room_at(counts, CAP, max(free_ms, now + wait)) == 0


DAILY, DAYS = Cap("day:user", 2, 25 * HOUR, period="day"), Counter("day:user", 2, 25 * HOUR, "day")


def counted_at(*times: int, zone: str = "Europe/Berlin") -> dict[str, bytes]:
    counts: dict[str, bytes] = {}
    for time in times:
        limits.count(counts, (DAYS,), time, zone)
    return counts


def ms(text: str) -> int:
    return int(datetime.fromisoformat(text).timestamp() * 1000)


MIDNIGHT = ms("2026-03-29T22:00Z")
"""In Berlin, at the end of the day on which the clock goes forward."""


def test_a_calendar_limit_has_room_at_the_users_midnight() -> None:
    counts = counted_at(MIDNIGHT - 23 * HOUR, MIDNIGHT - 1)
    assert limits.room_at(counts, DAILY, MIDNIGHT - 1) == MIDNIGHT
    assert limits.window(counts, DAILY, MIDNIGHT - 1) == (2, MIDNIGHT - 23 * HOUR, MIDNIGHT)
    assert limits.room_at(counts, DAILY, MIDNIGHT) == 0
    assert limits.window(counts, DAILY, MIDNIGHT).number == 0


def test_what_waits_for_a_calendar_limit_is_spread_over_the_days_to_come() -> None:
    counts = counted_at(MIDNIGHT - 2, MIDNIGHT - 1)

    def slot(*ahead: int) -> int:
        return limits.free_at(counts, DAILY, list(ahead), "Europe/Berlin", MIDNIGHT - 1)

    assert slot() == slot(MIDNIGHT) == MIDNIGHT
    assert slot(MIDNIGHT, MIDNIGHT + 1) == MIDNIGHT + 24 * HOUR
    assert slot(MIDNIGHT, MIDNIGHT + 1, MIDNIGHT + 24 * HOUR, MIDNIGHT + 25 * HOUR) == MIDNIGHT + 48 * HOUR


def test_a_period_that_is_open_stays_so_when_the_user_moves() -> None:
    counts = counted_at(MIDNIGHT - HOUR)
    limits.count(counts, (DAYS,), MIDNIGHT - 1, "Pacific/Apia")
    assert limits.room_at(counts, DAILY, MIDNIGHT - 1) == MIDNIGHT
    limits.count(counts, (DAYS,), MIDNIGHT, "Pacific/Apia")
    assert limits.window(counts, DAILY, MIDNIGHT) == (1, MIDNIGHT - 11 * HOUR, MIDNIGHT + 13 * HOUR)


def test_a_calendar_counter_is_small_however_large_its_limit_is() -> None:
    counts = counted_at(*[MIDNIGHT] * 10_000)
    assert len(counts["day:user"]) == 20
    assert limits.window(counts, DAILY, MIDNIGHT).number == 10_000
    assert not limits.expire(counts, MIDNIGHT + 24 * HOUR - 1)
    assert limits.expire(counts, MIDNIGHT + 24 * HOUR)
    assert counts == {}


@pytest.mark.parametrize(("cap", "counter"), [(CAP, COUNTER), (DAILY, DAYS)])
def test_what_is_given_back_was_never_counted(cap: Cap, counter: Counter) -> None:
    counts: dict[str, bytes] = {}
    for time in (100, 200):
        limits.count(counts, (counter,), time, "UTC")
    before = dict(counts)
    limits.count(counts, (counter,), 300, "UTC")
    assert limits.give_back(counts, counter.name, 300)
    assert counts == before
    assert limits.give_back(counts, counter.name, 100)
    assert limits.give_back(counts, counter.name, 200)
    assert counts == {}
    assert not limits.give_back(counts, counter.name, 200)


def test_a_slot_of_a_window_that_is_over_gives_nothing_back() -> None:
    counts = counted_at(MIDNIGHT - 1, MIDNIGHT)
    assert not limits.give_back(counts, DAYS.name, MIDNIGHT - 1)
    assert limits.window(counts, DAILY, MIDNIGHT).number == 1
    rolling = counted([0, 500, 2_000])
    assert not limits.give_back(rolling, COUNTER.name, 0)
    assert limits.window(rolling, CAP, 2_000).number == 1


BY_MINUTE, MINUTES = Cap("m", 3, 60_000, period="minute"), Counter("m", 3, 60_000, "minute")


@given(
    st.lists(st.tuples(st.sampled_from([0, 1, 300, 700]), st.integers(0, 4), st.booleans()), max_size=60),
    st.sampled_from([(CAP, COUNTER), (BY_MINUTE, MINUTES)]),
)
def test_counters_are_like_a_plain_list_also_when_slots_come_back(
    life: list[tuple[int, int, bool]], kind: tuple[Cap, Counter]
) -> None:
    """Some are counted beyond the limit, as critical ones are; some come back, in any order."""
    cap, counter = kind
    counts: dict[str, bytes] = {}
    plain: list[int] = []
    now = 0
    for pause, back, beyond in life:
        now += pause * (60 if cap.period else 1)
        inside = [time for time in plain if _in_window(cap, time, now)]
        assert bool(limits.room_at(counts, cap, now)) == (len(inside) >= cap.max)
        if len(inside) < cap.max or beyond:
            limits.count(counts, (counter,), now, "UTC")
            plain.append(now)
            inside.append(now)
        if back < len(inside):
            assert limits.give_back(counts, counter.name, inside[back])
            plain.remove(inside[back])


def _in_window(cap: Cap, time: int, now: int) -> bool:
    return time // 60_000 == now // 60_000 if cap.period else time > now - cap.window_ms

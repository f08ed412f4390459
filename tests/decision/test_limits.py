"""Limits: packed rolling windows against a plain list of times."""

from hypothesis import given
from hypothesis import strategies as st

from tocsin.catalog.caps import Cap, Counter
from tocsin.decision import limits

CAP = Cap("user", 3, 1_000)
COUNTER = Counter("user", 3, 1_000)


def counted(times: list[int], counter: Counter = COUNTER) -> dict[str, bytes]:
    counts: dict[str, bytes] = {}
    for time in times:
        limits.count(counts, counter, time)
    return counts


def test_room_until_the_cap_is_reached() -> None:
    assert limits.room_at({}, CAP, 0) == 0
    assert limits.room_at(counted([1, 2]), CAP, 3) == 0
    assert limits.room_at(counted([1, 2, 3]), CAP, 3) == 1_001


def test_room_comes_back_as_the_oldest_leaves_the_window() -> None:
    counts = counted([0, 500, 900])
    assert limits.room_at(counts, CAP, 999) == 1_000
    assert limits.room_at(counts, CAP, 1_000) == 0
    assert limits.count_in(counts, CAP, 1_000) == 2


def test_caps_of_one_counter_share_its_times() -> None:
    both = Counter("user", 5, 60_000)
    counts = counted([0, 10_000, 20_000, 20_100, 20_200], both)
    assert limits.room_at(counts, Cap("user", 5, 60_000), 20_300) == 60_000
    assert limits.room_at(counts, Cap("user", 4, 1_000), 20_300) == 0
    assert limits.count_in(counts, Cap("user", 4, 1_000), 20_300) == 3


def test_no_more_times_are_kept_than_the_largest_cap_needs() -> None:
    assert len(counted(list(range(100)))["user"]) == 8 + 3 * 8


def test_time_never_runs_backwards() -> None:
    counts = counted([1_000, 400])
    assert limits.room_at(counts, Cap("user", 1, 1_000), 1_500) == 2_000


def test_expiry_drops_times_and_empty_counters() -> None:
    counts = counted([0, 500])
    assert not limits.expire(counts, 999)
    assert limits.expire(counts, 1_000)
    assert limits.count_in(counts, CAP, 1_000) == 1
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
        assert limits.count_in(counts, cap, now) == len(inside) <= most
        if free_ms == 0:
            limits.count(counts, counter, now)
            admitted.append(now)
        else:
            assert free_ms == inside[-most] + window


@given(st.lists(st.integers(0, 700), max_size=30), st.integers(0, 3_000))
def test_a_hold_until_there_is_room_finds_room(pauses: list[int], wait: int) -> None:
    counts: dict[str, bytes] = {}
    now = 0
    for pause in pauses:
        now += pause
        limits.count(counts, COUNTER, now)
    free_ms = limits.room_at(counts, CAP, now + wait)
    assert limits.room_at(counts, CAP, max(free_ms, now + wait)) == 0

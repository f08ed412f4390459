"""Dedup windows: packed keys against a plain list."""

from hypothesis import given
from hypothesis import strategies as st

from tests.decision.gate_world import DAY, HOUR
from tocsin.decision import dedup
from tocsin.decision.user_state import UserRecord, expire
from tocsin.model import topics
from tocsin.model.event import Origin

WINDOW, LATE = 1_000, 1_500
KEEP = WINDOW + LATE


def remembered(seen: bytes, name: str, time: int, now: int, *, most: int = 100, offset: int = 42) -> bytes:
    key = dedup.key_of("s", name)
    return dedup.remember(seen, key, time, KEEP, now, Origin("events", 3, offset), most)


def original(seen: bytes, name: str, time: int, now: int) -> str:
    return dedup.original(seen, dedup.key_of("s", name), time, WINDOW, now)


def test_the_original_is_named() -> None:
    seen = remembered(b"", "a", 0, 0)
    assert original(seen, "a", 999, 999) == "events/3/42"
    assert original(seen, "b", 999, 999) == ""


def test_event_times_a_window_apart_are_no_duplicates() -> None:
    seen = remembered(b"", "a", 5_000, 5_000)
    assert original(seen, "a", 6_000, 5_001) == ""
    assert original(seen, "a", 4_000, 5_001) == ""
    assert original(seen, "a", 4_001, 5_001) == "events/3/42"


def test_a_late_event_is_remembered_from_its_arrival() -> None:
    seen = remembered(b"", "late", 0, 50_000)
    assert original(seen, "late", 0, 50_000 + KEEP - 1) == "events/3/42"
    assert original(seen, "late", 0, 50_000 + KEEP) == ""


def test_an_early_event_is_remembered_from_its_own_time() -> None:
    seen = remembered(b"", "early", 900, 0)
    assert original(seen, "early", 900, 899 + KEEP) == "events/3/42"
    assert dedup.pruned(seen, 899 + KEEP) == seen
    assert dedup.pruned(seen, 900 + KEEP) == b""


def test_the_oldest_is_forgotten_first() -> None:
    seen = b""
    for number in range(5):
        seen = remembered(seen, str(number), 0, 0, most=3)
    assert [bool(original(seen, str(number), 0, 0)) for number in range(5)] == [
        False,
        False,
        True,
        True,
        True,
    ]


def test_what_expired_makes_room_when_written() -> None:
    seen = remembered(remembered(b"", "a", 0, 0), "b", 500, 500)
    assert len(remembered(seen, "c", KEEP, KEEP)) == len(seen)


def test_forgetting_takes_the_entry_of_one_record_and_nothing_else() -> None:
    seen = remembered(remembered(remembered(b"", "a", 0, 0, offset=1), "b", 0, 0), "a", 2_000, 500, offset=2)
    key = dedup.key_of("s", "a")
    left = dedup.forget(seen, key, Origin("events", 3, 2))
    assert original(left, "a", 0, 500) == "events/3/1"
    assert original(left, "a", 2_500, 500) == ""
    assert original(left, "b", 0, 500)
    later = dedup.forget(seen, key, Origin("events", 3, 1))
    assert original(later, "a", 0, 500) == ""
    assert original(later, "a", 2_500, 500) == "events/3/2"
    assert dedup.forget(left, dedup.key_of("s", "never"), Origin("events", 3, 1)) == left


def test_fields_of_a_key_do_not_run_together() -> None:
    assert dedup.key_of("ab", "c") != dedup.key_of("a", "bc")
    assert len({dedup.key_of("", "\ud800"), dedup.key_of("", "x"), dedup.key_of("x", "")}) == 3


@given(st.sampled_from(topics.ALL), st.integers(0, 65_535), st.integers(0, 2**63 - 1))
def test_every_origin_survives(topic: str, partition: int, offset: int) -> None:
    key = dedup.key_of("s", "a")
    seen = dedup.remember(b"", key, 0, KEEP, 0, Origin(topic, partition, offset), 10)
    assert dedup.original(seen, key, 0, WINDOW, 0) == f"{topic}/{partition}/{offset}"


def keyed(keys: bytes, name: str, time: int, window: int, now: int, most: int, offset: int = 1) -> bytes:
    origin = Origin("events", 3, offset)
    return dedup.remember_key(keys, dedup.key_of("n", name), time, window + LATE, now, origin, most)


def is_known(keys: bytes, name: str, time: int, window: int, now: int) -> bool:
    return bool(dedup.original(keys, dedup.key_of("n", name), time, window, now))


def test_a_flood_of_short_keys_does_not_push_out_a_long_one() -> None:
    year, hour = 365 * DAY, HOUR
    keys = keyed(b"", "welcome", 0, year, 0, 64)
    for number in range(1_000):
        keys = keyed(keys, f"price {number}", number, hour, number, 64)
        assert len(keys) <= 64 * 35
    assert is_known(keys, "welcome", 300 * DAY, year, 300 * DAY)
    assert is_known(keys, "price 999", 1_000, hour, 1_000)
    assert not is_known(keys, "price 0", 1_000, hour, 1_000)


@given(
    st.lists(
        st.tuples(
            st.sampled_from("abcdef"),
            st.sampled_from([HOUR, DAY, 400 * DAY]),
            st.integers(-LATE, 1_500),
            st.sampled_from([0, 1, 600_000, HOUR, 30 * DAY]),
        ),
        max_size=60,
    ),
    st.sampled_from([8, 16, 100]),
)
def test_keys_of_any_window_are_like_a_plain_list_up_to_the_bound(
    arrivals: list[tuple[str, int, int, int]], most: int
) -> None:
    """Each key is found within its window of event time. Beyond the bound those go that expire first."""
    keys, plain, now = b"", list[tuple[str, int, int]](), 10 * DAY
    for number, (letter, window, shift, pause) in enumerate(arrivals):
        now += pause
        name, time = f"{letter}{window}", now + shift
        expected = any(name == other and abs(time - at) < window for other, at, _ in plain)
        assert is_known(keys, name, time, window, now) == expected
        if not expected:
            plain = [one for one in plain if one[2] > now] if len(keys) >= most * 35 else plain
            keys = keyed(keys, name, time, window, now, most, offset=number)
            older = sorted(plain, key=lambda one: one[2])
            plain = older[len(plain) + 1 - len(keys) // 35 :]
            plain.append((name, time, max(time, now) + window + LATE))
        assert len(keys) <= most * 35


def test_an_origin_in_a_declared_topic_is_named_by_the_users_record() -> None:
    record, names = UserRecord(), [topics.declared(f"t{number}") for number in range(dedup.DECLARED_MAX + 1)]
    key = dedup.key_of("s", "a")
    for name in (names[0], *names):
        origin = Origin(name, 2, 7)
        record.seen = dedup.remember(b"", key, 0, KEEP, 0, origin, 10, record.naming(origin))
        known = name if name != names[-1] else topics.declared("?")
        assert dedup.original(record.seen, key, 0, WINDOW, 0, record.declared) == f"{known}/2/7"
    assert record.declared == tuple(names[:-1])
    assert record.naming(Origin("events", 0, 1)) == record.declared
    expire(record, 0)
    assert record.declared
    expire(record, KEEP + 1)
    assert record.is_empty()
    assert not record.declared


@given(
    st.lists(
        st.tuples(st.sampled_from("abc"), st.integers(-LATE, 1_500), st.sampled_from([0, 1, 400, 900])),
        max_size=40,
    )
)
def test_like_a_plain_list(arrivals: list[tuple[str, int, int]]) -> None:
    """Against the definition: same key, event times less than a window apart, whenever they arrive."""
    seen, plain, now = b"", list[tuple[str, int]](), 10_000
    for name, shift, pause in arrivals:
        now += pause
        time = now + shift
        expected = any(name == other and abs(time - at) < WINDOW for other, at in plain)
        assert bool(original(seen, name, time, now)) == expected
        assert bool(original(dedup.pruned(seen, now), name, time, now)) == expected
        if not expected:
            seen = remembered(seen, name, time, now)
            plain.append((name, time))

"""Parts of broadcasts: their pace, the moment of a local time, and the record of a broadcast."""

from datetime import UTC, datetime

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tocsin.decision.broadcast_parts import first_turn, local_moment_ms, next_turn, pace
from tocsin.decision.policy import GatePolicy
from tocsin.formats.broadcasts import RATE_MAX
from tocsin.formats.cloudevents import EventLimits, decode_event
from tocsin.formats.forwarded import rewritten
from tocsin.model.broadcast import Order
from tocsin.model.event import Broadcast, Event, Origin

POLICY = GatePolicy(partitions=16, key_groups=4)
LIMITS = EventLimits(10_000, 0, 0, False)


def ms(text: str) -> int:
    return int(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp() * 1000)


@pytest.mark.parametrize(
    ("local", "zone", "moment"),
    [
        ("2026-03-28T02:30", "Europe/Berlin", "2026-03-28T01:30"),
        ("2026-03-29T02:30", "Europe/Berlin", "2026-03-29T01:00"),  # the clock leaps over it
        ("2026-03-29T03:00", "Europe/Berlin", "2026-03-29T01:00"),
        ("2026-10-25T02:30", "Europe/Berlin", "2026-10-25T00:30"),  # the first of two
        ("2026-04-05T01:45", "Australia/Lord_Howe", "2026-04-04T14:45"),  # half an hour comes twice
        ("2026-10-04T02:15", "Australia/Lord_Howe", "2026-10-03T15:30"),  # half an hour is missing
        ("2011-12-30T09:00", "Pacific/Apia", "2011-12-30T10:00"),  # the whole day is missing
        ("2026-11-30T09:00", "", "2026-11-30T09:00"),
    ],
)
def test_a_local_time_is_one_moment_on_every_day(local: str, zone: str, moment: str) -> None:
    assert local_moment_ms(ms(local), zone) == ms(moment)


@given(st.integers(1, RATE_MAX), st.integers(1, 8))
def test_turns_keep_to_the_rate_and_are_small(rate: int, running: int) -> None:
    """The turns of all key groups and broadcasts together are the rate, up to one turn a ms each."""
    turn = pace(rate, running, POLICY)
    per_s = turn.users * 1000 / turn.every_ms * 64 * running
    assert 1 <= turn.users <= 32
    assert turn.every_ms >= 1
    assert per_s == pytest.approx(rate, rel=0.3) or turn.every_ms <= 3


@given(st.integers(0, 10_000), st.integers(1, 10_000), st.integers(0, 20_000))
def test_the_next_turn_is_later_and_a_late_one_is_not_made_up_for(due: int, every: int, late: int) -> None:
    wall = next_turn(due, due + late, every, POLICY)
    assert wall > due + late
    assert wall <= due + late + every or wall == due + every
    exact = msgspec.structs.replace(POLICY, stream_clock=True)
    assert next_turn(due, due + late, every, exact) == due + every


def test_key_groups_begin_one_after_another() -> None:
    order = Order(act="start", tenant="t", broadcast="b", event_id="e", rate=2_000, start_ms=1_000)
    starts = [first_turn(order, f"{number}.0", 500, POLICY) for number in range(16)]
    assert len(set(starts)) > 8
    assert min(starts) >= 1_000
    assert max(starts) < 1_000 + pace(2_000, 1, POLICY).every_ms


@given(
    st.text("abcäö*", min_size=1, max_size=5),
    st.integers(0, RATE_MAX),
    st.just(0) | st.integers(1, 4_000_000_000).map(lambda second: second * 1000),
    st.booleans(),
)
def test_a_broadcast_that_is_written_reads_as_the_same(
    segment: str, rate: int, local: int, skip: bool
) -> None:
    event = Event(
        tenant="default", id="b1", source="/s", type="newsletter", user="", time_ms=1_780_000_000_000,
        data=msgspec.Raw(b'{"issue":7}'), origin=Origin("bulk", 1, 2), received_ms=1_780_000_000_500,
        bulk=True, broadcast=Broadcast(segment, rate, local, skip),
    )  # fmt: skip
    assert decode_event(rewritten(event), LIMITS) == event
    one = msgspec.structs.replace(event, user="ann")
    assert decode_event(rewritten(one), LIMITS) == msgspec.structs.replace(one, broadcast=None)

"""The pace of timers: a bounded share of a worker's time, however long each timer takes."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from operators.pace import EpochShare, TimerPace


class Clock:
    """Time that is moved by hand."""

    def __init__(self) -> None:
        self.now_s = 0.0

    def __call__(self) -> float:
        return self.now_s


def turns(timer_s: float, other_s: float, count: int) -> tuple[float, float, float]:
    """Play turns of timers and other work; return the time of each, and the longest run of timers."""
    clock = Clock()
    pace = TimerPace(clock)
    firing_s = longest_s = 0.0
    for _ in range(count):
        clock.now_s += other_s
        began_s, goes_on = clock.now_s, pace.begins()
        while goes_on:
            clock.now_s += timer_s
            goes_on = pace.goes_on()
        firing_s += clock.now_s - began_s
        longest_s = max(longest_s, clock.now_s - began_s)
    return firing_s, count * other_s, longest_s


@settings(max_examples=30)
@given(st.floats(1e-4, 0.05), st.floats(1e-4, 0.1))
def test_timers_take_two_thirds_of_the_time_and_20_ms_at_once(timer_s: float, other_s: float) -> None:
    firing_s, working_s, longest_s = turns(timer_s, other_s, 50)
    assert firing_s <= 2 * working_s + 0.02 + timer_s + 1e-6
    assert longest_s <= 0.02 + timer_s + 1e-6
    assert firing_s > 0


@settings(max_examples=30)
@given(st.floats(1e-4, 0.05), st.floats(1e-4, 0.1), st.lists(st.integers(1, 60), max_size=5))
def test_an_epoch_fires_for_no_longer_than_it_may(timer_s: float, other_s: float, epochs: list[int]) -> None:
    clock = Clock()
    pace = TimerPace(clock, epoch_s=0.03)
    for turns_of_epoch in epochs:
        firing_s = 0.0
        for _ in range(turns_of_epoch):
            clock.now_s += other_s
            goes_on = pace.begins()
            while goes_on:
                clock.now_s, firing_s = clock.now_s + timer_s, firing_s + timer_s
                goes_on = pace.goes_on()
        assert 0 < firing_s <= 0.03 + timer_s + 1e-6, "each epoch has its own time"
        assert pace.rest_s() < 0.1, "one that has spent it asks again"
        pace.end_epoch()


def test_all_that_is_allowed_is_used() -> None:
    firing_s, working_s, _ = turns(timer_s=0.0001, other_s=0.004, count=100)
    assert 1.8 * working_s < firing_s < 2.2 * working_s


class TestEpochShare:
    """Ends of epochs that are long because of timers leave timers less time."""

    def test_it_falls_while_ends_with_timers_are_long_and_rises_again(self) -> None:
        share = EpochShare(1.0)
        for _ in range(8):
            share.ended(0.01, 0.0)
        share.ended(0.5, 0.03)
        assert share.seconds == 0.015, "half of what the timers took, not half of what they might take"
        for _ in range(10):
            share.ended(0.5, share.seconds)
        assert share.seconds == 0.005, "some are decided in each epoch"
        for _ in range(30):
            share.ended(0.05, share.seconds)
        assert share.seconds == 1.0

    def test_ends_that_are_long_without_timers_take_nothing_from_them(self) -> None:
        share = EpochShare(1.0)
        for _ in range(40):
            share.ended(0.3, 0.0)
        share.ended(0.5, 0.03)
        assert share.seconds == 1.0
        share.ended(0.7, 0.03)
        assert share.seconds < 1.0

    def test_the_end_after_an_epoch_with_timers_says_nothing_about_the_usual_ones(self) -> None:
        share = EpochShare(1.0)
        for _ in range(40):
            share.ended(0.04, 0.03)
            share.ended(9.0, 0.0)
        share.ended(0.15, 0.03)
        assert share.seconds < 1.0


def test_timers_fire_for_less_of_an_epoch_while_its_end_is_long() -> None:
    fired_s = [firing(end_s) for end_s in (0.05, 0.15, 0.3)]
    assert fired_s[0] > 2 * fired_s[1] > 0
    assert fired_s[1:] == pytest.approx([0.005, 0.005], abs=0.0002), "as little as there is"


def firing(end_s: float) -> float:
    """Play epochs of 50 ms, all of whose ends take `end_s`; return for how long timers fired in the last."""
    clock, fired_s = Clock(), 0.0
    pace = TimerPace(clock)
    for _ in range(20):
        began_s, fired_s = clock.now_s, 0.0
        while clock.now_s < began_s + 0.05:
            clock.now_s += 0.001
            goes_on = pace.begins()
            while goes_on:
                clock.now_s, fired_s = clock.now_s + 0.0001, fired_s + 0.0001
                goes_on = pace.goes_on()
        pace.end_epoch()
        clock.now_s += end_s
        pace.ended(end_s)
    return round(fired_s, 4)

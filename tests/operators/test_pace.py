"""The pace of timers: a bounded share of a worker's time, however long each timer takes."""

from collections.abc import Callable

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from operators.pace import EpochShare, TimerPace, timer_pace


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
@example(timer_s=0.03125, other_s=0.00390625, epochs=[1, 1])  # a long timer leaves the next turn none
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
        assert firing_s <= 0.03 + timer_s + 1e-6
        assert firing_s > 0 or timer_s >= 2 * other_s, "each epoch has its own time"
        assert pace.rest_s() < 0.1, "one that has spent it asks again"
        pace.end_epoch()


def test_all_that_is_allowed_is_used() -> None:
    firing_s, working_s, _ = turns(timer_s=0.0001, other_s=0.004, count=100)
    assert 1.8 * working_s < firing_s < 2.2 * working_s


class TestEpochShare:
    """Ends of epochs that are long because of timers leave timers less time."""

    def test_it_falls_while_ends_with_timers_are_long_and_rises_again(self) -> None:
        share = usual(0.01)
        share.ended(0.5, 0.03)
        assert share.seconds == 0.015, "half of what the timers took, not half of what they might take"
        for _ in range(10):
            share.ended(0.5, share.seconds)
        assert share.seconds == 0.005, "some are decided in each epoch"
        for _ in range(30):
            share.ended(0.03, share.seconds)
        assert share.seconds == 1.0

    def test_it_falls_no_further_than_the_end_is_too_long(self) -> None:
        share = usual(0.01)
        share.ended(0.034, 0.03)
        assert share.seconds == 1.0, "half an epoch longer than without timers"
        share.ended(0.05, 0.03)
        assert share.seconds == pytest.approx(0.03 * 0.035 / 0.05)

    def test_ends_of_long_epochs_may_not_take_half_an_epoch_longer(self) -> None:
        share = usual(0.01, length_s=2.0)
        share.ended(0.12, 0.5)
        assert share.seconds < 0.5

    def test_ends_that_are_long_without_timers_take_nothing_from_them(self) -> None:
        share = usual(0.3)
        share.ended(0.5, 0.03)
        assert share.seconds == 1.0
        share.ended(0.7, 0.03)
        assert share.seconds < 1.0

    def test_ends_that_are_long_with_few_timers_in_each_epoch_take_nothing_from_them(self) -> None:
        share = usual(0.0)
        for _ in range(200):
            share.ended(0.2, 0.001)
        share.ended(0.3, 0.03)
        assert share.seconds == 1.0

    def test_the_end_after_an_epoch_with_timers_says_nothing_about_the_usual_ones(self) -> None:
        share = usual(0.0)
        for _ in range(40):
            share.ended(0.02, 0.03)
            share.ended(9.0, 0.0)
        share.ended(0.15, 0.03)
        assert share.seconds < 1.0

    def test_one_long_end_with_a_timer_or_two_takes_nothing_from_them(self) -> None:
        share = usual(0.01)
        share.ended(0.5, 0.0001)
        assert share.seconds == 1.0

    def test_timers_have_what_an_end_that_is_too_long_has_left_of_an_epoch(self) -> None:
        share = usual(0.01)
        assert [share.after(took_s) for took_s in (0.01, 0.03, 0.2)] == pytest.approx(
            [0.05, 0.03, 0.005], abs=1e-5
        )

    def test_a_slow_disk_takes_no_time_from_timers(self) -> None:
        assert usual(0.3).after(0.32) == pytest.approx(0.03, abs=1e-5)


def usual(end_s: float, length_s: float = 0.05) -> EpochShare:
    """Make the share of epochs whose ends take so long without timers."""
    share = EpochShare(1.0, length_s)
    for _ in range(100):
        share.ended(end_s, 0.0)
    return share


def test_timers_fire_for_less_of_an_epoch_while_its_end_is_long() -> None:
    fired_s = [firing(end_s) for end_s in (0.02, 0.05, 0.3)]
    assert fired_s[0] > 2 * fired_s[1] > 0
    assert fired_s[1:] == pytest.approx([0.005, 0.005], abs=0.0002), "as little as there is"


@pytest.mark.parametrize("usual_s", [0.005, 0.02, 0.1])
@pytest.mark.parametrize("cost", [1.0, 3.0])
def test_ends_of_epochs_stay_near_their_bound_while_very_many_timers_are_due(
    usual_s: float, cost: float
) -> None:
    """Each second of firing makes the next end longer by `cost`, as Kafka takes what was published."""
    ends_s = ends(lambda fired_s: usual_s + cost * fired_s, usual_s)
    bound_s = usual_s + max(0.025, usual_s)
    assert max(ends_s) <= bound_s * 1.3 + cost * 0.005
    assert sum(ends_s) / len(ends_s) <= 1.2 * bound_s
    assert sum(ends_s) / len(ends_s) >= usual_s + cost * 0.004, "timers fire all the time"


def ends(end_after: Callable[[float], float], usual_s: float) -> list[float]:
    """Play epochs without timers and then with very many; return the ends of the later ones."""
    clock, ends_s = Clock(), list[float]()
    pace = timer_pace(clock, 50)
    for _ in range(50):
        clock.now_s += 0.05
        pace.begins()
        pace.ended(usual_s)
    fired_s = 0.0
    for _ in range(200):
        ends_s.append(end_after(fired_s))
        fired_s = play_epoch(clock, pace, ends_s[-1])
    return ends_s[20:]


def firing(end_s: float) -> float:
    """Play epochs of 50 ms, all of whose ends take `end_s`; return for how long timers fired in the last."""
    clock, fired_s = Clock(), 0.0
    pace = timer_pace(clock, 50)
    for _ in range(20):
        fired_s = play_epoch(clock, pace, end_s)
    return round(fired_s, 4)


def play_epoch(clock: Clock, pace: TimerPace, end_s: float) -> float:
    """Let timers fire in an epoch, between a millisecond of other work each; return for how long they did."""
    began_s, fired_s = clock.now_s, 0.0
    while clock.now_s < began_s + max(0.001, 0.05 - end_s):
        clock.now_s += 0.001
        goes_on = pace.begins()
        while goes_on:
            clock.now_s, fired_s = clock.now_s + 0.0001, fired_s + 0.0001
            goes_on = pace.goes_on()
    pace.end_epoch()
    clock.now_s += end_s
    pace.ended(end_s)
    return fired_s

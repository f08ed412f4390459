"""The pace of timers: a bounded share of a worker's time, however long each timer takes."""

from hypothesis import given, settings
from hypothesis import strategies as st

from operators.pace import TimerPace


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

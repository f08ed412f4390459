from hypothesis import given
from hypothesis import strategies as st

from tocsin.delivery.rate import Rate


def test_without_a_rate_nothing_waits() -> None:
    assert Rate(0).free(0) > 1_000_000


def test_ten_a_second_are_ten_calls_in_the_first_second() -> None:
    rate, calls = Rate(10), 0
    for now_ms in range(1_000):
        while rate.free(now_ms):
            rate.take()
            calls += 1
    assert calls == 10


@given(st.floats(0.5, 5_000), st.lists(st.integers(0, 400), min_size=1, max_size=200))
def test_however_time_passes_calls_stay_within_rate_and_burst(per_s: float, steps: list[int]) -> None:
    rate, now_ms, calls = Rate(per_s), 0, 0
    for step in steps:
        now_ms += step
        for _ in range(rate.free(now_ms)):
            rate.take()
            calls += 1
        assert rate.due_ms(now_ms) > now_ms
    assert calls <= max(1, per_s / 10) + per_s * now_ms / 1_000 + 1e-6

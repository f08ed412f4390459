"""The limit of a recovering account, tried against simulated accounts: rates are counted a second."""

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tocsin.delivery.ramp import Ramp, RampPolicy, UsualRate

OUTAGE_S = 180
Takes = Callable[[int, int], bool]
"""Whether the account takes a call, by second and number of the call in that second."""


def always(_second: int, _number: int) -> bool:
    return True


class Simulation:
    """Messages that come at a rate, and an account behind a ramp."""

    def __init__(self, per_s: int) -> None:
        self.ramp = Ramp(RampPolicy())
        self.per_s = per_s
        self.now_ms = 0
        self.waiting = 0.0
        self.refused = 0
        self.throttles = True

    def run(self, seconds: int, takes: Takes = always, *, open_: bool = False) -> list[int]:
        """Return the calls of each second; while the account is closed (`open_`) messages only wait."""
        calls = []
        for second in range(seconds):
            count = 0
            for _ in range(100):
                self.now_ms += 10
                self.waiting += self.per_s / 100
                count += 0 if open_ else self._call(second, count, takes)
            calls.append(count)
        return calls

    def _call(self, second: int, number: int, takes: Takes) -> int:
        ready, free = int(self.waiting + 1e-6), self.ramp.free(self.now_ms)
        started = min(ready, free)
        if ready > free:
            self.ramp.waits()
        for each in range(started):
            self.ramp.take()
            if takes(second, number + each):
                self.ramp.good(self.now_ms)
                self.waiting -= 1
            else:
                self.refused += 1
                self.ramp.bad(self.now_ms, throttled=self.throttles)
        return started

    def outage(self, seconds: int = OUTAGE_S) -> None:
        self.run(seconds, open_=True)
        self.ramp.engage(self.now_ms, seconds * 1_000)


def recovered(per_s: int, outage_s: int = OUTAGE_S) -> Simulation:
    made = Simulation(per_s)
    assert sum(made.run(60)) == pytest.approx(per_s * 60, abs=1)
    made.outage(outage_s)
    return made


@pytest.mark.parametrize("per_s", [3, 60, 900])
def test_it_starts_at_the_rate_before_never_passes_three_times_and_drains_in_twice_the_outage(
    per_s: int,
) -> None:
    made = recovered(per_s)
    calls = made.run(2 * OUTAGE_S)
    assert per_s <= calls[0] + 1 <= 1.5 * per_s + 2
    assert max(calls) <= 3 * per_s
    assert made.waiting < per_s
    assert calls[-10:] == pytest.approx([per_s] * 10, abs=1), "it carries the usual load again"
    assert made.ramp.per_s == 0, "no limit is left"


def test_without_a_ramp_the_backlog_would_come_at_once() -> None:
    """The simulation can show the fault: this is what a closed breaker alone let through."""
    made = Simulation(60)
    made.run(60)
    made.run(OUTAGE_S, open_=True)
    assert made.run(1)[0] > 10 * 60


def test_an_account_with_a_quota_is_drained_at_its_quota() -> None:
    made = recovered(60)
    calls = made.run(2 * OUTAGE_S, lambda _second, number: number < 100)
    assert max(calls) <= 3 * 60
    busy = calls[5 : OUTAGE_S * 60 // 40 // 2]
    assert 90 <= sum(busy) / len(busy) <= 106
    assert made.refused < 0.05 * sum(calls)


def test_it_falls_when_the_account_fails_again_and_climbs_when_it_answers() -> None:
    made = recovered(60)
    made.run(3)
    before = made.ramp.per_s
    made.run(5, lambda _second, number: number < 30)
    assert made.ramp.per_s <= 40 < before
    made.run(30)
    assert made.ramp.per_s > 80


def test_failures_that_do_not_depend_on_the_rate_do_not_bring_it_down_without_end() -> None:
    made = recovered(60)
    made.throttles = False
    calls = made.run(60, lambda _second, number: number % 4 != 0)
    assert min(calls[1:]) >= 59
    assert made.run(60, lambda _second, number: number % 10 != 0)[-1] >= 125, "a tenth is no reason to wait"


def test_a_quota_of_a_minute_that_is_used_up_is_used_again_in_the_next_minute() -> None:
    made = recovered(60)
    taken = 0

    def takes(second: int, number: int) -> bool:
        nonlocal taken
        taken = 0 if second % 60 == 0 and number == 0 else taken
        taken += taken < 3_600
        return taken < 3_600

    calls = made.run(300, takes)
    assert made.refused < 0.1 * sum(calls)
    assert sum(calls) - made.refused > 0.5 * 300 * 60


def test_more_load_than_before_the_outage_is_carried_in_the_end() -> None:
    """The bound must not become a limit for ever: nights have a low rate before, mornings do not."""
    made = recovered(2, outage_s=60)
    made.per_s = 50
    made.run(600)
    assert made.waiting < 50
    assert made.ramp.per_s == 0


def test_an_account_nobody_knows_starts_low_and_doubles() -> None:
    made = Simulation(0)
    made.outage(60)
    made.waiting = 100_000
    assert [round(calls, -1) for calls in made.run(5)] == [20, 40, 80, 160, 320]


def test_a_limit_that_is_not_what_messages_wait_for_does_not_grow() -> None:
    """It doubled until it was infinite, and the flow ended; or it let a backlog go at once later."""
    ramp = Ramp(RampPolicy())
    ramp.engage(0, outage_ms=60_000)
    for second in range(1, 1_200):
        ramp.free(second * 1_000)
        ramp.waits()
        ramp.take()
    assert ramp.per_s == 20


def test_a_second_outage_while_it_drains_starts_again_at_the_usual_rate() -> None:
    made = recovered(60)
    made.run(20)
    made.outage(60)
    assert made.run(1)[0] <= 70
    assert max(made.run(400)) <= 3 * 60
    assert made.waiting < 60


def test_calls_that_are_out_already_count_as_started() -> None:
    made = recovered(60)
    made.ramp.engage(made.now_ms, OUTAGE_S * 1_000, out=120)
    assert sum(made.run(1)) == 0
    assert sum(made.run(2)) > 60


def test_a_single_429_of_many_limits_nothing() -> None:
    made = Simulation(60)
    made.run(20, lambda second, number: (second, number) != (10, 3))
    assert made.ramp.per_s == 0


def test_a_single_429_of_few_limits_nothing() -> None:
    """An account that is hardly used has no other answers: one device slowed it to a call a second."""
    made = Simulation(1)
    made.run(20, lambda second, _number: second != 10)
    assert made.ramp.per_s == 0
    made.run(1, lambda _second, _number: False)
    made.per_s = 60
    assert made.run(2)[-1] == 60


def test_an_account_that_is_hardly_used_and_answers_nothing_but_429_is_limited() -> None:
    """Else its breaker would never open: 429 closes an account only at its lowest rate."""
    ramp = Ramp(RampPolicy())
    for now_ms in (1_000, 31_000, 61_000):
        ramp.bad(now_ms, throttled=True)
    assert ramp.lowest


def test_a_429_between_messages_that_an_account_takes_begins_no_limit() -> None:
    made = Simulation(1)
    made.run(60, lambda second, _number: second % 2 == 0)
    assert made.ramp.per_s == 0


def test_many_429_limit_an_account_that_had_no_outage() -> None:
    made = Simulation(60)
    made.run(20)
    made.per_s = 200
    calls = made.run(60, lambda _second, number: number < 80)
    assert sum(calls[5:]) / 55 < 90


def test_an_account_that_refuses_at_random_for_seconds_is_called_at_its_old_rate_soon_after() -> None:
    """It shows no limit of its own: from a call a second, five percent a second took two minutes."""
    made = Simulation(60)
    made.run(20)
    made.run(10, lambda _second, number: number % 3 != 0)
    assert made.ramp.per_s < 10
    assert max(made.run(25)) > 120


def test_the_usual_rate_is_that_of_the_best_window() -> None:
    usual = UsualRate()
    for now_ms in range(0, 30_000, 20):
        usual.took(now_ms)
    for now_ms in range(30_000, 50_000, 1_000):
        usual.took(now_ms)
    assert usual.per_s(50_000) == 50


def test_the_rate_before_an_outage_is_known_after_it_however_long_it_took() -> None:
    usual = UsualRate()
    for now_ms in range(0, 15_000, 20):
        usual.took(now_ms)
    usual.took(600_000)
    assert usual.per_s(15_000) == 50
    usual.resume(700_000)
    assert usual.per_s(700_000) == 50, "what was between was not usual"


def test_a_process_that_has_just_started_judges_by_what_it_has() -> None:
    usual = UsualRate()
    assert usual.per_s(0) == 0
    for now_ms in range(0, 3_000, 20):
        usual.took(now_ms)
    assert usual.per_s(3_000) == pytest.approx(50)


@given(
    st.lists(
        st.tuples(st.sampled_from(["good", "bad", "take", "engage"]), st.integers(0, 3_000)), max_size=80
    )
)
def test_whatever_happens_it_lets_calls_through_again(events: list[tuple[str, int]]) -> None:
    ramp, now_ms = Ramp(RampPolicy()), 0
    for name, passed_ms in events:
        now_ms += passed_ms
        if name == "engage":
            ramp.engage(now_ms, passed_ms)
        elif name == "take":
            ramp.take()
        elif name == "good":
            ramp.good(now_ms)
        else:
            ramp.bad(now_ms, throttled=passed_ms % 2 == 0)
        assert ramp.per_s >= 0
    assert ramp.due_ms(now_ms) <= now_ms + 90_000
    assert ramp.free(ramp.due_ms(now_ms)) > 0

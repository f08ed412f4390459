"""The window of calls at once, against simulated accounts with a latency."""

from collections import deque
from collections.abc import Callable

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from tocsin.delivery.call_window import Call, CallWindow, WindowPolicy

POLICY = WindowPolicy()
TIMEOUT_S = 10
Latency = Callable[[int], int]


class Simulation:
    """Messages at a rate, and an account that answers after a latency; calls end at their deadline."""

    def __init__(self, latency_ms: int = 50) -> None:
        self.window = CallWindow(POLICY, TIMEOUT_S)
        self.latency_ms = latency_ms
        self.now_ms = 1_000
        self.waiting = 0.0
        self.out: deque[tuple[int, bool, Call]] = deque()
        self.late: list[Call] = []
        self.started = self.unknown = self.most = 0

    def run(self, seconds: float, per_s: float) -> "Simulation":
        for _ in range(round(seconds * 100)):
            self.now_ms += 10
            self.waiting += per_s / 100
            self._end()
            self.late += self.window.late(self.now_ms)
            for _ in range(min(int(self.waiting), self.window.room())):
                self._begin()
        return self

    def _begin(self) -> None:
        call = self.window.begin(f"u{self.started}", self.now_ms)
        call.started_ms = self.now_ms
        took = self.latency_ms < TIMEOUT_S * 1_000
        ms = min(self.latency_ms, TIMEOUT_S * 1_000)
        self.out.append((self.now_ms + ms, took, call))
        self.started += 1
        self.waiting -= 1
        self.most = max(self.most, len(self.out))

    def _end(self) -> None:
        for each in [each for each in self.out if each[0] <= self.now_ms]:
            self.out.remove(each)
            _, took, call = each
            self.unknown += not took
            self.window.end(call, self.now_ms - call.started_ms, took=took)


def test_a_slow_account_gets_no_more_than_the_window_before_any_call_has_ended() -> None:
    made = Simulation().run(30, per_s=60)
    made.latency_ms = 20_000
    made.run(5, per_s=60)
    assert len(made.out) <= POLICY.first, "300 came in these five seconds"
    assert made.late, "it is known as late without an answer"
    assert made.late[0].started_ms < made.now_ms - POLICY.least_late_ms


def test_while_nothing_is_answered_only_a_few_calls_are_out_at_a_time() -> None:
    made = Simulation().run(30, per_s=60)
    made.latency_ms = 20_000
    made.run(60, per_s=60)
    assert made.unknown <= POLICY.first + 5 * POLICY.least
    assert made.window.size == POLICY.least


def test_a_window_that_the_load_made_large_shrinks_with_the_load() -> None:
    made = Simulation().run(5, per_s=3_000)
    assert made.window.size > 100
    made.run(25, per_s=60)
    assert made.window.size <= POLICY.first


def test_a_burst_gets_its_calls_within_a_few_round_trips() -> None:
    made = Simulation().run(10, per_s=10)
    made.waiting = 10_000
    made.run(0.5, per_s=0)
    assert made.most > 400


def test_an_account_that_stays_slower_is_used_at_its_new_pace() -> None:
    made = Simulation().run(30, per_s=60)
    made.latency_ms = 3_000
    made.run(180, per_s=60)
    assert made.waiting < 60, "the backlog of the change is gone"
    assert made.unknown == 0
    late = len(made.late)
    made.run(30, per_s=60)
    assert len(made.late) == late, "it is not called late for ever"


def test_a_stall_of_our_own_process_makes_no_call_late() -> None:
    made = Simulation().run(10, per_s=60)
    made.now_ms += 60_000
    made.run(1, per_s=60)
    assert made.late == []


def test_a_window_never_opens_beyond_the_connections_of_its_account() -> None:
    window = CallWindow(POLICY, TIMEOUT_S, most=3)
    calls = [window.begin(f"u{number}", 1_000) for number in range(3)]
    assert window.room() == 0
    window.end(calls[0], took_ms=100, took=True)
    assert window.room() == 1
    window.begin("next", 1_100)
    assert window.per_s == 30, "three calls of 100 ms each"


def test_a_call_that_waits_for_the_ledger_is_not_late() -> None:
    window = CallWindow(POLICY, TIMEOUT_S)
    window.begin("ann", 1_000)
    for now_ms in range(1_000, 60_000, 50):
        assert window.late(now_ms) == []


def test_before_the_first_answer_half_the_deadline_is_given() -> None:
    assert CallWindow(POLICY, 30).late_ms == 15_000


def test_an_answer_within_a_millisecond_is_an_answer() -> None:
    window = CallWindow(POLICY, 600)
    window.end(window.begin("ann", 1_000), 0, took=True)
    assert window.late_ms == POLICY.least_late_ms


def test_calls_that_ended_leave_nothing_behind() -> None:
    made = Simulation().run(60, per_s=200)
    assert len(made.window._calls) <= 64  # noqa: SLF001 - the bound of memory


class WindowMachine(RuleBasedStateMachine):
    """Whatever happens: the count of calls is right, and an account is never shut out for good."""

    def __init__(self) -> None:
        super().__init__()
        self.window = CallWindow(POLICY, TIMEOUT_S)
        self.calls: list[Call] = []
        self.now_ms = 1

    @rule(ms=st.integers(0, 20_000))
    def pass_time(self, ms: int) -> None:
        self.now_ms += ms
        assert all(not call.over for call in self.window.late(self.now_ms))

    @rule()
    def begin(self) -> None:
        if self.window.room():
            self.calls.append(self.window.begin("ann", self.now_ms))
            self.calls[-1].started_ms = self.now_ms

    @rule(data=st.data(), took=st.booleans())
    def end(self, data: st.DataObject, took: bool) -> None:
        if self.calls:
            call = self.calls.pop(data.draw(st.integers(0, len(self.calls) - 1)))
            self.window.end(call, self.now_ms - call.started_ms, took=took)

    @invariant()
    def bounds(self) -> None:
        assert self.window.out == len(self.calls)
        assert self.window.size >= POLICY.least


TestWindowMachine = WindowMachine.TestCase

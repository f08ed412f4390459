from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from tocsin.delivery.breaker import AccountState, Breaker, BreakerPolicy, BreakerState, Condition

POLICY = BreakerPolicy(threshold=3, cooldown_ms=1_000, longest_ms=8_000)


def opened(now_ms: int = 0) -> Breaker:
    breaker = Breaker(POLICY)
    for user in "abc":
        breaker.failed(user, now_ms)
    return breaker


def test_opens_after_failures_of_different_users_in_a_row() -> None:
    breaker = Breaker(POLICY)
    for user in "ab":
        breaker.failed(user, 0)
    assert breaker.begin(0)
    breaker.failed("c", 0)
    assert breaker.state(999) is BreakerState.OPEN
    assert not breaker.begin(999)


def test_one_bad_recipient_never_opens_it() -> None:
    breaker = Breaker(POLICY)
    for _ in range(100):
        breaker.failed("ann", 0)
    assert breaker.state(0) is BreakerState.CLOSED


def test_a_success_forgets_failures() -> None:
    breaker = Breaker(POLICY)
    breaker.failed("a", 0)
    breaker.failed("b", 0)
    breaker.succeeded()
    breaker.failed("c", 0)
    assert breaker.state(0) is BreakerState.CLOSED


def mixed(calls: int, failed_of_ten: int, users: int) -> Breaker:
    """Make calls of which a share fails, spread so that as few as can be come in a row."""
    breaker = Breaker(POLICY)
    for number in range(calls):
        if breaker.condition.state is not AccountState.OK:
            break
        if (number * failed_of_ten) % 10 < failed_of_ten:
            breaker.failed(f"u{number % users}", 0, code="503")
        else:
            breaker.took()
    return breaker


def test_opens_when_most_calls_fail_although_some_succeed() -> None:
    assert mixed(49, 6, 100).state(0) is BreakerState.CLOSED, "too few calls to judge by"
    breaker = mixed(60, 6, 100)
    assert breaker.condition == Condition(AccountState.SUSPECT, "503", 0)
    assert mixed(1_000, 5, 1_000).state(0) is BreakerState.CLOSED


def test_the_failures_of_two_users_never_open_it() -> None:
    breaker = Breaker(POLICY)
    for number in range(200):
        breaker.failed("ab"[number % 2], 0)
        if number % 3 == 0:
            breaker.took()
    assert breaker.state(0) is BreakerState.CLOSED


def test_once_it_is_closed_again_only_new_calls_count() -> None:
    breaker = mixed(60, 6, 100)
    assert breaker.begin(breaker.until_ms)
    breaker.took()
    for number in range(20):
        breaker.failed(f"u{number}", 5_000)
        breaker.took()
    assert breaker.state(5_000) is BreakerState.CLOSED


def test_half_open_lets_one_probe_through_and_its_success_closes() -> None:
    breaker = opened()
    assert breaker.slots(1_000, most=50) == 1
    assert breaker.begin(1_000)
    assert not breaker.begin(1_000)
    breaker.succeeded()
    assert breaker.slots(1_000, most=50) == 50


def test_failed_probes_double_the_pause_up_to_the_longest() -> None:
    breaker, now_ms, pauses = opened(), 0, []
    for _ in range(6):
        pauses.append(breaker.until_ms - now_ms)
        now_ms = breaker.until_ms
        assert breaker.begin(now_ms)
        breaker.failed("a", now_ms)
    assert pauses == [1_000, 2_000, 4_000, 8_000, 8_000, 8_000]


def test_pause_starts_short_again_after_a_recovery() -> None:
    breaker = opened()
    breaker.begin(1_000)
    breaker.failed("a", 1_000)
    breaker.begin(breaker.until_ms)
    breaker.succeeded()
    for user in "abc":
        breaker.failed(user, 10_000)
    assert breaker.until_ms == 11_000


def test_an_account_that_took_nothing_yet_is_believed_at_the_first_misconfigured() -> None:
    breaker = Breaker(POLICY)
    breaker.misconfigured("ann", 7, "401")
    assert breaker.state(7) is BreakerState.OPEN
    assert breaker.condition == Condition(AccountState.DISABLED, "401", 7)


def proven() -> Breaker:
    """A breaker whose account took a message."""
    breaker = Breaker(POLICY)
    assert breaker.begin(0)
    breaker.took()
    return breaker


def test_one_user_never_disables_an_account_that_works_for_others() -> None:
    breaker = proven()
    for _ in range(100):
        breaker.misconfigured("ann", 0)
    assert breaker.state(0) is BreakerState.CLOSED


def test_different_users_without_a_success_between_disable_it() -> None:
    breaker = proven()
    for user in "ab":
        breaker.misconfigured(user, 0)
    breaker.took()
    for user in "cd":
        breaker.misconfigured(user, 0)
    assert breaker.state(0) is BreakerState.CLOSED
    breaker.misconfigured("e", 0)
    assert breaker.state(0) is BreakerState.OPEN


def test_a_message_that_is_told_so_twice_with_nothing_taken_between_is_believed() -> None:
    breaker = proven()
    breaker.misconfigured("ann", 2_000, again=True)
    assert breaker.until_ms == 3_000


def test_it_is_not_believed_again_at_once_after_a_false_alarm() -> None:
    breaker = Breaker(POLICY)
    breaker.misconfigured("ann", 0)
    assert breaker.begin(1_000)
    breaker.took()
    breaker.misconfigured("ann", 2_000)
    assert breaker.state(2_000) is BreakerState.CLOSED


def test_a_probe_that_is_told_so_lengthens_the_pause() -> None:
    breaker = opened()
    assert breaker.begin(1_000)
    breaker.misconfigured("a", 1_000)
    assert breaker.until_ms == 3_000


def test_its_condition_names_the_code_and_since_when_until_it_works_again() -> None:
    breaker = Breaker(POLICY)
    for user in "abc":
        breaker.failed(user, 50, code="503")
    assert breaker.condition == Condition(AccountState.SUSPECT, "503", 50)
    assert breaker.begin(2_000)
    breaker.misconfigured("a", 2_000, "401")
    assert breaker.condition == Condition(AccountState.DISABLED, "401", 50)
    assert breaker.begin(breaker.until_ms)
    breaker.took()
    assert breaker.condition == Condition(AccountState.OK)


def test_retry_after_lengthens_the_pause_but_not_without_end() -> None:
    breaker = Breaker(POLICY)
    for user in "abc":
        breaker.failed(user, 0, retry_after_s=5)
    assert breaker.until_ms == 5_000
    breaker.begin(5_000)
    breaker.failed("a", 5_000, retry_after_s=3_600)
    assert breaker.until_ms == 13_000


def test_late_answers_to_calls_from_before_do_not_lengthen_the_pause() -> None:
    breaker = opened()
    for user in "defgh":
        breaker.failed(user, 500)
    breaker.misconfigured("i", 600)
    assert breaker.until_ms == 1_000


def test_a_probe_that_was_never_made_can_be_made_by_another() -> None:
    breaker = opened()
    assert breaker.begin(1_000)
    breaker.abandoned()
    assert breaker.begin(1_000)


class BreakerMachine(RuleBasedStateMachine):
    """Whatever happens: at most one probe is out, a pause ends, and an open breaker lets nothing through."""

    def __init__(self) -> None:
        super().__init__()
        self.breaker = Breaker(POLICY)
        self.now_ms = 0
        self.probes = 0

    @rule(ms=st.integers(0, 3_000))
    def pass_time(self, ms: int) -> None:
        self.now_ms += ms

    @rule()
    def begin(self) -> None:
        state = self.breaker.state(self.now_ms)
        began = self.breaker.begin(self.now_ms)
        if state is BreakerState.OPEN:
            assert not began
        elif state is BreakerState.HALF_OPEN and began:
            self.probes += 1

    @rule(user=st.sampled_from("abcdef"))
    def fail(self, user: str) -> None:
        self.breaker.failed(user, self.now_ms)
        self.probes = 0

    @rule(user=st.sampled_from("abcdef"), again=st.booleans())
    def misconfigured(self, user: str, again: bool) -> None:
        self.breaker.misconfigured(user, self.now_ms, again=again)
        self.probes = 0

    @rule()
    def take(self) -> None:
        self.breaker.took()
        self.probes = 0
        assert self.breaker.state(self.now_ms) is BreakerState.CLOSED

    @rule()
    def succeed(self) -> None:
        self.breaker.succeeded()
        self.probes = 0

    @rule()
    def abandon(self) -> None:
        self.breaker.abandoned()
        self.probes = 0

    @invariant()
    def bounds(self) -> None:
        assert self.probes <= 1
        assert self.breaker.until_ms <= self.now_ms + POLICY.longest_ms


TestBreakerMachine = BreakerMachine.TestCase

"""An account around outages, tried against simulated providers by a clock that the test moves."""

from heapq import heappop, heappush

import pytest

from tests.clock import ManualClock
from tests.providers.messages import message, record
from tocsin.delivery.account import Account, AccountPolicy
from tocsin.delivery.attempt import AttemptState, Health, Then, Transition
from tocsin.delivery.call_window import Call
from tocsin.model.statuses import Reason

PER_S, TIMEOUT_S, TICK_MS = 60, 10, 10
CREDITS = 256
LONGEST_PAUSE_S = 32
"""Until the next probe of an account that has been down for long."""
_STATE = AttemptState(record(message(), 0), message(), 1)


def _step(
    health: Health, reason: Reason = Reason.TRANSIENT, retry_after_s: float | None = None
) -> Transition:
    state = AttemptState(_STATE.record, _STATE.message, 1, last_reason=reason)
    return Transition(state, Then.AGAIN, health=health, retry_after_s=retry_after_s)


TOOK, BUSY = _step(Health.TOOK), _step(Health.FAILED)
Answer = tuple[int, Transition]
"""After how many milliseconds it comes, and what follows from it."""
OUTAGES: dict[str, Answer] = {
    "503": (50, BUSY),
    "refused": (0, BUSY),
    "no answer": (TIMEOUT_S * 1_000, BUSY),
    "429": (50, _step(Health.FAILED, Reason.THROTTLED, 1.0)),
    "429 for minutes": (50, _step(Health.FAILED, Reason.THROTTLED, 600.0)),
    "wrong key": (50, _step(Health.MISCONFIGURED, Reason.MISCONFIGURED)),
}


class Simulation:
    """Messages at a rate, one account, and a provider that answers as it is told."""

    def __init__(self, per_s: float = PER_S) -> None:
        self.account = Account(AccountPolicy(), 0, TIMEOUT_S)
        self.clock = ManualClock(1_000_000)
        self.per_s = per_s
        self.answer: Answer = (50, TOOK)
        self.waiting = 0.0
        self.taken = 0
        self._out: list[tuple[int, int, Call, Transition]] = []
        self._started = 0

    def run(self, seconds: float) -> None:
        """Go on."""
        for _ in range(round(seconds * 1_000 / TICK_MS)):
            now_ms = self.clock.advance(TICK_MS)
            self.waiting += self.per_s * TICK_MS / 1_000
            self._end(now_ms)
            self.account.look(now_ms)
            self._start(now_ms)

    def rate(self) -> float:
        """Go on for a second; return how many messages the account took."""
        before = self.taken
        self.run(1)
        return self.taken - before

    def after(self, outage: Answer, seconds: float, latency_ms: int) -> "Simulation":
        """Work as usual for 15 s, answer otherwise for some, and take messages again."""
        self.run(15)
        self.answer = outage
        self.run(seconds)
        self.answer = latency_ms, TOOK
        return self

    def drain(self, seconds: int) -> float:
        """Go on until hardly anything waits, so many seconds at most; return the best rate of a second."""
        fastest = 0.0
        while self.waiting >= PER_S / 4 and seconds > 0:
            fastest = max(fastest, self.rate())
            seconds -= 1
        return fastest

    def _start(self, now_ms: int) -> None:
        ready, free = int(self.waiting), self.account.free(now_ms, CREDITS - len(self._out))
        for _ in range(min(ready, free)):
            call = self.account.begin(f"u{self._started}", now_ms)
            call.started_ms = now_ms
            takes_ms, step = self.answer
            heappush(self._out, (now_ms + takes_ms, self._started, call, step))
            self._started += 1
            self.waiting -= 1
        if ready > free and self.account.works:
            self.account.waits(urgent=False)

    def _end(self, now_ms: int) -> None:
        while self._out and self._out[0][0] <= now_ms:
            _, _, call, step = heappop(self._out)
            call.took_ms = now_ms - call.started_ms
            took = step.health is Health.TOOK
            self.taken += took
            self.waiting += not took
            self.account.answered(call, step, now_ms, again=False)


@pytest.mark.parametrize("latency_ms", [62, 300])
@pytest.mark.parametrize("outage_s", [20, 45, 100, 400])
@pytest.mark.parametrize("kind", OUTAGES)
def test_what_an_outage_left_is_sent_in_twice_its_time_at_no_more_than_thrice_the_usual_rate(
    kind: str, outage_s: int, latency_ms: int
) -> None:
    """Answers that come later than before are no reason to wait: a loaded machine takes 62 ms for 50."""
    made = Simulation().after(OUTAGES[kind], outage_s, latency_ms)
    fastest = made.drain(2 * outage_s + LONGEST_PAUSE_S)
    assert made.waiting < PER_S / 4
    assert fastest <= 3 * PER_S


@pytest.mark.parametrize("seconds", [20, 100, 400])
def test_an_account_that_took_its_time_for_each_message_is_soon_used_at_its_old_rate(seconds: int) -> None:
    """It took messages, so its rate may grow beyond the bound of an outage, by five percent a second."""
    made = Simulation().after((8_000, TOOK), seconds, 62)
    fastest = made.drain(LONGEST_PAUSE_S + seconds // 4)
    assert made.waiting < PER_S / 4
    assert fastest <= 3 * PER_S * 1.05 ** (LONGEST_PAUSE_S + seconds // 4)

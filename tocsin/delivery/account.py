"""One provider account as a channel sees it: whether, how fast and how often at once it may be called. Pure.

| limit | from | module |
|---|---|---|
| no call, or one probe | failures, refusals of the account, calls that are late | `breaker` |
| calls a second, declared | `rate_per_s` of the account | `rate`, or `shared_rate` for all processes |
| calls a second, learned by this process | the rate before an outage, and 429 | `ramp` |
| calls a second, learned by all processes | 429, and how long it asks to wait | `shared_rate` |
| calls at once | how long answers take, and the connections of the account | `call_window` |
"""

from typing import NamedTuple

import msgspec

from tocsin.delivery.attempt import Health, Transition
from tocsin.delivery.breaker import AccountState, Breaker, BreakerPolicy, Condition
from tocsin.delivery.call_window import Call, CallWindow, WindowPolicy
from tocsin.delivery.ramp import Ramp, RampPolicy
from tocsin.delivery.rate import Rate
from tocsin.delivery.shared_rate import Granted, SharedRate
from tocsin.model.statuses import Reason

SLOW = "slow"
"""Code of an account that closed because its calls were not answered in time."""


class AccountPolicy(msgspec.Struct, frozen=True):
    """How an account is limited."""

    breaker: BreakerPolicy = BreakerPolicy()
    ramp: RampPolicy = RampPolicy()
    window: WindowPolicy = WindowPolicy()


class Change(NamedTuple):
    """An account closed, or is back; `now_ms` is when."""

    before: Condition
    after: Condition
    now_ms: int

    def sentence(self) -> str:
        """Say the new state, and of an account that is back how long it was away and the code it had."""
        if self.after.state is not AccountState.OK:
            return self.after.sentence()
        code = f" ({self.before.code})" if self.before.code else ""
        return f"back after {(self.now_ms - self.before.since_ms) / 1_000:,.0f} s{code}"


class Account:
    """The limits of one account in one process.

    Args:
        policy: how they move.
        rate_per_s: calls a second that are declared; 0 for no limit.
        timeout_s: how long a call may take.
        shared: the rate, where processes share it.
        at_once: calls that may be out at once; 0 for no bound.
    """

    def __init__(
        self,
        policy: AccountPolicy,
        rate_per_s: float,
        timeout_s: float,
        shared: SharedRate | None = None,
        at_once: int = 0,
    ) -> None:
        self.breaker = Breaker(policy.breaker)
        self.window = CallWindow(policy.window, timeout_s, at_once)
        self.ramp = Ramp(policy.ramp)
        self._per_s = rate_per_s
        self._least_per_s = policy.ramp.least_per_s
        self.shared = shared
        self._rate = shared or Rate(rate_per_s)

    @property
    def condition(self) -> Condition:
        """Whether it works, and if not, since when and by which code."""
        return self.breaker.condition

    def up(self, now_ms: int) -> bool:
        """Tell whether it takes calls, or its probe is free."""
        return self.works or self.breaker.slots(now_ms, 1) > 0

    @property
    def works(self) -> bool:
        """Tell whether it takes calls, not only probes."""
        return self.breaker.condition.state is AccountState.OK

    def free(self, now_ms: int, most: int) -> int:
        """Calls that may start now."""
        if not self.works:
            return min(self.breaker.slots(now_ms, most), self._rate.free(now_ms))
        return min(most, self._rate.free(now_ms), self.ramp.free(now_ms), self.window.room())

    def spare(self, now_ms: int) -> bool:
        """Tell whether a call might start now; of a shared rate nothing is leased before somebody waits."""
        if self.shared is None or not self.works:
            return self.free(now_ms, 1) > 0
        free = self._rate.free(now_ms) > 0 or self.shared.idle(now_ms)
        return free and self.ramp.free(now_ms) > 0 and self.window.room() > 0

    def due_ms(self, now_ms: int, late_ms: int) -> int:
        """When its next call may start, unless the calls that are out keep it from that."""
        due_ms = max(self.breaker.until_ms + late_ms, self._rate.due_ms(now_ms))
        return max(due_ms, self.ramp.due_ms(now_ms)) if self.works else due_ms

    def granted(self, answer: Granted, now_ms: int) -> None:
        """Take in an answer of the bucket that processes share."""
        if self.shared is not None:
            self.shared.granted(answer, now_ms)
            self.ramp.shared = self.shared.limit_per_s > 0

    @property
    def learned_per_s(self) -> float:
        """The limit that it showed to all processes, else to this one; 0 for none."""
        shared = self.shared.limit_per_s if self.shared is not None else 0.0
        return shared or self.ramp.per_s

    @property
    def _slowest(self) -> bool:
        shared = self.shared is not None and 0 < self.shared.limit_per_s <= self._least_per_s
        return shared or self.ramp.lowest

    def limit_per_s(self) -> float:
        """Estimate how many messages it takes a second by its limits; 0 if it is down or has none."""
        if not self.works:
            return 0.0
        limits = (self._per_s, self.learned_per_s, self.ramp.per_s, self.window.per_s)
        return min([limit for limit in limits if limit], default=0.0)

    def waits(self, *, urgent: bool) -> None:
        """Note that a message waits although the account works."""
        self.ramp.waits()
        if self.shared is not None:
            self.shared.waits(urgent=urgent)

    def begin(self, user: str, now_ms: int) -> Call:
        """Start a call; `free` has said that one may."""
        if not self.works:
            self.breaker.begin(now_ms)
        self._rate.take()
        self.ramp.take()
        return self.window.begin(user, now_ms)

    def answered(self, call: Call, step: Transition, now_ms: int, *, again: bool) -> Change | None:
        """Take in what became of a call.

        Args:
            call: the call.
            step: what followed from its answer.
            now_ms: now.
            again: the account has told this message before that it does not work.
        """
        before, took = self.condition, step.health is Health.TOOK
        self.window.end(call, call.took_ms, took=took)
        if took or step.health is Health.GOOD:
            self.ramp.good(now_ms)
            if self.shared is not None:
                self.shared.took()
            (self.breaker.took if took else self.breaker.succeeded)()
        elif step.health is Health.FAILED:
            self._failed(call, step, now_ms)
        elif step.health is Health.MISCONFIGURED:
            self.breaker.misconfigured(call.user, now_ms, step.code, again=again)
        else:
            self.breaker.abandoned()
        return self._change(before, now_ms)

    def _failed(self, call: Call, step: Transition, now_ms: int) -> None:
        """Call it less often after a 429; close it only where that does not help."""
        throttled = step.state.last_reason is Reason.THROTTLED
        self.ramp.bad(now_ms, throttled=throttled)
        if throttled and self.shared is not None:
            self.shared.throttled(call.user, step.retry_after_s, now_ms)
        if throttled and self.works and not self._slowest:
            self.breaker.abandoned()
        else:
            self.breaker.failed(call.user, now_ms, step.retry_after_s, step.code)

    def look(self, now_ms: int) -> Change | None:
        """Count calls that are late as failures: an account that answers nothing must not get more."""
        before = self.condition
        for call in self.window.late(now_ms):
            if self.works:  # a probe has the time until its deadline
                self.breaker.failed(call.user, now_ms, code=SLOW)
        return self._change(before, now_ms)

    def resume(self, now_ms: int, outage_ms: int) -> None:
        """Start again at the usual rate after a pause that was not the account's; its calls are still out."""
        self.ramp.engage(now_ms, outage_ms, out=self.window.out)

    def _change(self, before: Condition, now_ms: int) -> Change | None:
        after = self.condition
        if (before.state is AccountState.OK) == (after.state is AccountState.OK):
            return None
        if after.state is AccountState.OK:
            self.ramp.engage(now_ms, now_ms - before.since_ms)
        return Change(before, after, now_ms)

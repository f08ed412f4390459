"""Circuit breaker of one provider account: pure, time is passed in.

closed ──failures of `threshold` different users in a row, or one Misconfigured──► open
open ──cooldown over──► half-open: one probe at a time
half-open ──success──► closed;  ──failure──► open, with twice the cooldown up to a maximum

Failures are counted by user, so that one recipient whom a provider cannot serve closes nobody else's way.

One Misconfigured is believed: a wrong password must not be tried a thousand times. If a probe is taken then,
the alarm was false, or the account is mended: from now on the breaker is wary, and opens only after a row of
them, or when the same message is told so again with nothing taken between. Being right ends the wariness.
"""

from enum import Enum

import msgspec


class BreakerPolicy(msgspec.Struct, frozen=True):
    """When a provider counts as down.

    Attributes:
        threshold: different users whose calls failed without a success between them.
        cooldown_ms: how long the first pause is; it doubles with every failed probe.
        longest_ms: longest pause, also for a provider's Retry-After.
        wary_run: Misconfigured in a row that open a wary breaker.
    """

    threshold: int = 5
    cooldown_ms: int = 1_000
    longest_ms: int = 30_000
    wary_run: int = 50


class BreakerState(Enum):
    """`HALF_OPEN` lets one probe through."""

    CLOSED = "closed"
    OPEN = "open"
    HALF_OPEN = "half_open"


class Breaker:
    """Says whether a provider may be called.

    >>> breaker = Breaker(BreakerPolicy(threshold=1, cooldown_ms=100))
    >>> breaker.failed("ann", now_ms=0)
    >>> breaker.slots(now_ms=50, most=10), breaker.slots(now_ms=100, most=10)
    (0, 1)
    """

    def __init__(self, policy: BreakerPolicy) -> None:
        self.taken = 0
        """Messages that the provider took: who was refused as misconfigured can see that others were not."""
        self._policy = policy
        self._failed_users: set[str] = set()
        self._open = False
        self._opened = 0
        self._until_ms = 0
        self._probing = False
        self._alarmed = False  # open because of a Misconfigured
        self._wary = False
        self._run = 0

    def state(self, now_ms: int) -> BreakerState:
        """State at this time."""
        if not self._open:
            return BreakerState.CLOSED
        return BreakerState.HALF_OPEN if now_ms >= self._until_ms else BreakerState.OPEN

    @property
    def until_ms(self) -> int:
        """When the next probe may start; 0 while closed."""
        return self._until_ms if self._open else 0

    def slots(self, now_ms: int, most: int) -> int:
        """Calls that may start now: `most` while closed, the free probe while half-open, else 0."""
        state = self.state(now_ms)
        if state is BreakerState.CLOSED:
            return most
        return int(state is BreakerState.HALF_OPEN and not self._probing)

    def begin(self, now_ms: int) -> bool:
        """Ask to start a call; True takes the probe if this is one. Every call must be answered."""
        if self.slots(now_ms, 1) == 0:
            return False
        self._probing = self._open
        return True

    def succeeded(self) -> None:
        """A call was answered well (or refused for a reason that is not the provider's)."""
        self._failed_users.clear()
        self._open = self._probing = self._alarmed = False
        self._opened = self._run = 0

    def took(self) -> None:
        """The provider took a message: the account works."""
        self.taken += 1
        self._wary |= self._alarmed and self._probing
        self.succeeded()

    def failed(self, user: str, now_ms: int, retry_after_s: float | None = None) -> None:
        """A call failed for a reason that may be the provider's."""
        self._failed_users.add(user)
        if self._probing or len(self._failed_users) >= self._policy.threshold:
            self._trip(now_ms, retry_after_s)

    def misconfigured(self, now_ms: int, *, again: bool = False) -> None:
        """A call was told that the account does not work; `again` if its message was told so before."""
        self._run += 1
        wary = self._wary and not again and not self._probing and self._run < self._policy.wary_run
        if not wary and self._trip(now_ms, None):
            self._alarmed, self._wary = True, False

    def not_to_blame(self) -> None:
        """A call was told that the account does not work, and others' messages show that it does."""
        self._wary = True
        self.abandoned()

    def abandoned(self) -> None:
        """The call was never made: gives the probe back."""
        self._probing = False

    def _trip(self, now_ms: int, retry_after_s: float | None) -> bool:
        if self._open and not self._probing:
            return False  # an answer to a call from before it opened says nothing new
        pause_ms = min(self._policy.cooldown_ms << min(self._opened, 16), self._policy.longest_ms)
        asked_ms = min(int((retry_after_s or 0) * 1000), self._policy.longest_ms)
        self._until_ms = now_ms + max(pause_ms, asked_ms)
        self._opened += 1
        self._open, self._probing, self._alarmed = True, False, False
        return True

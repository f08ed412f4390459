"""Circuit breaker of one provider account: pure, time is passed in.

closed ──failures of `threshold` different users without a success between──► open
closed ──more than `share` of the last `window` calls failed, of `threshold` different users──► open
open ──cooldown over──► half-open: one probe at a time
half-open ──success──► closed;  ──failure──► open, with twice the cooldown up to a maximum

Failures are counted by user: one recipient whom a provider cannot serve stops nobody else's messages. An
account that has taken no message since it opened is believed at its first `Misconfigured`: a wrong password
must not be tried a thousand times. So is one that tells the same message so twice.
"""

from collections import deque
from datetime import UTC, datetime
from enum import Enum, StrEnum
from typing import NamedTuple

import msgspec


class BreakerPolicy(msgspec.Struct, frozen=True):
    """When an account counts as down.

    Attributes:
        threshold: different users whose calls failed without a success between them.
        window: the last calls whose share of failures is watched.
        share: more than this share of them failed: the account is down, although some calls succeed.
        cooldown_ms: how long the first pause is; it doubles with every failed probe.
        longest_ms: longest pause, also for a provider's Retry-After.
    """

    threshold: int = 5
    window: int = 50
    share: float = 0.5
    cooldown_ms: int = 1_000
    longest_ms: int = 30_000


class BreakerState(Enum):
    """`HALF_OPEN` lets one probe through."""

    CLOSED = "closed"
    OPEN = "open"
    HALF_OPEN = "half_open"


class AccountState(StrEnum):
    """What an operator has to know of an account."""

    OK = "ok"
    SUSPECT = "suspect"
    """Calls fail for now; it is probed until they do not."""
    DISABLED = "disabled"
    """It says that its credentials, rights or settings are wrong; someone has to fix them."""


class Condition(NamedTuple):
    """State of an account, the provider's last code, and since when (ms; 0 while it is OK)."""

    state: AccountState
    code: str = ""
    since_ms: int = 0

    def sentence(self) -> str:
        """Say state, time, code and cure."""
        since = datetime.fromtimestamp(self.since_ms / 1000, UTC).isoformat(timespec="seconds")
        code = f" ({self.code})" if self.code else ""
        return f"{self.state} since {since}{code}: {_CURES[self.state]}"


_CURES = {
    AccountState.OK: "it takes messages",
    AccountState.SUSPECT: "its calls fail, it is probed until one succeeds",
    AccountState.DISABLED: "fix its credentials, rights or settings",
}


class Breaker:
    """Says whether an account may be called.

    >>> breaker = Breaker(BreakerPolicy(threshold=1, cooldown_ms=100))
    >>> breaker.failed("ann", now_ms=0)
    >>> breaker.slots(now_ms=50, most=10), breaker.slots(now_ms=100, most=10)
    (0, 1)
    """

    def __init__(self, policy: BreakerPolicy) -> None:
        self.taken = 0
        """Messages that the provider took: a refused message compares it with what it was before."""
        self.condition = Condition(AccountState.OK)
        self._policy = policy
        self._failed_users: set[str] = set()
        self._recent = 1  # the last calls, the newest as the lowest bit, 1 for a failure; a 1 before them
        self._full = 1 << policy.window
        self._recent_users: deque[str] = deque(maxlen=policy.window)
        self._proven = False  # it took a message since it was last believed to be misconfigured
        self._opened = 0
        self._until_ms = 0
        self._probing = False

    @property
    def _open(self) -> bool:
        return self.condition.state is not AccountState.OK

    def state(self, now_ms: int) -> BreakerState:
        """State at this time."""
        if not self._open:
            return BreakerState.CLOSED
        return BreakerState.HALF_OPEN if now_ms >= self._until_ms else BreakerState.OPEN

    @property
    def until_ms(self) -> int:
        """When the next probe may start; 0 while closed."""
        return self._until_ms if self._open else 0

    @property
    def is_probing(self) -> bool:
        """Whether its probe is out."""
        return self._open and self._probing

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
        """A call was answered well (or refused for a reason that is not the account's)."""
        if self._failed_users:
            self._failed_users.clear()
        self._remember(0)
        self._probing = False
        self._opened = 0
        if self._open:
            self._recent = 1
            self._recent_users.clear()
            self.condition = Condition(AccountState.OK)

    def took(self) -> None:
        """The provider took a message: the account works."""
        self.taken += 1
        self._proven = True
        self.succeeded()

    def failed(self, user: str, now_ms: int, retry_after_s: float | None = None, code: str = "") -> None:
        """A call failed for a reason that may be the provider's."""
        self._count(user)
        self._remember(1)
        self._recent_users.append(user)
        many = len(self._failed_users) >= self._policy.threshold
        if self._probing or many or self._fails_often():
            self._trip(AccountState.SUSPECT, now_ms, retry_after_s, code)

    def misconfigured(self, user: str, now_ms: int, code: str = "", *, again: bool = False) -> None:
        """A call was told that the account does not work; `again` if its message was told so before."""
        self._count(user)
        believed = again or not self._proven or len(self._failed_users) >= self._policy.threshold
        if self._probing or believed:
            self._proven = False
            self._trip(AccountState.DISABLED, now_ms, None, code)

    def abandoned(self) -> None:
        """The call was never made, or says nothing of the account: gives the probe back."""
        self._probing = False

    def _remember(self, failed: int) -> None:
        recent = self._recent << 1 | failed
        self._recent = recent if recent < 2 * self._full else recent & (self._full - 1) | self._full

    def _fails_often(self) -> bool:
        """Tell whether too many of the last calls failed, and not those of a few users only."""
        if self._recent < self._full:
            return False
        failed = self._recent.bit_count() - 1
        if failed <= self._policy.share * self._policy.window:
            return False
        return len(set(list(self._recent_users)[-failed:])) >= self._policy.threshold

    def _count(self, user: str) -> None:
        if len(self._failed_users) < self._policy.threshold:  # no more are needed, and an outage may be long
            self._failed_users.add(user)

    def _trip(self, state: AccountState, now_ms: int, retry_after_s: float | None, code: str) -> None:
        if self._open and not self._probing:
            return  # an answer to a call from before it opened says nothing new
        pause_ms = min(self._policy.cooldown_ms << min(self._opened, 16), self._policy.longest_ms)
        asked_ms = min(int((retry_after_s or 0) * 1000), self._policy.longest_ms)
        self._until_ms = now_ms + max(pause_ms, asked_ms)
        self._opened += 1
        self._probing = False
        self.condition = Condition(state, code, self.condition.since_ms or now_ms)

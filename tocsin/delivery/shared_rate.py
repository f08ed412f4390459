"""A rate that all processes share: calls are leased from a token bucket in Redis, some at a time. Pure.

The bucket is asked at most once at a time, for as many calls as the next tenth of a second may need. So Redis
is not asked for each message, and the processes together never start more calls than the account allows.
A lease that is not used within a second is given up: the bucket then held back a call for nobody.

| the bucket | what the process does |
|---|---|
| grants calls | starts them within a second |
| is empty | stands in its queue, and asks again when it says that there may be some |
| does not answer for a second | keeps the whole rate by itself until it does: a lost Redis stops no send |
| says that the account showed a limit of its own | leases calls within it, also without a declared rate |
| says that the account asked for a pause | starts no call until it has passed |

The bucket learns that limit from the answers which each process reports (`tocsin.delivery.throttling`).
"""

from math import ceil
from typing import NamedTuple

from tocsin.delivery.rate import UNLIMITED, Rate
from tocsin.delivery.throttling import Throttling

LEASE_MS = 1_000
_AHEAD_MS = 100
_RETRY_MS = 1_000
_AGAIN_MS = 25
_EMPTY_MS = 25  # in which calls for several messages come together


class Wanted(NamedTuple):
    """What a process asks the bucket for.

    Attributes:
        account: whose bucket.
        per_s: its declared rate; 0 for none.
        calls: how many, at most; 0 only reports.
        urgent: whether a critical message waits for it.
        taken: messages that the account took since the last report,
        refused: and its answers of 429 since then.
        pause_ms: how long it asked for no calls; 0 if it did not.
    """

    account: str
    per_s: float
    calls: int
    urgent: bool
    taken: int = 0
    refused: int = 0
    pause_ms: int = 0


class Granted(NamedTuple):
    """What the bucket answered.

    Attributes:
        account: whose bucket.
        calls: how many may start; -1 if it did not answer.
        wait_ms: how long to wait before asking again, if none.
        limit_per_s: calls a second that the account showed to take from all processes; 0 if it showed none.
        pause_ms: how long no process may start a call.
    """

    account: str
    calls: int
    wait_ms: int = 0
    limit_per_s: float = 0.0
    pause_ms: int = 0


class SharedRate:
    """One process's part of the rate of one account.

    >>> rate = SharedRate("twilio", per_s=10)
    >>> rate.free(0), rate.ask(0)
    (0, None)
    >>> rate.waits(urgent=False); rate.ask(0)
    Wanted(account='twilio', per_s=10, calls=1, urgent=False, taken=0, refused=0, pause_ms=0)
    >>> rate.granted(Granted("twilio", 1), 2); rate.free(2)
    1

    Args:
        account: its name.
        per_s: calls a second that all processes may make together; 0 for no limit but one that it shows.
    """

    def __init__(self, account: str, per_s: float) -> None:
        self._account = account
        self._per_s = per_s
        self._answers = Throttling()
        self._paused_until_ms = 0
        self._alone = Rate(per_s)
        self._is_lost = False  # the bucket's last answer was none
        self._leased = 0
        self._until_ms = 0
        self._ask_ms = 0
        self._asked_ms: int | None = None  # since when it waits for the bucket's answer
        self._used = 0  # since the last lease
        self._waits = self._urgent = False
        self.limit_per_s = 0.0
        """Calls a second that the account showed to take from all processes; 0 if it showed no limit."""

    def free(self, now_ms: int) -> int:
        """Calls that may start now."""
        if now_ms < self._paused_until_ms:
            return 0
        if self._is_alone(now_ms):
            return self._alone.free(now_ms)
        if not self._is_limited:
            return UNLIMITED
        if now_ms >= self._until_ms:
            self._leased = 0
        return self._leased

    def idle(self, now_ms: int) -> bool:
        """Tell whether no message waits for a call here: the bucket may have some that nobody asked for."""
        return not self._waits and now_ms >= self._paused_until_ms

    def _is_alone(self, now_ms: int) -> bool:
        """Tell whether the bucket cannot be asked; one that takes long to say so counts, too."""
        late = self._asked_ms is not None and now_ms - self._asked_ms >= _RETRY_MS
        return self._is_lost or late

    @property
    def _is_limited(self) -> bool:
        return self._per_s > 0 or self.limit_per_s > 0

    def took(self) -> None:
        """Count a message that the account took."""
        self._answers.took()

    def throttled(self, user: str, retry_after_s: float | None, now_ms: int) -> None:
        """Count an answer of 429; what it asks all to wait holds here at once."""
        self._answers.throttled(user, retry_after_s)
        self._paused_until_ms = max(self._paused_until_ms, now_ms + self._answers.pause_ms)

    def take(self, calls: int = 1) -> None:
        """Start calls; `free` has said that they may."""
        self._leased = max(0, self._leased - calls)
        self._alone.take(calls)
        self._used += calls

    def waits(self, *, urgent: bool) -> None:
        """Note that a message waits for a call."""
        self._waits = True
        self._urgent |= urgent

    def due_ms(self, now_ms: int) -> int:
        """When the next call may start, or the bucket may be asked again."""
        if self.free(now_ms):
            return now_ms
        if now_ms < self._paused_until_ms:
            return self._paused_until_ms
        if self._is_alone(now_ms):
            return self._alone.due_ms(now_ms)
        return max(now_ms + 1, self._ask_ms)

    def ask(self, now_ms: int) -> Wanted | None:
        """Return what to ask the bucket for now; None if nothing is needed, or it was asked already."""
        if self._asked_ms is not None or now_ms < self._ask_ms:
            return None
        calls, answers = self._short_of(now_ms), self._answers
        if not calls and not answers.due(now_ms):
            return None
        self._asked_ms = now_ms
        told = (answers.taken, answers.refused, answers.pause_ms)
        answers.reported(now_ms)
        return Wanted(self._account, self._per_s, calls, self._urgent, *told)

    def _short_of(self, now_ms: int) -> int:
        """Count the calls that it lacks: for a tenth of a second at most."""
        free = self.free(now_ms)
        if (
            not (self._is_limited and (self._waits or free * 2 < self._used))
            or now_ms < self._paused_until_ms
        ):
            return 0
        most = ceil((self._per_s or self.limit_per_s) * _AHEAD_MS / 1_000)
        return min(max(1, most), 2 * self._used + 1)

    def granted(self, answer: Granted, now_ms: int) -> None:
        """Take in the bucket's answer."""
        self._asked_ms = None
        self._is_lost = answer.calls < 0
        if self._is_lost:
            self.limit_per_s = 0.0
            self._ask_ms = now_ms + _RETRY_MS
            return
        self.limit_per_s = answer.limit_per_s
        self._paused_until_ms = max(self._paused_until_ms, now_ms + answer.pause_ms)
        self._ask_ms = now_ms + (_AGAIN_MS if answer.calls else max(_EMPTY_MS, answer.wait_ms))
        if answer.calls:
            self._leased = self.free(now_ms) + answer.calls
            self._until_ms = now_ms + LEASE_MS
            self._used = 0
            self._waits = self._urgent = False

"""How fast an account is called after an outage: from the rate before it, upwards. Pure, time is passed in.

Each process limits its own calls. Partitions are fixed to shards, so the rate that a process had before the
outage is its share, and the shares of all processes add up to the rate of the account. Redis is not asked:
the rate that an account has by its contract is shared there (`shared_rate`). So is the one that it shows by
429: where Redis has learned it, the limit of a process holds only until the second ends.
"""

from collections import deque

import msgspec

from tocsin.delivery.rate import UNLIMITED, Rate

_MOST_DOUBLINGS = 10
_AFTERWARDS = 2  # windows in which answers may still come between an outage and the look back


class RampPolicy(msgspec.Struct, frozen=True):
    """How the limit moves.

    Attributes:
        step_ms: how often the limit changes.
        growth: factor of a step with good answers.
        creep: the same above the rate at which the account has shown its own limit. What it adds doubles with
            each step without 429: then the limit was not the account's own.
        throttled_share: share of 429 in a step above which the limit falls, to what was taken.
        lone: 429 in a step that begin no limit, whatever their share: they may be about a device. They count
            in later steps, too, until the account takes a message.
        failed_share: the same for other failures; the limit then falls to the rate before the outage at most,
            since failures that do not depend on the rate would bring it down without end.
        peak: bound of the limit, as a multiple of the rate before the outage.
        longest_hold_ms: the bound holds twice as long as the outage, at most this long; then it creeps on.
        unknown_per_s: first limit of an account that this process has not called before.
        least_per_s: lowest limit.
        row: 429 in a row after which no call starts until the step ends.
        calm_steps: steps in which nothing waits for the limit until it is lifted.
    """

    step_ms: int = 1_000
    growth: float = 2.0
    creep: float = 1.05
    throttled_share: float = 0.05
    lone: int = 1
    failed_share: float = 0.2
    peak: float = 2.25
    longest_hold_ms: int = 600_000
    unknown_per_s: float = 20.0
    least_per_s: float = 1.0
    row: int = 10
    calm_steps: int = 5


class UsualRate:
    """Messages that an account took a second: the best of the last `kept` windows of `window_ms`.

    The best window is taken because the last ones before an outage are often bad already. What was taken
    before an outage is asked for when it is over, so no later message makes it forget a window too soon.

    >>> usual = UsualRate()
    >>> for now_ms in range(0, 20_000, 100):
    ...     usual.took(now_ms)
    >>> usual.took(600_000); usual.per_s(20_000)
    10.0
    """

    def __init__(self, window_ms: int = 10_000, kept: int = 6) -> None:
        self._window_ms = window_ms
        self._kept_ms = kept * window_ms
        self._windows: deque[tuple[int, int]] = deque(maxlen=kept + _AFTERWARDS)  # start and messages
        self._start_ms = -1
        self._count = 0

    def took(self, now_ms: int) -> None:
        """Count one message."""
        if now_ms - self._start_ms >= self._window_ms or self._start_ms < 0:
            self._roll(now_ms)
        self._count += 1

    def per_s(self, at_ms: int) -> float:
        """Return messages a second as of `at_ms`, which may be past; 0 if there is nothing to judge by."""
        counts = [(at_ms - start_ms, count) for start_ms, count in (*self._windows, self._now)]
        full = [count for ago_ms, count in counts if 0 <= ago_ms - self._window_ms < self._kept_ms]
        if full:
            return max(full) * 1_000 / self._window_ms
        begun = [count * 1_000 / ago_ms for ago_ms, count in counts if 1_000 <= ago_ms < self._window_ms]
        return max(begun, default=0.0)

    def resume(self, now_ms: int) -> None:
        """Go on counting after a time that was not usual, as if it had not been."""
        if self._windows:
            unusual_ms = now_ms - self._windows[-1][0] - self._window_ms
            moved = [(start_ms + unusual_ms, count) for start_ms, count in self._windows]
            self._windows = deque(moved, self._windows.maxlen)
        self._start_ms = now_ms
        self._count = 0

    @property
    def _now(self) -> tuple[int, int]:
        return self._start_ms, self._count

    def _roll(self, now_ms: int) -> None:
        if self._count:
            self._windows.append(self._now)
        passed_ms = now_ms - self._start_ms
        self._start_ms = now_ms if self._start_ms < 0 else now_ms - passed_ms % self._window_ms
        self._count = 0


class Ramp:
    """Limits the calls of an account while it recovers, or while it answers 429; else it lets all through.

    >>> ramp = Ramp(RampPolicy())
    >>> ramp.free(0) > 1_000_000
    True
    >>> ramp.engage(0, outage_ms=60_000)
    >>> ramp.per_s, ramp.free(0)
    (20.0, 1)
    """

    def __init__(self, policy: RampPolicy) -> None:
        self._policy = policy
        self._usual = UsualRate()
        self._rate = Rate(0)
        self._usual_per_s = 0.0
        self._bound = 0.0  # 0: none
        self._hold_until_ms = 0
        self._safe = 0.0  # what the account took when it showed its own limit; 0: not shown
        self._calm = 0
        self._clean = 0  # steps above `_safe` without 429
        self._by_429 = False  # whether the limit in force began with 429
        self._start_step(0)
        self.shared = False
        """Whether all processes together keep a limit that the account has shown."""
        self.per_s = 0.0
        """The limit; 0 while none is in force."""

    def engage(self, now_ms: int, outage_ms: int, *, out: int = 0) -> None:
        """Start at the rate before the outage.

        Args:
            now_ms: now.
            outage_ms: how long the account took nothing.
            out: calls that are on their way already; they count as started now.
        """
        if not self.per_s:
            self._usual_per_s = self._usual.per_s(now_ms - outage_ms)
        usual = self._usual_per_s
        self._bound = max(usual * self._policy.peak, self._policy.least_per_s) if usual else 0.0
        left_ms = max(0, self._hold_until_ms - (now_ms - outage_ms))
        self._hold_until_ms = now_ms + min(2 * outage_ms + left_ms, self._policy.longest_hold_ms)
        self._safe = 0.0
        self._by_429 = False
        self._rate = Rate(0)
        self._limit(max(usual or self._policy.unknown_per_s, self._policy.least_per_s), now_ms)
        self._rate.take(out)
        self._start_step(now_ms)

    def free(self, now_ms: int) -> int:
        """Calls that may start now."""
        if not self.per_s:
            return UNLIMITED
        self._step(now_ms)
        if not self.per_s:
            return UNLIMITED
        return 0 if self._stopped_ms else self._rate.free(now_ms)

    def waits(self) -> None:
        """Note that a message waits although the account works."""
        self._waited = True

    def take(self) -> None:
        """Start one call."""
        if self.per_s:
            self._rate.take()
            self._started += 1

    def due_ms(self, now_ms: int) -> int:
        """When the next call may start."""
        if self._stopped_ms:
            return max(now_ms, self._step_ms + self._policy.step_ms)
        return self._rate.due_ms(now_ms) if self.per_s else now_ms

    def good(self, now_ms: int) -> None:
        """Count a message that the account took."""
        self._step(now_ms)
        self._good += 1
        self._row = 0
        if not self.per_s:  # a drained backlog is no usual rate
            self._usual.took(now_ms)

    def bad(self, now_ms: int, *, throttled: bool) -> None:
        """Count an answer that asks for fewer calls: a 429, or another failure of the moment."""
        self._step(now_ms)
        self._throttled += throttled
        self._failed += not throttled
        self._row = self._row + 1 if throttled else 0
        if self._row == self._policy.row:
            self._stop(now_ms)

    @property
    def lowest(self) -> bool:
        """Whether the limit cannot fall any further."""
        return 0 < self.per_s <= self._policy.least_per_s

    def _stop(self, now_ms: int) -> None:
        """Start no call until the step ends: nothing but 429 comes."""
        if not self.per_s:
            self._fall(now_ms, 0)
        self._stopped_ms = now_ms

    def _step(self, now_ms: int) -> None:
        passed_ms = now_ms - self._step_ms
        if passed_ms < self._policy.step_ms:
            return
        calls = self._good + self._throttled + self._failed
        refused = self._throttled + (0 if self._good else self._lone)
        doubted = 0 if self.per_s else self._policy.lone
        lone = refused if refused <= doubted and not self._good else 0
        if refused > max(doubted, self._policy.throttled_share * calls):
            self._fall(now_ms, self._policy.least_per_s)
        elif self.per_s and self._failed > self._policy.failed_share * calls:
            self._fall(now_ms, self._usual_per_s)
        elif self.per_s and self._waited:
            self._limit(self._grown(now_ms) if self._is_used(passed_ms) else self.per_s, now_ms)
        elif self.per_s:
            self._rest(now_ms, passed_ms)
        if self.shared and self._by_429:
            self.per_s = 0.0
        self._start_step(now_ms, lone)

    def _fall(self, now_ms: int, least_per_s: float) -> None:
        """Go down to what it took, and creep from there; to half if it took nothing."""
        if not self.per_s:
            self._usual_per_s, self._bound = self._usual.per_s(now_ms), 0.0
            self._by_429 = True
        passed_ms = (self._stopped_ms or now_ms) - self._step_ms
        took_per_s = self._good * 1_000 / max(passed_ms, self._policy.step_ms // 10)
        self._safe = took_per_s or self._safe
        self._clean = 0
        lower = min(took_per_s, self.per_s or took_per_s) or self.per_s / 2
        self._limit(max(lower, least_per_s, self._policy.least_per_s), now_ms)

    def _is_used(self, passed_ms: int) -> bool:
        """Tell whether the limit may be what keeps messages; else a slow account would be run over later."""
        return self._started * 2_000 >= self.per_s * passed_ms

    def _grown(self, now_ms: int) -> float:
        """Double up to the bound. After its time creep on: the load may be higher than it was."""
        limit = self.per_s * self._policy.growth
        if self._safe and limit > self._safe:
            limit = max(self._safe, self.per_s * self._creep())
        if self._bound and limit > self._bound:
            limit = max(self._bound, self.per_s * self._policy.creep)
        if self._bound and now_ms < self._hold_until_ms:
            limit = min(limit, max(self._bound, self.per_s))
        return limit

    def _creep(self) -> float:
        """Return the factor of a step above the limit that the account showed: it may have none any more."""
        above = self.per_s >= self._safe and not self._throttled
        doublings = self._clean if above else 0
        self._clean = min(doublings + above, _MOST_DOUBLINGS)
        more = (self._policy.creep - 1) * (1 << doublings)
        return min(self._policy.growth, 1 + more)

    def _rest(self, now_ms: int, passed_ms: int) -> None:
        self._calm += max(1, passed_ms // self._policy.step_ms)
        if self._calm >= self._policy.calm_steps:
            self.per_s = 0.0
            self._usual.resume(now_ms)

    def _limit(self, per_s: float, now_ms: int) -> None:
        self._calm = 0
        self.per_s = per_s
        self._rate.change(per_s, now_ms)

    def _start_step(self, now_ms: int, lone: int = 0) -> None:
        """Count anew; `lone` are 429 of the steps before, which began no limit."""
        self._step_ms = now_ms
        self._started = 0
        self._good = 0
        self._throttled = 0
        self._lone = lone
        self._failed = 0
        self._row = 0
        self._waited = False
        self._stopped_ms = 0

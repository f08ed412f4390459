"""A token bucket: how many calls an account may start now. Pure, time is passed in."""

from math import ceil

UNLIMITED = 1 << 30
"""More calls than any account ever has at once."""
_BURST_S = 0.1


class Rate:
    """Limits calls to `per_s` a second, after a burst of `burst_s` seconds' calls (at least one).

    >>> rate = Rate(10)
    >>> rate.free(now_ms=0), rate.take(), rate.free(now_ms=99), rate.due_ms(now_ms=99), rate.free(now_ms=100)
    (1, None, 0, 100, 1)

    Args:
        per_s: calls a second; 0 for no limit.
        burst_s: seconds whose calls may come at once.
    """

    def __init__(self, per_s: float, burst_s: float = _BURST_S) -> None:
        self._per_ms = per_s / 1000
        self._burst_s = burst_s
        self._burst = max(1.0, per_s * burst_s)
        self._tokens = self._burst
        self._at_ms = 0

    def free(self, now_ms: int) -> int:
        """Calls that may start now."""
        if not self._per_ms:
            return UNLIMITED
        if now_ms > self._at_ms:
            since_ms = now_ms - self._at_ms
            self._tokens = min(self._burst, self._tokens + since_ms * self._per_ms)
            self._at_ms = now_ms
        return max(0, int(self._tokens + 1e-9))

    def take(self, calls: int = 1) -> None:
        """Start calls, also more than are free: the next ones then wait longer."""
        self._tokens -= calls

    def change(self, per_s: float, now_ms: int) -> None:
        """Go on with another rate; what is owed at the old one is still owed."""
        self.free(now_ms)
        self._per_ms = per_s / 1000
        self._burst = max(1.0, per_s * self._burst_s)
        self._tokens = min(self._tokens, self._burst)
        self._at_ms = now_ms

    def due_ms(self, now_ms: int) -> int:
        """When the next call may start; `now_ms` if one may now."""
        if self.free(now_ms):
            return now_ms
        return now_ms + max(1, ceil((1 - self._tokens) / self._per_ms - 1e-6))

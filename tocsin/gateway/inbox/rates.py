"""Limits the requests of each user, in one process: a page in a loop must not cost others their inbox."""

from collections import OrderedDict
from math import ceil

from tocsin.gateway.problems import Problem

PER_S = 10.0
BURST = 60.0
_MOST_USERS = 20_000


class UserRates:
    """A token bucket for each user who called lately.

    >>> rates = UserRates(per_s=1, burst=2)
    >>> [rates.wait_s("acme/ann", 1_000) for _ in range(3)]
    [0, 0, 1]
    >>> rates.wait_s("acme/ann", 2_000)
    0

    Args:
        per_s: requests a second, over time.
        burst: requests at once.
    """

    def __init__(self, per_s: float = PER_S, burst: float = BURST) -> None:
        self._per_s = per_s
        self._burst = burst
        self._buckets: OrderedDict[str, tuple[float, int]] = OrderedDict()

    def wait_s(self, user_key: str, now_ms: int) -> int:
        """Take one request; 0 if it may go on, else the seconds to wait."""
        left, then_ms = self._buckets.pop(user_key, (self._burst, now_ms))
        left = min(self._burst, left + max(0, now_ms - then_ms) / 1_000 * self._per_s)
        may = left >= 1
        self._buckets[user_key] = (left - may, now_ms)
        if len(self._buckets) > _MOST_USERS:
            self._buckets.popitem(last=False)
        return 0 if may else ceil((1 - left) / self._per_s)

    def take(self, user_key: str, now_ms: int) -> None:
        """Take one request.

        Raises:
            Problem: 429 with Retry-After, if there is none left.
        """
        if wait := self.wait_s(user_key, now_ms):
            text = f"too many requests for this inbox: wait {wait} s"
            raise Problem(429, text, headers={"retry-after": str(wait)})

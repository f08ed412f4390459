"""How many calls of an account may be out at once, by how long its answers take. Pure, time is passed in.

| event | effect on the window |
|---|---|
| an answer in time, while the window is less than twice what is out at once | one more |
| a call is out for longer than `late_ms` | half, at most once every `late_ms` |
| ten seconds pass | at most twice what was out at once in them |

So the window doubles with every round trip while it is used, and follows the load down. The usual latency is
a moving average: one part in 64 of each answer in time, one in 8 of each late one, so that an account which
stays slow is soon used at its new pace. A call counts as late without its answer: an account that answers
nothing is known after `late_ms`, not after the deadline of the call.
"""

import sys
from collections import deque

import msgspec


class WindowPolicy(msgspec.Struct, frozen=True):
    """How the window moves.

    Attributes:
        first: window at the start; the load alone never makes it smaller.
        least: the smallest window of a late account.
        late_factor: a call is late when it takes this many times the usual latency,
        least_late_ms: but never sooner than this. It covers pauses of our own process and of the network.
        look_ms: how often the window follows the load.
        stall_ms: time between two looks beyond which our own process stood still; it counts for no call.
    """

    first: int = 16
    least: int = 4
    late_factor: float = 4.0
    least_late_ms: int = 2_000
    look_ms: int = 10_000
    stall_ms: int = 100


class Call:
    """One call. The executor writes when it was handed over (`started_ms`) and how long it took."""

    __slots__ = ("asked_ms", "late", "over", "started_ms", "took_ms", "user")

    def __init__(self, user: str) -> None:
        self.user = user
        self.started_ms = 0
        self.took_ms = 0
        self.asked_ms = 0.0  # time that our own process had stood still by then
        self.late = False
        self.over = False


class CallWindow:
    """The calls of one account that are out, and how many may be.

    >>> window = CallWindow(WindowPolicy(first=2), timeout_s=10)
    >>> call = window.begin("ann", now_ms=0)
    >>> window.room()
    1
    >>> window.end(call, took_ms=50, took=True)
    >>> window.room(), window.late_ms
    (2, 2000)
    """

    def __init__(self, policy: WindowPolicy, timeout_s: float, most: int = 0) -> None:
        """Open a window that never lets more than `most` calls out; 0 for no bound."""
        self._policy = policy
        self._most = most or sys.maxsize
        self._timeout_ms = timeout_s * 1_000
        self._usual_ms = 0.0
        self._calls: deque[Call] = deque()
        self._looked_ms = 0
        self._stood_ms = 0.0
        self._halved_ms = -(1 << 60)
        self._peak = 0
        self._peak_until_ms = 0
        self.size = policy.first
        self.out = 0

    def room(self) -> int:
        """Calls that may start now."""
        return max(0, min(self.size, self._most) - self.out)

    @property
    def per_s(self) -> float:
        """Calls a second that a full window makes; 0 while there is room."""
        full = self._usual_ms and not self.room()
        return min(self.size, self._most) * 1_000 / self._usual_ms if full else 0.0

    @property
    def late_ms(self) -> float:
        """How long a call may take; half its deadline before the first answer."""
        usual = self._policy.late_factor * self._usual_ms if self._usual_ms else self._timeout_ms / 2
        return max(self._policy.least_late_ms, usual)

    def begin(self, user: str, now_ms: int) -> Call:
        """Start a call."""
        if not self._calls:
            self._looked_ms = now_ms
        call = Call(user)
        call.asked_ms = self._stood_ms
        self._calls.append(call)
        self.out += 1
        self._peak = max(self._peak, self.out)
        return call

    def end(self, call: Call, took_ms: float, *, took: bool) -> None:
        """End a call; `took` tells whether the account took the message."""
        call.over = True
        self.out -= 1
        if not took:
            return
        part = 8 if call.late else 64
        answer_ms = max(1.0, took_ms)  # 0 stands for no answer yet
        self._usual_ms += (answer_ms - self._usual_ms) / (part if self._usual_ms else 1)
        if not call.late and self.size < 2 * self._peak:
            self.size += 1

    def late(self, now_ms: int) -> list[Call]:
        """Return the calls that have become late since the last look."""
        self._look(now_ms)
        found: list[Call] = []
        while self._calls and (self._calls[0].over or self._is_late(self._calls[0], now_ms)):
            call = self._calls.popleft()
            if not call.over:
                call.late = True
                found.append(call)
        if found and now_ms - self._halved_ms >= self.late_ms:
            self._halved_ms = now_ms
            self.size = max(self._policy.least, min(self.size, self.out) // 2)
        return found

    def _is_late(self, call: Call, now_ms: int) -> bool:
        stood_ms = self._stood_ms - call.asked_ms
        return call.started_ms > 0 and now_ms - call.started_ms - stood_ms > self.late_ms

    def _look(self, now_ms: int) -> None:
        self._stood_ms += max(0, now_ms - self._looked_ms - self._policy.stall_ms)
        self._looked_ms = now_ms
        if now_ms >= self._peak_until_ms:
            if self._peak_until_ms:
                self.size = min(self.size, max(self._policy.first, 2 * self._peak))
            self._peak_until_ms = now_ms + self._policy.look_ms
            self._peak = self.out

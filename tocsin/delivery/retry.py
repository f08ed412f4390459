"""When a failed attempt is tried again: at once in the operator, later through the gate, or never.

The schedule is a row of delays by attempt number, so it goes on where it was when a message comes back
from the gate. Jitter comes from a hash: the same failure gives the same due time on every machine.
"""

from enum import Enum
from hashlib import blake2b
from typing import NamedTuple

import msgspec


class RetryPolicy(msgspec.Struct, frozen=True):
    """Delays after each failed attempt.

    Attributes:
        quick_s: waited out in the operator, keeping the user's order.
        later_s: handed back to the gate, which decides again when due.
        jitter: share by which a delay may be shorter or longer.
        hold_s: a quick delay that a provider's Retry-After makes longer than this is handed back instead.
        longest_s: no Retry-After is honoured beyond this.
    """

    quick_s: tuple[float, ...] = (1.0, 5.0)
    later_s: tuple[float, ...] = (30.0, 300.0, 1_800.0, 7_200.0)
    jitter: float = 0.2
    hold_s: float = 10.0
    longest_s: float = 86_400.0

    @property
    def attempts(self) -> int:
        """Attempts a message gets in all."""
        return len(self.quick_s) + len(self.later_s) + 1


class Next(Enum):
    """What follows a failed attempt."""

    AGAIN = "again"
    HAND_BACK = "hand_back"
    GIVE_UP = "give_up"


class Decision(NamedTuple):
    """What follows, and when (`due_ms` is 0 for `GIVE_UP`)."""

    next: Next
    due_ms: int


def after_failure(
    policy: RetryPolicy, message_id: str, attempt: int, now_ms: int, retry_after_s: float | None = None
) -> Decision:
    """Decide what follows the failure of attempt number `attempt` (from 1).

    >>> after_failure(RetryPolicy(jitter=0), "m", 1, now_ms=0)
    Decision(next=<Next.AGAIN: 'again'>, due_ms=1000)
    >>> after_failure(RetryPolicy(jitter=0), "m", 1, now_ms=0, retry_after_s=60)
    Decision(next=<Next.HAND_BACK: 'hand_back'>, due_ms=60000)
    """
    delays = (*policy.quick_s, *policy.later_s)
    if attempt > len(delays):
        return Decision(Next.GIVE_UP, 0)
    asked_s = min(retry_after_s or 0.0, policy.longest_s)
    delay_s = max(_jittered(delays[attempt - 1], policy.jitter, message_id, attempt), asked_s)
    quick = attempt <= len(policy.quick_s) and delay_s <= policy.hold_s
    return Decision(Next.AGAIN if quick else Next.HAND_BACK, now_ms + round(delay_s * 1000))


def _jittered(delay_s: float, jitter: float, message_id: str, attempt: int) -> float:
    digest = blake2b(f"{message_id}:{attempt}".encode(), digest_size=4).digest()
    spread = int.from_bytes(digest, "big") / 2**31 - 1  # -1 … 1
    return delay_s * (1 + jitter * spread)

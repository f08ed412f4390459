"""Limits the requests of each API key, for all processes together.

Each process leases requests of a bucket in Redis, up to a tenth of a second's ahead: most wait for
nobody. A bucket holds a second's requests. Redis away: each process keeps the whole rate by itself.
"""

import asyncio
import time
from collections.abc import Callable
from math import ceil
from typing import Protocol

from tocsin.delivery.rate import Rate
from tocsin.delivery.shared_rate import Granted, Wanted
from tocsin.gateway.problems import Problem

BURST_S = 1.0
_LEASE_S = 0.25
_KEPT_MS = 1_000
_AHEAD_S = 0.1
_LOST_MS = 1_000
_EMPTY_MS = 25


class Buckets(Protocol):
    """Where requests are leased."""

    async def lease(self, wanted: Wanted) -> Granted:
        """Ask once."""

    def lost(self, wanted: Wanted) -> Granted:
        """Return the answer that none came."""


class KeyRate:
    """One key's rate in this process.

    Args:
        account: names the bucket.
        per_s: requests a second that all processes may take together.
    """

    def __init__(self, account: str, per_s: float) -> None:
        self.account = account
        self.per_s = per_s
        self._alone = Rate(per_s, BURST_S)
        self._leased = 0
        self._until_ms = 0
        self._closed_ms = 0
        self._lost_ms = 0
        self._used = 0

    def take(self, now_ms: int) -> int | None:
        """Take one request.

        Returns:
            0 if it may go on, the ms to wait if there is none left, None if the bucket must be asked.
        """
        if self._leased and now_ms < self._until_ms:
            self._leased -= 1
            self._used += 1
            return 0
        if now_ms < self._lost_ms:
            return self._take_alone(now_ms)
        return self._closed_ms - now_ms if now_ms < self._closed_ms else None

    def _take_alone(self, now_ms: int) -> int:
        if not self._alone.free(now_ms):
            return max(1, self._alone.due_ms(now_ms) - now_ms)
        self._alone.take()
        return 0

    def wanted(self, waiting: int) -> Wanted:
        """Ask for those who wait, and for as many as were used lately."""
        ahead = min(self._used, ceil(self.per_s * _AHEAD_S))
        return Wanted(self.account, self.per_s, max(1, waiting) + ahead, urgent=True)

    def granted(self, answer: Granted, now_ms: int) -> None:
        """Take in the bucket's answer."""
        self._used = 0
        if answer.calls < 0:
            self._lost_ms = now_ms + _LOST_MS
        elif answer.calls == 0:
            self._closed_ms = now_ms + max(_EMPTY_MS, answer.wait_ms)
        else:
            self._leased = answer.calls
            self._until_ms = now_ms + _KEPT_MS


def monotonic_ms() -> int:
    """Return the time of a clock that only goes forward."""
    return time.monotonic_ns() // 1_000_000


class KeyRates:
    """The rates of all keys.

    Args:
        buckets: leases requests.
        usual_per_s: of keys that have no rate of their own; 0 for no limit.
        clock_ms: a clock that no step of the wall clock moves: it would refuse a key for as long.
    """

    def __init__(
        self, buckets: Buckets, usual_per_s: float, clock_ms: Callable[[], int] = monotonic_ms
    ) -> None:
        self._buckets = buckets
        self._clock_ms = clock_ms
        self._usual_per_s = usual_per_s
        self._rates: dict[str, KeyRate] = {}
        self._waiting: dict[str, int] = {}
        self._asking: dict[str, asyncio.Task[None]] = {}

    async def take(self, key_id: str, per_s: float) -> None:
        """Take one request of a key's rate.

        Raises:
            Problem: 429 with Retry-After, if it has none left.
        """
        per_s = per_s or self._usual_per_s
        if not per_s:
            return
        rate, now_ms = self._rate(key_id, per_s), self._clock_ms()
        while (wait_ms := rate.take(now_ms)) is None:
            await self._ask(key_id, rate, now_ms)
        if wait_ms:
            raise _too_many(wait_ms)

    def _rate(self, key_id: str, per_s: float) -> KeyRate:
        found = self._rates.get(key_id)
        if found is None or found.per_s != per_s:
            found = self._rates[key_id] = KeyRate(f"gateway:{key_id}", per_s)
        return found

    async def _ask(self, key_id: str, rate: KeyRate, now_ms: int) -> None:
        """Wait for the lease that is under way, or for one that is asked for now."""
        self._waiting[key_id] = self._waiting.get(key_id, 0) + 1
        try:
            task = self._asking.get(key_id)
            if task is None:
                task = self._asking[key_id] = asyncio.create_task(self._lease(key_id, rate, now_ms))
            await asyncio.shield(task)
        finally:
            self._waiting[key_id] -= 1

    async def _lease(self, key_id: str, rate: KeyRate, now_ms: int) -> None:
        await asyncio.sleep(0)  # who comes in the same turn of the loop is counted too
        wanted = rate.wanted(self._waiting[key_id])
        try:
            async with asyncio.timeout(_LEASE_S):
                granted = await self._buckets.lease(wanted)
        except TimeoutError:
            granted = self._buckets.lost(wanted)
        rate.granted(granted, now_ms)
        del self._asking[key_id]


def _too_many(wait_ms: int) -> Problem:
    seconds = max(1, ceil(wait_ms / 1_000))
    detail = f"this key has used up its rate: wait {seconds} s, or ask for a higher rate"
    return Problem(429, detail, headers={"retry-after": str(seconds)})

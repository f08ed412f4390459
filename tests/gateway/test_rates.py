"""The rates of keys go by a clock of their own: whoever sets the wall clock back refuses nobody."""

import asyncio
import time

import pytest

from tests.waiting import PATIENCE_S
from tocsin.delivery.shared_rate import Granted, Wanted
from tocsin.gateway.problems import Problem
from tocsin.gateway.rates import KeyRates


class ScriptedBuckets:
    """Answers leases from a script: calls granted, or none for a tenth of a second."""

    def __init__(self, *calls: int) -> None:
        self._calls = list(calls)

    async def lease(self, wanted: Wanted) -> Granted:
        calls = self._calls.pop(0)
        return Granted(wanted.account, calls, 0 if calls else 100)

    def lost(self, wanted: Wanted) -> Granted:
        return Granted(wanted.account, -1)


async def test_a_key_without_requests_left_may_go_on_when_its_wait_is_over() -> None:
    now_ms = [1_000]
    rates = KeyRates(ScriptedBuckets(1, 0, 1), 10, clock_ms=lambda: now_ms[0])
    await rates.take("key", 0)
    for _ in range(2):
        with pytest.raises(Problem, match="used up its rate"):
            await rates.take("key", 0)
    now_ms[0] += 100
    await rates.take("key", 0)


async def test_a_wall_clock_that_is_set_back_refuses_no_key(monkeypatch: pytest.MonkeyPatch) -> None:
    rates = KeyRates(ScriptedBuckets(0, *[1] * 9), 10)
    with pytest.raises(Problem) as refused:
        await rates.take("key", 0)
    assert refused.value.headers["retry-after"] == "1"
    monkeypatch.setattr(time, "time_ns", lambda: 0)
    monkeypatch.setattr(time, "time", lambda: 0.0)
    async with asyncio.timeout(PATIENCE_S):
        while not await admitted(rates):
            await asyncio.sleep(0.01)


async def admitted(rates: KeyRates) -> bool:
    try:
        await rates.take("key", 0)
    except Problem:
        return False
    return True

"""Deadlines: what is late ends, what is not is left alone, and a cancellation from outside stays one."""

import asyncio
import time
from collections.abc import Callable
from contextvars import Context
from typing import TypeVarTuple

import pytest

from tests.waiting import PATIENCE_S
from tocsin.delivery.deadlines import LOOK_S, Deadlines

Args = TypeVarTuple("Args")


async def answer(after_s: float) -> str:
    await asyncio.sleep(after_s)
    return "answer"


async def test_what_is_in_time_answers() -> None:
    deadlines = Deadlines()
    answers = await asyncio.gather(*[deadlines.within(PATIENCE_S, answer(0.001 * n)) for n in range(100)])
    assert answers == ["answer"] * 100


async def test_what_is_late_is_cancelled_and_others_go_on() -> None:
    deadlines = Deadlines()
    began = time.monotonic()
    late = asyncio.ensure_future(deadlines.within(0.05, answer(60)))
    other = asyncio.ensure_future(deadlines.within(PATIENCE_S, answer(0.2)))
    with pytest.raises(TimeoutError):
        await late
    assert 0.05 <= time.monotonic() - began < 30
    assert await other == "answer"


async def test_the_work_learns_that_it_was_cancelled() -> None:
    ended: list[str] = []

    async def work() -> None:
        try:
            await asyncio.sleep(60)
        finally:
            ended.append("cleaned up")

    with pytest.raises(TimeoutError):
        await Deadlines().within(0.01, work())
    assert ended == ["cleaned up"]


async def test_a_task_goes_on_after_its_deadline() -> None:
    deadlines = Deadlines()

    async def twice() -> str:
        with pytest.raises(TimeoutError):
            await deadlines.within(0.01, answer(60))
        await asyncio.sleep(2 * LOOK_S)
        return await deadlines.within(PATIENCE_S, answer(0.01))

    assert await asyncio.wait_for(asyncio.ensure_future(twice()), PATIENCE_S) == "answer"


async def test_a_cancellation_from_outside_stays_one() -> None:
    task = asyncio.ensure_future(Deadlines().within(30, answer(60)))
    await asyncio.sleep(0.01)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


class CountingLoop(asyncio.SelectorEventLoop):
    """Counts the timers set."""

    timers = 0

    def call_at(
        self, when: float, callback: Callable[[*Args], object], *args: *Args, context: Context | None = None
    ) -> asyncio.TimerHandle:
        self.timers += 1
        return super().call_at(when, callback, *args, context=context)


def test_an_error_of_the_work_comes_through_and_nothing_looks_on() -> None:
    deadlines = Deadlines()

    async def fails() -> None:
        raise LookupError

    async def work() -> None:
        with pytest.raises(LookupError):
            await deadlines.within(5, fails())
        await asyncio.sleep(3 * LOOK_S)

    with asyncio.Runner(loop_factory=CountingLoop) as runner:
        runner.run(work())
        loop = runner.get_loop()
    assert isinstance(loop, CountingLoop)
    assert loop.timers == 2, "one look and the sleep"

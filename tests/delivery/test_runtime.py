"""The loop beside the worker: nothing submitted is lost, nothing blocks."""

import asyncio
import logging
import sys
import threading
import time
import weakref

import pytest

from tests.waiting import PATIENCE_S, until
from tocsin.delivery.runtime import Runtime, Tasks


def collect(tasks: Tasks[int, str], count: int) -> list[str]:
    results: list[str] = []
    deadline = time.monotonic() + PATIENCE_S
    while len(results) < count and time.monotonic() < deadline:
        tasks.wait(0.1)
        results += tasks.drain()
    return results


def failed(job: int) -> str:
    return f"failed {job}"


def test_every_job_comes_back_once_in_order_of_completion(runtime: Runtime) -> None:
    ended = {job: asyncio.Event() for job in (1, 2, 3, 4)}

    async def work(job: int) -> str:
        await ended[job + 1].wait()
        asyncio.get_running_loop().call_soon(ended[job].set)
        return f"done {job}"

    async def begin() -> None:
        ended[4].set()

    tasks = runtime.tasks(work, failed)
    tasks.submit([1, 2, 3])
    assert tasks.pending == 3
    runtime.run(begin(), PATIENCE_S)
    assert collect(tasks, 3) == ["done 3", "done 2", "done 1"]
    assert tasks.pending == 0
    assert tasks.drain() == []


def test_a_job_that_raises_comes_back_as_failed_and_is_logged_without_its_text(
    runtime: Runtime, caplog: pytest.LogCaptureFixture
) -> None:
    async def work(job: int) -> str:
        msg = "ann@secret.example"
        raise RuntimeError(msg)

    tasks = runtime.tasks(work, failed)
    with caplog.at_level(logging.ERROR):
        tasks.submit([7])
        assert collect(tasks, 1) == ["failed 7"]
    assert "RuntimeError" in caplog.text
    assert "secret" not in caplog.text


def test_submit_does_not_wait(runtime: Runtime) -> None:
    allowed = asyncio.Event()

    async def work(job: int) -> str:
        await allowed.wait()
        return ""

    async def allow() -> None:
        allowed.set()

    tasks = runtime.tasks(work, failed)
    tasks.submit(range(100))  # would hang here
    assert (tasks.pending, tasks.drain()) == (100, [])
    runtime.run(allow(), PATIENCE_S)
    assert len(collect(tasks, 100)) == 100


class Letter:
    """A job whose end can be seen."""


def test_a_job_that_is_over_is_not_kept_in_memory(runtime: Runtime) -> None:
    async def work(job: Letter) -> str:
        await asyncio.sleep(0)
        return "done"

    tasks = runtime.tasks(work, lambda _: "failed")
    seen: list[weakref.ref[Letter]] = []
    for _ in range(2):  # the second time by tasks that have done a job before
        letters = [Letter() for _ in range(3)]
        seen += map(weakref.ref, letters)
        tasks.submit(letters)
        del letters
        until(lambda: not tasks.drain() and not tasks.pending, "the results")
    until(lambda: all(ref() is None for ref in seen), "the end of the jobs")


def test_mailboxes_do_not_mix(runtime: Runtime) -> None:
    async def one(job: int) -> str:
        return "one"

    async def two(job: int) -> str:
        return "two"

    first, second = runtime.tasks(one, failed), runtime.tasks(two, failed)
    first.submit([1, 2])
    second.submit([1])
    assert collect(first, 2) == ["one", "one"]
    assert collect(second, 1) == ["two"]


def test_an_empty_submit_wakes_nobody(runtime: Runtime) -> None:
    async def work(job: int) -> str:
        return ""

    tasks = runtime.tasks(work, failed)
    tasks.submit([])
    assert tasks.pending == 0


def test_stop_cancels_what_runs_and_ends_the_thread() -> None:
    runtime, started, cancelled = Runtime(), threading.Event(), threading.Event()
    runtime.start()

    async def work(job: int) -> str:
        started.set()
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            cancelled.set()
            raise
        return ""

    runtime.tasks(work, failed).submit([1])
    assert started.wait(PATIENCE_S)
    runtime.stop()
    assert cancelled.is_set()
    assert not any(thread.name == "tocsin-loop" for thread in threading.enumerate())


def test_run_waits_for_a_coroutine_and_gives_up_in_time(runtime: Runtime) -> None:
    async def answer() -> int:
        return 42

    assert runtime.run(answer(), PATIENCE_S) == 42
    with pytest.raises(TimeoutError):
        runtime.run(asyncio.sleep(600), 0.05)


def test_the_worker_cannot_starve_the_loop(runtime: Runtime) -> None:
    assert sys.getswitchinterval() == pytest.approx(0.0005)


def test_clocks_agree(runtime: Runtime) -> None:
    earlier, now, later = runtime.now_ms(), runtime.utc_now(), runtime.now_ms()
    assert earlier - 1 <= now.timestamp() * 1000 <= later + 1
    before = runtime.monotonic_ms()
    assert runtime.monotonic_ms() >= before


def test_no_step_of_the_wall_clock_moves_the_steady_one(
    runtime: Runtime, monkeypatch: pytest.MonkeyPatch
) -> None:
    before_ms = runtime.steady_ms()
    assert abs(before_ms - runtime.now_ms()) < 60_000, "it begins at the wall time"
    monkeypatch.setattr(time, "time_ns", lambda: 0)
    assert runtime.now_ms() == 0
    assert 0 <= runtime.steady_ms() - before_ms < 60_000

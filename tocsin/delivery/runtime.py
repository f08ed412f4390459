"""The process's asyncio loop, in a thread of its own, beside the Bytewax worker.

Bytewax calls operators in one thread and knows no coroutines. So operators hand coroutines over in batches
and fetch what is done by polling; nothing ever waits for the other side. Measured (docs/engine.md,
facts 17 and 18): 18,000 completions a second with 1,000 in flight; the short switch interval takes p99 from
180 to 10 ms.
"""

import asyncio
import logging
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Coroutine, Iterable
from datetime import UTC, datetime
from typing import Any, Generic, TypeVar

from tocsin.errors import kind_and_place

J = TypeVar("J")
R = TypeVar("R")
T = TypeVar("T")

_log = logging.getLogger(__name__)
# Python's default of 5 ms lets the worker starve the loop: every answer then waits for the interpreter lock.
_SWITCH_INTERVAL_S = 0.0005


def _new_loop() -> asyncio.AbstractEventLoop:
    try:
        import uvloop
    except ImportError:
        return asyncio.new_event_loop()
    return uvloop.new_event_loop()


class Runtime:
    """One loop for all channels of a process, and the only wall clock operators are given.

    Lifecycle: `start` once, `stop` once. `stop` cancels what still runs: a provider call cut off so is an
    open claim in the ledger, like one cut off by a crash.
    """

    def __init__(self) -> None:
        self._loop = _new_loop()
        self._thread = threading.Thread(target=self._run, name="tocsin-loop", daemon=True)
        self._started_ms = self.now_ms() - self.monotonic_ms()

    def start(self) -> None:
        """Start the loop's thread."""
        sys.setswitchinterval(_SWITCH_INTERVAL_S)
        self._thread.start()

    def stop(self, timeout_s: float = 5.0) -> None:
        """Cancel what runs and end the thread."""
        if self._thread.is_alive():
            self._loop.call_soon_threadsafe(self._loop.stop)
            self._thread.join(timeout_s)

    def now_ms(self) -> int:
        """Wall time in milliseconds since 1970 UTC."""
        return time.time_ns() // 1_000_000

    def utc_now(self) -> datetime:
        """Wall time."""
        return datetime.now(UTC)

    def monotonic_ms(self) -> float:
        """A clock for durations."""
        return time.perf_counter() * 1000

    def steady_ms(self) -> int:
        """Wall time at the start, and the time since: no step of the wall clock moves it."""
        return round(self._started_ms + self.monotonic_ms())

    def call(self, function: Callable[..., object], *args: object) -> None:
        """Call a plain function on the loop, soon; from any thread."""
        self._loop.call_soon_threadsafe(function, *args)

    def run(self, work: Coroutine[Any, Any, T], timeout_s: float) -> T:
        """Run a coroutine on the loop and wait for it here (start-up and shutdown only).

        Raises:
            TimeoutError: it took longer than `timeout_s`; it is cancelled.
        """
        future = asyncio.run_coroutine_threadsafe(work, self._loop)
        try:
            return future.result(timeout_s)
        finally:
            future.cancel()

    def tasks(self, run: Callable[[J], Coroutine[Any, Any, R]], failed: Callable[[J], R]) -> "Tasks[J, R]":
        """Open a mailbox for jobs that `run` turns into results.

        Args:
            run: must end every wait of its own by a deadline.
            failed: the result of a job whose `run` raised although it should not.
        """
        return Tasks(self, run, failed)

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        try:
            self._loop.run_forever()
            left = asyncio.all_tasks(self._loop)
            for task in left:
                task.cancel()
            self._loop.run_until_complete(asyncio.gather(*left, return_exceptions=True))
        finally:
            self._loop.close()


class Tasks(Generic[J, R]):
    """Jobs handed to the loop and their results, for one thread of the worker.

    Guarantee: every submitted job comes back from `drain` exactly once, in order of completion, unless the
    runtime is stopped first.
    """

    def __init__(
        self, runtime: Runtime, run: Callable[[J], Coroutine[Any, Any, R]], failed: Callable[[J], R]
    ) -> None:
        self._runtime = runtime
        self._work = run
        self._failed = failed
        self._done: deque[R] = deque()
        self._arrived = threading.Event()
        self._waiting = False
        self._tasks: list[asyncio.Task[None]] = []
        self._idle: list[asyncio.Future[J]] = []
        self.pending = 0

    def submit(self, jobs: Iterable[J]) -> None:
        """Start jobs on the loop; returns at once."""
        batch = list(jobs)
        if batch:
            self.pending += len(batch)
            self._runtime.call(self._start, batch)

    def drain(self) -> list[R]:
        """Take the results that have come."""
        results = [self._done.popleft() for _ in range(len(self._done))]
        self.pending -= len(results)
        return results

    def wait(self, timeout_s: float) -> None:
        """Wait for a result or the timeout (at end of input only)."""
        self._arrived.clear()
        self._waiting = True
        if not self._done:
            self._arrived.wait(timeout_s)
        self._waiting = False

    def _start(self, batch: list[J]) -> None:
        loop = asyncio.get_running_loop()
        for job in batch:
            if self._idle:
                self._idle.pop().set_result(job)
            else:
                self._tasks.append(loop.create_task(self._serve(job, loop)))

    async def _serve(self, job: J, loop: asyncio.AbstractEventLoop) -> None:
        """Do one job after the other: a new task for each would cost three times as much."""
        while True:
            try:
                self._done.append(await self._work(job))
            except Exception as error:  # the flow's edge: a fault of ours must not lose the job
                _log.error("a delivery step failed: %s", kind_and_place(error))
                self._done.append(self._failed(job))
            if self._waiting:
                self._arrived.set()
            del job  # or a task that waits would keep a message in memory
            turn: asyncio.Future[J] = loop.create_future()
            self._idle.append(turn)
            job = await turn

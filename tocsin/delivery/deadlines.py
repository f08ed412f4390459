"""Deadlines for many short calls at once: one look at all of them now and then, instead of a timer each.

`asyncio.timeout` costs a tenth of a send: a timer set, moved and taken back for a deadline that hardly ever
comes. These end up to `LOOK_S` late.
"""

import asyncio
from collections.abc import Awaitable
from typing import Any, TypeVar

T = TypeVar("T")

LOOK_S = 0.05


class _Wait:
    __slots__ = ("due_s", "over", "task")

    def __init__(self, task: "asyncio.Task[Any]", due_s: float) -> None:
        self.task = task
        self.due_s = due_s
        self.over = False


class Deadlines:
    """Cancels what takes too long. All methods belong to the loop's thread; waits must not be nested."""

    def __init__(self) -> None:
        self._waits: set[_Wait] = set()
        self._looking = False

    async def within(self, seconds: float, work: Awaitable[T]) -> T:
        """Wait for `work`.

        Raises:
            TimeoutError: it took longer than `seconds`, and was cancelled.
        """
        task, loop = asyncio.current_task(), asyncio.get_running_loop()
        assert task is not None, "a coroutine runs in a task"
        wait = _Wait(task, loop.time() + seconds)
        self._waits.add(wait)
        if not self._looking:
            self._looking = True
            loop.call_later(LOOK_S, self._look, loop)
        try:
            return await work
        except asyncio.CancelledError:
            if wait.over and task.uncancel() == 0:
                raise TimeoutError from None
            raise
        finally:
            self._waits.discard(wait)

    def _look(self, loop: asyncio.AbstractEventLoop) -> None:
        now_s = loop.time()
        for wait in self._waits:
            if wait.due_s <= now_s and not wait.over:
                wait.over = True
                wait.task.cancel()
        self._looking = bool(self._waits)
        if self._looking:
            loop.call_later(LOOK_S, self._look, loop)

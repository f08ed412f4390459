"""Deadlines for many short calls at once: one look at all of them now and then, instead of a timer each.

`asyncio.timeout` costs a tenth of a send: a timer set, moved and taken back for a deadline that hardly ever
comes. These end up to `LOOK_S` late.
"""

import asyncio
from collections.abc import Awaitable
from typing import Any, TypeVar

T = TypeVar("T")

LOOK_S = 0.05


class Deadlines:
    """Cancels what takes too long. All methods belong to the loop's thread; waits must not be nested."""

    def __init__(self) -> None:
        self._due_s: dict[asyncio.Task[Any], float] = {}
        self._over: set[asyncio.Task[Any]] = set()
        self._looking = False

    async def within(self, seconds: float, work: Awaitable[T]) -> T:
        """Wait for `work`.

        Raises:
            TimeoutError: it took longer than `seconds`, and was cancelled.
        """
        loop = asyncio.get_running_loop()
        task = asyncio.current_task(loop)
        assert task is not None, "a coroutine runs in a task"
        self._due_s[task] = loop.time() + seconds
        if not self._looking:
            self._looking = True
            loop.call_later(LOOK_S, self._look, loop)
        try:
            return await work
        except asyncio.CancelledError:
            if task in self._over and task.uncancel() == 0:
                raise TimeoutError from None
            raise
        finally:
            del self._due_s[task]
            self._over.discard(task)

    def _look(self, loop: asyncio.AbstractEventLoop) -> None:
        now_s = loop.time()
        for task, due_s in self._due_s.items():
            if due_s <= now_s and task not in self._over:
                self._over.add(task)
                task.cancel()
        self._looking = bool(self._due_s)
        if self._looking:
            loop.call_later(LOOK_S, self._look, loop)

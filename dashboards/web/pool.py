"""Asks ClickHouse for the pages: a pool of read-only clients, a time limit, and answers shared by viewers."""

import asyncio
import contextlib
import queue
from collections.abc import Callable, Iterator, Mapping
from typing import Any, TypeVar

from clickhouse_connect.driver.client import Client
from starlette.concurrency import run_in_threadpool

from dashboards import store
from dashboards.web.problem import Problem

Answer = TypeVar("Answer")
CLIENTS = 4
"""Queries at once: enough for a board, and no load for a server that others use too."""
LIMIT_S = 10
_TIMED_OUT = 159
"""TIMEOUT_EXCEEDED"""
SHARED_S = 2.0
_MOST_SHARED = 512


class Pool:
    """Holds clients of one ClickHouse. At most `CLIENTS` are borrowed at once; the next borrower waits."""

    def __init__(self, url: str, limit_s: int = LIMIT_S) -> None:
        self._url = url
        self.limit_s = limit_s
        self._idle: queue.LifoQueue[Client | None] = queue.LifoQueue()
        for _ in range(CLIENTS):
            self._idle.put(None)

    @contextlib.contextmanager
    def borrowed(self) -> Iterator[Client]:
        """Lend a client. One that has failed is closed: the next borrower opens another.

        Raises:
            clickhouse_connect.driver.exceptions.ClickHouseError, OSError: the server is away or refuses.
        """
        client = self._idle.get()
        try:
            client = client or self._open()
            yield client
        except store.AWAY:
            _close(client)
            client = None
            raise
        finally:
            self._idle.put(client)

    def _open(self) -> Client:
        client = store.connect(self._url)
        client.set_client_setting("max_execution_time", self.limit_s)
        client.set_client_setting("readonly", 2)
        return client

    def close(self) -> None:
        """Close the clients that nobody has borrowed."""
        for _ in range(CLIENTS):
            with contextlib.suppress(queue.Empty):
                _close(self._idle.get_nowait())


def _close(client: Client | None) -> None:
    if client is not None:
        client.close()


class Asker:
    """Runs questions on threads. Viewers who ask the same within `shared_s` share one answer."""

    def __init__(self, pool: Pool, shared_s: float = SHARED_S) -> None:
        self._pool = pool
        self._shared_s = shared_s
        self._shared: dict[tuple[str, ...], asyncio.Task[Any]] = {}

    async def ask(self, key: tuple[str, Mapping[str, Any]], question: Callable[[Client], Answer]) -> Answer:
        """Answer a question; `key` names it with all that its answer depends on.

        Raises:
            Problem: ClickHouse is away or refuses (503), or took longer than the pool allows (504).
        """
        name = (key[0], *(f"{field}={value!r}" for field, value in sorted(key[1].items())))
        task = self._shared.get(name)
        if task is None:
            task = asyncio.create_task(run_in_threadpool(self._answer, question))
            self._share(name, task)
        answer: Answer = await asyncio.shield(task)
        return answer

    def _share(self, name: tuple[str, ...], task: asyncio.Task[Any]) -> None:
        if len(self._shared) >= _MOST_SHARED:
            self._shared.clear()
        self._shared[name] = task
        loop = asyncio.get_running_loop()
        task.add_done_callback(lambda done: loop.call_later(self._shared_s, self._forget, name, done))

    def _forget(self, name: tuple[str, ...], task: asyncio.Task[Any]) -> None:
        if self._shared.get(name) is task:
            del self._shared[name]

    def _answer(self, question: Callable[[Client], Answer]) -> Answer:
        try:
            with self._pool.borrowed() as client:
                return question(client)
        except store.AWAY as error:
            raise self._problem(error) from error

    def _problem(self, error: Exception) -> Problem:
        if getattr(error, "code", None) == _TIMED_OUT:
            limit_s = self._pool.limit_s
            return Problem(
                504, f"ClickHouse needed more than {limit_s} s: choose a shorter time or more filters"
            )
        return Problem(503, store.explain_failure(error))

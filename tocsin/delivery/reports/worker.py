"""Posts the reports of one endpoint: few at once, in order per notification, again until they are taken."""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, Final, NamedTuple
from zlib import crc32

from tocsin.delivery.reports.endpoint import Endpoint
from tocsin.delivery.reports.health import Health, Trial, Verdict
from tocsin.delivery.reports.progress import Progress
from tocsin.delivery.reports.sender import Post
from tocsin.errors import DeliveryError
from tocsin.model.outcome import Outcome

LINES: Final = 4
"""Posts in flight to one endpoint: a slow one holds no more connections."""
MOST_WAITING: Final = 500
"""Reports of one endpoint in memory; the others wait in Kafka."""

_LOOK_S: Final = 5.0

Told = Callable[["EndpointWorker", Outcome], Awaitable[None]]
Sleep = Callable[[float], Awaitable[None]]
Spawn = Callable[[Coroutine[Any, Any, None]], "asyncio.Task[None]"]


class _Waiting(NamedTuple):
    partition: int
    offset: int
    outcome: Outcome


class EndpointWorker:
    """Posts what it is offered.

    Reports of one notification go out in their order, one after another. A report that fails is posted again
    before those behind it. While an endpoint fails, one post at a time tries it.

    Args:
        endpoint: where to.
        progress: how far it is.
        health: what is known of it.
        post: posts one report.
        clock_ms: a clock that is not set meanwhile.
        on_drop: told of a report that was given up.
        on_off: told once the endpoint is given up, with the report that failed last.
        sleep: waits.
        spawn: starts its tasks.
    """

    def __init__(
        self,
        endpoint: Endpoint,
        progress: Progress,
        health: Health,
        *,
        post: Post,
        clock_ms: Callable[[], int],
        on_drop: Told,
        on_off: Told,
        sleep: Sleep = asyncio.sleep,
        spawn: Spawn = asyncio.create_task,
    ) -> None:
        self.endpoint = endpoint
        self.progress = progress
        self.health = health
        self.posted = self.failed = self.dropped = 0
        self.taken_ms = 0
        self.is_off = False
        self._post = post
        self._clock_ms = clock_ms
        self._on_drop = on_drop
        self._on_off = on_off
        self._sleep = sleep
        self._lines: list[asyncio.Queue[_Waiting]] = [asyncio.Queue() for _ in range(LINES)]
        self._room = asyncio.Event()
        self._room.set()
        self._probing = asyncio.Lock()
        self._tasks = [spawn(self._work(line)) for line in self._lines]

    @property
    def has_room(self) -> bool:
        """Whether another report fits in memory."""
        return self.progress.waiting < MOST_WAITING

    async def room(self) -> None:
        """Wait until half of its reports are done."""
        while not self.has_room:
            self._room.clear()
            await self._room.wait()

    def offer(self, partition: int, offset: int, outcome: Outcome | None) -> None:
        """Take the next record of a partition of the outcomes; None where there is nothing to report."""
        if outcome is None or not self.endpoint.wants(outcome):
            self.progress.skip(partition, offset)
            return
        self.progress.take(partition, offset)
        line = crc32(outcome.notification_id.encode()) % LINES
        self._lines[line].put_nowait(_Waiting(partition, offset, outcome))

    async def idle(self) -> None:
        """Wait until nothing waits."""
        for line in self._lines:
            await line.join()

    async def stop(self) -> None:
        """Stop posting; what waits is posted again by whoever starts at the position."""
        for task in self._tasks:
            task.cancel()
        if others := [task for task in self._tasks if task is not asyncio.current_task()]:
            await asyncio.wait(others)

    async def _work(self, line: "asyncio.Queue[_Waiting]") -> None:
        while True:
            waiting = await line.get()
            await self._until_done(waiting.outcome)
            self.progress.finish(waiting.partition, waiting.offset)
            line.task_done()
            if self.progress.waiting <= MOST_WAITING // 2:
                self._room.set()

    async def _until_done(self, outcome: Outcome) -> None:
        """Post a report until it is taken or given up. Once the endpoint is off, it waits to be cancelled."""
        trial = Trial()
        while (verdict := await self._tried(outcome, trial)) is Verdict.RETRY:
            pass
        if verdict is Verdict.DROP:
            self.dropped += 1
            await self._on_drop(self, outcome)
        elif verdict is Verdict.SWITCH_OFF:
            if not self.is_off:
                self.is_off = True
                await self._on_off(self, outcome)
            await asyncio.Event().wait()

    async def _tried(self, outcome: Outcome, trial: Trial) -> Verdict | None:
        """Post once, when it is due; None once the report is taken."""
        await self._until(lambda: trial.again_ms)
        if not self.health.is_failing:
            return await self._posted(outcome, trial)
        async with self._probing:
            await self._until(lambda: self.health.again_ms)
            return await self._posted(outcome, trial)

    async def _until(self, due_ms: Callable[[], int]) -> None:
        """Wait until a time that may come nearer meanwhile: another report was taken."""
        while (wait_ms := due_ms() - self._clock_ms()) > 0:
            await self._sleep(min(wait_ms / 1_000, _LOOK_S))

    async def _posted(self, outcome: Outcome, trial: Trial) -> Verdict | None:
        try:
            await self._post(self.endpoint, outcome)
        except DeliveryError as error:
            self.failed += 1
            return self.health.failed(trial, error, self._clock_ms())
        self.posted += 1
        self.taken_ms = self._clock_ms()
        self.health.taken(self.taken_ms)
        return None

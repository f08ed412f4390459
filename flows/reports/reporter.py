"""Posts the outcomes of a shard's partitions to all endpoints; each goes at its own pace.

One consumer reads what is new for all endpoints that keep up. One that does not falls back: its outcomes wait
in Kafka, and a consumer of its own reads them once there is room, until it has caught up.
"""

import asyncio
import logging
from collections import Counter
from collections.abc import Awaitable, Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Final, NamedTuple

from redis.exceptions import RedisError

from flows.reports.tail import Line, Tail, TailPolicy
from tocsin.delivery.reports.endpoint import Endpoint
from tocsin.delivery.reports.health import Health
from tocsin.delivery.reports.progress import Progress
from tocsin.delivery.reports.sender import Post
from tocsin.delivery.reports.store import EndpointState, ReportStore
from tocsin.delivery.reports.worker import EndpointWorker, Spawn
from tocsin.errors import SourceError
from tocsin.model.outcome import Outcome

_log = logging.getLogger("tocsin.reports")
READ_S: Final = 0.2
CATCH_UPS: Final = 4
"""Endpoints that catch up at once; each has a consumer of its own."""
SLICE_S: Final = 5.0
"""How long one catches up while others wait for their turn."""
_AGAIN_S: Final = 1.0
_TOLD_S: Final = 5.0
"""How long the end of a process waits for people to be told."""

Declared = Callable[[], Awaitable[Mapping[str, Endpoint]]]
Told = Callable[[Endpoint, str, Outcome], Awaitable[None]]


class _Running(NamedTuple):
    """An endpoint that is posted to, and which turn and replay that is."""

    worker: EndpointWorker
    endpoint: Endpoint
    state: EndpointState


class Reporter:
    """Posts the outcomes of some partitions.

    At least once: positions are kept after what they stand for, so a crash posts some reports again, with the
    same ids. An endpoint without a position begins when it was first seen.

    Args:
        tail: which outcomes are read.
        store: positions and states.
        declared: the endpoints that there are.
        post: posts one report.
        clock_ms: the wall clock.
        steady_ms: a clock for waits and for how long an endpoint fails: the wall clock may be set.
        on_off: told that an endpoint was switched off, and why.
        on_drop: told that a report was given up, and why.
    """

    def __init__(
        self,
        tail: TailPolicy,
        store: ReportStore,
        declared: Declared,
        *,
        post: Post,
        clock_ms: Callable[[], int],
        steady_ms: Callable[[], int],
        on_off: Told,
        on_drop: Told,
    ) -> None:
        self._policy = tail
        self._store = store
        self._declared = declared
        self._post = post
        self._clock_ms = clock_ms
        self._steady_ms = steady_ms
        self._told_off = on_off
        self._told_drop = on_drop
        self._threads = ThreadPoolExecutor(CATCH_UPS + 3, "reports")
        self._running: dict[str, _Running] = {}
        self._live: dict[str, dict[str, EndpointWorker]] = {}
        self._ends: dict[int, int] = {}
        self._catching_up: dict[str, asyncio.Task[None]] = {}
        self._slots = asyncio.Semaphore(CATCH_UPS)
        self._kept: dict[str, Mapping[str, object]] = {}
        self._spawn: Spawn = asyncio.create_task
        self._telling: set[asyncio.Future[None]] = set()
        self.counts: Counter[str] = Counter()
        self.away = ""
        self.keeps_at_end = True

    @property
    def known(self) -> list[str]:
        """Name the endpoints that are posted to."""
        return sorted(self._running)

    def waiting(self, key: str) -> int:
        """Count the reports of an endpoint that are in memory."""
        return self._running[key].worker.progress.waiting

    @property
    def behind(self) -> list[str]:
        """Name the endpoints that do not keep up."""
        return sorted(self._catching_up)

    def totals(self) -> dict[str, int]:
        """Count posts by what became of them."""
        workers = [running.worker for running in self._running.values()]
        return {
            "taken": self.counts["taken"] + sum(worker.posted for worker in workers),
            "failed": self.counts["failed"] + sum(worker.failed for worker in workers),
            "dropped": self.counts["dropped"],
        }

    async def run(self, look_s: float = 1.0, ready: Callable[[], None] = lambda: None) -> None:
        """Read and post until cancelled; then positions are kept as they are."""
        live = Tail(self._policy, self._threads)
        try:
            self._ends = await live.ends()
            await live.start(self._ends)
            async with asyncio.TaskGroup() as group:
                self._spawn = group.create_task
                group.create_task(self._follow(live))
                group.create_task(self._keep_house(look_s, ready))
        finally:
            await self._stop_all()
            if self._telling:
                await asyncio.wait(self._telling, timeout=_TOLD_S)
            await live.close()
            self._threads.shutdown(wait=False)

    async def _follow(self, live: Tail) -> None:
        """Hand what is new to the endpoints that keep up."""
        while True:
            try:
                lines = await live.read(READ_S)
            except SourceError as error:
                _log.warning("%s", error)
                await asyncio.sleep(_AGAIN_S)
                continue
            for line in lines:
                self._hand_out(line)
                end = line.offset + (line.value is not None)
                self._ends[line.partition] = max(self._ends[line.partition], end)

    def _hand_out(self, line: Line) -> None:
        """Offer a record to the endpoints of its tenant that keep up; one without room falls back."""
        own = self._live.get(line.tenant) if line.value is not None else None
        outcome = line.outcome() if own else None
        if own is None or outcome is None:
            return
        for key, worker in list(own.items()):
            if line.offset < worker.progress.next(line.partition):
                continue  # it has caught up beyond this one
            if worker.has_room or not worker.endpoint.wants(outcome):
                worker.offer(line.partition, line.offset, outcome)
            else:
                self._fall_back(key, worker)

    def _fall_back(self, key: str, worker: EndpointWorker) -> None:
        self._pass_over(worker)
        self._live[worker.endpoint.tenant].pop(key)
        self._start_catching_up(key, worker)

    def _pass_over(self, worker: EndpointWorker) -> None:
        """Note that an endpoint that keeps up has seen all that was handed out."""
        for partition, end in self._ends.items():
            worker.progress.skip(partition, end - 1)

    def _start_catching_up(self, key: str, worker: EndpointWorker) -> None:
        self._catching_up[key] = self._spawn(self._catch_up(key, worker))

    async def _catch_up(self, key: str, worker: EndpointWorker) -> None:
        """Read what an endpoint has missed, in turns with others, until it keeps up."""
        while not self._has_joined(key, worker):
            await worker.room()
            try:
                await self._slice(worker, self._running[key].state.from_ms)
            except SourceError as error:
                _log.warning("%s", error)
                await asyncio.sleep(_AGAIN_S)

    def _has_joined(self, key: str, worker: EndpointWorker) -> bool:
        """Let an endpoint that has read as far as the others keep up from now on."""
        if any(worker.progress.next(partition) < end for partition, end in self._ends.items()):
            return False
        self._live.setdefault(worker.endpoint.tenant, {})[key] = worker
        self._catching_up.pop(key, None)
        return True

    async def _slice(self, worker: EndpointWorker, from_ms: int) -> None:
        """Read for an endpoint for a while, when it is its turn."""
        async with self._slots:
            tail, until_ms = Tail(self._policy, self._threads), self._clock_ms() + SLICE_S * 1_000
            try:
                await tail.start({partition: worker.progress.next(partition) for partition in self._ends})
                while self._may_go_on(worker, until_ms):
                    self._offer_all(worker, await tail.read(READ_S), from_ms)
            finally:
                await tail.close()

    def _may_go_on(self, worker: EndpointWorker, until_ms: float) -> bool:
        behind = any(worker.progress.next(partition) < end for partition, end in self._ends.items())
        return behind and worker.has_room and self._clock_ms() < until_ms

    def _offer_all(self, worker: EndpointWorker, lines: Iterable[Line], from_ms: int) -> None:
        """Offer what fits; what is left of it is read again."""
        for line in lines:
            if not worker.has_room:
                return
            self._offer(worker, line, from_ms)

    def _offer(self, worker: EndpointWorker, line: Line, from_ms: int) -> None:
        """Offer a record that was missed. What came before the time of a replay is none of it."""
        if line.value is None:
            worker.progress.skip(line.partition, line.offset - 1)
            return
        is_own = line.tenant == worker.endpoint.tenant and line.timestamp_ms >= from_ms
        worker.offer(line.partition, line.offset, line.outcome() if is_own else None)

    async def _keep_house(self, look_s: float, ready: Callable[[], None]) -> None:
        """Look for endpoints that came, went or changed, and keep positions."""
        while True:
            try:
                await self._look()
                await self._keep_all()
                self.away = ""
                ready()
            except (RedisError, OSError) as error:
                self.away = f"Redis is away ({type(error).__name__}): positions are not kept"
            except SourceError as error:
                self.away = str(error)
            await asyncio.sleep(look_s)

    async def _look(self) -> None:
        declared = await self._declared()
        for key in self._running.keys() - declared.keys():
            await self._stop(key)
        for key, endpoint in declared.items():
            state = await self._store.state(key)
            if not state.from_ms:
                await self._store.begin(key, self._clock_ms())
                state = await self._store.state(key)
            running = self._running.get(key)
            if running and running.worker.is_off and not state.is_off and running.state.turn == state.turn:
                await self._store.switch_off(key, running.worker.health.error, self._clock_ms())
                continue
            if running and (running.endpoint != endpoint or running.state.turn != state.turn):
                await self._keep(key)
                await self._stop(key)
                running = None
                state = await self._store.state(key)
            if running is None and not state.is_off:
                await self._start(key, endpoint, state)

    async def _start(self, key: str, endpoint: Endpoint, state: EndpointState) -> None:
        tail = Tail(self._policy, self._threads)
        try:
            positions = {
                partition: state.positions.get(partition, -1) for partition in self._policy.partitions
            }
            for partition in [partition for partition, at in positions.items() if at < 0]:
                positions[partition] = await tail.at(partition, state.from_ms)
        finally:
            await tail.close()
        worker = EndpointWorker(
            endpoint,
            Progress(positions),
            Health(endpoint.give_up_ms, state.failing_ms),
            post=self._post,
            clock_ms=self._steady_ms,
            on_drop=self._on_drop,
            on_off=self._on_off,
            spawn=self._spawn,
        )
        self._running[key] = _Running(worker, endpoint, state)
        self._start_catching_up(key, worker)

    async def _on_drop(self, worker: EndpointWorker, outcome: Outcome) -> None:
        self.counts["dropped"] += 1
        await self._told_drop(worker.endpoint, worker.health.error, outcome)

    async def _on_off(self, worker: EndpointWorker, outcome: Outcome) -> None:
        """Switch an endpoint off; the next look stops its worker. Without Redis it is tried again by then.

        People are told first: a process that dies in between leaves the endpoint on, and it is told again.
        """
        why = worker.health.error
        try:
            await self._tell(self._told_off(worker.endpoint, why, outcome))
            await self._store.switch_off(worker.endpoint.key, why, self._clock_ms())
        except (RedisError, OSError):
            self.away = "Redis is away: an endpoint is off in this process only"
        finally:  # a look that stopped this worker meanwhile has switched it off
            self.counts["switched_off"] += 1

    async def _tell(self, telling: Awaitable[None]) -> None:
        """Tell people to the end, also if the worker that waits for it is stopped meanwhile."""
        task = asyncio.ensure_future(telling)
        self._telling.add(task)
        task.add_done_callback(self._telling.discard)
        await asyncio.shield(task)

    async def _stop(self, key: str) -> None:
        running = self._running.pop(key)
        self._live.get(running.endpoint.tenant, {}).pop(key, None)
        task = self._catching_up.pop(key, None)
        if task is not None:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
        await running.worker.stop()
        self.counts["taken"] += running.worker.posted
        self.counts["failed"] += running.worker.failed
        self._kept.pop(key, None)

    async def _stop_all(self) -> None:
        for key in list(self._running):
            try:
                if self.keeps_at_end:
                    await asyncio.wait_for(self._keep(key), 2)
            except (RedisError, OSError, TimeoutError):
                _log.warning("positions of an endpoint are not kept: some reports are posted again")
            await self._stop(key)

    async def _keep_all(self) -> None:
        for key in list(self._running):
            await self._keep(key)

    async def _keep(self, key: str) -> None:
        """Keep how far an endpoint is, if that has changed."""
        worker, endpoint, state = self._running[key]
        if key in self._live.get(endpoint.tenant, {}):
            self._pass_over(worker)
        values: dict[str, object] = {f"at:{p}": at for p, at in worker.progress.positions().items()}
        health = worker.health
        values |= {"failing_ms": health.failing_ms, "error": health.error} if not worker.is_off else {}
        values |= {"taken_ms": worker.taken_ms} if worker.taken_ms else {}
        if self._kept.get(key) != values:
            await self._store.keep(key, state.replay, values)
            self._kept[key] = values

"""A wall clock that is set lets no report wait for longer, and switches no endpoint off."""

import asyncio
import time

import pytest

from flows.reports.clock import steady_ms, wall_ms
from tests.delivery.reports.test_worker import ENDPOINT, outcome
from tests.waiting import PATIENCE_S
from tocsin.delivery.reports.endpoint import Endpoint
from tocsin.delivery.reports.health import Health
from tocsin.delivery.reports.progress import Progress
from tocsin.delivery.reports.worker import EndpointWorker
from tocsin.errors import Transient
from tocsin.model.outcome import Outcome

DAY_MS = 86_400_000


def set_by(monkeypatch: pytest.MonkeyPatch, ms: int) -> None:
    """Set the wall clock, as whoever sets the clock of a machine does."""
    at_ns = time.time_ns() + ms * 1_000_000
    monkeypatch.setattr(time, "time_ns", lambda: at_ns)


@pytest.mark.parametrize("step_ms", [-DAY_MS, DAY_MS])
async def test_a_report_that_failed_is_posted_again(step_ms: int, monkeypatch: pytest.MonkeyPatch) -> None:
    failed, posted, off = asyncio.Event(), asyncio.Event(), list[str]()

    async def post(_endpoint: Endpoint, _outcome: Outcome) -> None:
        if not failed.is_set():
            failed.set()
            set_by(monkeypatch, step_ms)
            raise Transient("busy")
        posted.set()

    async def told(_worker: EndpointWorker, one: Outcome) -> None:
        off.append(one.outcome_id)

    health = Health(ENDPOINT.give_up_ms, failing_ms=steady_ms())
    worker = EndpointWorker(
        ENDPOINT, Progress({0: 0}), health, post=post, clock_ms=steady_ms, on_drop=told, on_off=told
    )
    worker.offer(0, worker.progress.next(0), outcome(1))
    async with asyncio.timeout(PATIENCE_S):
        await posted.wait()
    await worker.stop()
    assert off == []


def test_it_begins_at_the_wall_time_and_is_not_set(monkeypatch: pytest.MonkeyPatch) -> None:
    before_ms = steady_ms()
    assert abs(before_ms - wall_ms()) < DAY_MS
    set_by(monkeypatch, -DAY_MS)
    assert before_ms <= steady_ms() < before_ms + DAY_MS // 2

"""One endpoint: order, back-off, dropping and switching off, by a clock that is set by hand."""

import asyncio
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.clock import ManualClock
from tests.waiting import PATIENCE_S
from tocsin.catalog.webhooks import url_problem
from tocsin.delivery.reports.endpoint import Endpoint
from tocsin.delivery.reports.health import MOST_REFUSALS, MOST_WAIT_MS, Health, Trial, Verdict
from tocsin.delivery.reports.progress import Progress
from tocsin.delivery.reports.worker import LINES, MOST_WAITING, EndpointWorker
from tocsin.errors import RecipientGone, Rejected, Throttled, Transient
from tocsin.model.outcome import Outcome

ENDPOINT = Endpoint("shop", "orders", "https://api.shop.example/t", (b"s" * 24,), give_up_ms=3_600_000)


def outcome(number: int, notification: str = "", status: str = "sent") -> Outcome:
    return Outcome(
        outcome_id=f"o{number}",
        status=status,
        tenant="shop",
        notification_id=notification or f"n{number}",
        at_ms=number,
    )


class World:
    """A worker, its server, and what was told; waiting moves the clock."""

    def __init__(self, answer: Callable[["World", Outcome], None], failing_ms: int = 0) -> None:
        self.clock = ManualClock()
        self.posted: list[str] = []
        self.tried: list[str] = []
        self.off: list[str] = []
        self.dropped: list[str] = []
        self.in_flight = self.most = 0
        self.worker = EndpointWorker(
            ENDPOINT,
            Progress({0: 0}),
            Health(ENDPOINT.give_up_ms, failing_ms),
            post=self._post,
            clock_ms=self.clock,
            on_drop=self._drop,
            on_off=self._off,
            sleep=self._sleep,
        )
        self._answer = answer

    async def _post(self, _endpoint: Endpoint, one: Outcome) -> None:
        self.tried.append(one.outcome_id)
        self.in_flight += 1
        self.most = max(self.most, self.in_flight)
        await asyncio.sleep(0)
        self.in_flight -= 1
        self._answer(self, one)
        self.posted.append(one.outcome_id)

    async def _sleep(self, seconds: float) -> None:
        self.clock.advance(s=seconds)
        await asyncio.sleep(0)

    async def _drop(self, _worker: EndpointWorker, one: Outcome) -> None:
        self.dropped.append(one.outcome_id)

    async def _off(self, _worker: EndpointWorker, one: Outcome) -> None:
        self.off.append(one.outcome_id)

    def offer(self, *outcomes: Outcome | None) -> None:
        for one in outcomes:
            self.worker.offer(0, self.worker.progress.next(0), one)


def fine(_world: World, _one: Outcome) -> None:
    """Take everything."""


async def test_all_are_posted_and_the_position_follows() -> None:
    world = World(fine)
    world.offer(*[outcome(number) for number in range(20)], None)
    assert world.worker.progress.position(0) == 0
    await world.worker.idle()
    assert sorted(world.posted) == sorted(f"o{number}" for number in range(20))
    assert world.worker.progress.position(0) == 21
    assert world.most <= LINES
    await world.worker.stop()


async def test_reports_of_one_notification_keep_their_order_through_failures() -> None:
    failed: list[str] = []

    def once(_world: World, one: Outcome) -> None:
        if one.outcome_id not in failed:
            failed.append(one.outcome_id)
            raise Transient("HTTP 503")

    world = World(once)
    world.offer(*[outcome(number, "same") for number in range(6)])
    await world.worker.idle()
    assert world.posted == [f"o{number}" for number in range(6)]
    await world.worker.stop()


async def test_a_failing_endpoint_is_tried_by_one_post_at_a_time_and_later_and_later() -> None:
    def down(world: World, _one: Outcome) -> None:
        if world.clock.now_ms < 1_700_000_000_000 + 60_000:
            raise Transient("HTTP 502")

    world = World(down)
    world.offer(*[outcome(number) for number in range(40)])
    await asyncio.wait_for(world.worker.idle(), PATIENCE_S)
    assert len(world.posted) == 40
    assert len(world.tried) - 40 <= LINES + 7, "1, 2, 4, … 32 s after the first failures"
    await world.worker.stop()


async def test_one_that_takes_nothing_for_the_time_given_is_switched_off_once_and_keeps_its_position() -> (
    None
):
    def down(_world: World, _one: Outcome) -> None:
        raise Transient("HTTP 502")

    world = World(down)
    world.offer(*[outcome(number) for number in range(10)])
    while not world.off:
        await asyncio.sleep(0)
    await asyncio.sleep(0.01)
    assert len(world.off) == 1
    assert world.worker.is_off
    assert world.clock.now_ms - 1_700_000_000_000 >= ENDPOINT.give_up_ms
    assert world.worker.progress.position(0) == 0
    await world.worker.stop()


async def test_one_that_is_gone_is_switched_off_at_once() -> None:
    def gone(_world: World, _one: Outcome) -> None:
        raise RecipientGone("HTTP 410")

    world = World(gone)
    world.offer(outcome(1))
    while not world.off:
        await asyncio.sleep(0)
    assert world.tried == ["o1"]
    await world.worker.stop()


async def test_a_report_that_alone_is_refused_is_dropped_and_holds_nothing_for_long() -> None:
    def picky(_world: World, one: Outcome) -> None:
        if one.outcome_id == "o3":
            raise Rejected("HTTP 400")

    world = World(picky)
    world.offer(*[outcome(number) for number in range(6)])
    while not world.dropped:
        world.offer(outcome(100 + world.worker.progress.next(0), f"x{world.worker.progress.next(0)}"))
        await asyncio.sleep(0)
    assert world.dropped == ["o3"]
    assert world.tried.count("o3") == MOST_REFUSALS
    await world.worker.idle()
    assert world.worker.progress.position(0) == world.worker.progress.next(0)
    assert world.off == []
    await world.worker.stop()


async def test_what_is_asked_to_wait_waits() -> None:
    def busy(world: World, _one: Outcome) -> None:
        if len(world.tried) == 1:
            raise Throttled("HTTP 429", retry_after_s=90)

    world = World(busy)
    world.offer(outcome(1))
    await world.worker.idle()
    assert world.clock.now_ms - 1_700_000_000_000 >= 90_000
    await world.worker.stop()


async def test_memory_is_bounded_by_whoever_asks_for_room() -> None:
    def down(_world: World, _one: Outcome) -> None:
        raise Transient("HTTP 502")

    world = World(down)
    while world.worker.has_room:
        world.offer(outcome(world.worker.progress.next(0)))
    assert world.worker.progress.waiting == MOST_WAITING
    await world.worker.stop()


def test_what_an_endpoint_does_not_want_is_passed_over() -> None:
    endpoint = ENDPOINT._replace(statuses=frozenset({"dead"}), notifications=frozenset({"offer"}))
    wanted = Outcome(outcome_id="o", status="dead", tenant="shop", notification="offer", at_ms=0)
    assert endpoint.wants(wanted)
    for other in (
        Outcome(outcome_id="o", status="sent", tenant="shop", notification="offer", at_ms=0),
        Outcome(outcome_id="o", status="dead", tenant="shop", notification="other", at_ms=0),
        Outcome(outcome_id="o", status="dead", tenant="other", notification="offer", at_ms=0),
    ):
        assert not endpoint.wants(other)


def test_waits_double_up_to_ten_minutes() -> None:
    health, waits = Health(10**12), []
    for _ in range(12):
        before_ms = health.again_ms
        assert health.failed(Trial(), Transient("HTTP 500"), before_ms) is Verdict.RETRY
        assert health.failed(Trial(), Transient("HTTP 500"), before_ms) is Verdict.RETRY, (
            "one in flight with it"
        )
        waits.append(health.again_ms - before_ms)
    assert waits[:4] == [1_000, 2_000, 4_000, 8_000]
    assert waits[-1] == MOST_WAIT_MS


@given(st.lists(st.tuples(st.integers(0, 2), st.sampled_from(["take", "skip", "finish"])), max_size=60))
def test_the_position_is_before_all_that_is_open_and_never_goes_back(
    steps: list[tuple[int, str]],
) -> None:
    progress = Progress({0: 0, 1: 0, 2: 0})
    open_now: dict[int, list[int]] = {0: [], 1: [], 2: []}
    for partition, step in steps:
        before, offset = progress.position(partition), progress.next(partition)
        if step == "take":
            progress.take(partition, offset)
            open_now[partition].append(offset)
        elif step == "skip":
            progress.skip(partition, offset)
        elif open_now[partition]:
            progress.finish(partition, open_now[partition].pop())  # the newest first: out of order
        assert progress.position(partition) >= before
        assert progress.position(partition) == min(open_now[partition], default=progress.next(partition))
    assert progress.waiting == sum(map(len, open_now.values()))


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("https://api.shop.example/tocsin?a=b", ""),
        ("http://api.shop.example/", "write an https:// URL"),
        ("ftp://api.shop.example/", "write an https:// URL"),
        ("https:///path", "write an https:// URL"),
        (
            "https://user:word@api.shop.example/",
            "leave user and password away: the signature proves who sends",
        ),
        ("https://api.shop.example/#x", "write a URL without blanks, accents and `#`"),
        ("https://api.shop.example/ a", "write a URL without blanks, accents and `#`"),
        ("https://[::1", "write a URL such as https://api.shop.example/tocsin"),
        ("https://api.shop.example:99999/", "write a URL such as https://api.shop.example/tocsin"),
    ],
)
def test_a_url_that_cannot_be_is_told_its_cure(url: str, said: str) -> None:
    assert url_problem(url) == said


async def test_whoever_is_cancelled_while_it_stops_a_worker_is_cancelled() -> None:
    """Else a reporter that ends in that moment would go on for ever."""
    world = World(lambda _world, _one: None)
    ending = asyncio.Event()

    async def slow_to_end(_endpoint: Endpoint, _one: Outcome) -> None:
        try:
            await asyncio.Event().wait()
        finally:
            await ending.wait()

    world.worker._post = slow_to_end  # noqa: SLF001 -- a post that ends slowly
    world.offer(outcome(1))
    await asyncio.sleep(0)
    stopping = asyncio.create_task(world.worker.stop())
    await asyncio.sleep(0)
    stopping.cancel()
    ending.set()
    await asyncio.wait({stopping}, timeout=PATIENCE_S)
    assert stopping.cancelled()

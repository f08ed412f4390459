"""Delivery reports over a real broker and Redis: all arrive, whatever stops, and nobody waits for others."""

import asyncio
import contextlib
import shutil
from collections.abc import AsyncIterator, Iterable
from pathlib import Path

import pytest
from confluent_kafka import Producer

from flows.plan import ShardPlan
from flows.reports.clock import wall_ms
from flows.reports.process import opened
from flows.reports.reporter import Reporter
from sources.reader import TopicReader
from sources.topics import TopicAdmin, TopicPlan
from tests.flows.reports.receiver import SECRET, Receiver, receiver
from tests.waiting import PATIENCE_S
from tocsin.app.examples import example_catalog
from tocsin.app.settings import Settings
from tocsin.delivery.redis_client import open_client
from tocsin.delivery.reports.endpoint import Endpoint
from tocsin.delivery.reports.store import PURPOSE, ReportStore, SetEndpoint
from tocsin.formats.codec import encode
from tocsin.formats.sealed import Seal
from tocsin.model import topics
from tocsin.model.outcome import Outcome
from tocsin.providers.standard_webhooks import secret_bytes

APP_SECRET = "a secret of the tests of reports"
PLAN = ShardPlan(0, 1, "reports")


class World:
    """A broker with outcomes, endpoints at one server, and reporters that start and stop."""

    def __init__(self, settings: Settings, store: ReportStore, server: Receiver) -> None:
        self.settings = settings
        self.store = store
        self.server = server
        self._producer = Producer({"bootstrap.servers": settings.kafka, "log_level": 0})

    def write(self, tenant: str, numbers: Iterable[int], status: str = "sent") -> set[str]:
        """Write outcomes; returns their ids."""
        ids = set()
        for number in numbers:
            one = Outcome(
                outcome_id=f"{tenant}-{number}",
                status=status,
                tenant=tenant,
                user=f"u{number % 7}",
                notification_id=f"n{number % 50}",
                notification="offer",
                at_ms=wall_ms(),
            )
            key = f"{tenant}/{one.user}"
            topic = self.settings.topic_prefix + topics.OUTCOMES
            self._producer.produce(topic, key=key, value=encode(one), partition=number % 2)
            ids.add(one.outcome_id)
        assert self._producer.flush(20) == 0
        return ids

    async def endpoint(self, key: str, give_up_ms: int = 0) -> None:
        """Set an endpoint at the server, under its own name."""
        sealed = (Seal(APP_SECRET.encode(), PURPOSE).close(secret_bytes(SECRET)),)
        url = f"{self.server.address}/{key.replace('/', '-')}"
        await self.store.set(key, SetEndpoint(url=url, sealed=sealed, give_up_ms=give_up_ms))

    @contextlib.asynccontextmanager
    async def reporting(self, *, killed: bool = False) -> AsyncIterator[Reporter]:
        """Run a reporter; `killed`: it keeps nothing at its end, as after kill -9."""
        async with opened(self.settings, PLAN) as reporter:
            if killed:
                reporter.keeps_at_end = False
            task = asyncio.create_task(reporter.run(look_s=0.05))
            try:
                yield reporter
            finally:
                task.cancel()
                with contextlib.suppress(asyncio.CancelledError):
                    await task


@pytest.fixture
async def world(kafka: str, topic_prefix: str, redis_db: str, tmp_path: Path) -> AsyncIterator[World]:
    shutil.copytree(example_catalog(), tmp_path / "catalog")
    shutil.copy(tmp_path / "catalog/tenants/default.yaml", tmp_path / "catalog/tenants/other.yaml")
    settings = Settings(
        kafka=kafka,
        topic_prefix=topic_prefix,
        redis=redis_db,
        catalog=tmp_path / "catalog",
        secret=APP_SECRET,
        partitions=2,
        webhooks_private=True,
        http_port=0,
        providers=tmp_path / "none.yaml",
    )
    admin = TopicAdmin(kafka, topic_prefix)
    await asyncio.to_thread(admin.create, TopicPlan(2), [topics.OUTCOMES, topics.AUDIT])
    redis = open_client(redis_db)
    async with receiver() as server:
        yield World(settings, ReportStore(redis, topic_prefix), server)
    await redis.aclose()


async def until(condition: object, timeout_s: float = PATIENCE_S) -> None:
    """Wait until a function says yes."""
    assert callable(condition)
    async with asyncio.timeout(timeout_s):
        while not condition():
            await asyncio.sleep(0.02)


async def test_all_arrive_though_reporters_are_killed_and_one_endpoint_neither_answers_nor_delays(
    world: World,
) -> None:
    """The dead endpoint has a position of its own and takes bounded memory; nothing is lost of either."""
    await world.endpoint("default/good")
    await world.endpoint("other/slow")
    world.server.delay_s["other-slow"] = 3_600
    async with world.reporting() as reporter:
        await until(lambda: not reporter.behind and len(reporter.known) == 2)
    good = world.write("default", range(300))
    slow = world.write("other", range(1_200))
    async with world.reporting(killed=True) as reporter:
        await world.server.until("default-good", set(list(good)[:1]))
    good |= world.write("default", range(300, 600))
    async with world.reporting() as reporter:
        await world.server.until("default-good", good)
        await until(lambda: reporter.behind == ["other/slow"])
        assert reporter.waiting("other/slow") <= 500
        assert world.server.most["other-slow"] <= 8, "of two reporters, one of them killed"
    assert world.server.came("other-slow") == set()
    world.server.delay_s.clear()
    async with world.reporting() as reporter:
        await world.server.until("other-slow", slow)
        later = world.write("other", range(1_200, 1_250))
        await world.server.until("other-slow", later)
        await until(lambda: not reporter.behind)
    assert world.server.came("default-good") == good, "of its own tenant only"
    assert len(world.server.ids["default-good"]) < 2 * len(good)
    assert len(world.server.ids["other-slow"]) == len(slow | later), "nothing twice after an orderly end"


async def test_one_that_is_given_up_is_told_of_and_goes_on_where_it_was_or_from_a_time(world: World) -> None:
    await world.endpoint("default/orders", give_up_ms=500)
    async with world.reporting() as reporter:
        await until(lambda: not reporter.behind and len(reporter.known) == 1)
        first = world.write("default", range(10))
        await world.server.until("default-orders", first)
        await asyncio.sleep(0.05)
        middle_ms = wall_ms()
        world.server.status["default-orders"] = 503
        second = world.write("default", range(10, 20))
        await until(lambda: reporter.counts["switched_off"] == 1)
        state = await world.store.state("default/orders")
        assert (state.is_off, state.why) == (True, "HTTP 503")
        await until(lambda: not reporter.known)
        third = world.write("default", range(20, 30))
        world.server.status.clear()
        await world.store.switch_on("default/orders")
        await world.server.until("default-orders", second | third)
        assert sorted(world.server.ids["default-orders"]) == sorted(first | second | third), "each once"
        await world.store.switch_on("default/orders", from_ms=middle_ms)
        await until(lambda: len(world.server.ids["default-orders"]) >= 50)
        await asyncio.sleep(0.3)
        assert sorted(world.server.ids["default-orders"][30:]) == sorted(second | third), (
            "replayed, not the first"
        )
    with TopicReader(world.settings.kafka, world.settings.topic_prefix) as reader:
        audited = [record.value or b"" for record in reader.read(topics.AUDIT)]
    assert [b"webhook_switched_off" in each for each in audited] == [True]


async def test_people_are_told_to_the_end_although_the_worker_is_stopped_meanwhile(
    world: World,
) -> None:
    await world.endpoint("default/gone")
    world.server.status["default-gone"] = 410
    told: list[str] = []
    async with world.reporting() as reporter:

        async def slowly(endpoint: Endpoint, why: str, _outcome: Outcome) -> None:
            await until(lambda: not reporter.known)
            told.append(f"{endpoint.key}: {why}")

        reporter._told_off = slowly  # noqa: SLF001 -- what tells is slower than the next look
        await until(lambda: not reporter.behind and len(reporter.known) == 1)
        world.write("default", range(3))
        await until(lambda: not reporter.known)
        await until(lambda: told)
    assert told == ["default/gone: HTTP 410"]


async def test_what_is_being_told_at_the_end_is_told(world: World) -> None:
    await world.endpoint("default/gone")
    world.server.status["default-gone"] = 410
    told, began = [], asyncio.Event()

    async def slowly(endpoint: Endpoint, _why: str, _outcome: Outcome) -> None:
        began.set()
        await asyncio.sleep(0.2)
        told.append(endpoint.key)

    async with world.reporting() as reporter:
        reporter._told_off = slowly  # noqa: SLF001 -- what tells takes a while
        await until(lambda: not reporter.behind and len(reporter.known) == 1)
        world.write("default", range(3))
        await began.wait()
    assert told == ["default/gone"]


async def test_a_time_before_all_of_kafka_replays_everything_and_stops_no_other_endpoint(
    world: World,
) -> None:
    await world.endpoint("default/first")
    await world.endpoint("other/next")
    await world.store.begin("other/next", 1)
    await world.store.switch_on("default/first", from_ms=-62_135_596_800_000)
    first, following = world.write("default", range(5)), world.write("other", range(5))
    async with world.reporting():
        await world.server.until("default-first", first)
        await world.server.until("other-next", following)

"""What the handlers of one gateway process share."""

import asyncio
import contextlib
import logging
import time
from collections.abc import Callable, Coroutine
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from dashboards.web.pool import Asker, Pool
from tocsin.app.health import Fact, HealthChecks, Severity
from tocsin.app.settings import Settings
from tocsin.catalog.loader import Catalog, load_apart
from tocsin.catalog.watch import CatalogWatcher
from tocsin.delivery.redis_client import open_client
from tocsin.formats.sealed import Seal
from tocsin.gateway.body_budget import BodyBudget
from tocsin.gateway.key_copy import KeyCopy
from tocsin.gateway.key_store import KeyStore
from tocsin.gateway.keys import PURPOSE, KeyRing
from tocsin.gateway.meters import GatewayMeters
from tocsin.gateway.writer import Writer, WriterPolicy

_log = logging.getLogger("tocsin.gateway")
_REDIS_S = 1.0
_CATALOG_S = 1.0


def wall_ms() -> int:
    """Read the wall clock, ms since 1970."""
    return time.time_ns() // 1_000_000


class Gateway:
    """Holds the connections of one process; an async context manager.

    Attributes:
        settings: the settings.
        clock_ms: the wall clock; a call reads it once (`call.now_ms`).
        keys: the API keys of all tenants.
        key_copy: keeps them as Redis has them; knows whether Redis is away.
        writer: writes to Kafka.
        redis: a client that never repeats a command by itself, and gives up after a second.
        clickhouse: answers questions on threads, at most ten seconds each.
        secret: TOCSIN_SECRET.
        meters: counts requests.
        bodies: bounds the memory that bodies of requests take.
        checks: health of the process.
        stopping: set when the server begins to stop; answers that last (WebSockets, SSE) end then.

    Raises:
        SettingsError: TOCSIN_SECRET is missing or too short.
        CatalogError: the catalog cannot be read.
    """

    def __init__(
        self,
        settings: Settings,
        *,
        clock_ms: Callable[[], int] = wall_ms,
        loads: Callable[[Path], Catalog] = load_apart,
        redis_s: float = _REDIS_S,
    ) -> None:
        """Read the catalog; connect when entered.

        Args:
            settings: the settings.
            clock_ms: the wall clock.
            loads: reads the first catalog from its folder.
            redis_s: how long it waits for Redis.
        """
        self.settings = settings
        self.clock_ms = clock_ms
        self.secret = settings.secret_bytes()
        self.redis = open_client(settings.redis, timeout_s=redis_s)
        self._pool = Pool(settings.clickhouse)
        self.clickhouse = Asker(self._pool)
        self.keys = KeyRing(Seal(self.secret, PURPOSE))
        store = KeyStore(self.redis, settings.topic_prefix)
        file = settings.state_dir / "gateway" / "keys"
        self.key_copy = KeyCopy(self.keys, store, file, self.secret, clock_ms)
        self.stopping = asyncio.Event()
        self.meters = GatewayMeters()
        self.bodies = BodyBudget(settings.gateway_body_bytes)
        self.checks = HealthChecks()
        self._problem = ""
        self._register_checks()
        options = settings.kafka_options
        self.writer = Writer(WriterPolicy(settings.kafka, settings.topic_prefix, options))
        self._catalog = loads(settings.catalog)
        self._watcher = CatalogWatcher(settings.catalog, self._catalog.version, self._accept)
        self._tasks: set[asyncio.Task[None]] = set()

    def _register_checks(self) -> None:
        def kafka() -> list[Fact]:
            away = "Kafka does not acknowledge records: requests get 503; look at the brokers"
            return [Fact(away)] if self.writer.is_away else []

        def keys() -> list[Fact]:
            away = (
                "Redis is away: API keys are checked by a local copy, rates and replays by each process alone"
            )
            return [Fact(away, Severity.WARNING)] if self.key_copy.is_away else []

        def catalog() -> list[Fact]:
            stays = f"the catalog stays as it was: {self._problem}"
            return [Fact(stays, Severity.WARNING)] if self._problem else []

        for name, check in (("kafka", kafka), ("keys", keys), ("catalog", catalog)):
            self.checks.register(name, check)

    def link(self, path: str) -> str:
        """Make the public address of a path; only the path if TOCSIN_GATEWAY_URL is not set."""
        return self.settings.gateway_url + path

    def catalog(self) -> Catalog:
        """Return the catalog in force. A changed folder is read within seconds; mistakes keep the old one."""
        return self._catalog

    def _accept(self, catalog: Catalog) -> None:
        self._catalog = catalog

    async def __aenter__(self) -> Self:
        self.writer.start()
        await self.key_copy.start()
        self.run(self.key_copy.run())
        self.run(self._watch_catalog())
        return self

    def run(self, work: Coroutine[Any, Any, None]) -> None:
        """Run something beside the requests, until the gateway ends."""
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _watch_catalog(self) -> None:
        while True:
            await asyncio.sleep(_CATALOG_S)
            found = await asyncio.to_thread(self._watcher.poll, self.clock_ms())
            if found.problem:
                _log.warning("the catalog stays as it was: %s", found.problem)
            if found.problem or found.catalog or found.as_before:
                self._problem = found.problem

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for task in list(self._tasks):
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task
        await self.writer.close()
        await self.redis.aclose()
        self._pool.close()

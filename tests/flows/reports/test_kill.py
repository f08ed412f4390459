"""The process of the flow `reports`, killed again and again; its endpoint is declared in a file."""

import asyncio
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.flows.reports.receiver import SECRET
from tests.flows.reports.test_reporter import APP_SECRET, World, world  # noqa: F401  # a fixture

pytestmark = [pytest.mark.e2e, pytest.mark.laws]


def started(world: World, folder: Path) -> subprocess.Popen[bytes]:  # noqa: F811
    """Start one shard."""
    settings = world.settings
    given = {
        "TOCSIN_KAFKA": settings.kafka,
        "TOCSIN_TOPIC_PREFIX": settings.topic_prefix,
        "TOCSIN_REDIS": settings.redis,
        "TOCSIN_CATALOG": str(settings.catalog),
        "TOCSIN_SECRET": APP_SECRET,
        "TOCSIN_PARTITIONS": "2",
        "TOCSIN_WEBHOOKS_PRIVATE": "true",
        "TOCSIN_PROVIDERS": str(folder / "none.yaml"),
        "TOCSIN_STATE_DIR": str(folder / "state"),
        "ORDERS_SECRET": SECRET,
    }
    command = [sys.executable, "-m", "tocsin.cli.main", "run", "--flow", "reports", "--shard", "0/1"]
    return subprocess.Popen(command, env={**os.environ, **given})


async def test_each_outcome_arrives_though_the_process_is_killed(world: World, tmp_path: Path) -> None:  # noqa: F811
    tenant = world.settings.catalog / "tenants/default.yaml"
    endpoint = f"webhooks:\n  orders: {{url: {world.server.address}/orders, secret: env:ORDERS_SECRET}}\n"
    tenant.write_text(f"{tenant.read_text()}\n{endpoint}")
    process = started(world, tmp_path)
    try:
        async with asyncio.timeout(60):
            while not (await world.store.state("default/orders")).from_ms:
                await asyncio.sleep(0.1)
        ids: set[str] = set()
        world.server.delay_s["orders"] = 0.01
        for round_number in range(3):
            ids |= world.write("default", range(round_number * 200, round_number * 200 + 200))
            before = len(world.server.came("orders"))
            async with asyncio.timeout(60):
                while len(world.server.came("orders")) < before + 20:
                    await asyncio.sleep(0.02)
            process.kill()
            process.wait(10)
            process = started(world, tmp_path)
        world.server.delay_s.clear()
        await world.server.until("orders", ids, 60)
        assert world.server.came("orders") == ids
        process.terminate()
        assert process.wait(60) == 0
    finally:
        process.kill()
        process.wait(10)

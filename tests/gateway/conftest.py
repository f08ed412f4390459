"""A gateway for tests: the whole application over the embedded broker and Redis, called through ASGI."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.gateway.running import Running, running, settings_for


@pytest.fixture
def gateway_topics() -> tuple[str, ...]:
    """Topics that the gateway of a test may write; override it to have more."""
    return ("events", "bulk", "profiles", "receipts", "subscriptions", "audit")


@pytest.fixture
async def gateway(
    kafka: str, topic_prefix: str, redis_db: str, tmp_path: Path, gateway_topics: tuple[str, ...]
) -> AsyncIterator[Running]:
    """Run a gateway over Kafka and Redis; ClickHouse is away."""
    settings = settings_for(kafka, topic_prefix, redis_db, "", tmp_path)
    async with running(settings, gateway_topics) as found:
        yield found


@pytest.fixture
async def gateway_with_clickhouse(
    kafka: str,
    topic_prefix: str,
    redis_db: str,
    clickhouse_db: str,
    tmp_path: Path,
    gateway_topics: tuple[str, ...],
) -> AsyncIterator[Running]:
    """Run a gateway over Kafka, Redis and a ClickHouse with the schema."""
    from dashboards import migrate

    migrate.migrate(clickhouse_db)
    settings = settings_for(kafka, topic_prefix, redis_db, clickhouse_db, tmp_path)
    async with running(settings, gateway_topics) as found:
        yield found

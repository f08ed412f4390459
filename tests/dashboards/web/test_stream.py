"""The pages of a stream that is played faster than time: outcomes are of long ago, dead letters of now."""

from typing import Any

import httpx2
import msgspec
import pytest

from dashboards import migrate, store
from dashboards.web.app import Dashboard
from sinks.clickhouse_store import ClickHouseLines
from tests.dashboards.web.crowd import NOW_MS
from tocsin.model.outcome import Outcome

pytestmark = pytest.mark.integration
STREAM_MS = 1_360_195_200_000


async def ask(clickhouse: str, path: str, *, stream: bool) -> list[dict[str, Any]]:
    app = Dashboard(clickhouse, stream_clock=stream, clock_ms=lambda: NOW_MS).application()
    transport = httpx2.ASGITransport(app)
    async with httpx2.AsyncClient(transport=transport, base_url="http://127.0.0.1:8800") as client:
        answer = (await client.get(path)).json()
    rows: list[dict[str, Any]] = answer["rows"]
    return rows


async def test_dead_letters_of_a_played_stream_are_in_its_ranges(clickhouse_db: str) -> None:
    migrate.migrate(clickhouse_db)
    rows = ClickHouseLines(lambda: store.connect(clickhouse_db))
    dead = Outcome(outcome_id="o", status="dead", tenant="default", at_ms=STREAM_MS, reason="no_subject")
    rows.insert(msgspec.json.encode(dead))
    letter = {"letter_id": "events/0/1", "tenant": "default", "stage": "decode", "reason": "no_subject"}
    rows.insert(
        msgspec.json.encode(letter | {"last_ms": NOW_MS - 5_000, "at_ms": NOW_MS - 5_000}), "dead_letters"
    )
    for query in ("dead_letters_by_stage", "dead_letter_rows"):
        for span in ("all", "24h"):
            assert await ask(clickhouse_db, f"/api/query/{query}?range={span}", stream=True), (query, span)
        assert await ask(clickhouse_db, f"/api/query/{query}?range=all", stream=False), (
            "later than its outcome"
        )
        of_day = "from=2013-02-07T00:00:00Z&to=2013-02-08T00:00:00Z"
        assert not await ask(clickhouse_db, f"/api/query/{query}?{of_day}", stream=True)

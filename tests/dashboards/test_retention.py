"""Retention on a real engine: what is too old goes, by tenant and status, and figures stay."""

import time
from collections import Counter
from typing import Any

import msgspec
import pytest
from clickhouse_connect.driver.client import Client

from dashboards import migrate, retention, rollups, store
from sinks.clickhouse_store import ClickHouseLines
from tests.waiting import until
from tocsin.errors import SettingsError
from tocsin.model.outcome import Outcome
from tocsin.model.statuses import Status

pytestmark = pytest.mark.integration

DAY_MS = 86_400_000


def insert(client: Client, tenant: str, status: str, age_days: int) -> None:
    at_ms = time.time_ns() // 1_000_000 - age_days * DAY_MS
    name = f"{tenant}-{status}-{age_days}"
    row = Outcome(outcome_id=name, status=status, tenant=tenant, at_ms=at_ms, message_id=name, channel="sms")
    ClickHouseLines(lambda: client).insert(msgspec.json.encode(row))


def stored(client: Client) -> list[str]:
    return [row[0] for row in client.query("SELECT outcome_id FROM outcomes ORDER BY outcome_id").result_rows]


def figures(client: Client) -> Counter[Any]:
    rollups.refresh(client)
    asked = "SELECT tenant, status, sum(outcomes) FROM outcomes_day FINAL GROUP BY tenant, status"
    return Counter({row[:2]: row[2] for row in map(tuple, client.query(asked).result_rows)})


def test_rows_go_by_tenant_and_status_and_figures_stay(clickhouse_db: str) -> None:
    migrate.migrate(clickhouse_db)
    with store.connect(clickhouse_db) as client:
        for tenant in ("acme", "zoo"):
            for age_days in (0, 20, 90):
                for status in ("sent", "opened"):
                    insert(client, tenant, status, age_days)
        before = figures(client)
        retention.keep(client, "acme", "opened", 10)
        retention.keep(client, "*", "sent", 30)
        left = [
            "acme-opened-0", "acme-sent-0", "acme-sent-20",
            "zoo-opened-0", "zoo-opened-20", "zoo-opened-90", "zoo-sent-0", "zoo-sent-20",
        ]  # fmt: skip
        until(lambda: stored(client) == left, "the deletion")
        insert(client, "acme", "opened", 89)
        assert figures(client) == before
        retention.keep(client, "acme", "*", 0)
        retention.keep(client, "*", "*", 0)
        assert retention.kept(client) == []
        assert "TTL" not in str(client.command("SHOW CREATE TABLE outcomes"))


def test_a_tenant_that_sets_an_end_for_each_status_keeps_no_state_longer() -> None:
    assert retention._whole([retention.Kept("a", one, 5) for one in Status]) == [  # noqa: SLF001
        retention.Kept("a", "*", 5)
    ]
    assert retention._whole([retention.Kept("a", "sent", 5)]) == []  # noqa: SLF001


@pytest.mark.parametrize(("status", "days"), [("nosuch", 1), ("sent", -1), ("sent", 99_999)])
def test_what_cannot_be_kept_is_refused_with_its_flag(client: Client, status: str, days: int) -> None:
    with pytest.raises(SettingsError, match=r"--status nosuch: not a status|--days"):
        retention.keep(client, "a", status, days)

"""Rollups and states: in any order, late and doubled, rows give the figures of an exact computation."""

import random
from collections import defaultdict
from typing import Any

import msgspec
import pytest
from clickhouse_connect.driver.client import Client

from dashboards import rollups
from sinks.clickhouse_store import ClickHouseLines
from tocsin.model.outcome import Outcome

pytestmark = pytest.mark.integration

START_MS = 1_760_000_000_000
SPAN_MS = 3 * 86_400_000
STEP_MS = {"minute": 60_000, "hour": 3_600_000, "day": 86_400_000}
Figures = dict[tuple[Any, ...], tuple[int, int, float]]


def outcomes(draw: random.Random, count: int) -> list[Outcome]:
    """Make outcomes of three days with few values, so that many share a minute."""
    made = []
    for number in range(count):
        status = draw.choice(["admitted", "sent", "delivered", "opened", "dead", "suppressed"])
        made.append(
            Outcome(
                outcome_id=f"o{number}",
                status=status,
                tenant="",
                user=f"u{draw.randrange(20)}",
                notification_id=f"n{number // 4}",
                message_id="" if status == "suppressed" else f"m{number // 4}",
                notification=draw.choice(["welcome", "delay"]),
                channel=draw.choice(["sms", "email"]),
                reason="limit" if status == "suppressed" else "",
                provider="twilio" if status == "sent" else "",
                at_ms=START_MS + draw.choice([draw.randrange(SPAN_MS), draw.randrange(20) * 60_000]),
                latency_ms=draw.randrange(5_000) if status == "sent" else -1,
            )
        )
    return made


def exact(rows: list[Outcome], step: str) -> Figures:
    groups: dict[tuple[Any, ...], list[Outcome]] = defaultdict(list)
    for row in rows:
        start = row.at_ms - row.at_ms % STEP_MS[step]
        groups[start // 1000, row.notification, row.channel, row.status, row.reason].append(row)
    return {key: _figures(group) for key, group in groups.items()}


def _figures(group: list[Outcome]) -> tuple[int, int, float]:
    latencies = sorted(row.latency_ms for row in group if row.latency_ms >= 0)
    median = latencies[len(latencies) // 2] if latencies else 0
    return len(group), len({row.user for row in group}), median


def shown(client: Client, tenant: str, step: str) -> Figures:
    asked = f"""SELECT toUnixTimestamp({step}), notification, channel, status, reason,
        sum(outcomes), uniqCombined64Merge(users), quantilesExactMerge(0.5, 0.9, 0.95, 0.99)(latencies)[1]
    FROM outcomes_{step} FINAL WHERE tenant = {{tenant:String}} GROUP BY ALL"""
    return {
        tuple(row[:5]): tuple(row[5:])
        for row in client.query(asked, parameters={"tenant": tenant}).result_rows
    }


def states(rows: list[Outcome]) -> dict[str, str]:
    stages = {"delivered": 3, "opened": 4, "sent": 2, "dead": 2, "suppressed": 2}
    last: dict[str, tuple[int, int, int, str]] = {}
    for row in rows:
        subject = row.message_id or f"{row.notification_id}/{row.channel}"
        entry = (stages.get(row.status, 1), row.at_ms, row.attempt, row.status)
        last[subject] = max(last.get(subject, entry), entry)
    return {subject: entry[3] for subject, entry in last.items()}


@pytest.mark.parametrize("seed", range(2))
def test_order_delay_and_copies_change_no_figure(client: Client, seed: int) -> None:
    """Three tenants get the same rows: in order; shuffled in three portions; doubled over the portions."""
    draw = random.Random(seed)
    rows = outcomes(draw, 200)
    store = ClickHouseLines(lambda: client)
    shuffled = draw.sample(rows, len(rows))
    portions = [shuffled[:50], shuffled[50:120], shuffled[120:]]
    again = [draw.sample(rows, 60) + portion for portion in portions]
    plan = {"plain": [rows, [], []], "late": portions, "doubled": again}
    for turn in range(3):
        for name, parts in plan.items():
            lines = [msgspec.structs.replace(row, tenant=f"{name}{seed}") for row in parts[turn]]
            store.insert(b"\n".join(map(msgspec.json.encode, lines)))
        rollups.refresh(client)
    for name in plan:
        tenant = f"{name}{seed}"
        for step in rollups.STEPS:
            assert shown(client, tenant, step) == exact(rows, step), (name, step)
        asked = "SELECT subject, status FROM latest FINAL WHERE tenant = {tenant:String}"
        found = client.query(asked, parameters={"tenant": tenant}).result_rows
        assert dict(map(tuple, found)) == states(rows), name

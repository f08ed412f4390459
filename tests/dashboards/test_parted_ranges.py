"""Ranges read in parts, days, hours and the rows at their ends, give the figures of an exact computation."""

import random
from collections import defaultdict
from itertools import pairwise
from typing import Any

import msgspec
import pytest
from clickhouse_connect.driver.client import Client

from dashboards import queries, rollups
from sinks.clickhouse_lines import Erased
from sinks.clickhouse_store import ClickHouseLines
from tests.waiting import until
from tocsin.model.outcome import Outcome

pytestmark = pytest.mark.integration

DAY_MS, HOUR_MS = 86_400_000, 3_600_000
START_MS = 1_356_998_400_000
"""Midnight."""
SPAN_MS = 3 * DAY_MS
RANGES = {
    "all": queries.FOREVER,
    "whole days": {"from_ms": START_MS + DAY_MS, "to_ms": START_MS + 2 * DAY_MS},
    "whole hours": {"from_ms": START_MS + 20 * HOUR_MS, "to_ms": START_MS + 51 * HOUR_MS},
}
UNEVEN = {
    "days and parts of hours": {"from_ms": START_MS + 20_000_007, "to_ms": START_MS + 2 * DAY_MS + 9_000_001},
    "less than an hour": {"from_ms": START_MS + 1_000_000, "to_ms": START_MS + 2_000_000},
    "parts of two hours": {"from_ms": START_MS + HOUR_MS - 900_000, "to_ms": START_MS + HOUR_MS + 900_000},
}
CHOSEN: tuple[dict[str, str], ...] = ({}, {"notification": "welcome"}, {"channel": "sms"})


def outcomes(draw: random.Random, tenant: str) -> list[Outcome]:
    """Make outcomes of three days: limits of two counters, arms of experiments, and others."""
    found = []
    for number in range(240):
        kind = draw.choice(["limit", "limit_hold", "arm", "holdout", "other"])
        counter, most = draw.choice(["day", "marketing per day"]), draw.choice([3, 5])
        limited = kind.startswith("limit")
        status = {"limit": "suppressed", "limit_hold": "held", "holdout": "suppressed"}.get(
            kind, draw.choice(["admitted", "sent"])
        )
        near_ms = draw.choice([0, HOUR_MS - 300_000, HOUR_MS])  # many in the hours that ranges cut
        found.append(
            Outcome(
                outcome_id=f"{tenant}{number}",
                status=status,
                tenant=tenant,
                user=f"u{draw.randrange(12)}",
                notification_id=f"n{number // 3}",
                notification=draw.choice(["welcome", "delay"]),
                channel=draw.choice(["sms", "email"]),
                reason=kind if limited or kind == "holdout" else "",
                detail={"counter": counter, "limit": most, "window_s": 60} if limited else {},
                variant=draw.choice(["a", "b"]) if kind in {"arm", "holdout"} else "",
                at_ms=START_MS + draw.choice([draw.randrange(SPAN_MS), near_ms + draw.randrange(400_000)]),
            )
        )
    return found


def asked(rows: list[Outcome], span: Any, chosen: dict[str, str]) -> list[Outcome]:
    return [
        row
        for row in rows
        if span["from_ms"] <= row.at_ms < span["to_ms"]
        and all(getattr(row, name) == value for name, value in chosen.items())
    ]


def limits(rows: list[Outcome]) -> dict[tuple[Any, ...], tuple[int, int]]:
    groups: dict[tuple[Any, ...], list[str]] = defaultdict(list)
    for row in rows:
        if row.reason in {"limit", "limit_hold"}:
            key = (row.detail["counter"], row.detail["limit"], row.reason, row.status, row.notification)
            groups[key].append(row.user)
    return {key: (len(users), len({*users} - {""})) for key, users in groups.items()}


def arms(rows: list[Outcome]) -> dict[tuple[Any, ...], tuple[int, ...]]:
    groups: dict[tuple[Any, ...], list[Outcome]] = defaultdict(list)
    for row in rows:
        if row.variant:
            groups[row.notification, row.variant].append(row)
    return {
        key: (
            sum(row.status == "admitted" for row in group),
            sum(row.status == "sent" for row in group),
            sum(row.reason == "holdout" for row in group),
            len({row.user for row in group}),
        )
        for key, group in groups.items()
    }


def suppressed(rows: list[Outcome]) -> dict[tuple[Any, ...], tuple[int, int]]:
    groups: dict[tuple[Any, ...], list[str]] = defaultdict(list)
    for row in rows:
        if row.status == "suppressed":
            groups[row.reason, row.notification, row.channel].append(row.user)
    return {key: (len(users), len({*users})) for key, users in groups.items()}


def shown(client: Client, name: str, keys: int, bound: Any) -> dict[tuple[Any, ...], tuple[Any, ...]]:
    rows = [tuple(row.values()) for row in queries.run(client, name, bound)]
    return {row[:keys]: row[keys:] for row in rows}


def store(client: Client, rows: list[Outcome]) -> None:
    ClickHouseLines(lambda: client).insert(b"\n".join(map(msgspec.json.encode, rows)))


def test_limits_arms_and_reasons_are_those_of_an_exact_computation(client: Client) -> None:
    """Rows come shuffled in two portions, many of them twice, with a refresh of the rollups between."""
    draw, tenant = random.Random(5), "whole"  # a test's choice
    rows = outcomes(draw, tenant)
    draw.shuffle(rows)
    for first, last in pairwise((0, 130, 240)):
        store(client, draw.sample(rows[:last], 40) + rows[first:last])
        rollups.refresh(client)
    for name, span in (RANGES | UNEVEN).items():
        for chosen in CHOSEN:
            bound = {"tenant": tenant, **span, **chosen}
            expected = limits(asked(rows, span, chosen))
            assert expected or name in UNEVEN, "the range has some"
            assert shown(client, "limits", 5, bound) == expected, (name, chosen)
            if name in RANGES:
                inside = asked(rows, span, chosen)
                assert shown(client, "arms", 2, bound) == arms(inside), (name, chosen)
                assert shown(client, "suppressed", 3, bound) == suppressed(inside), (name, chosen)


def test_limits_keep_their_figures_when_a_user_is_erased_and_the_hour_is_computed_anew(
    client: Client,
) -> None:
    rows = outcomes(random.Random(7), "erased")  # a test's choice
    store(client, rows)
    rollups.refresh(client)
    ClickHouseLines(lambda: client).erase([Erased("erased", "u3", START_MS + SPAN_MS)])
    question = "SELECT count() FROM outcomes WHERE tenant = 'erased' AND user = 'u3'"
    until(lambda: not client.command(question), "the erasure")
    late = [
        msgspec.structs.replace(row, outcome_id=f"late{row.outcome_id}") for row in rows if row.user != "u3"
    ]
    store(client, late)
    rollups.refresh(client)
    left = [msgspec.structs.replace(row, user="") if row.user == "u3" else row for row in rows]
    for span in (RANGES["all"], *UNEVEN.values()):
        expected = limits(asked(left + late, span, {}))
        assert shown(client, "limits", 5, {"tenant": "erased", **span}) == expected

"""The figures of the boards for one known week, and the rows that each figure leads to."""

import time
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import msgspec
import pytest
from clickhouse_connect.driver.client import Client

from dashboards import migrate, queries, store
from dashboards.query_file import Query
from dashboards.rollups import refresh
from sinks.clickhouse_store import ClickHouseLines
from tests.docs.analytics_rows import Week
from tocsin.model.outcome import Outcome

pytestmark = pytest.mark.integration
NOON = Week(datetime(2026, 11, 11, 12, tzinfo=UTC))
RANGE = {"from_ms": NOON.start_ms - 3_600_000, "to_ms": NOON.start_ms + 3_600_000}


def holds() -> Iterator[Outcome]:
    """Give holds that are over: by a message, by channel, by a profile; and some that are not."""
    common: dict[str, Any] = {
        "tenant": "default",
        "user": "late",
        "at_ms": NOON.start_ms,
        "notification": "late",
    }
    for name in ("became", "parted"):
        held = common | {"notification_id": name, "origin": f"events/1/{name}"}
        yield Outcome(outcome_id=f"{name}-held", status="held", reason="scheduled", **held)
        after = held | {"channel": "sms"}
        yield Outcome(outcome_id=f"{name}-after", status="held", reason="send_window", **after)
        if name == "became":
            yield Outcome(outcome_id=f"{name}-out", status="admitted", message_id=name, **after)
            yield Outcome(outcome_id=f"{name}-sent", status="sent", message_id=name, **after)
    event = common | {"origin": "events/1/2", "notification": ""}
    yield Outcome(outcome_id="event-held", status="held", reason="awaiting_profile", **event)
    named = event | {"notification_id": "known", "notification": "late"}
    yield Outcome(
        outcome_id="event-after", status="suppressed", reason="snoozed", rule="preferences", **named
    )
    unknown = event | {"origin": "events/1/3"}
    yield Outcome(outcome_id="unknown-held", status="held", reason="awaiting_profile", **unknown)
    again = common | {"message_id": "again", "notification_id": "again", "channel": "push"}
    yield Outcome(outcome_id="again-out", status="admitted", **again)
    failed = again | {"at_ms": NOON.start_ms + 5, "code": "503", "attempt": 1}
    yield Outcome(outcome_id="again-retry", status="retrying", reason="transient", **failed)


@pytest.fixture(scope="module")
def week(clickhouse_module_db: str) -> Iterator[Client]:
    """Client of a database with the week, each row stored twice."""
    migrate.migrate(clickhouse_module_db)
    lines = b"\n".join(map(msgspec.json.encode, [*NOON.rows(), *holds()]))
    for _ in range(2):
        ClickHouseLines(lambda: store.connect(clickhouse_module_db)).insert(lines)
    with store.connect(clickhouse_module_db) as client:
        refresh(client)
        yield client


def ask(client: Client, name: str, **chosen: Any) -> list[dict[str, Any]]:
    return queries.run(client, name, {**RANGE, **chosen})


def pairs(rows: list[dict[str, Any]], *columns: str) -> set[tuple[Any, ...]]:
    return {tuple(row[name] for name in columns) for row in rows}


def test_the_stats_count_each_outcome_once(week: Client) -> None:
    found = {name: ask(week, name)[0]["outcomes"] for name in ("sent", "suppressed_total", "dead")}
    assert found == {"sent": 298, "suppressed_total": 66, "dead": 3}


def test_what_waits_is_what_nothing_has_decided_yet(week: Client) -> None:
    """A hold is over when its notification has messages or is held channel by channel."""
    assert pairs(ask(week, "waiting"), "status", "reason", "channel", "waiting") == {
        ("held", "quiet_hours", "*", 3),
        ("held", "send_window", "sms", 1),
        ("held", "awaiting_profile", "*", 1),
        ("retrying", "transient", "push", 1),
    }
    assert pairs(ask(week, "retries_open"), "channel", "status", "reason", "code", "messages") == {
        ("push", "retrying", "transient", "503", 1)
    }


def test_stages_and_reasons(week: Client) -> None:
    """Of ten messages without a `delivered`, five were opened or clicked: those arrived."""
    stages = {row["stage"]: row["messages"] for row in ask(week, "stages", notification="weekly_offer")}
    assert (stages["admitted"], stages["sent"], stages["delivered"], stages["dead"]) == (200, 200, 195, 0)
    assert pairs(ask(week, "reasons"), "reason", "status", "outcomes") >= {
        ("limit", "suppressed", 40),
        ("category_off", "suppressed", 25),
        ("rejected", "dead", 3),
    }
    assert pairs(ask(week, "rules"), "rule", "status", "outcomes") == {
        ("limits", "suppressed", 40),
        ("preferences", "suppressed", 26),
        ("quiet_hours", "held", 3),
    }


def test_latency_stands_beside_what_is_promised(week: Client) -> None:
    rows = {row["channel"]: row for row in ask(week, "latency")}
    assert (rows["email"]["p99_ms"], rows["email"]["promised_ms"], rows["email"]["promise"]) == (
        1098,
        300_000,
        "kept",
    )
    assert rows["sms"]["p50_ms"] == 2480


def test_providers_and_their_failures(week: Client) -> None:
    rows = {row["provider"]: row for row in ask(week, "providers")}
    assert (rows["twilio"]["taken"], rows["twilio"]["retried"], rows["twilio"]["refused"]) == (97, 5, 3)
    assert rows["twilio"]["success_ratio"] == pytest.approx(97 / 105)
    assert pairs(ask(week, "failures", channel="sms"), "provider", "code", "retried", "dead") == {
        ("twilio", "503", 5, 0),
        ("twilio", "21211", 0, 3),
    }


def test_limits_arms_and_versions(week: Client) -> None:
    assert pairs(ask(week, "limits"), "counter", "limit", "notifications") == {("marketing per day", 5, 40)}
    assert pairs(ask(week, "arms"), "variant", "admitted", "sent") == {
        ("plain", 100, 100),
        ("cheerful", 100, 100),
    }
    assert {row["catalog_version"] for row in ask(week, "catalog_versions")} == {
        "3fe2a1-tz2026.6",
        "9c0d77-tz2026.6",
    }


def test_the_audit_finds_no_final_outcome_twice(week: Client) -> None:
    rows = ask(week, "balance")
    assert sum(row["outcomes"] for row in rows) == 298 + 66 + 3
    assert [row for row in rows if row["doubled"]] == []


def test_rows_are_narrowed_and_the_newest_come_first(week: Client) -> None:
    rows = ask(week, "rows", status="sent", channel="email", rows=10)
    assert [row["user"] for row in rows] == [f"user-{number}" for number in range(199, 189, -1)]
    assert ask(week, "rows", user="nobody") == []


LEADING = [query for query in queries.queries() if query.drill]


@pytest.mark.parametrize("query", LEADING, ids=[query.name for query in LEADING])
def test_each_row_leads_to_what_it_counts(week: Client, query: Query) -> None:
    assert query.drill is not None
    for row in ask(week, query.name)[:5]:
        led = ask(week, query.drill.name, **query.drill.filters(row))
        counted = [value for name, value in row.items() if name in {"outcomes", "waiting", "messages"}]
        assert led or not any(counted), (row, query.drill.filters(row))


@pytest.mark.parametrize("name", ["waiting", "retries_open"])
def test_what_waits_leads_to_exactly_what_waits(week: Client, name: str) -> None:
    """Other rows are held for the same reason, and some of these were held before on another channel."""
    query = queries.find(name)
    assert query.drill is not None
    for row in ask(week, name):
        led = ask(week, query.drill.name, **query.drill.filters(row))
        assert len(led) == row.get("waiting", row.get("messages")), row
        assert pairs(led, "status", "reason", "channel") == pairs([row], "status", "reason", "channel")
    assert len(ask(week, "waiting_rows")) == 6
    assert pairs(ask(week, "waiting_rows", channel="sms"), "notification_id", "status") == {
        ("parted", "held")
    }


def test_a_figure_of_what_has_no_value_leads_to_the_rows_without_one(week: Client) -> None:
    query = queries.find("balance")
    (sent,) = [row for row in ask(week, "balance") if row["status"] == "sent"]
    assert (sent["reason"], query.drill and query.drill.filters(sent)["reason"]) == ("", "(none)")
    assert len(ask(week, "rows", rows=1000, status="sent", reason="(none)")) == sent["outcomes"]
    without = ask(week, "rows", rows=1000, provider="(none)")
    assert {row["provider"] for row in without} == {""}
    assert len(without) + len(ask(week, "rows", rows=1000, provider="twilio")) < len(
        ask(week, "rows", rows=1000)
    )


def test_the_lag_of_a_replayed_stream_is_told_from_its_arrival(week: Client) -> None:
    """Its outcomes have the times of long ago; their records came now."""
    at_ms, now_ms = 1_360_195_200_000, int(time.time() * 1000)
    one = Outcome(outcome_id="old", status="sent", tenant="flights", at_ms=at_ms, received_ms=now_ms)
    ClickHouseLines(lambda: week).insert(msgspec.json.encode(one))
    rows = queries.run(week, "tracking_lag", {"tenant": "flights", "from_ms": at_ms, "to_ms": at_ms + 1})
    assert len(rows) == 2
    assert all(0 <= row["ms"] < 60_000 for row in rows)


def test_outcomes_that_do_not_tell_their_arrival_have_no_lag(week: Client) -> None:
    """Those of receipts are of the stream's time, of which nobody knows how long ago it was played."""
    at_ms = 1_360_281_600_000
    one = Outcome(outcome_id="read", status="read", tenant="flights", at_ms=at_ms)
    ClickHouseLines(lambda: week).insert(msgspec.json.encode(one))
    asked = {"tenant": "flights", "from_ms": at_ms, "to_ms": at_ms + 1}
    assert queries.run(week, "tracking_lag", asked) == []


def test_what_a_newer_one_replaced_is_no_item_of_a_digest(week: Client) -> None:
    at_ms = 1_360_368_000_000
    fields: dict[str, Any] = {"status": "merged", "tenant": "flights", "at_ms": at_ms}
    merged = [
        Outcome(
            outcome_id="replaced", notification="delay", reason="collapsed", rule="collapse_key", **fields
        ),
        Outcome(outcome_id="item", notification="news", rule="digest", **fields),
    ]
    ClickHouseLines(lambda: week).insert(b"\n".join(map(msgspec.json.encode, merged)))
    refresh(week)
    asked = {"tenant": "flights", "from_ms": at_ms, "to_ms": at_ms + 3_600_000}
    assert [(row["notification"], row["items"]) for row in queries.run(week, "digests", asked)] == [
        ("news", 1)
    ]

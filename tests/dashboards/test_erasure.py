"""Erasure on a real engine: no table names the user any more, no count changes, late rows go too."""

from typing import Any

import msgspec
import pytest
from clickhouse_connect.driver.client import Client

from dashboards import queries, rollups
from sinks.clickhouse_erasure import sweep
from sinks.clickhouse_lines import Erased
from sinks.clickhouse_store import ClickHouseLines
from tests.waiting import until
from tocsin.model.outcome import Outcome

pytestmark = pytest.mark.integration

NOW_MS = 1_790_000_000_000
DAY_MS = 86_400_000
WHO = ("user-4711", "u-event", "u-target", "u-provider-id")


def outcome(number: int, status: str, at_ms: int, user: str = WHO[0], **fields: Any) -> Outcome:
    given = {"event_id": WHO[1], "target": WHO[2], "provider_message_id": WHO[3]} | fields
    return Outcome(
        outcome_id=f"{number}-{status}",
        status=status,
        tenant="default",
        user=user,
        notification_id=f"n{number}",
        message_id=f"m{number}",
        notification="welcome",
        channel="sms",
        at_ms=at_ms,
        received_ms=at_ms,
        **given,
    )


def insert(client: Client, *rows: msgspec.Struct, table: str = "outcomes") -> None:
    ClickHouseLines(lambda: client).insert(b"\n".join(map(msgspec.json.encode, rows)), table)


def naming(client: Client) -> list[str]:
    """Name the tables with a row in which one of `WHO` stands, or the user's hash."""
    asked = "SELECT name FROM system.tables WHERE database = currentDatabase() AND engine LIKE '%MergeTree'"
    found = []
    for (table,) in client.query(asked).result_rows:
        rows = client.raw_query(f"SELECT * FROM {table}", fmt="JSONEachRow")
        if any(word.encode() in rows for word in WHO):
            found.append(table)
    hashed = client.command("SELECT count() FROM outcome_hours WHERE id = cityHash64(%(u)s)", {"u": WHO[0]})
    return sorted(found + (["outcome_hours"] if hashed else []))


def figures(client: Client) -> list[Any]:
    rollups.refresh(client)
    asked = "SELECT status, sum(outcomes) FROM outcomes_hour FINAL GROUP BY status ORDER BY status"
    return [queries.run(client, "balance", {}), client.query(asked).result_rows]


def of_ann(client: Client) -> list[str]:
    asked = "SELECT outcome_id FROM outcomes WHERE user = 'ann' ORDER BY outcome_id"
    return [row[0] for row in client.query(asked).result_rows]


def of_anns(number: int, status: str, at_ms: int) -> Outcome:
    return outcome(number, status, at_ms, user="ann", event_id="", target="", provider_message_id="")


def test_every_table_loses_the_user_and_no_count_changes(client: Client) -> None:
    store = ClickHouseLines(lambda: client)
    whose = {"tenant": "default", "user": WHO[0]}
    letter = whose | {"letter_id": "events/0/1", "error": "x", "first_ms": 1, "last_ms": 2}
    change = whose | {"audit_id": "a", "at_ms": 5, "action": "preferences_changed"}
    rows = [
        outcome(1, "admitted", NOW_MS - DAY_MS),
        outcome(1, "sent", NOW_MS - DAY_MS + 500),
        outcome(1, "opened", NOW_MS - 500),
        outcome(2, "admitted", NOW_MS, user="other", event_id="e2", target="t2", provider_message_id=""),
    ]
    insert(client, *rows)
    store.insert(msgspec.json.encode(letter), "dead_letters")
    store.insert(msgspec.json.encode(change), "audit_log")
    before = figures(client)
    assert naming(client) == ["audit_log", "dead_letters", "latest", "outcome_hours", "outcomes"]
    store.erase([Erased("default", WHO[0], NOW_MS)])
    until(lambda: naming(client) == [], "every table to be anonymous")
    assert figures(client) == before
    others = client.query("SELECT user, event_id FROM outcomes WHERE outcome_id = '2-admitted'").result_rows
    assert others == [("other", "e2")]


def test_what_comes_late_goes_and_a_later_life_of_the_id_stays(client: Client) -> None:
    """Late are a copy, and the answer to a message of before; a new event after the erasure is not."""
    sent = of_anns(5, "sent", NOW_MS - DAY_MS)
    insert(client, sent)
    ClickHouseLines(lambda: client).erase([Erased("default", "ann", NOW_MS)])
    until(lambda: of_ann(client) == [], "the erasure")
    insert(client, sent, of_anns(5, "clicked", NOW_MS + 60_000), of_anns(6, "admitted", NOW_MS + 61_000))
    assert sweep(client, 3600) == 1
    until(lambda: of_ann(client) == ["6-admitted"], "the late rows to go")
    assert sweep(client, 3600) == 0

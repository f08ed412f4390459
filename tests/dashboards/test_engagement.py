"""Engagement: receipts join the message that they are about, in whatever order and number they arrive."""

import random
from collections.abc import Iterator, Mapping
from typing import Any

import msgspec
import pytest
from clickhouse_connect.driver.client import Client

from dashboards import migrate, queries, store
from dashboards.rollups import refresh
from sinks.clickhouse_store import ClickHouseLines
from tocsin.model.outcome import Outcome

pytestmark = pytest.mark.integration
HOUR_MS = 3_600_000
START_MS = 1_356_998_400_000
RECEIPTS = ("delivered", "opened", "clicked", "read", "bounced", "complained", "unsubscribed")
PROVES = (
    {  # a later kind proves an earlier one: who opens a message has received it
        "delivered": {"delivered", "opened", "clicked", "read"},
        "opened": {"opened", "clicked"},
    }
    | {kind: {kind} for kind in RECEIPTS[2:]}
)
COMMON = {"tenant": "default", "category": "offers"}


class Sent(msgspec.Struct):
    """One message and the kinds of its receipts, some of them reported more than once."""

    number: int
    reported: list[str]

    @property
    def dims(self) -> dict[str, str]:
        """What the message is counted by."""
        return {
            "notification": "offer",
            "channel": "email",
            "catalog_version": f"v{self.number % 2}",
            "provider": f"p{self.number % 2}",
            "variant": ["", "plain", "cheerful"][self.number % 3],
            "locale": ["de", "en"][self.number % 2],
        }

    @property
    def user(self) -> str:
        """Every user gets two messages."""
        return f"u{self.number // 2}"

    @property
    def sent_ms(self) -> int:
        """Messages are sent on the first day at midnight and at 20, and on the second day at 16."""
        return START_MS + self.number % 3 * 20 * HOUR_MS

    def outcomes(self) -> Iterator[Outcome]:
        """Give the rows: decision, sending, and receipts, which know neither arm nor locale."""
        ids: dict[str, Any] = {
            **COMMON,
            "user": self.user,
            "message_id": f"m{self.number}",
            "notification_id": f"n{self.number}",
        }
        at_ms = self.sent_ms
        whole = {**ids, **self.dims}
        yield Outcome(outcome_id=f"a{self.number}", status="admitted", at_ms=at_ms, **whole)
        yield Outcome(outcome_id=f"s{self.number}", status="sent", at_ms=at_ms + 500, **whole)
        for place, kind in enumerate(self.reported):
            yield Outcome(
                outcome_id=f"r{self.number}-{place}",
                status=kind,
                at_ms=at_ms + (place + 1) * 7 * HOUR_MS,
                notification="offer",
                channel="email",
                catalog_version="later",
                **ids,
            )


def world(seed: int) -> list[Sent]:
    chance = random.Random(seed)  # a test's choice
    return [Sent(number, chance.choices(RECEIPTS, k=chance.randrange(6))) for number in range(60)]


def expected(messages: list[Sent], by: tuple[str, ...]) -> dict[tuple[str, ...], dict[str, float]]:
    groups: dict[tuple[str, ...], list[Sent]] = {}
    for one in messages:
        groups.setdefault(tuple(one.dims[name] for name in by), []).append(one)
    return {
        key: {
            "messages": len(group),
            "users": len({one.user for one in group}),
            "opened_users": len({one.user for one in group if PROVES["opened"] & set(one.reported)}),
        }
        | {
            f"{kind}_ratio": sum(bool(PROVES[kind] & set(one.reported)) for one in group) / len(group)
            for kind in RECEIPTS
        }
        for key, group in groups.items()
    }


BY = {
    "engagement": ("notification", "channel"),
    "engagement_by_version": ("catalog_version", "notification"),
    "engagement_by_provider": ("provider", "channel"),
    "engagement_by_locale": ("locale", "channel"),
}


RANGES = {
    "all": queries.FOREVER,
    "a day": {"from_ms": START_MS, "to_ms": START_MS + 24 * HOUR_MS},
    "a day and parts": {"from_ms": START_MS - 5 * HOUR_MS, "to_ms": START_MS + 41 * HOUR_MS},
    "parts of days": {"from_ms": START_MS + 20 * HOUR_MS, "to_ms": START_MS + 41 * HOUR_MS},
}


def found(
    client: Client, name: str, by: tuple[str, ...], span: Mapping[str, int]
) -> dict[tuple[str, ...], dict[str, float]]:
    shown: dict[tuple[str, ...], dict[str, float]] = {}
    for row in queries.run(client, name, span):
        shown[tuple(row.pop(key) for key in by)] = row
    return shown


@pytest.mark.parametrize("seed", range(3))
def test_order_delay_and_copies_change_no_figure(clickhouse_db: str, seed: int) -> None:
    """Rows arrive shuffled, each up to three times, in batches with refreshes of the rollup between them."""
    migrate.migrate(clickhouse_db)
    chance = random.Random(seed)  # a test's choice
    messages = world(seed)
    rows = [row for one in messages for row in one.outcomes() for _ in range(chance.randrange(1, 4))]
    chance.shuffle(rows)
    third = len(rows) // 3
    with store.connect(clickhouse_db) as client:
        for batch in (rows[:third], rows[third : 2 * third], rows[2 * third :]):
            lines = b"\n".join(map(msgspec.json.encode, batch))
            ClickHouseLines(lambda: store.connect(clickhouse_db)).insert(lines)
            refresh(client)
        for span in RANGES.values():
            sent = [one for one in messages if span["from_ms"] <= one.sent_ms < span["to_ms"]]
            for name, by in BY.items():
                assert found(client, name, by, span) == expected(sent, by), (name, span)
            arms = {key: row for key, row in expected(sent, ("notification", "variant")).items() if key[1]}
            assert found(client, "engagement_by_arm", ("notification", "variant"), span) == arms


def test_a_receipt_counts_for_the_hour_its_message_was_sent_in(
    client: Client, clickhouse_module_db: str
) -> None:
    """The message is of the first hour, its click of the eighth: the range of the first hour has both."""
    lines = b"\n".join(map(msgspec.json.encode, Sent(0, ["clicked"]).outcomes()))
    ClickHouseLines(lambda: store.connect(clickhouse_module_db)).insert(lines)
    refresh(client)
    first = {"from_ms": START_MS, "to_ms": START_MS + HOUR_MS}
    (row,) = queries.run(client, "engagement", first)
    assert (row["messages"], row["clicked_ratio"], row["delivered_ratio"]) == (1, 1, 1)
    assert queries.run(client, "engagement", {"from_ms": START_MS + 7 * HOUR_MS}) == []


def test_a_refresh_reads_no_receipts_while_nothing_is_stored(clickhouse_db: str) -> None:
    """The view tells what it read; a refresh that is dated later takes all rows for older than itself."""
    migrate.migrate(clickhouse_db)
    many = 3_000
    rows = [row for number in range(many) for row in Sent(number, ["delivered"]).outcomes()]
    ClickHouseLines(lambda: store.connect(clickhouse_db)).insert(b"\n".join(map(msgspec.json.encode, rows)))
    with store.connect(clickhouse_db) as client:
        refresh(client)
        assert _read_rows(client) > many
        client.command("INSERT INTO engagement_hour (tenant, refreshed_at) SELECT 'later', now('UTC') + 600")
        refresh(client)
        assert _read_rows(client) < many


def _read_rows(client: Client) -> int:
    asked = "SELECT read_rows FROM system.view_refreshes WHERE view = 'engagement_hour_writer'"
    return int(client.query(f"{asked} AND database = currentDatabase()").result_rows[0][0])

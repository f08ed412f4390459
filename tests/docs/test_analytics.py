"""Each query of `docs/analytics.md` gives the answer that the page shows below it, for known rows."""

import re
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from typing import Any

import msgspec
import pytest
from clickhouse_connect.driver.client import Client

from dashboards import migrate, queries, store
from dashboards.rollups import refresh
from sinks.clickhouse_store import ClickHouseLines
from tests.docs.analytics_rows import Week
from tests.docs.repository import ROOT

PAGE = (ROOT / "docs/analytics.md").read_text()
ANSWERED = re.compile(r"```sql\n(.*?)```\n\n((?:\|[^\n]*\n)+)", re.DOTALL)
ANSWERS = ANSWERED.findall(PAGE)
NOW = datetime.now(UTC)
"""Of the rows and of the queries: else midnight into a Monday would come between them."""

pytestmark = pytest.mark.integration


@pytest.fixture(scope="module")
def week(clickhouse_module_db: str) -> Iterator[Client]:
    migrate.migrate(clickhouse_module_db)
    rows = [*Week(NOW).rows()]
    lines = b"\n".join(map(msgspec.json.encode, rows))
    for _ in range(2):  # copies change no answer
        ClickHouseLines(lambda: store.connect(clickhouse_module_db)).insert(lines)
    with store.connect(clickhouse_module_db) as client:
        refresh(client)
        yield client


def table(names: Sequence[str], rows: Sequence[Sequence[Any]]) -> str:
    """Write an answer as the page shows it."""
    lines = [names, ["---"] * len(names), *rows]
    return "".join(f"| {' | '.join(str(value) for value in line)} |\n" for line in lines)


def _as_of_now(sql: str) -> str:
    return sql.replace("now('UTC')", f"toDateTime({int(NOW.timestamp())}, 'UTC')")


def test_every_query_is_answered() -> None:
    assert len(ANSWERS) == PAGE.count("```sql") >= 8


@pytest.mark.parametrize(("sql", "shown"), ANSWERS)
def test_a_query_gives_the_answer_shown(week: Client, sql: str, shown: str) -> None:
    found = week.query(_as_of_now(sql))
    assert table(found.column_names, found.result_rows) == shown


def test_the_prepared_question_agrees(week: Client) -> None:
    """The rate on the page and that of the named query are one: 6 of 200 and 1 of 97."""
    rows = {row["category"]: row for row in queries.run(week, "opt_outs", {})}
    assert (rows["marketing"]["sent"], rows["marketing"]["opted_out"]) == (200, 6)
    assert (rows["flight_updates"]["sent"], rows["flight_updates"]["opted_out"]) == (97, 1)
    assert rows["marketing"]["kept_back"] == 25

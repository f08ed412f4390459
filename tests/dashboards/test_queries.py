"""Every named query: its header is right, it binds what is offered, it runs, it counts what it says."""

import re

import pytest
from clickhouse_connect.driver.client import Client

from dashboards import queries
from dashboards.query_file import BOARDS, DETAIL, Query

NAMES = [query.name for query in queries.queries()]
EVERY = pytest.mark.parametrize("query", queries.queries(), ids=NAMES)


def test_each_board_has_queries_each_with_a_place_of_its_own() -> None:
    places = [(query.board, query.place) for query in queries.queries() if query.board in BOARDS]
    assert len(set(places)) == len(places)
    assert {board for board, _ in places} == set(BOARDS)


@EVERY
def test_a_title_and_one_sentence(query: Query) -> None:
    assert re.fullmatch(r"[A-Z][^.]{2,50}", query.title)
    assert query.text.endswith(".")
    assert not query.sql.endswith(";")


@EVERY
def test_a_drill_leads_to_a_query_that_takes_its_filters(query: Query) -> None:
    if query.drill:
        assert {*query.drill.columns, *query.drill.constants} <= queries.find(query.drill.name).parameters


@EVERY
def test_the_common_filters_are_bound(query: Query) -> None:
    assert query.board == DETAIL or "tenant" in query.parameters


def test_a_range_is_cut_into_steps_that_fit() -> None:
    hour, day = 3_600_000, 86_400_000
    assert [queries.step_for(0, span) for span in (hour, day, 7 * day, 365 * day)] == [60, 900, 10800, 604800]
    assert queries.step_for(*queries.FOREVER.values()) == queries.STEPS_S[-1]


def test_what_is_not_chosen_is_all() -> None:
    bound = queries.bind({"channel": "sms", "from_ms": 0, "to_ms": 3_600_000}, 3_600_000)
    assert (bound["tenant"], bound["channel"], bound["notification"]) == ("default", "sms", "")
    assert (bound["step_s"], bound["rollup"]) == (60, "outcomes_minute")


@pytest.mark.parametrize(
    ("days", "age_days", "table", "step_s"),
    [
        (1, 1, "outcomes_minute", 900),
        (1, 7, "outcomes_hour", 3600),
        (6, 6, "outcomes_hour", 3600),
        (60, 60, "outcomes_hour", 43_200),
        (300, 300, "outcomes_day", 604_800),
    ],
)
def test_a_chart_reads_a_rollup_that_has_its_steps(days: int, age_days: int, table: str, step_s: int) -> None:
    """Minutes are kept for a week: an older day is drawn by hours."""
    day_ms, now_ms = 86_400_000, 1_357_000_000_000
    from_ms = now_ms - age_days * day_ms
    bound = queries.bind({"from_ms": from_ms, "to_ms": from_ms + days * day_ms}, now_ms)
    assert (bound["rollup"], bound["step_s"]) == (table, step_s)


@pytest.mark.integration
@EVERY
def test_it_runs_and_has_the_columns_that_its_chart_names(query: Query, client: Client) -> None:
    bound = queries.bind({})
    assert queries.run(client, query.name, {}) is not None
    described = client.query(
        f"DESCRIBE ({query.sql})", parameters={name: bound[name] for name in query.parameters}
    )
    named = {*query.chart.columns, *(query.drill.columns.values() if query.drill else ())}
    assert named <= {row[0] for row in described.result_rows}

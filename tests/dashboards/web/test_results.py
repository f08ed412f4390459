"""Rows become columns of kinds, cells for JSON, and addresses of what they count."""

from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest

from dashboards.queries import bind
from dashboards.query_file import parse
from dashboards.web.results import cell, column, result, step_of
from dashboards.web.view import Extent, bound, read_view

HEADERS = "-- Sent: how many were sent.\n-- board: overview 1\n"
QUERY = parse(
    "sent",
    HEADERS + "-- chart: bars(channel, sent)\n-- drill: rows(channel, status='sent')\nSELECT {tenant:String}",
)
TIMED = parse(
    "paced",
    HEADERS + "-- chart: lines(time, sent)\n-- drill: rows(status='sent')\nSELECT {rows:UInt32}",
)
VIEW = read_view([("range", "7d"), ("channel", "sms"), ("tenant", "acme")])
BOUND = bind(bound(VIEW, 1_795_000_000_000, Extent()))


@pytest.mark.parametrize(
    ("name", "value", "kind"),
    [
        ("time", datetime(2026, 1, 2, tzinfo=UTC), "time"),
        ("day", date(2026, 1, 2), "time"),
        ("newest_ms", 1_795_000_000_000, "time"),
        ("p99_ms", 240.5, "ms"),
        ("opened_ratio", 0.25, "ratio"),
        ("sent", 12, "number"),
        ("share", Decimal("1.5"), "number"),
        ("notification_id", "ab" * 16, "story"),
        ("user", "u1", "story"),
        ("detail", "{}", "detail"),
        ("channel", "sms", "text"),
        ("is_final", True, "text"),
        ("ended", None, "text"),
    ],
)
def test_a_column_is_of_the_kind_that_its_name_and_values_say(name: str, value: Any, kind: str) -> None:
    assert column(name, [{name: None}, {name: value}]).kind == kind


@pytest.mark.parametrize(
    ("value", "written"),
    [
        (datetime(1970, 1, 1, 0, 0, 1, tzinfo=None), 1_000),  # noqa: DTZ001  # ClickHouse gives such
        (datetime(1970, 1, 1, 0, 0, 1, 500_000, tzinfo=UTC), 1_500),
        (date(1970, 1, 2), 86_400_000),
        (float("nan"), None),
        (float("inf"), None),
        (Decimal("0.5"), 0.5),
        (["a", "b"], "a, b"),
        (None, None),
        ("text", "text"),
    ],
)
def test_a_cell_is_json(value: Any, written: Any) -> None:
    assert cell(value) == written


def test_a_row_leads_to_what_it_counts_with_the_filters_of_the_page() -> None:
    found = result(QUERY, [{"channel": "email", "sent": 3}], VIEW, BOUND)
    assert found.links == ["/rows/rows?tenant=acme&range=7d&status=sent&channel=email"]


def test_a_row_without_a_value_leads_to_the_rows_without_one() -> None:
    found = result(QUERY, [{"channel": "", "sent": 3}], VIEW, BOUND)
    assert found.links == ["/rows/rows?tenant=acme&range=7d&status=sent&channel=%28none%29"]


def test_a_step_of_a_chart_leads_to_the_rows_of_that_step() -> None:
    start = datetime(2026, 11, 1, 12, tzinfo=UTC)
    found = result(TIMED, [{"time": start, "sent": 3}], VIEW, {**BOUND, "step_s": 3_600})
    assert "from=2026-11-01T12%3A00%3A00Z&to=2026-11-01T13%3A00%3A00Z" in found.links[0]
    assert "range" not in found.links[0]


def test_no_rows_are_no_columns() -> None:
    found = result(QUERY, [], VIEW, BOUND)
    assert (found.columns, found.rows, found.links, found.more) == ([], [], [], False)


def test_a_list_that_is_cut_says_that_there_is_more() -> None:
    rows = [{"time": datetime(2026, 11, 1, tzinfo=UTC), "sent": 1}] * BOUND["rows"]
    assert result(TIMED, rows, VIEW, BOUND).more
    assert not result(TIMED, rows[1:], VIEW, BOUND).more


@pytest.mark.parametrize(
    ("hours", "step_s"),
    [([0, 1, 2], 3_600), ([0, 24, 48], 86_400), ([0, 0.25], 900), ([1], 900), ([], 900)],
)
def test_figures_that_are_kept_by_the_hour_or_day_have_such_steps(hours: list[float], step_s: int) -> None:
    rows = [{"time": datetime(2026, 11, 1, tzinfo=UTC) + timedelta(hours=hour)} for hour in hours]
    assert step_of(rows, 900) == step_s

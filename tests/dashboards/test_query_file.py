"""The header of a query's file: what it says, and what is refused."""

import pytest

from dashboards.query_file import parse
from tocsin.errors import SettingsError

TEXT = """\
-- Sent by channel: how many messages went out.
-- board: delivery 4
-- chart: lines(time, sent, channel)
-- drill: rows(status='sent', channel, category=kind)
SELECT {step_s:UInt32} AS time, 1 AS sent, {channel:String} AS channel, '' AS kind
"""


def test_a_file_says_what_it_shows_where_and_how() -> None:
    query = parse("sent", TEXT)
    assert (query.name, query.title, query.text) == (
        "sent",
        "Sent by channel",
        "how many messages went out.",
    )
    assert (query.board, query.place) == ("delivery", 4)
    assert (query.chart.kind, query.chart.x, query.chart.y, query.chart.series) == (
        "lines",
        "time",
        "sent",
        "channel",
    )
    assert query.parameters == {"step_s", "channel"}
    assert query.sql.startswith("SELECT")


def test_a_drill_takes_columns_and_constants_of_the_row() -> None:
    drill = parse("sent", TEXT).drill
    assert drill
    assert drill.name == "rows"
    row = {"channel": "sms", "kind": "alerts", "sent": 3}
    assert drill.filters(row) == {"status": "sent", "channel": "sms", "category": "alerts"}


def test_a_query_begins_with_the_clause_that_it_names() -> None:
    clause = "-- What it is.\nWITH\n    part AS (SELECT {tenant:String} AS tenant)\n"
    query = parse("sent", TEXT.replace("SELECT", "-- with: parts\nSELECT", 1), {"parts": clause})
    assert query.sql.startswith("WITH\n    part AS (SELECT {tenant:String} AS tenant)\nSELECT")
    assert "tenant" in query.parameters
    with pytest.raises(SettingsError, match="unknown WITH clause parts; there are: other"):
        parse("sent", TEXT.replace("SELECT", "-- with: parts\nSELECT", 1), {"other": clause})


@pytest.mark.parametrize(
    ("chart", "x", "y", "series"),
    [
        ("table", "", "", ""),
        ("stat(held)", "", "held", ""),
        ("bars(reason, n)", "reason", "n", ""),
        ("lines(time, n, status)", "time", "n", "status"),
    ],
)
def test_a_chart_knows_its_columns(chart: str, x: str, y: str, series: str) -> None:
    found = parse("one", TEXT.replace("lines(time, sent, channel)", chart)).chart
    assert (found.x, found.y, found.series) == (x, y, series)


@pytest.mark.parametrize(
    ("right", "wrong", "told"),
    [
        ("delivery 4", "delivered 4", "unknown board delivered; there are: overview"),
        ("delivery 4", "delivery", "board delivery needs the place on it"),
        ("lines(time, sent, channel)", "pie(time)", "unknown chart pie"),
        ("lines(time, sent, channel)", "lines(time)", "chart lines takes 2 or 3 columns, not 1"),
        ("lines(time, sent, channel)", "lines(time, (sent)", "is not `name` or `name\\(word, word\\)`"),
        ("-- chart:", "-- graph:", "unknown header graph"),
        ("-- board: delivery 4", "-- board", "'-- board' is not `-- key: value`"),
        ("status='sent'", "state='sent'", "unknown parameter of the drill state"),
        ("{step_s:UInt32}", "{step_s:String}", "unknown parameter step_s:String; there are: tenant:String"),
        ("-- Sent by channel: how many messages went out.\n", "", "needs a title"),
    ],
)
def test_a_wrong_file_is_named_with_its_mistake(right: str, wrong: str, told: str) -> None:
    assert right in TEXT
    with pytest.raises(SettingsError, match=rf"dashboards/queries/sent\.sql: .*{told}"):
        parse("sent", TEXT.replace(right, wrong))

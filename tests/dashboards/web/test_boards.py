"""What a board shows, and in which width."""

import pytest

from dashboards.queries import queries
from dashboards.query_file import BOARDS
from dashboards.web.boards import TITLES, Panel, chips, navigation, panels, spread
from dashboards.web.view import COMMON, read_view

VIEW = read_view([("range", "7d"), ("channel", "sms")])


def panel(kind: str) -> Panel:
    return Panel(kind, kind.title(), "", kind, "", "")


@pytest.mark.parametrize(
    ("kinds", "wide"),
    [
        ("lines", "1"),
        ("lines bars", "00"),
        ("lines bars lines", "001"),
        ("table lines table bars bars", "01000"),
        ("lines stat bars", "000"),
        ("stat stat table", "000"),
        ("", ""),
    ],
)
def test_a_chart_without_a_neighbour_takes_the_whole_width(kinds: str, wide: str) -> None:
    assert "".join(str(int(each.wide)) for each in spread([panel(kind) for kind in kinds.split()])) == wide


def test_each_board_has_a_title_and_each_query_of_it_a_panel() -> None:
    assert set(TITLES) == set(BOARDS)
    named = [each.name for board in BOARDS for each in panels(board, VIEW)]
    assert sorted(named) == sorted(query.name for query in queries() if query.board in BOARDS)


def test_a_panel_asks_for_what_the_page_is_filtered_by_and_says_what_it_cannot() -> None:
    for board in BOARDS:
        for each in panels(board, VIEW):
            known = next(query for query in queries() if query.name == each.name).parameters
            assert ("channel=sms" in each.source) is ("channel" in known)
            assert ("Not filtered by channel" in each.unfiltered) is ("channel" not in known)


def test_boards_keep_the_time_and_common_filters_only() -> None:
    view = read_view(
        [("range", "7d"), ("channel", "sms"), ("status", "dead"), ("rows", "5")], {*COMMON, "status"}
    )
    assert navigation("health", view)[-1] == {
        "title": "Pipeline health",
        "address": "/health?range=7d&channel=sms",
        "here": True,
    }


def test_each_filter_that_a_number_brought_can_be_taken_away() -> None:
    view = read_view(
        [("status", "dead"), ("reason", "rejected"), ("channel", "sms")], {*COMMON, "status", "reason"}
    )
    assert [chip["without"] for chip in chips("/rows/rows", view)] == [
        "/rows/rows?reason=rejected&channel=sms",
        "/rows/rows?status=dead&channel=sms",
    ]

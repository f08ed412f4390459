"""Addresses of pages: what they say is read, refused with field and cure, and written back the same."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dashboards.queries import FOREVER, MOST_STEPS, bind
from dashboards.query_file import FILTERS
from dashboards.web.problem import Problem
from dashboards.web.view import COMMON, MOST_ROWS, RANGES, Extent, View, bound, iso, read_view, whole

NOW_MS = 1_795_000_000_000
DAY_MS = 86_400_000


def test_an_empty_address_is_the_last_day_of_the_default_tenant() -> None:
    found = bound(read_view([]), NOW_MS, Extent())
    assert (found["tenant"], found["from_ms"], found["to_ms"]) == ("default", NOW_MS - DAY_MS, NOW_MS)
    assert read_view([]).query() == ""


@pytest.mark.parametrize(
    ("given", "field", "cure"),
    [
        ([("range", "2w")], "range", "15m"),
        ([("range", "1h"), ("from", "2026-01-01T00:00:00Z")], "range", "either"),
        ([("from", "2026-01-01T00:00:00Z")], "to", "RFC 3339"),
        ([("from", "yesterday"), ("to", "2026-01-01T00:00:00Z")], "from", "RFC 3339"),
        ([("from", "2026-01-02T00:00:00Z"), ("to", "2026-01-01T00:00:00Z")], "to", "later"),
        ([("from", "1960-01-01T00:00:00Z"), ("to", "2026-01-01T00:00:00Z")], "from", "1970"),
        ([("channel", "sms"), ("channel", "email")], "channel", "once"),
        ([("color", "red")], "color", "channel, from, notification"),
        ([("status", "dead")], "status", "no parameter of this name"),
        ([("channel", "x" * 513)], "channel", "512"),
        ([("channel", "a\nb")], "channel", "printable"),
        ([("rows", "0")], "rows", "from 1"),
        ([("rows", "٣")], "rows", "a number"),
        ([("rows", "9" * 30)], "rows", str(MOST_ROWS)),
    ],
)
def test_a_wrong_parameter_is_named_with_its_cure(
    given: list[tuple[str, str]], field: str, cure: str
) -> None:
    with pytest.raises(Problem, match=cure) as refused:
        read_view(given)
    assert (refused.value.status, refused.value.field) == (400, field)


def test_an_end_far_off_is_the_last_moment_of_clickhouse() -> None:
    """People write 9999 for a range that does not end."""
    view = read_view([("from", "2026-01-01T00:00:00Z"), ("to", "9999-12-31T23:59:59Z")])
    assert view.to_ms == FOREVER["to_ms"]
    assert read_view(view.parameters().items()) == view
    with pytest.raises(Problem, match="later than `from`"):
        read_view([("from", "9998-01-01T00:00:00Z"), ("to", "9999-01-01T00:00:00Z")])


def test_every_tenant_is_a_star_in_the_address_and_no_filter_in_the_query() -> None:
    view = read_view([("tenant", "*")])
    assert bound(view, NOW_MS, Extent())["tenant"] == ""
    assert view.query() == "?tenant=%2A"


def test_all_of_the_time_is_what_there_is() -> None:
    found = bound(read_view([("range", "all")]), NOW_MS, Extent(1_000, 90_000))
    assert (found["from_ms"], found["to_ms"]) == (1_000, 90_001)


_TEXTS = st.text(st.characters(codec="utf-8", exclude_categories=("C", "Z")), min_size=1, max_size=30)
_MOMENTS = st.integers(0, 4_000_000_000).map(lambda second: second * 1000)


@st.composite
def views(draw: st.DrawFn) -> View:
    """Draw any view that an address can name."""
    span = draw(st.sampled_from(["", *RANGES]))
    from_ms, to_ms = sorted(draw(st.lists(_MOMENTS, min_size=2, max_size=2, unique=True)))
    return View(
        tenant=draw(_TEXTS.filter(lambda text: text != "*") | st.just("")),
        span=span,
        from_ms=0 if span else from_ms,
        to_ms=0 if span else to_ms,
        filters=draw(st.dictionaries(st.sampled_from(FILTERS), _TEXTS)),
        rows=draw(st.integers(1, MOST_ROWS)),
    )


@given(views())
def test_an_address_says_the_whole_view(view: View) -> None:
    assert read_view(view.parameters().items(), FILTERS) == view


@given(views(), st.integers(DAY_MS, NOW_MS))
def test_a_chart_has_some_steps_and_not_too_many(view: View, now_ms: int) -> None:
    found = bind(bound(view, now_ms, Extent(0, now_ms)))
    assert found["from_ms"] < found["to_ms"]
    steps = (found["to_ms"] - found["from_ms"]) / found["step_s"] / 1000
    assert steps <= MOST_STEPS or found["step_s"] == 28 * 86_400, "the longest step there is"


def test_a_link_changes_and_drops_filters() -> None:
    view = read_view([("range", "7d"), ("channel", "sms"), ("status", "dead")], {*COMMON, "status"})
    assert view.query(without=["status"], reason="limit") == "?range=7d&channel=sms&reason=limit"


def test_times_are_written_in_utc() -> None:
    assert iso(1_360_195_200_999) == "2013-02-07T00:00:00Z"


@pytest.mark.parametrize(("span", "unit_ms"), [("1h", 60_000), ("24h", 60_000), ("30d", 3_600_000)])
def test_a_range_begins_with_a_whole_unit_as_figures_of_rollups_do(span: str, unit_ms: int) -> None:
    view = read_view([("range", span)])
    asked = bind(bound(view, NOW_MS + 12_345, Extent()), NOW_MS)
    found = whole(view, asked)
    assert found["from_ms"] % (found["rollup_s"] * 1000) == 0
    assert found["rollup_s"] * 1000 >= unit_ms
    assert 0 <= asked["from_ms"] - found["from_ms"] < found["rollup_s"] * 1000


def test_times_that_somebody_chose_stay_as_they_are() -> None:
    view = read_view([("from", "2026-11-01T06:22:00Z"), ("to", "2026-11-02T06:22:00Z")])
    asked = bind(bound(view, NOW_MS, Extent()), NOW_MS)
    assert whole(view, asked) == asked

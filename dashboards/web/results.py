"""Turns the rows of a query into what a page draws: columns, cells, and where each row leads. Pure."""

import math
from collections.abc import Mapping, Sequence
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

import msgspec

from dashboards.queries import Row
from dashboards.query_file import DETAIL, Query
from dashboards.web.view import View

Cell = str | int | float | bool | None
STORIES = frozenset({"notification_id", "message_id", "event_id", "user"})
"""Columns whose values have a story."""
_LONGEST_MS = 100_000_000_000
"""Numbers of ms below are durations; 3 March 1973 as a time."""
_UNITS_S = (3_600, 86_400)
_STORY = "notification_id"
_NOTHING = ("", None, "{}", -1)
_WORDS = {"p50": "median"}


class Column(msgspec.Struct, frozen=True):
    """A column: its name in the query, its label, and the kind of its values.

    Kinds are `time` (ms since 1970), `ms` (a duration), `ratio`, `number`, `story` (an id that has a story),
    `detail` (a JSON object) and `text`.
    """

    name: str
    label: str
    kind: str


class Result(msgspec.Struct, frozen=True, omit_defaults=True):
    """The answer to one query. `links` holds for each row the address of what it counts, or nothing."""

    name: str
    columns: list[Column]
    rows: list[list[Cell]]
    chart: dict[str, str]
    from_ms: int
    to_ms: int
    step_s: int
    links: list[str] = []
    more: bool = False


def result(query: Query, rows: Sequence[Row], view: View, bound: Mapping[str, Any]) -> Result:
    """Build the answer of a query.

    Args:
        query: says what is drawn, and where a row leads.
        rows: of ClickHouse, by column.
        view: the range and filters of the page.
        bound: the parameters that the query ran with.
    """
    step_s = step_of(rows, bound["step_s"])
    columns = [column(name, rows) for name in _shown(query, rows)]
    return Result(
        name=query.name,
        columns=columns,
        rows=[[cell(row[each.name]) for each in columns] for row in rows],
        chart={
            "kind": query.chart.kind,
            "x": query.chart.x,
            "y": query.chart.y,
            "series": query.chart.series,
        },
        from_ms=bound["from_ms"],
        to_ms=bound["to_ms"],
        step_s=step_s,
        links=[link(query, row, view, step_s) for row in rows] if query.drill else [],
        more="rows" in query.parameters and len(rows) >= view.rows,
    )


def step_of(rows: Sequence[Row], step_s: int) -> int:
    """Tell the step of a time chart: figures kept by the hour or day have longer ones than asked for."""
    times = {_ms(row["time"]) // 1000 for row in rows if isinstance(row.get("time"), datetime)}
    longer = [unit for unit in _UNITS_S if all(time % unit == 0 for time in times)] if len(times) > 1 else []
    return max(step_s, *longer) if longer else step_s


def _shown(query: Query, rows: Sequence[Row]) -> list[str]:
    """Choose the columns: of lists of outcomes those that hold something, the story's second."""
    names = list(rows[0]) if rows else []
    if query.board != DETAIL:
        return names
    filled = [name for name in names if any(row[name] not in _NOTHING for row in rows)]
    if _STORY in filled:
        filled.remove(_STORY)
        filled.insert(1, _STORY)
    return filled


def link(query: Query, row: Row, view: View, step_s: int) -> str:
    """Return the address of the rows that a row counts; a row of a time chart leads to the rows of its step.

    Args:
        query: with a `drill`.
        row: of its answer.
        view: the range and filters of the page, which the address keeps.
        step_s: seconds from one row of a time chart to the next.
    """
    assert query.drill is not None
    narrowed = query.drill.filters(row)
    if query.chart.x == "time" and isinstance(row.get("time"), datetime):
        start = _ms(row["time"])
        view = msgspec.structs.replace(view, span="", from_ms=start, to_ms=start + step_s * 1000)
    return f"/rows/{query.drill.name}{view.query(without=narrowed, **narrowed)}"


def column(name: str, rows: Sequence[Row]) -> Column:
    """Tell what a column holds, by its name and its first value."""
    first = next((row[name] for row in rows if row[name] is not None), None)
    return Column(name, label(name), _kind(name, first))


def label(name: str) -> str:
    """Write the name of a column for people; units are written beside the values.

    >>> label("provider_p50_ms"), label("opt_out_ratio")
    ('provider median', 'opt out')
    """
    words = (name.removesuffix("_ms").removesuffix("_ratio") or name).split("_")
    return " ".join(_WORDS.get(word, word) for word in words)


def _kind(name: str, first: Any) -> str:
    if isinstance(first, date) or (name.endswith("_ms") and _is_number(first) and first >= _LONGEST_MS):
        return "time"
    if _is_number(first):
        unit = name.rpartition("_")[2]
        return unit if unit in ("ms", "ratio") else "number"
    if name in STORIES:
        return "story"
    return "detail" if name == "detail" else "text"


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float | Decimal) and not isinstance(value, bool)


def cell(value: Any) -> Cell:
    """Write a value of ClickHouse for JSON: times as ms since 1970, what is no number as nothing."""
    if isinstance(value, datetime | date):
        return _ms(value)
    if isinstance(value, float | Decimal):
        return float(value) if math.isfinite(value) else None
    if value is None or isinstance(value, str | bool | int):
        return value
    return ", ".join(map(str, value)) if isinstance(value, list | tuple | set) else str(value)


def _ms(value: date) -> int:
    """Read a time; one without a zone, and a day's beginning, are UTC."""
    if not isinstance(value, datetime):
        value = datetime(value.year, value.month, value.day, tzinfo=UTC)
    zoned = value if value.tzinfo else value.replace(tzinfo=UTC)
    return round(zoned.timestamp() * 1000)

"""Reads a file of `dashboards/queries`: header lines, then one SELECT.

    -- Title: one sentence that says what the figures are.
    -- board: overview 3
    -- chart: bars(status, messages)
    -- drill: rows(status, channel, reason='limit')
    -- with: outcomes

`board` names the page and the place on it. `chart` says how to draw the rows. `drill` may be absent. It names
the query that lists what a row counts, and the parameters that narrow it to this row: `channel` passes the
column `channel` as the parameter `channel`, `status=stage` passes the column `stage` as `status`, and `'...'`
is a constant. An empty value of a column is passed as `(none)`, since an empty parameter means all.

Columns are named by what they hold: `*_ms` are milliseconds, `*_ratio` lie between 0 and 1, `time` is the
start of a step, all other numbers are counts.

`with` may be absent. It names a file of `queries/with`, a WITH clause that several queries begin with.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

from tocsin.errors import SettingsError

BOARDS = ("overview", "delivery", "providers", "engagement", "decisions", "health")
DETAIL = "detail"
"""The board of queries that are shown only where a row leads to them."""
FILTERS = (
    "notification",
    "channel",
    "status",
    "reason",
    "category",
    "provider",
    "code",
    "rule",
    "variant",
    "catalog_version",
    "locale",
    "stage",
    "user",
    "notification_id",
)
"""Parameters that are texts. An empty one means all; `NONE` those without a value."""
NONE = "(none)"
TYPES: Mapping[str, str] = MappingProxyType(
    dict.fromkeys(("tenant", *FILTERS), "String")
    | {"from_ms": "Int64", "to_ms": "Int64", "step_s": "UInt32", "rows": "UInt32"}
    | {"rollup": "Identifier", "rollup_time": "Identifier", "rollup_s": "UInt32"}
)
"""Every parameter that a query may bind, with its type."""
_COLUMNS: Mapping[str, tuple[int, ...]] = MappingProxyType(
    {"table": (0,), "stat": (1,), "bars": (2, 3), "lines": (2, 3)}
)
_SERIES = 2
_PARAMETER = re.compile(r"\{(\w+):(\w+)\}")
_CALL = re.compile(r"(\w+)(?:\(([^()]*)\))?")


@dataclass(frozen=True)
class Chart:
    """How rows are drawn: a `table`, a `stat` (one number), `bars` or `lines` of x, y, perhaps a series."""

    kind: str
    columns: tuple[str, ...] = ()

    @property
    def x(self) -> str:
        """Column of the horizontal axis; empty for a table and a stat."""
        return self.columns[0] if len(self.columns) > 1 else ""

    @property
    def y(self) -> str:
        """Column of the figure; empty for a table."""
        return self.columns[min(1, len(self.columns) - 1)] if self.columns else ""

    @property
    def series(self) -> str:
        """Column that tells one line from another; empty where there is one only."""
        return self.columns[_SERIES] if len(self.columns) > _SERIES else ""


@dataclass(frozen=True)
class Drill:
    """The query that lists what a row counts: its name, and which parameters come from which columns."""

    name: str
    columns: Mapping[str, str]
    constants: Mapping[str, str]

    def filters(self, row: Mapping[str, Any]) -> dict[str, str]:
        """Give the parameters that narrow the query to what this row counts."""
        chosen = {parameter: str(row[column]) or NONE for parameter, column in self.columns.items()}
        return {**self.constants, **chosen}


@dataclass(frozen=True)
class Query:
    """One named query with its header."""

    name: str
    title: str
    text: str
    board: str
    place: int
    chart: Chart
    drill: Drill | None
    sql: str

    @property
    def parameters(self) -> frozenset[str]:
        """Names of the parameters that it binds."""
        return frozenset(found[1] for found in _PARAMETER.finditer(self.sql))


def parse(name: str, text: str, clauses: Mapping[str, str] = MappingProxyType({})) -> Query:
    """Read a query's file.

    Args:
        name: of the query.
        text: of its file.
        clauses: the WITH clauses that it may name.

    Raises:
        SettingsError: a header line is missing or wrong, or a parameter is unknown; the text says which.
    """
    comments, sql = _split(text)
    title, sentence = _pair(name, comments[0] if comments else "")
    if not title[:1].isupper():
        raise _wrong(name, "needs a title: its first line must be `-- Title: one sentence.`")
    headers = dict(_pair(name, line) for line in comments[1:])
    _known(name, "header", headers, ("board", "chart", "drill", "with"))
    board, place = _board(name, headers.get("board", ""))
    drill = _drill(name, headers["drill"]) if "drill" in headers else None
    chart = _chart(name, headers.get("chart", ""))
    if clause := headers.get("with"):
        _known(name, "WITH clause", [clause], clauses)
        sql = f"{_split(clauses[clause])[1]}\n{sql}"
    for parameter, kind in _PARAMETER.findall(sql):
        _known(name, "parameter", [f"{parameter}:{kind}"], [":".join(one) for one in TYPES.items()])
    return Query(name, title, sentence, board, place, chart, drill, sql)


def _split(text: str) -> tuple[list[str], str]:
    lines = text.splitlines()
    end = next((at for at, line in enumerate(lines) if not line.startswith("-- ")), len(lines))
    return lines[:end], "\n".join(lines[end:]).strip()


def _pair(name: str, line: str) -> tuple[str, str]:
    key, colon, value = line.removeprefix("-- ").partition(": ")
    if not colon:
        raise _wrong(name, f"{line!r} is not `-- key: value`")
    return key, value


def _known(name: str, kind: str, found: Iterable[str], there: Iterable[str]) -> None:
    unknown = sorted(set(found) - set(there))
    if unknown:
        raise _wrong(name, f"unknown {kind} {', '.join(unknown)}; there are: {', '.join(there)}")


def _board(name: str, value: str) -> tuple[str, int]:
    board, _, place = value.partition(" ")
    _known(name, "board", [board], (*BOARDS, DETAIL))
    if not place.isdecimal() and board != DETAIL:
        raise _wrong(name, f"board {board} needs the place on it, like `{board} 3`")
    return board, int(place or 0)


def _chart(name: str, value: str) -> Chart:
    kind, words = _call(name, "chart", value)
    _known(name, "chart", [kind], _COLUMNS)
    if len(words) not in _COLUMNS[kind]:
        counts = " or ".join(map(str, _COLUMNS[kind]))
        raise _wrong(name, f"chart {kind} takes {counts} columns, not {len(words)}")
    return Chart(kind, tuple(words))


def _drill(name: str, value: str) -> Drill:
    target, words = _call(name, "drill", value)
    columns, constants = {}, {}
    for word in words:
        parameter, _, source = word.partition("=")
        if source.startswith("'"):
            constants[parameter] = source.strip("'")
        else:
            columns[parameter] = source or parameter
    _known(name, "parameter of the drill", [*columns, *constants], ("tenant", *FILTERS))
    return Drill(target, columns, constants)


def _call(name: str, key: str, value: str) -> tuple[str, list[str]]:
    """Read `name` or `name(word, word)`."""
    found = _CALL.fullmatch(value)
    if not found:
        raise _wrong(name, f"{key}: {value!r} is not `name` or `name(word, word)`")
    return found[1], [word.strip() for word in (found[2] or "").split(",") if word.strip()]


def _wrong(name: str, problem: str) -> SettingsError:
    return SettingsError(f"dashboards/queries/{name}.sql: {problem}")

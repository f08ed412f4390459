"""The Grafana dashboards: a dashboard a board, a panel a named query, so that all see the same figures.

`python -m dashboards.grafana_board` writes `dashboards/grafana/*.json`; a test fails while they differ.
"""

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from dashboards.queries import (
    DAYS,
    DEFAULT_ROWS,
    HOURS,
    MINUTES,
    MINUTES_KEPT_MS,
    MOST_STEPS,
    STEPS_S,
    queries,
)
from dashboards.query_file import BOARDS, DETAIL, FILTERS, Query

Node = dict[str, Any]

FOLDER = Path("dashboards/grafana")
DATASOURCE = {"type": "grafana-clickhouse-datasource", "uid": "tocsin-clickhouse"}
TITLES: Mapping[str, str] = {
    "overview": "Overview",
    "delivery": "Delivery",
    "providers": "Providers",
    "engagement": "Engagement",
    "decisions": "Decisions",
    "health": "Pipeline health",
    DETAIL: "Rows",
}
_TIMESERIES_FORMAT, _TABLE_FORMAT = 0, 1
_COLUMNS, _HEIGHT = 24, 9
_WIDTHS: Mapping[str, int] = {"table": 24, "stat": 6, "bars": 12, "lines": 12}
_PANELS: Mapping[str, str] = {"table": "table", "stat": "stat", "bars": "barchart", "lines": "timeseries"}
_PARAMETER = re.compile(r"\{(\w+):\w+\}")
_CHOSEN = ("tenant", "notification", "channel")
_CASES = ", ".join(f"range_s <= {step * MOST_STEPS}, {step}" for step in STEPS_S[:-1])
_FITTING = f"multiIf({_CASES}, {STEPS_S[-1]})".replace("range_s", "(${__to} - ${__from}) / 1000")
_KEPT = f"${{__from}} >= toUnixTimestamp(now()) * 1000 - {MINUTES_KEPT_MS}"
_UNIT = (
    f"multiIf({_FITTING} >= {DAYS.unit_s}, {DAYS.unit_s}, {_FITTING} < {HOURS.unit_s} AND {_KEPT}, 60, 3600)"
)
HIDDEN: Mapping[str, str] = {
    "rollup_s": _UNIT,
    "rollup": f"transform({_UNIT}, [60, 3600], ['{MINUTES.table}', '{HOURS.table}'], '{DAYS.table}')",
    "rollup_time": f"transform({_UNIT}, [60, 3600], ['{MINUTES.time}', '{HOURS.time}'], '{DAYS.time}')",
}
"""Variables that choose the rollup, and their queries."""
STEP = f"greatest({_FITTING}, ${{rollup_s}})"


def grafana_sql(query: Query) -> str:
    """Write a named query as Grafana sends it: chosen variables as quoted text, the time range as ms.

    The pages of figures have no other filter than tenant, notification and channel; the page of rows has all.
    """
    variables = {*_CHOSEN, *(FILTERS if query.board == DETAIL else ())}
    spelled = {name: f"${{{name}:sqlstring}}" if name in variables else "''" for name in ("tenant", *FILTERS)}
    spelled |= {"from_ms": "${__from}", "to_ms": "${__to}", "step_s": STEP, "rows": str(DEFAULT_ROWS)}
    spelled |= {name: f"${{{name}}}" for name in HIDDEN}
    return _PARAMETER.sub(lambda match: spelled[match[1]], query.sql)


def boards() -> dict[str, Node]:
    """Build the dashboards, by board."""
    return {name: _board(name) for name in (*BOARDS, DETAIL)}


def _board(name: str) -> Node:
    shown = [query for query in queries() if query.board == name]
    filters = [_text(one) for one in FILTERS if one not in _CHOSEN] if name == DETAIL else []
    return {
        "uid": f"tocsin-{name}",
        "title": f"Tocsin: {TITLES[name]}",
        "tags": ["tocsin"],
        "schemaVersion": 41,
        "editable": False,
        "refresh": "30s",
        "time": {"from": "now-24h", "to": "now"},
        "timezone": "utc",
        "links": [_link_to_others()],
        "templating": {"list": [*map(_chosen, _CHOSEN), *filters, *_hidden()]},
        "annotations": {"list": []},
        "panels": _panels(shown),
    }


def _panels(shown: list[Query]) -> list[Node]:
    """Place panels from left to right, row after row."""
    panels: list[Node] = []
    x = y = 0
    for query in shown:
        width = _WIDTHS[query.chart.kind]
        if x + width > _COLUMNS:
            x, y = 0, y + _HEIGHT
        panels.append(_panel(query, len(panels) + 1, {"x": x, "y": y, "w": width, "h": _HEIGHT}))
        x += width
    return panels


def _panel(query: Query, number: int, place: Node) -> Node:
    return {
        "id": number,
        "type": _PANELS[query.chart.kind],
        "title": query.title,
        "description": f"{query.text} (tocsin query {query.name})",
        "datasource": DATASOURCE,
        "gridPos": place,
        "targets": [_target(query)],
        "transformations": _transformations(query),
        "options": _options(query),
        "fieldConfig": {"defaults": _defaults(query), "overrides": _overrides(query)},
    }


def _target(query: Query) -> Node:
    timed = query.chart.kind == "lines"
    return {
        "refId": "A",
        "datasource": DATASOURCE,
        "editorType": "sql",
        "queryType": "timeseries" if timed else "table",
        "format": _TIMESERIES_FORMAT if timed else _TABLE_FORMAT,
        "rawSql": grafana_sql(query),
    }


def _options(query: Query) -> Node:
    chart = query.chart
    if chart.kind == "table":
        return {"showHeader": True}
    if chart.kind == "stat":
        values = {"calcs": ["lastNotNull"], "fields": f"/^{chart.y}$/", "values": False}
        return {"reduceOptions": values, "colorMode": "none", "graphMode": "none"}
    legend = {"showLegend": bool(chart.series), "displayMode": "list", "placement": "bottom"}
    if chart.kind == "bars":
        return {"xField": _x_field(query), "orientation": "auto", "legend": legend, "stacking": "normal"}
    return {"legend": legend, "tooltip": {"mode": "multi", "sort": "desc"}}


def _x_field(query: Query) -> str:
    chart = query.chart
    return f"{chart.x}\\{chart.series}" if chart.series else chart.x


def _transformations(query: Query) -> list[Node]:
    """Turn rows of x, y and series into a column a series: Grafana's bars want it so."""
    chart = query.chart
    if chart.kind != "bars" or not chart.series:
        return []
    options = {"columnField": chart.series, "rowField": chart.x, "valueField": chart.y}
    return [{"id": "groupingToMatrix", "options": options}]


def _defaults(query: Query) -> Node:
    unit = _unit(query.chart.y)
    links = [_drill(query)] if query.drill else []
    return ({"unit": unit} if unit else {}) | ({"links": links} if links else {})


def _overrides(query: Query) -> list[Node]:
    """Give the columns of a table their units, by the ends of their names."""
    if query.chart.kind != "table":
        return []
    ends = {"_ms$": "ms", "_ratio$": "percentunit"}
    return [
        {
            "matcher": {"id": "byRegexp", "options": f"/{end}/"},
            "properties": [{"id": "unit", "value": unit}],
        }
        for end, unit in ends.items()
    ]


def _unit(column: str) -> str:
    return "ms" if column.endswith("_ms") else "percentunit" if column.endswith("_ratio") else ""


def _drill(query: Query) -> Node:
    """Link a row to the page of the rows that it counts."""
    assert query.drill
    chart = query.chart
    field = {chart.series: f"${{__field.labels.{chart.series}}}"} if chart.kind == "lines" else {}
    values = {**query.drill.constants}
    for parameter, column in query.drill.columns.items():
        values[parameter] = field.get(column, f"${{__data.fields.{column}}}")
    kept = [f"var-{name}=${{{name}}}" for name in _CHOSEN if name not in values]
    asked = [f"var-{name}={value}" for name, value in values.items()]
    url = "/d/tocsin-detail?" + "&".join([*kept, *asked, "${__url_time_range}"])
    return {"title": "Rows", "url": url}


def _link_to_others() -> Node:
    return {
        "type": "dashboards",
        "tags": ["tocsin"],
        "title": "Tocsin",
        "asDropdown": False,
        "includeVars": True,
        "keepTime": True,
    }


def _chosen(name: str) -> Node:
    """Offer the values that there are; all of them is the empty text, quoted as the queries want it."""
    return {
        "name": name,
        "label": name,
        "type": "query",
        "datasource": DATASOURCE,
        "query": f"SELECT DISTINCT {name} FROM outcomes WHERE {name} != '' ORDER BY {name}",  # noqa: S608  # ours
        "refresh": 1,
        "includeAll": True,
        "allValue": "''",
        "current": {"text": "All", "value": "$__all"},
    }


def _hidden() -> list[Node]:
    """Choose the rollup for the time range, as `dashboards.queries.rollup_for` does."""
    return [
        {
            "name": name,
            "type": "query",
            "datasource": DATASOURCE,
            "query": f"SELECT {sql}",
            "refresh": 2,
            "hide": 2,
        }
        for name, sql in HIDDEN.items()
    ]


def _text(name: str) -> Node:
    return {"name": name, "label": name.replace("_", " "), "type": "textbox", "query": ""}


def board_json(board: Node) -> str:
    """Spell a dashboard as its file holds it."""
    return json.dumps(board, indent=2, ensure_ascii=False) + "\n"


if __name__ == "__main__":
    for name, board in boards().items():
        (Path(__file__).parent.parent / FOLDER / f"{name}.json").write_text(board_json(board))

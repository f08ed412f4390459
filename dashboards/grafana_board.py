"""The Grafana dashboard: one panel a named query, so that people and `tocsin query` see the same figures.

`python -m dashboards.grafana_board` writes `dashboards/grafana/tocsin.json`; a test fails while it differs.
"""

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from dashboards import store

Node = dict[str, Any]

BOARD = Path("dashboards/grafana/tocsin.json")
DATASOURCE = {"type": "grafana-clickhouse-datasource", "uid": "tocsin-clickhouse"}
_TABLE_FORMAT = 1
_WIDTH, _HEIGHT = 12, 9
# How Grafana writes what `store.run_query` binds: chosen variables as quoted text, the time range as ms.
_BOUND: Mapping[str, str] = {
    "{tenant:String}": "${tenant:sqlstring}",
    "{notification_id:String}": "${notification_id:sqlstring}",
    "{from_ms:Int64}": "${__from}",
    "{to_ms:Int64}": "${__to}",
}
_PARAMETER = re.compile(r"\{\w+:\w+\}")


def grafana_sql(query: str) -> str:
    """Write a named query as Grafana sends it.

    Raises:
        KeyError: the query has a parameter that the dashboard has no variable for.
    """
    return _PARAMETER.sub(lambda match: _BOUND[match[0]], query)


def board() -> Node:
    """Build the dashboard."""
    names = store.query_names()
    return {
        "uid": "tocsin",
        "title": "Tocsin",
        "tags": ["tocsin"],
        "schemaVersion": 41,
        "editable": False,
        "refresh": "30s",
        "time": {"from": "now-24h", "to": "now"},
        "templating": {"list": [_tenants(), _text("notification_id", "notification id (timeline)")]},
        "panels": [_panel(at, name) for at, name in enumerate(names)],
    }


def _panel(at: int, name: str) -> Node:
    comment, _, query = store.query_text(name).partition("\n")
    title, _, text = comment.removeprefix("-- ").partition(": ")
    return {
        "id": at + 1,
        "type": "table",
        "title": title,
        "description": f"{text} (tocsin query {name})",
        "datasource": DATASOURCE,
        "gridPos": {"x": at % 2 * _WIDTH, "y": at // 2 * _HEIGHT, "w": _WIDTH, "h": _HEIGHT},
        "targets": [_target(grafana_sql(query.strip()))],
        "options": {"showHeader": True},
    }


def _target(sql: str) -> Node:
    return {
        "refId": "A",
        "datasource": DATASOURCE,
        "editorType": "sql",
        "queryType": "table",
        "format": _TABLE_FORMAT,
        "rawSql": sql,
    }


def _tenants() -> Node:
    return {
        "name": "tenant",
        "label": "tenant",
        "type": "query",
        "datasource": DATASOURCE,
        "query": "SELECT DISTINCT tenant FROM outcomes ORDER BY tenant",
        "refresh": 1,
        "current": {"text": "default", "value": "default"},
    }


def _text(name: str, label: str) -> Node:
    return {"name": name, "label": label, "type": "textbox", "query": ""}


def board_json() -> str:
    """Spell the dashboard as its file holds it."""
    return json.dumps(board(), indent=2, ensure_ascii=False) + "\n"


if __name__ == "__main__":
    (Path(__file__).parent.parent / BOARD).write_text(board_json())

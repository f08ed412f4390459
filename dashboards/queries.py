"""The named queries of `dashboards/queries`: one source for `tocsin query`, the built-in pages and Grafana.

`dashboards.query_file` says how a file is written.
"""

from collections.abc import Mapping
from functools import cache
from pathlib import Path
from types import MappingProxyType
from typing import Any

from clickhouse_connect.driver.client import Client

from dashboards.query_file import BOARDS, DETAIL, FILTERS, Query, parse
from tocsin.errors import SettingsError

Row = dict[str, Any]

FOREVER: Mapping[str, int] = MappingProxyType({"from_ms": -(2**62), "to_ms": 2**62})
STEPS_S = (60, 300, 900, 3600, 3 * 3600, 12 * 3600, 86_400, 7 * 86_400, 28 * 86_400)
"""Steps of time that charts use; each is a multiple of a minute, and from an hour on of an hour."""
DEFAULT_ROWS = 200
MOST_STEPS = 150
_ALL: Mapping[str, str] = MappingProxyType(dict.fromkeys(FILTERS, ""))
_FOLDER = Path(__file__).parent / "queries"


@cache
def queries() -> tuple[Query, ...]:
    """Read all named queries, in the order of the boards and the places on them."""
    order = (*BOARDS, DETAIL)
    found = [parse(path.stem, path.read_text()) for path in _FOLDER.glob("*.sql")]
    return tuple(sorted(found, key=lambda one: (order.index(one.board), one.place, one.name)))


def find(name: str) -> Query:
    """Find a query by its name.

    Raises:
        SettingsError: there is no such query; the text lists those there are.
    """
    found = {query.name: query for query in queries()}
    if name not in found:
        msg = f"no query is called {name!r}; there are: {', '.join(sorted(found))}"
        raise SettingsError(msg)
    return found[name]


def step_for(from_ms: int, to_ms: int) -> int:
    """Choose the step of a time chart: the smallest that cuts the range into `MOST_STEPS` or fewer."""
    seconds = (to_ms - from_ms) / 1000
    return next((step for step in STEPS_S if seconds <= step * MOST_STEPS), STEPS_S[-1])


def bind(chosen: Mapping[str, Any]) -> dict[str, Any]:
    """Complete chosen parameters: tenant `default`, all of the time, no filter, a step that fits."""
    bound: dict[str, Any] = {"tenant": "default", **FOREVER, **_ALL, "rows": DEFAULT_ROWS, **chosen}
    bound.setdefault("step_s", step_for(bound["from_ms"], bound["to_ms"]))
    return bound


def run(client: Client, name: str, chosen: Mapping[str, Any]) -> list[Row]:
    """Run a named query with these parameters; `bind` says what the others are.

    Raises:
        SettingsError: there is no such query.
    """
    query = find(name)
    bound = bind(chosen)
    result = client.query(query.sql, parameters={key: bound[key] for key in query.parameters})
    return [dict(zip(result.column_names, row, strict=True)) for row in result.result_rows]

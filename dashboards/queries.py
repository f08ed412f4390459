"""The named queries of `dashboards/queries`: one source for `tocsin query`, the built-in pages and Grafana.

`dashboards.query_file` says how a file is written.
"""

from collections.abc import Mapping
from functools import cache
from pathlib import Path
from types import MappingProxyType
from typing import Any, NamedTuple

from clickhouse_connect.driver.client import Client

from dashboards.query_file import BOARDS, DETAIL, FILTERS, Query, parse
from dashboards.store import ask
from tocsin.errors import SettingsError

Row = dict[str, Any]

FOREVER: Mapping[str, int] = MappingProxyType({"from_ms": 0, "to_ms": 2**32 * 1000 - 1000})
"""All of the time that ClickHouse's DateTime has: from 1970 to 2106."""
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
    clauses = {path.stem: path.read_text() for path in (_FOLDER / "with").glob("*.sql")}
    found = [parse(path.stem, path.read_text(), clauses) for path in _FOLDER.glob("*.sql")]
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


def has_kafka_times(query: Query) -> bool:
    """Tell whether the rows have Kafka's time, which lies after the clock of a stream that is played."""
    return "FROM dead_letters" in query.sql


class Rollup(NamedTuple):
    """A table of figures that are summed up by `unit_s`, and its column of the time."""

    table: str
    time: str
    unit_s: int


MINUTES, HOURS, DAYS = (
    Rollup("outcomes_minute", "minute", 60),
    Rollup("outcomes_hour", "hour", 3600),
    Rollup("outcomes_day", "day", 86_400),
)
MINUTES_KEPT_MS = 6 * 86_400_000
"""Minutes are kept for seven days; a day less is relied on."""


def rollup_for(step_s: int, from_ms: int, now_ms: int) -> Rollup:
    """Choose the rollup that a chart of such steps reads: minutes only as long as they are kept."""
    if step_s >= DAYS.unit_s:
        return DAYS
    return MINUTES if step_s < HOURS.unit_s and from_ms >= now_ms - MINUTES_KEPT_MS else HOURS


def bind(chosen: Mapping[str, Any], now_ms: int = 0) -> dict[str, Any]:
    """Complete chosen parameters: tenant `default`, all of the time, no filter, a step that fits."""
    bound: dict[str, Any] = {"tenant": "default", **FOREVER, **_ALL, "rows": DEFAULT_ROWS, **chosen}
    bound.setdefault("step_s", step_for(bound["from_ms"], bound["to_ms"]))
    rollup = rollup_for(bound["step_s"], bound["from_ms"], now_ms)
    bound["step_s"] = max(bound["step_s"], rollup.unit_s)
    return bound | {"rollup": rollup.table, "rollup_time": rollup.time, "rollup_s": rollup.unit_s}


def parameters(client: Client, query: Query, chosen: Mapping[str, Any]) -> dict[str, Any]:
    """Give what a query binds. The clock of ClickHouse decides whether it still keeps the minutes."""
    now_s = client.query("SELECT toUnixTimestamp(now())").result_rows[0][0] if _reads_rollup(query) else 0
    bound = bind(chosen, int(now_s) * 1000)
    return {name: bound[name] for name in query.parameters}


def _reads_rollup(query: Query) -> bool:
    return "rollup" in query.parameters


def run(client: Client, name: str, chosen: Mapping[str, Any]) -> list[Row]:
    """Run a named query with these parameters; `bind` says what the others are.

    Raises:
        SettingsError: there is no such query.
    """
    query = find(name)
    return ask(client, query.sql, parameters(client, query, chosen))


def after_newest_ms(client: Client) -> int | None:
    """Return the moment just after the newest outcome of all tenants; None where there is none.

    Under the clock `stream` relative times count back from it.
    """
    rows = run(client, "tenants", {})
    return max(row["newest_ms"] for row in rows) + 1 if rows else None

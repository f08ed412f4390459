"""Analytics on many rows: `python -m bench.analytics [--json] [--rows N]`.

Fills a database of its own with outcomes of thirty days, copies and late receipts among them, in the embedded
ClickHouse or the one that TOCSIN_CLICKHOUSE names (there it is dropped at the end). Prints how many bytes a
row takes in each table and what 100 million rows would take. Prints how long named queries and `tocsin why`
take: at first, and as the median of the times after it.
"""

import argparse
import json
import statistics
import tempfile
import time
from collections.abc import Callable
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import Any

from clickhouse_connect.driver.client import Client
from rich.console import Console
from rich.progress import Progress

from bench.outcome_rows import DAY_MS, fill
from bench.reference import Reference
from dashboards import migrate, queries, rollups, store, story
from tocsin.app.settings import environment
from tocsin.devkit.servers import CLICKHOUSE, Servers

_DAYS = 30
_FIRST_MS = 1_785_542_400_000  # 2026-08-01
_AGAIN = 3
_SUBJECTS = 20
_SETTLE_S = 120
_MANY = 100_000_000
_DATABASE = "tocsin_bench_analytics"


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench.analytics", description=__doc__)
    parser.add_argument("--rows", type=int, default=10_000_000)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="tocsin-bench-")))
        url = environment().get("TOCSIN_CLICKHOUSE")
        if url is None:
            url = stack.enter_context(Servers(folder, {CLICKHOUSE})).settings["TOCSIN_CLICKHOUSE"]
        url = f"{url.rpartition('/')[0]}/{_DATABASE}"
        with Reference() as reference:
            report = measure(url, options.rows)
        report["reference_loop_ms"] = reference.figures
    print(json.dumps(report) if options.json else _text(report))


def measure(url: str, rows: int) -> dict[str, Any]:
    """Fill, weigh and ask; the database is dropped."""
    migrate.migrate(url)
    with store.connect(url, timeout_s=3600) as client:
        try:
            began = time.perf_counter()
            _load(client, rows)
            loaded_s = time.perf_counter() - began
            rollups.refresh(client)
            refreshed_s = time.perf_counter() - began - loaded_s
            _settle(client)
            return {
                "rows": _number(client, "SELECT uniqExact(outcome_id) FROM outcomes"),
                "stored_rows_per_s": round(rows / loaded_s),
                "rollups_from_nothing_s": round(refreshed_s, 1),
                **_sizes(client),
                "queries_ms": _queries(client),
                "why_ms": _why(client),
            }
        finally:
            client.command(f"DROP DATABASE IF EXISTS {_DATABASE}")


def _load(client: Client, rows: int) -> None:
    first = 0
    with Progress(console=Console(stderr=True), transient=True) as progress:
        for day in progress.track(range(_DAYS), description="storing"):
            day_ms = _FIRST_MS + day * DAY_MS
            first += fill(client, rows // _DAYS, first=first, from_ms=day_ms, users=max(1, rows // 30))


def _settle(client: Client) -> None:
    """Wait until the merges that the load began have ended."""
    end = time.monotonic() + _SETTLE_S
    while time.monotonic() < end and _number(client, "SELECT count() FROM system.merges"):
        time.sleep(1)


def _number(client: Client, question: str) -> int:
    return int(client.query(question).result_rows[0][0])


def _sizes(client: Client) -> dict[str, Any]:
    """Weigh each table, in bytes an outcome; the estimate lets each grow with the outcomes."""
    rows = _number(client, "SELECT uniqExact(outcome_id) FROM outcomes")
    asked = """SELECT table, sum(bytes_on_disk) AS bytes, sum(rows) AS rows, count() AS parts
    FROM system.parts WHERE active AND database = currentDatabase() GROUP BY table ORDER BY bytes DESC"""
    tables = list(client.query(asked).named_results())
    total = sum(one["bytes"] for one in tables)
    return {
        "bytes_per_row": {one["table"]: round(one["bytes"] / rows, 2) for one in tables},
        "bytes_per_row_total": round(total / rows, 1),
        "table_rows": {one["table"]: one["rows"] for one in tables},
        "parts": {one["table"]: one["parts"] for one in tables},
        "estimated_gb_at_100m_rows": round(total / rows * _MANY / 1e9, 2),
    }


def _timed(ask: Callable[[], object]) -> dict[str, float]:
    times = []
    for _ in range(1 + _AGAIN):
        began = time.perf_counter()
        ask()
        times.append((time.perf_counter() - began) * 1000)
    return {"first": round(times[0]), "median": round(statistics.median(times[1:]))}


def _queries(client: Client) -> dict[str, dict[str, float]]:
    """Time every named query over all thirty days."""
    last_ms = _FIRST_MS + _DAYS * DAY_MS
    some = str(client.command("SELECT notification_id FROM outcomes WHERE status = 'clicked' LIMIT 1"))
    chosen = {"from_ms": _FIRST_MS, "to_ms": last_ms}
    return {
        query.name: _timed(partial(queries.run, client, query.name, _filters(query, chosen, some)))
        for query in queries.queries()
    }


def _filters(query: Any, chosen: dict[str, int], notification_id: str) -> dict[str, Any]:
    """The story of one notification is asked for by its id; all else is over everything."""
    return chosen | ({"notification_id": notification_id} if query.name == "timeline" else {})


def _why(client: Client) -> dict[str, dict[str, int]]:
    """Time `why` for subjects of each kind: the median and the longest of their first answers."""
    columns = {"user": "user", "event": "event_id", "origin": "origin"}
    columns |= {"notification": "notification_id", "message": "message_id"}
    found = {}
    for kind, column in columns.items():
        some = f"message_id != '' AND cityHash64(outcome_id) % 1009 = 7 LIMIT {_SUBJECTS}"
        asked = f"SELECT {column} FROM outcomes WHERE {some}"
        times = []
        for (subject,) in client.query(asked).result_rows:
            began = time.perf_counter()
            assert story.find(client, subject), subject
            times.append((time.perf_counter() - began) * 1000)
        found[kind] = {"median": round(statistics.median(times)), "longest": round(max(times))}
    return found


def _text(report: dict[str, Any]) -> str:
    lines = []
    for name, value in report.items():
        if isinstance(value, dict):
            lines += [f"{name}", *[f"  {key:24} {one}" for key, one in value.items()]]
        else:
            lines.append(f"{name:26} {value}")
    return "\n".join(lines)


if __name__ == "__main__":
    main()

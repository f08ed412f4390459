"""Outcomes stored a second: `python -m bench.clickhouse [--json] [--rows N]`.

The writer of `tocsin run --flow track` itself, over HTTP, into the embedded ClickHouse or the one that
TOCSIN_CLICKHOUSE names (its tables are made if they are not there). Outcomes are as the gate and delivery
write them; time runs from the first one submitted until the last one is reported as stored.
"""

import argparse
import json
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import psutil
from rich.console import Console
from rich.progress import Progress

from bench.reference import Reference
from dashboards import migrate, store
from sinks.clickhouse import WRITERS, OutcomeWriter
from sinks.clickhouse_store import ClickHouseLines
from tocsin.app.settings import environment
from tocsin.devkit.servers import CLICKHOUSE, Servers
from tocsin.formats.codec import encode
from tocsin.model import topics
from tocsin.model.ids import digest
from tocsin.model.outcome import Outcome
from tocsin.model.raw import RawRecord
from tocsin.model.statuses import Status

_SUBMIT = 500
_POLL_S = 0.005


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench.clickhouse", description=__doc__)
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="tocsin-bench-")))
        url = environment().get("TOCSIN_CLICKHOUSE")
        if url is None:
            url = stack.enter_context(Servers(folder, {CLICKHOUSE})).settings["TOCSIN_CLICKHOUSE"]
        report = measure(url, options.rows)
    print(json.dumps(report) if options.json else "\n".join(f"{k:20} {v}" for k, v in report.items()))


def measure(url: str, rows: int) -> dict[str, Any]:
    """Store outcomes that no run has stored before, and count them."""
    migrate.migrate(url)
    records = outcomes(rows)
    writer = OutcomeWriter(*[ClickHouseLines(lambda: store.connect(url)) for _ in range(WRITERS)])
    process = psutil.Process()
    try:
        with Reference() as reference:
            before_s, began = sum(process.cpu_times()[:2]), time.perf_counter()
            play(writer, records)
            passed = time.perf_counter() - began
    finally:
        writer.close()
    return {
        "rows": rows,
        "rows_per_s": round(rows / passed),
        "writer_cpu_us_per_row": round((sum(process.cpu_times()[:2]) - before_s) / rows * 1e6, 1),
        "mb_per_s": round(sum(len(record.value or b"") for record in records) / passed / 1e6, 1),
        "reference_loop_ms": reference.figures,
    }


def outcomes(count: int) -> list[RawRecord]:
    """Make pairs of words, admitted and sent, of a run of its own."""
    now_ms = round(time.time() * 1000)
    made = []
    for number in range(count):
        status = Status.SENT if number % 2 else Status.ADMITTED
        message = digest("bench", str(now_ms), str(number // 2))
        word = Outcome(
            outcome_id=digest(message, status),
            status=status,
            tenant="default",
            user=f"u{number // 2}",
            notification_id=message,
            message_id=message,
            event_id=str(number // 2),
            event_source="/shop/orders",
            event_type="order.shipped",
            event_time_ms=now_ms,
            origin=f"events/{number % 8}/{number // 2}",
            notification="welcome",
            category="orders",
            channel="email",
            target=digest("target", message),
            priority="normal",
            catalog_version="1" * 16,
            at_ms=now_ms,
            received_ms=now_ms,
            latency_ms=60 if number % 2 else -1,
        )
        made.append(RawRecord(topics.OUTCOMES, number % 8, number, now_ms, None, encode(word), ()))
    return made


def play(writer: OutcomeWriter, records: list[RawRecord]) -> None:
    """Submit as there is room, and wait until all is stored."""
    at = 0
    with Progress(console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task("storing", total=len(records))
        while at < len(records) or writer.waiting:
            room = min(_SUBMIT, writer.room())
            writer.submit(records[at : at + room])
            at += len(records[at : at + room])
            progress.advance(task, len(writer.finished()))
            if not room or at == len(records):
                time.sleep(_POLL_S)


if __name__ == "__main__":
    main()

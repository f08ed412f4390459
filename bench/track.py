"""Outcomes stored a second, beside what decide puts out: `python -m bench.track [--json] [--events N]`.

Runs `bench.decide` first, then the track flow on the outcomes that it left in Kafka, into the embedded
ClickHouse or the one that TOCSIN_CLICKHOUSE names. `track_vs_decide` tells how many times faster they are
stored than made; it should be 1.5 or more. Takes the options of `bench.decide`.
"""

import argparse
import json
import sys
import tempfile
import time
from contextlib import ExitStack
from itertools import pairwise
from pathlib import Path
from typing import Any

from confluent_kafka import Consumer, TopicPartition
from rich.console import Console
from rich.progress import Progress

from bench import decide
from bench.fleet import Shards, environment_of
from bench.reference import Reference
from dashboards import migrate, store
from tocsin.app.settings import Settings, environment
from tocsin.devkit.servers import CLICKHOUSE, Servers
from tocsin.model import topics

_EVERY_S = 0.5
_SETTLED_S = 30.0
"""Without progress so long, the last of the rows are stored."""


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench.track", description=__doc__)
    decide.add_arguments(parser)
    options = parser.parse_args()
    with ExitStack() as stack:
        decided, settings = decide.run(options, stack)
        outcomes = _written(settings)
        report = _tracked(settings, outcomes, options, stack)
    a_second = decided["events_per_s"] * outcomes / decided["events"]
    report = {
        "events_decided_per_s": decided["events_per_s"],
        "outcomes_decided_per_s": round(a_second),
        **report,
        "track_vs_decide": round(report["rows_per_s"] / a_second, 2),
    }
    print(json.dumps(report) if options.json else "\n".join(f"{k:24} {v}" for k, v in report.items()))


def _written(settings: Settings) -> int:
    """Count the records of the topic of outcomes."""
    consumer = Consumer({"bootstrap.servers": settings.kafka, "group.id": "bench"})
    name = settings.topic_prefix + topics.OUTCOMES
    ends = [
        consumer.get_watermark_offsets(TopicPartition(name, number), timeout=15)
        for number in range(settings.partitions)
    ]
    consumer.close()
    return sum(high - low for low, high in ends)


def _tracked(
    settings: Settings, outcomes: int, options: argparse.Namespace, stack: ExitStack
) -> dict[str, Any]:
    folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="tocsin-bench-")))
    url = environment().get("TOCSIN_CLICKHOUSE")
    if url is None:
        url = stack.enter_context(Servers(folder, {CLICKHOUSE})).settings["TOCSIN_CLICKHOUSE"]
    migrate.migrate(url)
    with Reference() as reference:
        report = _measure(settings, {**environment_of(settings), "TOCSIN_CLICKHOUSE": url}, outcomes, options)
    with store.connect(url) as client:
        report["rows_in_clickhouse"] = int(str(client.command("SELECT uniqExact(outcome_id) FROM outcomes")))
    return report | {"reference_loop_ms": reference.figures}


def _measure(
    settings: Settings, env: dict[str, str], outcomes: int, options: argparse.Namespace
) -> dict[str, Any]:
    """Follow the rows until they are all stored; time runs from the first to the last of them."""
    shards = Shards(settings, env, options.shards, "track")
    marks = [(time.monotonic(), 0.0, shards.cpu_s())]
    try:
        with Progress(console=Console(stderr=True), transient=True) as progress:
            task = progress.add_task("storing", total=outcomes)
            while marks[-1][1] < outcomes and not _stands(marks):
                time.sleep(_EVERY_S)
                rows = shards.metrics().get("tocsin_clickhouse_rows_total", 0.0)
                marks.append((time.monotonic(), rows, shards.cpu_s()))
                progress.update(task, completed=rows)
                if problems := shards.problems():
                    sys.exit("\n".join(problems))
    finally:
        shards.stop()
    moved = [mark for before, mark in pairwise(marks) if mark[1] > before[1]]
    first, last = moved[0], moved[-1]
    if last[1] == first[1]:
        sys.exit("too few outcomes to time: raise --events")
    rows, passed = last[1] - first[1], last[0] - first[0]
    return {
        "rows": int(last[1]),
        "rows_per_s": round(rows / passed),
        "track_cpu_us_per_row": round((last[2] - first[2]) / rows * 1e6, 1),
    }


def _stands(marks: list[tuple[float, float, float]]) -> bool:
    """Tell whether rows came, and none has come for a while."""
    now_s, rows, _ = marks[-1]
    since = next((at_s for at_s, before, _ in marks if before == rows), now_s)
    return rows > 0 and now_s - since > _SETTLED_S


if __name__ == "__main__":
    main()

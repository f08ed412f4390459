"""How many events a second the gate decides: Kafka → decode → gate → messages and outcomes → Kafka.

`python -m bench.decide --json [--mix honest|alike|limited|admitted] [--catalog full] [--users N]`, on
the embedded broker or on the one in TOCSIN_KAFKA. By default the mix of events is honest (`bench.mixes`).
With `limited` each user may get one message a minute, so a user's first event is admitted and the others are
suppressed. With `admitted` every event becomes two messages, which makes runs of few and of many users
comparable. The report tells which share of the events really ended in each way.

With `--catalog full` the honest mix runs twice: with its plain catalog, and with one that uses all words:
conditions, schedule, digest, limits of many kinds, dedup by key, hours of channels and people, escalation.
`full_vs_plain` has the ratios, each above 1 where the full catalog is better. Its events lead to more
outcomes and messages than those of the plain one: `records_per_s` compares what is written to Kafka. With
`--mix alike` they do not: only such events come as both catalogs end in the same way.

Profiles of all users and all events are in Kafka before the shards start; profiles are read to their end
first. Events are timed from the moment `--warmup` of them are decided. Decisions are exact: recovery store,
base and outbox are on. Memory is told at the start, in the middle and at the end.
"""

import argparse
import json
import sys
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path
from typing import Any, NamedTuple

from rich.console import Console
from rich.progress import Progress

from bench.fleet import Feeder, Shards, prepare, profiles
from bench.mixes import MIXES, shares, write_mix_catalog, written
from bench.reference import Reference
from tocsin.app.settings import Settings
from tocsin.devkit.servers import REDIS

_EVERY_S = 1.0


class Mark(NamedTuple):
    """How far the shards were at a moment, and what they had used."""

    at_s: float
    decided: float
    cpu_s: float
    rss_mb: int


def main() -> None:
    parser = _arguments()
    options = parser.parse_args()
    if options.catalog == "full" and options.mix not in ("honest", "alike"):
        parser.error("--catalog full is a catalog for the mixes `honest` and `alike`")
    report = _run(options, full=False)
    if options.catalog == "full":
        report = {
            "plain": report,
            "full": (full := _run(options, full=True)),
            "full_vs_plain": _ratios(report, full),
        }
    print(json.dumps(report) if options.json else "\n".join(f"{k:28} {v}" for k, v in report.items()))


def _run(options: argparse.Namespace, *, full: bool) -> dict[str, Any]:
    with ExitStack() as stack:
        return run(options, stack, full=full)[0]


def run(
    options: argparse.Namespace, stack: ExitStack, *, full: bool = False
) -> tuple[dict[str, Any], Settings]:
    """Measure once; the servers and what the topics hold stay until the stack ends."""
    console = Console(stderr=True)
    folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="tocsin-bench-")))
    catalog = write_mix_catalog(folder / "catalog", options.mix, full=full)
    settings, env = prepare(
        folder, {REDIS}, stack, TOCSIN_CATALOG=str(catalog), TOCSIN_EPOCH_MS=str(options.epoch_ms)
    )
    _publish(settings, options, console)
    with Reference() as reference:
        report = _measure(settings, env, options, console)
    report["reference_loop_ms"] = reference.figures
    return report, settings


def _ratios(plain: dict[str, Any], full: dict[str, Any]) -> dict[str, float]:
    events = full["events_per_s"] / plain["events_per_s"]
    cpu = plain["cpu_us_per_event"] / full["cpu_us_per_event"]
    records = full["records_per_event"] / plain["records_per_event"]
    return {
        "events_per_s": round(events, 2),
        "records_per_s": round(events * records, 2),
        "cpu_us_per_event": round(cpu, 2),
        "cpu_us_per_record": round(cpu * records, 2),
    }


def _arguments() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m bench.decide", description=__doc__)
    add_arguments(parser)
    return parser


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments that `run` reads."""
    parser.add_argument("--users", type=int, default=100_000)
    parser.add_argument("--events", type=int, default=600_000)
    parser.add_argument("--shards", type=int, default=2)
    parser.add_argument("--epoch-ms", type=int, default=200)
    parser.add_argument("--warmup", type=float, default=0.15, help="share of the events that is not timed")
    parser.add_argument("--mix", choices=MIXES, default="honest", help="which kinds of events")
    parser.add_argument("--catalog", choices=("plain", "full"), default="plain", help="words it uses")
    parser.add_argument("--seconds", type=float, default=600, help="give up after so long")
    parser.add_argument("--json", action="store_true")


def _publish(settings: Settings, options: argparse.Namespace, console: Console) -> None:
    feeder = Feeder(settings, linger_ms=20)
    with Progress(console=console, transient=True) as progress:
        task = progress.add_task("publishing", total=options.users + options.events)
        for records in (profiles(options.users), MIXES[options.mix].events(options.users, options.events)):
            for at, record in enumerate(records):
                feeder.write(record)
                if at % 5_000 == 0:
                    progress.advance(task, 5_000)
            feeder.flush()


def _measure(
    settings: Settings, env: dict[str, str], options: argparse.Namespace, console: Console
) -> dict[str, Any]:
    shards = Shards(settings, env, options.shards, "decide")
    marks: list[Mark] = []
    try:
        with Progress(console=console, transient=True) as progress:
            task = progress.add_task("deciding", total=options.events)
            while not marks or marks[-1].decided < options.events:
                time.sleep(_EVERY_S)
                marks.append(_look(shards))
                progress.update(task, completed=marks[-1].decided)
                if marks[-1].at_s - shards.began > options.seconds:
                    break
        last = shards.metrics()
    finally:
        shards.stop()
    return _report(marks, last, options, shards.began)


def _look(shards: Shards) -> Mark:
    problems = shards.problems()
    if problems:
        sys.exit("\n".join(problems))
    decided = shards.metrics().get("tocsin_records_total|events", 0.0)
    return Mark(time.monotonic(), decided, shards.cpu_s(), round(shards.rss_mb()))


def _report(
    marks: list[Mark], last: dict[str, float], options: argparse.Namespace, began: float
) -> dict[str, Any]:
    enough = options.events * options.warmup
    # The mark behind the last event says nothing of when that was decided.
    timed = [mark for mark in marks if enough <= mark.decided < options.events]
    if len(timed) < 2:
        sys.exit("too few events to time: raise --events")
    first, end = timed[0], timed[-1]
    passed, decided = end.at_s - first.at_s, end.decided - first.decided
    return {
        "users": options.users,
        "mix": options.mix,
        "shares": shares(last, marks[-1].decided),
        **written(last, marks[-1].decided),
        "events": int(marks[-1].decided),
        "shards": options.shards,
        "epoch_ms": options.epoch_ms,
        "events_per_s": round(decided / passed),
        "cpu_us_per_event": round((end.cpu_s - first.cpu_s) / decided * 1e6, 1),
        "cores": round((end.cpu_s - first.cpu_s) / passed, 2),
        "seconds_timed": round(passed, 1),
        "profiles_loaded_s": round(next(mark.at_s for mark in marks if mark.decided) - began, 1),
        "rss_mb_largest_shard": [mark.rss_mb for mark in (first, timed[len(timed) // 2], end)],
        "epoch_close_p50_ms": last.get("tocsin_epoch_close_ms|0.5", 0),
        "epoch_close_p99_ms": last.get("tocsin_epoch_close_ms|0.99", 0),
    }


if __name__ == "__main__":
    main()

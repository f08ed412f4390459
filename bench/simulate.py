"""How fast a simulation is beside its flow: `python -m bench.simulate [--json] [--users N] [--events M]`.

`bench.decide` runs with one shard, on the embedded broker or on the one in TOCSIN_KAFKA. Then the command
`tocsin simulate` decides what the topics hold by the same catalog, profiles included, and compares it with
the outcomes. It runs as people run it, with one process for each core, and once more with `--workers 1`.

`ratio` is events a second of the command over those of the shard; `ratio_one_process` is that of one process.
`cpu_ratio` compares CPU time an event of one process and the shard. All are better above 1. The command's
figures include its start, the start of its processes and the profiles; the shard's do not. Its CPU includes
that of its processes. A shard uses more than one core: beside its worker, threads read Kafka and write.
"""

import argparse
import json
import os
import subprocess
import sys
import time
from contextlib import ExitStack
from typing import Any

from bench.decide import add_arguments, run
from bench.fleet import ROOT, environment_of
from tocsin.app.settings import Settings


def simulated(settings: Settings, events: int, *words: str) -> dict[str, Any]:
    """Simulate the topics by the command, and tell how long it took."""
    command = [sys.executable, "-m", "tocsin.cli.main", "simulate", "--json"]
    command += ["--catalog", str(settings.catalog), *words]
    began_s = time.perf_counter()
    with subprocess.Popen(
        command, env=environment_of(settings), cwd=ROOT, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None, "it is a pipe"
        report = json.loads(process.stdout.read() or "{}")
        _, status, used = os.wait4(process.pid, 0)  # with the processes that it had
        process.returncode = os.waitstatus_to_exitcode(status)
    wall_s = time.perf_counter() - began_s
    if process.returncode:
        sys.exit("the simulation failed: its own error is above")
    result = report["result"]
    return {
        "events_per_s": round(events / wall_s),
        "cpu_us_per_event": round((used.ru_utime + used.ru_stime) / events * 1e6, 1),
        "seconds": round(wall_s, 1),
        "rss_mb_largest_process": used.ru_maxrss // 1024,
        "compared": result["equal"] + result["differing"],
        "differing": result["differing"],
        "placed_by_outcome": result["ordered"],
    }


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench.simulate", description=__doc__)
    add_arguments(parser)
    parser.set_defaults(shards=1, users=20_000, events=400_000)
    options = parser.parse_args()
    with ExitStack() as stack:
        decided, settings = run(options, stack)
        found = simulated(settings, decided["events"])
        alone = simulated(settings, decided["events"], "--workers", "1")
    report = {
        "decide": decided,
        "simulate": found,
        "one_process": alone,
        "ratio": round(found["events_per_s"] / decided["events_per_s"], 2),
        "ratio_one_process": round(alone["events_per_s"] / decided["events_per_s"], 2),
        "cpu_ratio": round(decided["cpu_us_per_event"] / alone["cpu_us_per_event"], 2),
    }
    print(json.dumps(report) if options.json else json.dumps(report, indent=2))


if __name__ == "__main__":
    main()

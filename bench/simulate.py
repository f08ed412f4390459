"""How fast a simulation is beside its flow: `python -m bench.simulate [--json] [--users N] [--events M]`.

`bench.decide` runs with one shard, on the embedded broker or on the one in TOCSIN_KAFKA. Then one process
simulates what the topics hold by the same catalog, profiles included, and compares it with the outcomes.
`ratio` is events a second of the simulation over those of the shard, `cpu_ratio` the same of CPU time an
event; both are better above 1. The simulation's figures include its start and the profiles, the shard's do
not.
"""

import argparse
import json
import resource
import time
from contextlib import ExitStack
from typing import Any

from bench.decide import add_arguments, run
from flows.assembly import gate_policy
from flows.memory import collect_seldom
from flows.simulation.machine import Bounds
from flows.simulation.simulation import Place, Request, simulate
from tocsin.app.settings import Settings
from tocsin.formats.cloudevents import EventLimits


def simulated(settings: Settings, events: int) -> dict[str, Any]:
    """Simulate the topics, and tell how long it took."""
    limits = EventLimits(settings.max_record_bytes, settings.max_past_s, settings.max_future_s, True)
    bounds = Bounds(
        settings.partitions, settings.key_groups, gate_policy(settings), limits, settings.epoch_ms
    )
    place = Place(None, settings.kafka, settings.topic_prefix, dict(settings.kafka_options))
    collect_seldom()  # as the command does
    wall_s, cpu_s = time.perf_counter(), time.process_time()
    report = simulate(Request(place, bounds, settings.catalog, settings.catalog, 0))
    wall_s, cpu_s = time.perf_counter() - wall_s, time.process_time() - cpu_s
    return {
        "events_per_s": round(events / wall_s),
        "cpu_us_per_event": round(cpu_s / events * 1e6, 1),
        "seconds": round(wall_s, 1),
        "rss_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024,
        "compared": report.compared,
        "differing": report.result.differing,
        "placed_by_outcome": report.result.ordered,
    }


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench.simulate", description=__doc__)
    add_arguments(parser)
    parser.set_defaults(shards=1, users=20_000, events=200_000)
    options = parser.parse_args()
    with ExitStack() as stack:
        decided, settings = run(options, stack)
        found = simulated(settings, decided["events"])
    report = {
        "decide": decided,
        "simulate": found,
        "ratio": round(found["events_per_s"] / decided["events_per_s"], 2),
        "cpu_ratio": round(decided["cpu_us_per_event"] / found["cpu_us_per_event"], 2),
    }
    print(json.dumps(report) if options.json else json.dumps(report, indent=2))


if __name__ == "__main__":
    main()

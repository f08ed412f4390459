"""Compares this build with Kafka Streams, Quix Streams, its prototypes and the build before it.

`python -m bench.peers [--json] [--quick] [--only decide|deliver|latency] [--rounds N]`

Everything runs on one Apache Kafka of this machine, one contender after the other and round by round, so that
a slow minute of the machine meets all of them. Needs Java 17 with its compiler and Maven; packages and the
older build are installed at the first run and kept in the user's cache folder. See docs/performance.md.
"""

import argparse
import json
import os
import signal
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import Progress

from bench.peers import decide, deliver, honest, latency, report
from bench.peers.environments import BEFORE, Build, before, today
from bench.peers.laboratory import Laboratory
from bench.peers.watch import Failed, Rate
from bench.reference import Reference
from tocsin.devkit.processes import StartError

KINDS = ("decide", "deliver", "latency")
Turn = tuple[str, str, Callable[[], dict[str, float]]]
"""Measurement, contender, and what runs it; gives figures by name."""


class Bench:
    """Plans the turns and gathers what they give."""

    def __init__(self, options: argparse.Namespace, console: Console) -> None:
        self._options = options
        self._scale = 10 if options.quick else 1
        self._size = decide.Size(decide.EVENTS // self._scale, decide.USERS // self._scale)
        self._builds = [before(options.before), today()]
        self._progress = Progress(console=console, transient=True)
        self._task = self._progress.add_task("starting Apache Kafka", total=None)
        self.rounds: dict[str, dict[str, list[float]]] = {}
        self._decisions: decide.Decisions | None = None
        self._honest: honest.HonestMix | None = None

    def run(self, folder: Path) -> dict[str, Any]:
        """Measure everything that was asked for; returns the report."""
        with self._progress, Laboratory(folder, self._moved) as laboratory, Reference() as reference:
            turns = self._turns(laboratory)
            for number in range(self._options.rounds):
                for kind, name, measure in turns:
                    self._name(f"{kind}: {name}, round {number + 1} of {self._options.rounds}")
                    self._gather(kind, name, measure())
        return self._report(reference)

    def _turns(self, laboratory: Laboratory) -> list[Turn]:
        wanted = [self._options.only] if self._options.only else KINDS
        plans = {"decide": self._decide, "deliver": self._deliver, "latency": self._latency}
        return [turn for kind in wanted for turn in plans[kind](laboratory)]

    def _decide(self, laboratory: Laboratory) -> list[Turn]:
        size = self._size
        self._name(f"making {size.events:,} events", size.events)
        made = self._decisions = decide.Decisions(laboratory, size)
        mixed = self._honest = honest.HonestMix(laboratory, self._scale)
        return [
            ("decide", "kafka_streams", lambda: _rate(made.kafka_streams())),
            ("decide", "quix", lambda: _rate(made.quix())),
            ("decide", "prototype", lambda: _rate(made.prototype())),
            *[("decide", each.name, _bound(made.product, each)) for each in self._builds],
            *[("honest", each.name, _bound(mixed.product, each)) for each in self._builds],
        ]

    def _deliver(self, laboratory: Laboratory) -> list[Turn]:
        made = deliver.Deliveries(laboratory, deliver.MESSAGES // self._scale)
        return [
            ("deliver", "prototype", lambda: _rate(made.prototype())),
            *[("deliver", each.name, _bound(made.product, each)) for each in self._builds],
        ]

    def _latency(self, laboratory: Laboratory) -> list[Turn]:
        made = latency.Latency(laboratory, latency.WARM_UP_S + (3 if self._options.quick else 30))
        return [
            ("latency", each.name, lambda build=each: made.product(build)._asdict())  # type: ignore[misc]  # early binding
            for each in self._builds
        ]

    def _gather(self, kind: str, name: str, figures: dict[str, float]) -> None:
        told = ", ".join(f"{figure} {value:,.1f}" for figure, value in figures.items())
        self._progress.console.print(f"{kind}: {name}: {told}")
        for figure, value in figures.items():
            self.rounds.setdefault(f"{kind}_{figure}", {}).setdefault(name, []).append(round(value, 2))

    def _name(self, text: str, total: int | None = None) -> None:
        self._progress.update(self._task, description=text, total=total, completed=0)

    def _moved(self, count: int) -> None:
        self._progress.update(self._task, completed=count)

    def _report(self, reference: Reference) -> dict[str, Any]:
        found = self._decisions.found if self._decisions else {}
        expected = self._decisions.expected if self._decisions else {}
        mixed = self._honest.found if self._honest else {}
        return {
            "rates": report.rates(self.rounds),
            "ratios": report.ratios(self.rounds),
            "rounds": self.rounds,
            "decisions": {"expected": expected, "found": found, "honest": mixed},
            "mistakes": report.mistakes(expected, found) + report.differences(mixed),
            "machine": {
                "cores": os.cpu_count(),
                "python": {build.name: build.python() for build in self._builds},
                "reference_loop_ms": reference.figures,
            },
            "parameters": self._parameters(),
        }

    def _parameters(self) -> dict[str, Any]:
        return {
            "before": self._options.before,
            "rounds": self._options.rounds,
            "decide": {
                "events": self._size.events,
                "users": self._size.users,
                "shards": decide.SHARDS,
                "partitions": decide.PARTITIONS,
                "peer_partitions": decide.PEER_PARTITIONS,
                "epoch_ms": decide.EPOCH_MS,
            },
            "honest": {"events": honest.EVENTS // self._scale, "users": honest.USERS // self._scale},
            "deliver": {
                "messages": deliver.MESSAGES // self._scale,
                "in_flight": deliver.IN_FLIGHT,
                "provider_ms": deliver.DELAY_MS,
                "partitions": deliver.PARTITIONS,
            },
            "latency": {
                "events_per_s": latency.RATE_PER_S,
                "users": latency.USERS,
                "partitions": latency.PARTITIONS,
            },
        }


def _rate(rate: Rate) -> dict[str, float]:
    return {"per_s": rate.per_s, "cpu_us": rate.cpu_us}


def _bound(measure: Callable[[Build], Rate], build: Build) -> Callable[[], dict[str, float]]:
    return lambda: _rate(measure(build))


def arguments() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m bench.peers", description=__doc__)
    parser.add_argument("--json", action="store_true", help="one object instead of tables")
    parser.add_argument("--quick", action="store_true", help="a tenth of everything, once: whether it runs")
    parser.add_argument("--only", choices=KINDS)
    parser.add_argument("--rounds", type=int, default=0, help="turns of each contender (3; with --quick 1)")
    parser.add_argument("--before", default=BEFORE, metavar="COMMIT", help="the older build")
    return parser


def main() -> None:
    options = arguments().parse_args()
    options.rounds = options.rounds or (1 if options.quick else 3)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    with tempfile.TemporaryDirectory(prefix="tocsin-bench-") as folder:
        try:
            found = Bench(options, Console(stderr=True)).run(Path(folder))
        except (StartError, Failed) as error:
            sys.exit(f"✗ {error}")
        except KeyboardInterrupt:
            sys.exit(130)
    if options.json:
        print(json.dumps(found))
    else:
        report.show(found, Console())
    sys.exit(1 if found["mistakes"] else 0)


if __name__ == "__main__":
    main()

"""The whole pipeline for minutes, with faults: `python -m bench.soak [--minutes N] [--apache] [--json]`.

Three processes decide, deliver and track. Events come at an even rate; each is an SMS (Twilio), a push (FCM)
or an e-mail (SMTP and SendGrid). Meanwhile the providers answer 429, 5xx, late or not at all, cut connections
before and after they took a message, and refuse recipients. Redis, ClickHouse and the network to the
providers are away in turn, with `--apache` the broker, too (the embedded one keeps nothing over a restart).
The sender is killed once. The same seed gives the same plan.

Afterwards everything must come to rest; only messages that failed five times may wait for their next attempt,
which is due in half an hour. Each violation is a line, and the exit code is 1, unless

- `tocsin balance` finds nothing missing or doubled, and `tocsin status` nothing that waits;
- no provider took a message twice. It may take an e-mail once more after each call without an answer, since
  that category says `resend`; an SMS (`ask_or_drop`) and a push (`drop`) it may not;
- what a provider took is called sent or unknown, and what is called sent was taken;
- no process ended by itself, and no provider refused the form of a request;
- the memory of each process is flat after its warm-up, but for what its state store says it keeps.
"""

import argparse
import json
import secrets
import shutil
import sys
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import msgspec
from rich.console import Console

from bench.fleet import Feeder, profiles
from bench.soak import load
from bench.soak.judge import Judged, judge
from bench.soak.memory import MOST_MB_A_MINUTE, Growth, growth
from bench.soak.plan import Plan, plan
from bench.soak.run import RESTING, Rest, Soak
from bench.soak.world import World
from sources.reader import TopicReader
from tocsin.formats.codec import decode_outcome
from tocsin.model import topics


def _arguments() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m bench.soak",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--minutes", type=float, default=10, help="how long events and faults go on")
    parser.add_argument("--rate", type=int, default=30, help="events a second")
    parser.add_argument("--users", type=int, default=3_000)
    parser.add_argument("--seed", type=int, default=secrets.randbelow(1_000_000))
    parser.add_argument("--patience", type=float, default=420, help="seconds until all must be at rest")
    parser.add_argument("--apache", action="store_true", help="Apache Kafka, which is restarted, too")
    parser.add_argument("--keep", type=Path, help="folder for logs and data, which are kept there")
    parser.add_argument("--verbose", action="store_true", help="a line for each thing that goes wrong")
    parser.add_argument("--json", action="store_true")
    return parser


def main() -> int:
    options = _arguments().parse_args()
    console = Console(stderr=True, highlight=False)
    folder = Path(options.keep or tempfile.mkdtemp(prefix="tocsin-soak-")).resolve()
    report = _soak(folder, options, console)
    if options.json:
        print(json.dumps(report))
    else:
        _show(report)
    if not report["violations"] and not options.keep:
        shutil.rmtree(folder)
    else:
        console.print(f"logs and data: {folder}")
    return 1 if report["violations"] else 0


def _soak(folder: Path, options: argparse.Namespace, console: Console) -> dict[str, Any]:
    with ExitStack() as stack:
        world = World(folder, stack, apache=options.apache)
        what = plan(options.seed, 60 * options.minutes, world.restartable)
        feeder = Feeder(world.settings, linger_ms=5, quiet=True)
        for record in profiles(options.users):
            feeder.write(record)
        feeder.flush()
        world.start(stack)
        soak = Soak(world, feeder, what, options.rate, options.users)
        rest = soak.run(60 * options.minutes, options.patience, console, verbose=options.verbose)
        return {"seed": options.seed, **_report(world, what, rest)}


def _report(world: World, what: Plan, rest: Rest) -> dict[str, Any]:
    judged, waiting = _judged(world), _waiting(world)
    memory = {flow: growth(max(lives, key=len)) for flow, lives in world.lives.items()}
    return {
        "events": rest.written,
        **msgspec.to_builtins(judged),
        "balance_error": rest.audit["balance_error"],
        "at_rest_after_s": round(rest.seconds, 1),
        "waiting": waiting,
        "stops": [f"{stop.name} at {stop.at_s:.0f} s for {stop.away_s:.1f} s" for stop in what.stops],
        "faults": len(what.faults),
        "ended_for_kafka": dict(world.excused),
        "memory_mb": {flow: each._asdict() for flow, each in memory.items()},
        "violations": [
            *judged.violations,
            *_of_audit(rest, judged.awaiting_retry),
            *(f"{count} still wait: {name}" for name, count in waiting.items()),
            *world.unexpected_ends(),
            *world.refused_forms(),
            *_of_memory(memory),
        ],
    }


def _judged(world: World) -> Judged:
    settings = world.settings
    with TopicReader(settings.kafka, settings.topic_prefix, settings.kafka_options) as reader:
        outcomes = map(decode_outcome, reader.read(topics.OUTCOMES))
        return judge(outcomes, world.taken(), load.POLICIES)


def _waiting(world: World) -> dict[str, int]:
    status = world.tocsin("status", "--over", "1s", *world.metrics())
    found = {each["topic"]: each["waiting"] for each in status["topics"]}
    found |= {each["account"]: each["waiting"] for each in status["accounts"]}
    return {name: count for name, count in found.items() if count}


def _of_audit(rest: Rest, awaiting_retry: int) -> Iterator[str]:
    audit = rest.audit
    if audit["balance_error"]:
        yield f"tocsin balance finds {audit['balance_error']} faults: {audit['counts']}"
    if audit["events"] != rest.written:
        yield f"{rest.written} events were written, {audit['events']} were audited"
    excused = {"held": awaiting_retry}
    for name in RESTING:
        if audit[name] > excused.get(name, 0):
            yield f"{audit[name]} are {name} after {rest.seconds:.0f} s of rest"


def _of_memory(memory: dict[str, Growth]) -> Iterator[str]:
    for flow, each in memory.items():
        if not each.flat:
            yield f"{flow} grows by {each.mb_a_minute} MB a minute, more than {MOST_MB_A_MINUTE}"


def _show(report: dict[str, Any]) -> None:
    for name, value in report.items():
        if name not in ("violations", "memory_mb", "stops"):
            print(f"{name:18} {value}")
    print(f"{'stops':18} {'; '.join(report['stops'])}")
    for flow, each in report["memory_mb"].items():
        print(f"{'memory ' + flow:18} " + ", ".join(f"{name} {value}" for name, value in each.items()))
    for sentence in report["violations"]:
        print(f"✗ {sentence}")
    print("violations" if report["violations"] else "no violation")


if __name__ == "__main__":
    sys.exit(main())

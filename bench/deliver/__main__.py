"""Sends a second of one process: `python -m bench.deliver [--json] [--tls] [--before PATH] [--peers]`.

Contenders send the same messages to a provider that answers after --delay-ms, in turns, round by round:

- this build: a Bytewax flow that renders, claims, calls, finishes and puts out outcomes (`worker.py`);
- for e-mail also with each mail in a request of its own (`alone`);
- with `--before PATH`, the build in that folder, in the same way, and then both as they are shipped: each
  with as many calls in flight as it makes by default (`as_shipped_vs_before`);
- with `--peers`, a plain worker on asyncio with httpx2, and Celery with requests and as many processes as
  serve it best. Both only render and post.

`--channel` chooses channels; it may be repeated. `--tls` runs each turn over TLS, too, with a certificate
that is verified. Redis is an embedded Valkey, with its append-only file on. Ratios are medians over rounds;
above 1, this build is better.
"""

import argparse
import json
import statistics
import sys
import tempfile
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from bench.deliver import contenders
from bench.deliver.contenders import Figures, Work
from bench.deliver.messages import KINDS, write_messages
from bench.reference import Reference
from tocsin.devkit.processes import StartError
from tocsin.devkit.servers import REDIS, Servers

Contender = Callable[[Work], Figures]
THIS = "this"
SHIPPED, BEFORE_SHIPPED = "as shipped", "before as shipped"


def measure(options: argparse.Namespace, folder: Path, redis: str) -> dict[str, dict[str, list[Figures]]]:
    """Run all turns; returns figures by channel and contender."""
    found: dict[str, dict[str, list[Figures]]] = {}
    for _ in range(options.rounds):
        for channel in options.channel or list(KINDS):
            for tls in (False, True) if options.tls else (False,):
                _turns(
                    options, folder, redis, found.setdefault(f"{channel}{' tls' * tls}", {}), channel, tls=tls
                )
    return found


def _turns(
    options: argparse.Namespace,
    folder: Path,
    redis: str,
    found: dict[str, list[Figures]],
    channel: str,
    *,
    tls: bool,
) -> None:
    messages = folder / f"{channel}.jsonl"
    if not messages.exists():
        write_messages(messages, channel)
    catalog = (options.before or contenders.ROOT) / "examples" / "flights"
    for name, run in _contenders(options, channel).items():
        in_flight = 0 if name in (SHIPPED, BEFORE_SHIPPED) else options.in_flight
        server = contenders.provider(channel, folder, options.delay_ms, in_flight, tls=tls)
        with server as account:
            times = (options.seconds, options.warm_up)
            work = Work(channel, messages, catalog, account, redis, in_flight, *times)
            figures = run(work)
        print(f"{channel}{' tls' * tls} {name}: {figures}", file=sys.stderr)
        found.setdefault(name, []).append(figures)


def _contenders(options: argparse.Namespace, channel: str) -> dict[str, Contender]:
    found: dict[str, Contender] = {THIS: contenders.tocsin}
    if channel == "email":
        found["alone"] = contenders.each_alone
    if options.before:
        before = partial(contenders.tocsin, root=options.before)
        found |= {"before": before, SHIPPED: contenders.tocsin, BEFORE_SHIPPED: before}
    if options.peers:
        found["asyncio"] = contenders.asyncio_worker
        for number in options.processes:
            found[f"celery {number}"] = partial(contenders.celery, processes=number)
    return found


def ratios(found: dict[str, dict[str, list[Figures]]]) -> dict[str, float]:
    """Compare this build with each other contender, and TLS with plain, by rate and by CPU a send."""
    told: dict[str, float] = {}
    for channel, by_name in found.items():
        for name, runs in by_name.items():
            if name == BEFORE_SHIPPED:
                told |= _against(f"{channel}_as_shipped_vs_before", by_name[SHIPPED], runs)
            elif name not in (THIS, SHIPPED):
                told |= _against(f"{channel}_vs_{name}", by_name[THIS], runs)
        if channel.endswith(" tls"):
            plain = found[channel.removesuffix(" tls")][THIS]
            told |= _against(f"{channel}_vs_plain", by_name[THIS], plain)
    return {name.replace(" ", "_"): ratio for name, ratio in told.items()}


def _against(name: str, ours: list[Figures], theirs: list[Figures]) -> dict[str, float]:
    pairs = list(zip(ours, theirs, strict=True))
    sends = statistics.median(one["sends_per_s"] / other["sends_per_s"] for one, other in pairs)
    cpu = statistics.median(other["cpu_us_a_send"] / one["cpu_us_a_send"] for one, other in pairs)
    return {name: round(sends, 2), f"{name}_cpu": round(cpu, 2)}


def arguments() -> argparse.ArgumentParser:
    """Give the parser of the command line."""
    parser = argparse.ArgumentParser(prog="python -m bench.deliver", description=__doc__)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--channel", choices=list(KINDS), action="append", help="one or more; all without it")
    parser.add_argument("--tls", action="store_true")
    parser.add_argument("--before", type=Path, metavar="PATH", help="folder of an older build")
    parser.add_argument("--peers", action="store_true")
    parser.add_argument(
        "--processes", type=int, nargs="+", default=[32], help="of Celery; more than one are tried"
    )
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--in-flight", type=int, default=512)
    parser.add_argument("--seconds", type=float, default=8)
    parser.add_argument("--warm-up", type=float, default=4)
    parser.add_argument("--delay-ms", type=float, default=50)
    return parser


def main() -> None:
    """Measure and print."""
    options = arguments().parse_args()
    options.before = options.before and options.before.resolve()
    with tempfile.TemporaryDirectory() as name, Servers(Path(name) / "servers", {REDIS}) as servers:
        try:
            with Reference() as reference:
                found = measure(options, Path(name), servers.settings["TOCSIN_REDIS"])
        except StartError as error:
            sys.exit(f"✗ {error}")
    result: dict[str, Any] = {"ratios": ratios(found), "figures": found, "in_flight": options.in_flight}
    result["reference_loop_ms"] = reference.figures
    print(json.dumps(result, indent=None if options.json else 2))


if __name__ == "__main__":
    main()

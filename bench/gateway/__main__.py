"""Sends acknowledged by Kafka, over HTTP: `python -m bench.gateway [--seconds S] [--turns N] [--json]`.

The gateway (one process) and a plain service on FastAPI (one process, `bench.gateway.plain`) write to one
broker, the embedded one or that of TOCSIN_KAFKA. The same load comes to each in alternating turns: clients
that send one notification as soon as the last was accepted. Then the gateway gets lists of 1,000. The gateway
checks an API key, the notification against the catalog and each event as the gate would; the plain service
checks nothing.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Final

import psutil
import uvloop

from bench.gateway.load import Target, Turn, run
from bench.peers.environments import python_with
from bench.reference import loop_ms
from bench.servers import wait_for
from sources.topics import TopicAdmin, TopicPlan
from tocsin.app.examples import example_catalog
from tocsin.app.settings import Settings, environment
from tocsin.devkit.processes import free_ports
from tocsin.devkit.servers import KAFKA, REDIS, Servers
from tocsin.model import topics

ROOT: Final = Path(__file__).resolve().parent.parent.parent
PLAIN: Final = ("fastapi==0.121.0", "uvicorn[standard]==0.38.0", "confluent-kafka==2.12.1")
BULK: Final = 1_000
_USERS: Final = 10_000
_SECRET: Final = "a secret of the bench of the gateway"


def one(number: int) -> bytes:
    """Write one notification, as a producer sends it."""
    return json.dumps(_notification(number)).encode()


def many(number: int) -> bytes:
    """Write a list of notifications."""
    return json.dumps([_notification(number * BULK + each) for each in range(BULK)]).encode()


def _notification(number: int) -> dict[str, Any]:
    data = {"flight": {"id": f"UA-{number}", "number": "UA 1545"}, "delay_minutes": 72, "revision": number}
    return {"notification": "flight_delayed", "to": f"user-{number % _USERS}", "data": data}


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench.gateway", description=__doc__)
    parser.add_argument("--seconds", type=float, default=5, help="of each turn")
    parser.add_argument("--warm-up", type=float, default=1.5, help="seconds of each turn that do not count")
    parser.add_argument("--turns", type=int, default=3)
    parser.add_argument("--connections", type=int, default=32)
    parser.add_argument("--bulk-connections", type=int, default=4)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    with ExitStack() as stack:
        report = _measured(options, stack)
    print(json.dumps(report) if options.json else "\n".join(f"{k:24} {v}" for k, v in report.items()))


def _measured(options: argparse.Namespace, stack: ExitStack) -> dict[str, Any]:
    env = _environment(stack)
    ours, theirs = _started(env, stack)
    turns: dict[str, list[Turn]] = {"gateway": [], "plain": []}
    for _ in range(options.turns):
        for name, target in (("gateway", ours), ("plain", theirs)):
            turns[name].append(_turn(target, one, options.connections, options))
    bulk = [_turn(ours, many, options.bulk_connections, options) for _ in range(options.turns)]
    return _report(turns, bulk) | {"connections": options.connections, "reference_loop_ms": loop_ms()}


def _turn(target: Target, bodies: Any, connections: int, options: argparse.Namespace) -> Turn:
    return uvloop.run(run(target, bodies, connections, options.seconds, options.warm_up))


def _report(turns: dict[str, list[Turn]], bulk: list[Turn]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, each in turns.items():
        found[f"{name}_per_s"] = round(statistics.median(one.per_s for one in each))
        found |= {f"{name}_{key}": value for key, value in _waits(each).items()}
        found[f"{name}_cpu_us"] = round(statistics.median(one.cpu_us for one in each))
    found["gateway_vs_plain"] = round(found["gateway_per_s"] / found["plain_per_s"], 2)
    found["p99_vs_their_p50"] = round(found["gateway_p99_ms"] / found["plain_p50_ms"], 2)
    found["bulk_per_s"] = round(statistics.median(one.per_s for one in bulk) * BULK)
    found["bulk_cpu_us"] = round(statistics.median(one.cpu_us for one in bulk) / BULK, 1)
    return found | {f"bulk_{key}": value for key, value in _waits(bulk).items()}


def _waits(turns: list[Turn]) -> dict[str, float]:
    waits = sorted(wait for one in turns for wait in one.waits_ms)
    return {
        f"p{share}_ms": round(waits[min(len(waits) - 1, len(waits) * share // 100)], 2) for share in (50, 99)
    }


def _environment(stack: ExitStack) -> dict[str, str]:
    """Start what the environment does not name, and create the topics."""
    given = environment()
    folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="tocsin-bench-")))
    wanted = {REDIS} if "TOCSIN_KAFKA" in given else {KAFKA, REDIS}
    servers = stack.enter_context(Servers(folder, wanted))
    env = {**given, **servers.settings}
    env |= {
        "TOCSIN_SECRET": _SECRET,
        "TOCSIN_CATALOG": str(example_catalog()),
        "TOCSIN_GATEWAY_PER_S": "0",
        "TOCSIN_TOPIC_PREFIX": f"bench-{os.getpid()}.",
        "TOCSIN_STATE_DIR": str(folder / "state"),
    }
    os.environ.update(env)
    settings = Settings()
    admin = TopicAdmin(settings.kafka, settings.topic_prefix)
    admin.create(TopicPlan(settings.partitions), [topics.EVENTS, topics.AUDIT])
    return env


def _started(env: dict[str, str], stack: ExitStack) -> tuple[Target, Target]:
    """Start both services."""
    made = _run([*_tocsin(), "keys", "create", "--json"], env)
    key = json.loads(made)["key"]
    ours, theirs = free_ports(2)
    gateway = _start([*_tocsin(), "gateway", "--port", str(ours)], ours, env, stack)
    python = python_with(*PLAIN)
    plain = env | {
        "BENCH_KAFKA": env["TOCSIN_KAFKA"],
        "BENCH_TOPIC": env["TOCSIN_TOPIC_PREFIX"] + topics.EVENTS,
    }
    server = ["--port", str(theirs), "--log-level", "warning", "--no-access-log"]
    folder = str(Path(__file__).parent)
    peer = _start([python, "-m", "uvicorn", "plain:app", "--app-dir", folder, *server], theirs, plain, stack)
    return Target(ours, gateway, f"authorization: Bearer {key}\r\n"), Target(theirs, peer, "")


def _tocsin() -> list[str]:
    return [sys.executable, "-m", "tocsin.cli.main"]


def _run(argv: list[str], env: dict[str, str]) -> str:
    return subprocess.run(argv, env=env, cwd=ROOT, check=True, stdout=subprocess.PIPE, text=True).stdout


def _start(argv: list[str], port: int, env: dict[str, str], stack: ExitStack) -> psutil.Process:
    process = subprocess.Popen(argv, env=env, cwd=ROOT, stdout=subprocess.DEVNULL)
    stack.callback(process.wait)
    stack.callback(process.terminate)
    _wait_for(port)
    return psutil.Process(process.pid)


def _wait_for(port: int) -> None:
    """Wait until a server listens; on a busy machine one needs longer than others to start."""
    for last in (False, False, True):
        try:
            return wait_for(port)
        except OSError:
            if last:
                raise
    return None


if __name__ == "__main__":
    main()

"""CPU of a provider call by transport: `python -m bench.http [--json] [--in-flight N] [--seconds S]`.

A server in a process of its own answers after --delay-ms, over plain HTTP and over TLS. The transports take
turns. Printed are calls a second, CPU microseconds a call of this process, p50 and p99 of a call,
`calls_a_connection`, and `connect_p50_ms`: what the first call on a new connection takes longer than the next
one, with nothing else in flight; over TLS that is the handshake.
"""

import argparse
import asyncio
import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import uvloop

from bench.reference import loop_ms
from bench.servers import wait_for
from tocsin.devkit.httpx_transport import HttpxTransport
from tocsin.devkit.processes import free_ports
from tocsin.devkit.sandbox.keys import certificate
from tocsin.providers.http import HttpPolicy, PyreqwestTransport, Transport
from tocsin.providers.http_asyncio import AsyncioTransport

KINDS: dict[str, Callable[[HttpPolicy], Transport]] = {
    "asyncio": AsyncioTransport,
    "pyreqwest": PyreqwestTransport,
    "httpx2": HttpxTransport,
}
PATH = "/2010-04-01/Accounts/AC0123456789abcdef0123456789abcdef/Messages.json"
HEADERS = {"authorization": "Basic c2VjcmV0", "content-type": "application/x-www-form-urlencoded"}
_HANDSHAKES = 20
BODY = b"To=%2B14155552671&From=%2B14155550100&Body=" + b"Your+flight+is+late.+" * 8


class Load:
    """Keeps a number of calls in flight on one transport for a while, and times them."""

    def __init__(self, transport: Transport, url: str, in_flight: int) -> None:
        self._transport = transport
        self._url = url
        self._in_flight = in_flight
        self._ms: list[float] = []
        self.calls = 0

    async def run(self, seconds: float) -> dict[str, float]:
        """Open connections one by one, warm up for a fifth of the time, then measure."""
        connect_ms = statistics.median([await self._connect_ms() for _ in range(_HANDSHAKES)])
        await self._until(time.perf_counter() + seconds / 5)
        self._ms.clear()
        cpu_s, begin_s = time.process_time(), time.perf_counter()
        await self._until(begin_s + seconds)
        cpu_s, wall_s = time.process_time() - cpu_s, time.perf_counter() - begin_s
        await self._transport.close()
        cuts = statistics.quantiles(self._ms, n=100)
        return {
            "calls_per_s": round(len(self._ms) / wall_s),
            "cpu_us_a_call": round(cpu_s / len(self._ms) * 1e6, 1),
            "p50_ms": round(cuts[49], 1),
            "p99_ms": round(cuts[98], 1),
            "connect_p50_ms": round(connect_ms, 2),
        }

    async def _connect_ms(self) -> float:
        await self._transport.reconnect()
        new_ms, used_ms = await self._call(), await self._call()
        return new_ms - used_ms

    async def _until(self, end_s: float) -> None:
        await asyncio.gather(*(self._worker(end_s) for _ in range(self._in_flight)))

    async def _worker(self, end_s: float) -> None:
        while time.perf_counter() < end_s:
            self._ms.append(await self._call())

    async def _call(self) -> float:
        begin_s = time.perf_counter()
        answer = await self._transport.request("POST", self._url, HEADERS, BODY, 10)
        assert answer.status == 201, answer
        self.calls += 1
        return (time.perf_counter() - begin_s) * 1000


def measure(options: argparse.Namespace, *, tls: bool, folder: Path) -> dict[str, dict[str, float]]:
    """Measure each transport in turns, each time against a new server; the median run of each by CPU."""
    found: dict[str, list[dict[str, float]]] = {name: [] for name in options.kinds}
    for _ in range(options.rounds):
        for name in options.kinds:
            found[name].append(_run(KINDS[name], options, folder if tls else None))
    by_cpu = {name: sorted(runs, key=lambda run: run["cpu_us_a_call"]) for name, runs in found.items()}
    return {name: runs[len(runs) // 2] for name, runs in by_cpu.items()}


def _run(
    kind: Callable[[HttpPolicy], Transport], options: argparse.Namespace, tls: Path | None
) -> dict[str, float]:
    (port,) = free_ports(1)
    argv = [sys.executable, "-m", "bench.fast_provider", f"--port={port}", f"--delay-ms={options.delay_ms}"]
    argv.append("--count")
    ca_pem = certificate(tls)[0].read_bytes() if tls else b""
    url = f"http{'s' if tls else ''}://127.0.0.1:{port}{PATH}"
    policy = HttpPolicy(max_connections=options.in_flight, ca_pem=ca_pem)
    server = subprocess.Popen(argv + ([f"--tls={tls}"] if tls else []), stdout=subprocess.PIPE, text=True)
    try:
        wait_for(port)
        figures, calls = uvloop.run(_load(kind, policy, url, options))
    finally:
        server.terminate()
        told, _ = server.communicate(timeout=10)
    # Some connections were opened alone, for two calls each, and one to see whether the server listens.
    connections = int(told) - _HANDSHAKES - 1
    return figures | {"calls_a_connection": round((calls - 2 * _HANDSHAKES) / max(1, connections))}


async def _load(
    kind: Callable[[HttpPolicy], Transport], policy: HttpPolicy, url: str, options: argparse.Namespace
) -> tuple[dict[str, float], int]:
    load = Load(kind(policy), url, options.in_flight)
    return await load.run(options.seconds), load.calls


def main() -> None:
    parser = argparse.ArgumentParser(prog="bench.http", description=__doc__)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--in-flight", type=int, default=256)
    parser.add_argument("--seconds", type=float, default=5)
    parser.add_argument("--delay-ms", type=float, default=50)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--kinds", nargs="+", choices=KINDS, default=["asyncio", "pyreqwest"])
    options = parser.parse_args()
    result: dict[str, object] = {"reference_loop_ms": loop_ms()}
    with tempfile.TemporaryDirectory() as folder:
        for tls in (False, True):
            result["https" if tls else "http"] = measure(options, tls=tls, folder=Path(folder))
    print(json.dumps(result, indent=None if options.json else 2))


if __name__ == "__main__":
    main()

"""A plain worker on asyncio with httpx2: `python -m bench.deliver.asyncio_peer --help`; prints JSON.

As many coroutines as requests in flight; each takes the next message from memory, renders and posts.
"""

import argparse
import asyncio
import json
import ssl
import time
from itertools import count
from pathlib import Path
from typing import Any

import httpx2
import uvloop

from bench.deliver.accounts import request_of
from bench.deliver.hand_written import BODIES, Templates
from bench.deliver.worker import percentiles


class Sender:
    """Sends until told to stop, and times each send."""

    def __init__(self, options: argparse.Namespace) -> None:
        account: dict[str, Any] = json.loads(options.account)
        self._url, self._headers = request_of(options.channel, account)
        tls = ssl.create_default_context(cadata=account["ca"]) if account["ca"] else False
        limits = httpx2.Limits(max_connections=None, max_keepalive_connections=None)
        self._client = httpx2.AsyncClient(verify=tls, limits=limits, timeout=10)
        self._bodies = options.messages.read_bytes().splitlines()
        self._body_of = BODIES[options.channel]
        self._templates = Templates(options.catalog / "templates")
        self._numbers = count()
        self.ms: list[float] = []

    async def run(self, end_s: float) -> None:
        """Send one message after the other."""
        while (began_s := time.perf_counter()) < end_s:
            await self._send(next(self._numbers))
            self.ms.append((time.perf_counter() - began_s) * 1000)

    async def _send(self, number: int) -> None:
        raw = self._bodies[number % len(self._bodies)].replace(b"NUMBER", b"%032x" % number)
        message = json.loads(raw.replace(b"USER", b"user-%08d" % number))
        body = self._body_of(message, self._templates.render(message))
        if isinstance(body, dict):
            answer = await self._client.post(self._url, headers=self._headers, data=body)
        else:
            headers = self._headers | {"content-type": "application/json"}
            answer = await self._client.post(self._url, headers=headers, content=body)
        answer.raise_for_status()


async def measure(options: argparse.Namespace) -> dict[str, Any]:
    """Warm up, then measure."""
    sender = Sender(options)
    begin_s = time.perf_counter() + options.warm_up
    end_s = begin_s + options.seconds
    tasks = [asyncio.ensure_future(sender.run(end_s)) for _ in range(options.in_flight)]
    await asyncio.sleep(options.warm_up)
    sender.ms.clear()
    cpu_s, began_s = time.process_time(), time.perf_counter()
    await asyncio.sleep(options.seconds)
    sends, cpu_s, passed_s = len(sender.ms), time.process_time() - cpu_s, time.perf_counter() - began_s
    await asyncio.gather(*tasks)
    return {
        "sends_per_s": round(sends / passed_s),
        "cpu_us_a_send": round(cpu_s / sends * 1e6),
        "latency_ms": percentiles(sender.ms),
    }


def main() -> None:
    """Read the arguments and print the figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--channel", required=True)
    parser.add_argument("--messages", type=Path, required=True)
    parser.add_argument("--account", required=True)
    parser.add_argument("--catalog", type=Path, required=True)
    parser.add_argument("--in-flight", type=int, default=512)
    parser.add_argument("--seconds", type=float, default=10)
    parser.add_argument("--warm-up", type=float, default=3)
    print(json.dumps(uvloop.run(measure(parser.parse_args()))))


if __name__ == "__main__":
    main()

"""What the send ledger costs a send: `python -m bench.ledger [--json] [--sends N] [--at-once N] [--ask]`.

Every send is claimed before the provider is called, and its end is written afterwards. Both go to an embedded
Valkey. CPU is that of this process, and of Valkey; waits are from a call of the ledger to its answer. With
`--ask`, each message was left open by another process, as a crash leaves it: what is printed then is the
price of finding that out and of writing the next attempt, to which comes one request to the provider.
"""

import argparse
import asyncio
import json
import tempfile
import time
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
import redis
import uvloop

from bench.deliver.worker import percentiles
from tocsin.delivery.ledger import Ledger, LedgerPolicy
from tocsin.devkit.servers import REDIS, Servers
from tocsin.model.event import Origin
from tocsin.model.message import Message, Target

OUTPUT = ("o", b'{"status":"sent",' + b'"x":"y",' * 80 + b'"z":1}', ())
"""As long as a usual outcome."""


class Cost(NamedTuple):
    """CPU in seconds and calls of the script that a number of sends took."""

    ours_s: float
    redis_s: float
    calls: int


def letter(number: int) -> Message:
    return Message(
        message_id=f"{number:032x}", notification_id=f"{number:032x}", tenant="default", user=f"u{number}",
        channel="sms", target=Target("+15005550006"), notification="n", category="c", template="t",
        data=msgspec.Raw(b"{}"), locale="en", event_id="e", event_source="/s", event_type="t",
        event_time_ms=0, received_ms=0, decided_ms=1, origin=Origin("events", 0, number),
    )  # fmt: skip


async def send(ledger: Ledger, message: Message, waits: list[float], *, ask: bool) -> None:
    began_s = time.perf_counter()
    claim = await ledger.claim(message)
    waits.append(time.perf_counter() - began_s)
    if ask:
        await ledger.record(message, claim.attempt + 1, (OUTPUT,), unknown=True)
        await ledger.claim(message)
    await ledger.finish(message, claim.attempt, (OUTPUT,), returned=False, unknown=ask)


async def run(arguments: argparse.Namespace, url: str) -> tuple[Cost, list[float]]:
    letters = [letter(number) for number in range(arguments.sends)]
    if arguments.ask:
        dead = Ledger(LedgerPolicy(url=url, prefix="bench:"), "a" * 16)
        await asyncio.gather(*[dead.claim(message) for message in letters])
        await dead.close()
    ledger = Ledger(LedgerPolicy(url=url, prefix="bench:"), "b" * 16)
    waits, left = list[float](), iter(letters)

    async def worker() -> None:
        for message in left:
            await send(ledger, message, waits, ask=arguments.ask)

    before, began_s = used(url), time.process_time()
    await asyncio.gather(*[worker() for _ in range(arguments.at_once)])
    ours_s, after = time.process_time() - began_s, used(url)
    await ledger.close()
    return Cost(ours_s, after[0] - before[0], after[1] - before[1]), waits


def used(url: str) -> tuple[float, int]:
    """Return the CPU seconds of the server, and the calls of the ledger's script that it has served."""
    with redis.Redis.from_url(url) as client:
        found: dict[str, Any] = client.info("cpu") | client.info("commandstats")
    calls = found.get("cmdstat_evalsha", {"calls": 0})["calls"]
    return found["used_cpu_user"] + found["used_cpu_sys"], calls


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--sends", type=int, default=20_000)
    parser.add_argument("--at-once", type=int, default=256)
    parser.add_argument("--ask", action="store_true")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder, Servers(Path(folder), {REDIS}) as servers:
        cost, waits = uvloop.run(run(arguments, servers.settings["TOCSIN_REDIS"]))
    found = {
        "sends": arguments.sends,
        "at_once": arguments.at_once,
        "cpu_us_a_send": round(cost.ours_s * 1e6 / arguments.sends, 1),
        "redis_cpu_us_a_send": round(cost.redis_s * 1e6 / arguments.sends, 1),
        "sends_a_script_call": round(arguments.sends / max(1, cost.calls), 1),
        "claim_wait_ms": percentiles([wait * 1_000 for wait in waits]),
    }
    lines = [f"{name:22} {value}" for name, value in found.items()]
    print(json.dumps(found) if arguments.json else "\n".join(lines))


if __name__ == "__main__":
    main()

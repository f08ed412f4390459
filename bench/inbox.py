"""Live connections of the inbox: memory of each, and the time from an addition to the client.

One gateway process serves WebSockets of many users; another process listens. Entries are added at a steady
rate to users in turn. `python -m bench.inbox --json` prints one object. `baseline_ms` is the same way without
a gateway: a plain subscriber of Redis hears the same changes.
"""

import argparse
import asyncio
import json
import multiprocessing
import os
import resource
import socket
import statistics
import tempfile
import time
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import aiohttp
import msgspec
import psutil
from redis.asyncio import Redis

from tocsin.app.examples import example_catalog
from tocsin.app.settings import Settings
from tocsin.devkit.servers import KAFKA, REDIS, Servers
from tocsin.gateway.app import Application
from tocsin.gateway.gateway import Gateway
from tocsin.gateway.inbox.tokens import EXAMPLE, example_key, sign
from tocsin.gateway.server import Server
from tocsin.providers.inbox import Change, Entry, Inbox, InboxPolicy

_AT_ONCE = 50
SECRET = "a secret of the benchmark of inboxes"
_decode = msgspec.json.Decoder(Change).decode


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--connections", type=int, default=1_000)
    parser.add_argument("--per-s", type=int, default=200)
    parser.add_argument("--seconds", type=int, default=10)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    found = asyncio.run(measure(options.connections, options.per_s, options.seconds))
    print(json.dumps(found, indent=None if options.json else 2))


async def measure(connections: int, per_s: int, seconds: int) -> dict[str, Any]:
    with tempfile.TemporaryDirectory() as folder, Servers(Path(folder), {KAFKA, REDIS}) as servers:
        kafka, url = servers.settings["TOCSIN_KAFKA"], servers.settings["TOCSIN_REDIS"]
        settings = Settings(
            kafka=kafka,
            redis=url,
            secret=SECRET,
            catalog=example_catalog(),
            state_dir=Path(folder) / "state",
            gateway_example=True,
            gateway_connections=connections + 100,
        )
        ours, theirs = multiprocessing.Pipe()
        server = multiprocessing.get_context("spawn").Process(target=serve, args=(theirs, settings))
        server.start()
        try:
            port = await asyncio.to_thread(ours.recv)
            return await listen(port, server.pid or 0, url, connections, per_s, seconds)
        finally:
            server.terminate()
            server.join()


def serve(pipe: Connection, settings: Settings) -> None:
    resource.setrlimit(resource.RLIMIT_NOFILE, (8_192, resource.getrlimit(resource.RLIMIT_NOFILE)[1]))
    listener = socket.create_server(("127.0.0.1", 0), backlog=2_048)
    pipe.send(listener.getsockname()[1])

    async def run() -> None:
        await Server(Application(Gateway(settings))).serve(sockets=[listener])

    asyncio.run(run())


async def listen(port: int, pid: int, url: str, connections: int, per_s: int, seconds: int) -> dict[str, Any]:
    resource.setrlimit(resource.RLIMIT_NOFILE, (8_192, resource.getrlimit(resource.RLIMIT_NOFILE)[1]))
    address = f"http://127.0.0.1:{port}"
    users = [f"default/user-{number}" for number in range(connections)]
    process = psutil.Process(pid)
    connector = aiohttp.TCPConnector(limit=0)
    async with aiohttp.ClientSession(connector=connector) as session, Redis.from_url(url) as redis:
        await ready(session, address)
        before = process.memory_info().rss
        sockets: list[aiohttp.ClientWebSocketResponse] = []
        for at in range(0, connections, _AT_ONCE):
            sockets += await asyncio.gather(
                *[opened(session, address, user) for user in users[at : at + _AT_ONCE]]
            )
        after = process.memory_info().rss
        heard: dict[str, float] = {}
        tasks = [asyncio.create_task(hear(each, heard)) for each in sockets]
        plain: dict[str, float] = {}
        tasks.append(asyncio.create_task(overhear(redis, plain)))
        await asyncio.sleep(1)
        cpu = sum(process.cpu_times()[:2])
        sent = await add(Inbox(redis, InboxPolicy()), users, per_s, seconds)
        await asyncio.sleep(2)
        cpu_us = (sum(process.cpu_times()[:2]) - cpu) / len(sent) * 1e6
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        for each in sockets:
            await each.close()
    return {
        "connections": connections,
        "additions": len(sent),
        "heard": len(heard),
        "per_s": per_s,
        "kib_per_connection": round((after - before) / connections / 1024, 1),
        "latency_ms": quantiles([heard[key] - sent[key] for key in heard]),
        "baseline_ms": quantiles([plain[key] - sent[key] for key in plain if key in sent]),
        "gateway_cpu_us_per_addition": round(cpu_us),
        "cores": os.cpu_count(),
    }


async def ready(session: aiohttp.ClientSession, address: str) -> None:
    for _ in range(200):
        try:
            async with session.get(f"{address}/livez") as answer:
                if answer.status == 200:
                    return
        except aiohttp.ClientError:
            pass
        await asyncio.sleep(0.1)
    raise SystemExit("the gateway did not start")


async def opened(session: aiohttp.ClientSession, address: str, user: str) -> aiohttp.ClientWebSocketResponse:
    tenant, _, name = user.partition("/")
    token = sign(example_key(EXAMPLE + tenant), SECRET.encode(), name, time.time_ns() // 1_000_000)
    protocols = ("tocsin.inbox.v1", f"token.{token}")
    found = await session.ws_connect(f"{address}/v1/inbox/live", protocols=protocols)
    assert (await found.receive_json())["kind"] == "hello"
    return found


async def hear(socket: aiohttp.ClientWebSocketResponse, heard: dict[str, float]) -> None:
    async for message in socket:
        change = _decode(message.data) if '"entry"' in message.data else None
        if change is not None and change.entry is not None:
            heard[change.entry.message_id] = time.perf_counter()


async def overhear(redis: Redis, heard: dict[str, float]) -> None:
    async with redis.pubsub() as feed:
        await feed.psubscribe("tocsin:inbox:*:live")
        async for said in feed.listen():
            if said["type"] == "pmessage" and (entry := _decode(said["data"]).entry) is not None:
                heard[entry.message_id] = time.perf_counter()


async def add(inbox: Inbox, users: list[str], per_s: int, seconds: int) -> dict[str, float]:
    sent: dict[str, float] = {}
    began = time.perf_counter()
    for number in range(per_s * seconds):
        await asyncio.sleep(max(0.0, began + number / per_s - time.perf_counter()))
        name = f"m{number}"
        entry = Entry(
            name, f"n{number}", "gate_moved", "travel", "Gate moved", "to A14", 1_764_360_000_000 + number
        )
        sent[name] = time.perf_counter()
        await inbox.add(users[number % len(users)], entry)
    return sent


def quantiles(found_s: list[float]) -> dict[str, float]:
    cuts = statistics.quantiles([each * 1_000 for each in found_s], n=100)
    return {"p50": round(cuts[49], 2), "p99": round(cuts[98], 2)}


if __name__ == "__main__":
    main()

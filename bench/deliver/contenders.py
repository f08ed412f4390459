"""Runs one contender against one provider, and gives its figures."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import psutil
from redis import Redis

from bench.deliver.accounts import Server, account_of
from bench.peers.environments import python_with
from bench.servers import wait_for
from tocsin.devkit.processes import StartError, free_ports
from tocsin.devkit.sandbox.keys import certificate

ROOT = Path(__file__).resolve().parent.parent.parent
WORKER = Path(__file__).with_name("worker.py")
Figures = dict[str, Any]


class Work(NamedTuple):
    """What every contender of a turn is given.

    Attributes:
        channel: of the messages.
        messages: the file of `bench.deliver.messages`.
        catalog: whose templates are rendered.
        account: of the channel's provider.
        redis: its URL.
        in_flight: sends at once; 0 as the build is shipped.
        seconds: how long it is measured,
        warm_up_s: after so long.
    """

    channel: str
    messages: Path
    catalog: Path
    account: dict[str, Any]
    redis: str
    in_flight: int
    seconds: float
    warm_up_s: float

    def arguments(self) -> list[str]:
        """Give what a worker's command line says."""
        return [
            f"--channel={self.channel}",
            f"--messages={self.messages}",
            f"--catalog={self.catalog}",
            f"--account={json.dumps(self.account)}",
            f"--in-flight={self.in_flight}",
            f"--seconds={self.seconds}",
            f"--warm-up={self.warm_up_s}",
        ]


@contextmanager
def provider(
    channel: str, folder: Path, delay_ms: float, in_flight: int, *, tls: bool
) -> Iterator[dict[str, Any]]:
    """Run a provider that answers after a delay; gives the account that leads to it."""
    (port,) = free_ports(1)
    argv = [sys.executable, "-m", "bench.fast_provider", f"--port={port}", f"--delay-ms={delay_ms}"]
    server = subprocess.Popen(argv + ([f"--tls={folder}"] if tls else []), cwd=ROOT)
    try:
        ca_pem = certificate(folder)[0].read_text() if tls else ""
        wait_for(port)
        yield account_of(
            channel, Server(f"http{'s' if tls else ''}://127.0.0.1:{port}", ca_pem), folder, in_flight
        )
    finally:
        server.terminate()
        server.wait()


def tocsin(work: Work, root: Path = ROOT) -> Figures:
    """Run a build of Tocsin, by the folder of its code."""
    argv = [sys.executable, "-P", str(WORKER), *work.arguments(), f"--redis={work.redis}"]
    return _told(argv, {"PYTHONPATH": str(root)})


def each_alone(work: Work) -> Figures:
    """Run this build without requests that carry several mails."""
    return tocsin(work._replace(account=work.account | {"max_batch": 1}))


def asyncio_worker(work: Work) -> Figures:
    """Run the plain worker on asyncio and httpx2."""
    return _told([sys.executable, "-m", "bench.deliver.asyncio_peer", *work.arguments()], {})


def _told(argv: list[str], env: Mapping[str, str]) -> Figures:
    done = subprocess.run(argv, capture_output=True, text=True, check=False, cwd=ROOT, env=os.environ | env)
    if done.returncode:
        msg = f"{Path(argv[2]).name} failed:\n{done.stderr[-4_000:]}"
        raise StartError(msg)
    figures: Figures = json.loads(done.stdout.splitlines()[-1])
    return figures


def celery(work: Work, processes: int, most_per_s: int = 2_000) -> Figures:
    """Run Celery with so many processes; its queue is filled before for `most_per_s`."""
    count = round(most_per_s * (work.warm_up_s + work.seconds))
    python = python_with("celery[redis]==5.7.0", "requests==2.32.5")
    env = os.environ | {
        "BENCH_REDIS": work.redis,
        "BENCH_CHANNEL": work.channel,
        "BENCH_MESSAGES": str(work.messages),
        "BENCH_CATALOG": str(work.catalog),
        "BENCH_ACCOUNT": json.dumps(work.account),
        "BENCH_PACKAGES": os.pathsep.join(path for path in sys.path if path.endswith("site-packages")),
        "PYTHONPATH": str(ROOT),
    }
    module = "bench.deliver.celery_peer"
    with Redis.from_url(work.redis) as redis:
        redis.delete("celery")
        subprocess.run([python, "-m", module, str(count)], check=True, cwd=ROOT, env=env)
        options = ["--without-gossip", "--without-mingle", "--without-heartbeat", "--loglevel=ERROR"]
        argv = [python, "-m", "celery", "-A", module, "worker", f"--concurrency={processes}", *options]
        worker = subprocess.Popen(
            argv, cwd=ROOT, env=env, stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL
        )
        try:
            return _drained(redis, worker, work, count) | {"processes": processes}
        finally:
            worker.terminate()
            worker.wait()
            redis.delete("celery", "unacked", "unacked_index")


def _drained(redis: "Redis", worker: "subprocess.Popen[bytes]", work: Work, count: int) -> Figures:
    """Watch the queue become shorter: from its first task on, after the warm-up."""
    until_s = time.monotonic() + 60
    while _left(redis) == count:
        if worker.poll() is not None or time.monotonic() > until_s:
            msg = "Celery did not take a task"
            raise StartError(msg)
        time.sleep(0.05)
    time.sleep(work.warm_up_s)
    began_s, before, cpu_s = time.monotonic(), _left(redis), _cpu_s(worker.pid)
    time.sleep(work.seconds)
    sends, passed_s = before - _left(redis), time.monotonic() - began_s
    if not _left(redis):
        msg = "Celery was faster than its queue is long; raise `most_per_s`"
        raise StartError(msg)
    cpu_us = (_cpu_s(worker.pid) - cpu_s) / sends * 1e6
    return {"sends_per_s": round(sends / passed_s), "cpu_us_a_send": round(cpu_us)}


def _left(redis: "Redis") -> int:
    length: Any = redis.llen("celery")
    return int(length)


def _cpu_s(pid: int) -> float:
    parent = psutil.Process(pid)
    times = [one.cpu_times() for one in (parent, *parent.children(recursive=True))]
    return sum(one.user + one.system for one in times)

"""The pipeline of a soak as three processes, the servers below it, and the hand that breaks them."""

import json
import subprocess
import sys
import time
import urllib.request
from collections import Counter, defaultdict
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import httpx2
import msgspec
import psutil

from bench.fleet import ROOT
from bench.soak import load
from bench.soak.link import Link
from bench.soak.memory import Sample
from bench.soak.plan import CHANNELS, DELIVER, NETWORK, OrderedFault
from dashboards import migrate
from flows.supervisor import ShardProcess
from sources.topics import TopicAdmin, TopicPlan
from tocsin.app.settings import environment
from tocsin.cli.demo_environment import free_row, settings_from
from tocsin.cli.demo_results import sends
from tocsin.cli.run import command
from tocsin.devkit.sandbox.keys import FCM_FILE
from tocsin.devkit.servers import APACHE_KAFKA, CLICKHOUSE, KAFKA, REDIS, SANDBOX, Servers
from tocsin.model import topics

FLOWS = ("decide", DELIVER, "track")
_PARTITIONS = 4
_BACK_S = 120.0
_STOP_S = 20.0
_LONG_AWAY_S = 20.0  # a broker that is busy starting answers our probe before it acknowledges anything


class World:
    """Servers, network and processes of one run, in one folder.

    Attributes:
        settings: of the processes.
        away: servers, and the network, that are away now.
        lives: memory of each process, one list a start.
        excused: ends of processes that could not publish because the broker was away for long.
    """

    def __init__(self, folder: Path, stack: ExitStack, *, apache: bool) -> None:
        broker = APACHE_KAFKA if apache else KAFKA
        self.restartable = ((KAFKA,) if apache else ()) + (REDIS, CLICKHOUSE)
        self._folder = folder
        wanted = {broker, REDIS, CLICKHOUSE, SANDBOX}
        self._servers = stack.enter_context(Servers(folder / "servers", wanted, redis_fsync="always"))
        self._sandbox = self._servers.addresses[SANDBOX]
        self._links = [_link(self._sandbox), _link(self._servers.addresses["smtp"])]
        for link in self._links:
            stack.callback(link.close)
        self._env = self._environment()
        self.settings = settings_from(self._env)
        admin = TopicAdmin(self.settings.kafka, self.settings.topic_prefix)
        admin.create(TopicPlan(_PARTITIONS), topics.needed(CHANNELS))
        migrate.migrate(self.settings.clickhouse)
        self.away: set[str] = set()
        self.lives: defaultdict[str, list[list[Sample]]] = defaultdict(list)
        self._killed: Counter[str] = Counter()
        self._kafka_went_s = self._kafka_seen_s = 0.0  # killed, and last seen away since
        self.excused: Counter[str] = Counter()
        self._processes: dict[str, ShardProcess] = {}

    def _environment(self) -> dict[str, str]:
        http, smtp = self._links
        accounts, key = self._folder / "providers.yaml", self._folder / "servers" / SANDBOX / FCM_FILE
        url = f"http://127.0.0.1:{http.port}"
        load.write_accounts(accounts, url, smtp.port, key)
        clickhouse = self._servers.settings["TOCSIN_CLICKHOUSE"].rsplit("/", 1)[0]
        return {
            **environment(),
            **self._servers.settings,
            "TOCSIN_KAFKA_OPTIONS": "{}",
            "TOCSIN_CLICKHOUSE": f"{clickhouse}/soak",
            "TOCSIN_CATALOG": str(load.write_catalog(self._folder / "catalog", url)),
            "TOCSIN_ATTACHMENT_HOSTS": "127.0.0.1",
            "TOCSIN_PROVIDERS": str(accounts),
            "TOCSIN_STATE_DIR": str(self._folder / "state"),
            "TOCSIN_SECRET": "soak-soak-soak-soak",
            "TOCSIN_PARTITIONS": str(_PARTITIONS),
            "TOCSIN_HTTP_PORT": str(free_row(len(FLOWS))),
        }

    def start(self, stack: ExitStack) -> None:
        """Start the processes; a first start reads the profiles that are there before its first event."""
        for flow in FLOWS:
            port = {"TOCSIN_HTTP_PORT": str(self._port(flow))}
            log = self._folder / f"{flow}.log"
            process = ShardProcess(0, command(0, 1, flow), self._env | port, log)
            self._processes[flow] = process
            process.start()
            stack.callback(process.wait, _STOP_S)
            stack.callback(process.ask_to_stop)
            self.lives[flow].append([])

    def _port(self, flow: str) -> int:
        return self.settings.http_port + FLOWS.index(flow)

    def apart(self, name: str) -> None:
        """Take a server or the network away, or kill the sender."""
        if name == DELIVER:
            self._killed[name] += 1
            self._processes[name].kill_and_wait()
            self.lives[name].append([])
            return
        self.away.add(name)
        if name == NETWORK:
            for link in self._links:
                link.cut()
        else:
            self._servers.kill(name)
        if name == KAFKA:
            self._kafka_went_s = time.monotonic()

    def back(self, name: str) -> None:
        """Bring it back; a server may take some seconds until it answers."""
        self.away.discard(name)
        if name == NETWORK:
            for link in self._links:
                link.mend()
        else:
            self._servers.relaunch(name)

    def wait_until_back(self) -> None:
        """Bring back what is away, and wait until all answers.

        Raises:
            TimeoutError: a server does not.
        """
        for name in list(self.away):
            self.back(name)
        end_s = time.monotonic() + _BACK_S
        while missing := [name for name in self.restartable if not self._servers.answers(name)]:
            if time.monotonic() > end_s:
                msg = f"{missing[0]} did not come back"
                raise TimeoutError(msg)
            time.sleep(0.1)

    def look_after(self) -> None:
        """Start again what died; one that cannot publish for 30 s ends by design (docs/operations.md)."""
        now_s = time.monotonic()
        for flow, process in self._processes.items():
            before = process.restarts
            process.check(now_s)
            if process.restarts > before:
                self.lives[flow].append([])
                long_away = self._kafka_seen_s - self._kafka_went_s > _LONG_AWAY_S
                self.excused[flow] += long_away and now_s - self._kafka_seen_s < _LONG_AWAY_S

    def unexpected_ends(self) -> Iterator[str]:
        """Say which process ended though nobody killed it."""
        for flow, process in self._processes.items():
            count = process.restarts - self._killed[flow] - self.excused[flow]
            if count or process.process is None:
                yield f"{flow} ended by itself {count or 1} times; its log: {self._folder / flow}.log"

    def sample(self, at_s: float) -> None:
        """Measure the memory of each process that answers, and note whether the broker is still away."""
        if self._kafka_went_s and not self._servers.answers(KAFKA):
            self._kafka_seen_s = time.monotonic()
        for flow, process in self._processes.items():
            if process.process is None or process.process.poll() is not None:
                continue
            store_mb = _store_mb(f"http://127.0.0.1:{self._port(flow)}/metrics")
            rss = psutil.Process(process.process.pid).memory_info().rss
            if store_mb is not None:
                self.lives[flow][-1].append(Sample(at_s, rss / 2**20, store_mb))

    def order(self, fault: OrderedFault) -> None:
        """Order a fault of the providers."""
        until = round((time.time() + fault.seconds) * 1000)
        order = msgspec.structs.replace(fault.order, until=until)
        httpx2.post(f"{self._sandbox}/faults", content=msgspec.json.encode(order)).raise_for_status()

    def lift_faults(self) -> None:
        """End all faults."""
        httpx2.delete(f"{self._sandbox}/faults").raise_for_status()

    def taken(self) -> Counter[str]:
        """Count how often a provider took each message."""
        return sends(self._folder / "servers" / SANDBOX)

    def refused_forms(self) -> list[str]:
        """Say which requests a provider refused for their form, though no fault was ordered."""
        found = httpx2.get(f"{self._sandbox}/count").raise_for_status().json()["invalid"]
        return [f"{each['provider']} refused {each['calls']} requests: {each['code']}" for each in found]

    def tocsin(self, *arguments: str) -> dict[str, Any]:
        """Run a command of Tocsin that prints one JSON object."""
        argv = [sys.executable, "-m", "tocsin.cli.main", *arguments, "--json"]
        done = subprocess.run(argv, cwd=ROOT, env=self._env, capture_output=True, text=True, check=False)
        if not done.stdout.startswith("{"):
            sys.exit(f"tocsin {arguments[0]} failed: {done.stdout}{done.stderr}")
        found: dict[str, Any] = json.loads(done.stdout)
        return found

    def metrics(self) -> list[str]:
        """Give the options that name the metrics of the processes."""
        ports = [self._port(flow) for flow in FLOWS]
        return [part for port in ports for part in ("--at", f"http://127.0.0.1:{port}/metrics")]


def _store_mb(url: str) -> float | None:
    """Read how much memory the state store of a process keeps; None if the process does not answer."""
    try:
        with urllib.request.urlopen(url, timeout=2) as answer:
            lines = answer.read().decode().splitlines()
    except OSError:
        return None
    sizes = [line.rpartition(" ")[2] for line in lines if line.startswith("tocsin_store_memory_bytes{")]
    return sum(map(float, sizes)) / 2**20


def _link(address: str) -> Link:
    host, _, port = address.removeprefix("http://").rpartition(":")
    return Link(host, int(port))

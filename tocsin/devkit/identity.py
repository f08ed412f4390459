"""Identifies processes. A pid alone is no identity, since the system uses pids again.

A process is recognised by pid, start time and command line together. Only a process that matches in all
three is ever signalled, so a left-over of a crashed run is ended and a stranger under its old pid is not.
"""

import contextlib
import json
import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import NamedTuple, Self

_PROC = Path("/proc")
_POLL_S = 0.02
_STARTING_POLLS = 25


class ProcessIdentity(NamedTuple):
    """Identifies one process of one boot: `started` and `command` as the system tells them."""

    pid: int
    started: str
    command: str

    def to_json(self) -> str:
        """Encode for a pid file."""
        return json.dumps(self._asdict())

    @classmethod
    def from_json(cls, text: str) -> Self | None:
        """Decode a pid file; None if it is not one (a torn write, another program's file)."""
        try:
            found = json.loads(text)
            return cls(int(found["pid"]), str(found["started"]), str(found["command"]))
        except (ValueError, KeyError, TypeError):
            return None


Look = Callable[[int], tuple[str, str] | None]
"""Start time and command line of a process id, as the system tells them; None if it has none."""


def ask_system(pid: int) -> tuple[str, str] | None:
    """Read them from /proc, or from ps where there is none."""
    return _from_proc(pid) if (_PROC / "self" / "stat").exists() else _from_ps(pid)


def identify(pid: int, look: Look = ask_system) -> ProcessIdentity | None:
    """Look a running process up; None if there is none, or it is a zombie.

    One that is just being started has no command line for a moment: it is looked at again.
    """
    found = look(pid)
    for _ in range(_STARTING_POLLS):
        if found is None or found[1]:
            break
        time.sleep(_POLL_S)
        found = look(pid)
    return ProcessIdentity(pid, *found) if found else None


def _from_proc(pid: int) -> tuple[str, str] | None:
    try:
        fields = (_PROC / str(pid) / "stat").read_text().rpartition(")")[2].split()
        command = (_PROC / str(pid) / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
        boot = (_PROC / "sys/kernel/random/boot_id").read_text().strip()
    except OSError:
        return None
    state, start_ticks = fields[0], fields[19]  # fields 3 and 22 of proc(5), counted after the name
    return None if state in "ZX" else (f"{boot}/{start_ticks}", command.strip())


def _from_ps(pid: int) -> tuple[str, str] | None:
    """Macs have no /proc; `lstart` is exact to a second."""

    def column(name: str) -> str:
        ps = ["ps", "-o", f"{name}=", "-p", str(pid)]
        return subprocess.run(ps, capture_output=True, text=True, check=False).stdout.strip()

    state, started, command = column("stat"), column("lstart"), column("command")
    return (started, command) if started and not state.startswith("Z") else None


def is_running(identity: ProcessIdentity) -> bool:
    """Tell whether this very process still runs."""
    return identify(identity.pid) == identity


def send(identity: ProcessIdentity, number: signal.Signals) -> bool:
    """Signal this very process; False if it is gone. On Linux free of the race with a reused pid."""
    with contextlib.suppress(ProcessLookupError), _held(identity.pid) as signal_it:
        if is_running(identity):
            signal_it(number)
            return True
    return False


@contextlib.contextmanager
def _held(pid: int) -> Iterator[Callable[[signal.Signals], None]]:
    """Hold a process by file descriptor where the system can, so that its pid cannot change hands."""
    if not hasattr(os, "pidfd_open"):
        yield lambda number: os.kill(pid, number)
        return
    handle = os.pidfd_open(pid)
    try:
        yield lambda number: signal.pidfd_send_signal(handle, number)
    finally:
        os.close(handle)


def end(identities: Iterable[ProcessIdentity], grace_s: float = 10.0) -> list[ProcessIdentity]:
    """End processes: TERM to all in the given order, KILL to what is left after `grace_s`.

    Returns those that were running. All are gone on return.
    """
    running = [identity for identity in identities if send(identity, signal.SIGTERM)]
    if wait_gone(running, grace_s):
        return running
    for identity in running:
        send(identity, signal.SIGKILL)
    wait_gone(running, grace_s)
    return running


def wait_gone(identities: Iterable[ProcessIdentity], timeout_s: float) -> bool:
    """Wait until none of them runs; False at the timeout."""
    deadline = time.monotonic() + timeout_s
    left = list(identities)
    while left := [identity for identity in left if is_running(identity)]:
        if time.monotonic() >= deadline:
            return False
        time.sleep(_POLL_S)
    return True

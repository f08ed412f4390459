"""Supervisor: starts one process a shard, restarts one that dies, stops them in order.

A shard that exits with `REFUSED` has said on stderr why it must not start (a state directory that does not
belong, a setting that is wrong): restarting cannot help, so the supervisor stops with the same code.
"""

import logging
import os
import signal
import subprocess
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from types import FrameType

_log = logging.getLogger("tocsin.supervisor")
REFUSED = 78  # EX_CONFIG of sysexits.h
PARENT = "TOCSIN_SUPERVISOR"
"""Variable that tells a shard its supervisor's process id: who asks for it later may find another parent."""
_BACKOFF_MAX_S = 30.0
_STEADY_S = 10.0  # a shard that lived this long starts its backoff anew
_STOP_S = 20.0


class ShardProcess:
    """One shard's process and how it has fared."""

    def __init__(self, number: int, command: list[str], env: Mapping[str, str], log: Path | None) -> None:
        self.number = number
        self.restarts = 0
        self._command = command
        self._env = {**env, PARENT: str(os.getpid())}
        self._log = log
        self._backoff_s = 0.2
        self._started = 0.0
        self._again_at = 0.0
        self.process: subprocess.Popen[bytes] | None = None

    def start(self, now: float) -> None:
        """Start the process; its output goes to the log file, or to ours."""
        self._started = now
        if self._log is None:
            self.process = subprocess.Popen(self._command, env=self._env, start_new_session=True)  # noqa: S603
            return
        with self._log.open("ab") as out:
            self.process = subprocess.Popen(  # noqa: S603
                self._command, env=self._env, stdout=out, stderr=out, start_new_session=True
            )

    def check(self, now: float) -> int | None:
        """Restart it if it died and its backoff has passed; the exit code if all must end."""
        if self.process is None:
            if now >= self._again_at:
                self.start(now)
            return None
        code = self.process.poll()
        if code is None:
            return None
        self.process = None
        if code in (0, REFUSED):
            return code
        self._plan_restart(now, code)
        return None

    def _plan_restart(self, now: float, code: int) -> None:
        if now - self._started > _STEADY_S:
            self._backoff_s = 0.2
        self.restarts += 1
        self._again_at = now + self._backoff_s
        _log.warning("shard %s ended with %s; again in %.1f s", self.number, code, self._backoff_s)
        self._backoff_s = min(self._backoff_s * 2, _BACKOFF_MAX_S)

    def ask_to_stop(self) -> None:
        """Send SIGTERM."""
        if self.process is not None and self.process.poll() is None:
            self.process.terminate()

    def wait(self, timeout_s: float) -> None:
        """Wait for the end; SIGKILL after the timeout."""
        if self.process is None:
            return
        try:
            self.process.wait(timeout_s)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()

    def kill_and_wait(self) -> None:
        """SIGKILL, to show that it does not matter; `check` starts it again."""
        if self.process is not None:
            self.process.kill()
            self.process.wait()
            self.process = None
            self.restarts += 1
            self._again_at = 0.0


class Supervisor:
    """Keeps N shards running until stopped."""

    def __init__(
        self,
        shards: int,
        command: Callable[[int], list[str]],
        env: Mapping[str, str],
        logs: Path | None = None,
    ) -> None:
        self.shards = [
            ShardProcess(number, command(number), env, logs / f"shard-{number}.log" if logs else None)
            for number in range(shards)
        ]
        self._stopping = False

    def start(self) -> None:
        """Start all shards."""
        for shard in self.shards:
            shard.start(time.monotonic())

    def check(self) -> int | None:
        """Look after the shards once; an exit code when all must end."""
        codes = [shard.check(time.monotonic()) for shard in self.shards]
        return next((code for code in codes if code is not None), None)

    def run(self) -> int:
        """Supervise until SIGTERM, SIGINT or a refusal; returns the exit code."""
        for name in (signal.SIGTERM, signal.SIGINT):
            signal.signal(name, self._ask)
        self.start()
        code: int | None = None
        while not self._stopping and code is None:
            time.sleep(0.1)  # noqa: TID251
            code = self.check()
        self.stop()
        return code or 0

    def stop(self) -> None:
        """Stop all shards in order: SIGTERM to all, then wait for each."""
        self._stopping = True
        for shard in self.shards:
            shard.ask_to_stop()
        for shard in self.shards:
            shard.wait(_STOP_S)

    def _ask(self, _signal: int, _frame: FrameType | None) -> None:
        self._stopping = True

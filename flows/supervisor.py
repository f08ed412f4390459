"""Supervisor: starts one process per shard, restarts a process that dies, stops all in order.

A shard that exits with `REFUSED` wrote on stderr why it must not start, such as a wrong setting. A restart
cannot help there, so the supervisor stops all shards and exits with the same code.
"""

import logging
import os
import signal
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from types import FrameType

from flows.readiness import READY_FD, ReadyPipe

_log = logging.getLogger("tocsin.supervisor")
REFUSED = 78  # EX_CONFIG of sysexits.h
PARENT = "TOCSIN_SUPERVISOR"
"""Variable with the supervisor's process id: a shard whose supervisor has died finds another parent."""
STOP_S = 20.0
"""How long a shard may take to stop before it is killed."""


class RestartBackoff:
    """Decides how long a restart waits. Only starts that fail one after another make it wait longer.

    A process that had become ready and then died is restarted after the first delay, however often it dies:
    a longer one would be an outage of our own making.

    Args:
        first_s: delay of the first restart.
        max_s: longest delay; each failed start doubles the delay up to it.
    """

    def __init__(self, first_s: float = 0.2, max_s: float = 30.0) -> None:
        self._first_s = first_s
        self._max_s = max_s
        self._failed = 0

    def delay_s(self, *, was_ready: bool) -> float:
        """Note that a process ended; return the seconds until its restart."""
        self._failed = 0 if was_ready else self._failed + 1
        return min(self._first_s * 2.0 ** max(0, self._failed - 1), self._max_s)


class ShardProcess:
    """Starts and restarts the process of one shard.

    Attributes:
        number: the shard's number, from 0.
        restarts: how often it was restarted or killed since the supervisor started.
        process: the running process; None while a restart waits.
    """

    def __init__(
        self,
        number: int,
        command: list[str],
        env: Mapping[str, str],
        log: Path | None,
        fds: Sequence[int] = (),
    ) -> None:
        self._fds = fds
        self.number = number
        self.restarts = 0
        self._command = command
        self._env = {**env, PARENT: str(os.getpid())}
        self._log = log
        self._backoff = RestartBackoff()
        self._again_at = 0.0
        self._pipe: ReadyPipe | None = None
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start the process; its output goes to the log file, or to that of this process."""
        with ExitStack() as stack:
            out = None if self._log is None else stack.enter_context(self._log.open("ab"))
            self._pipe = ReadyPipe()
            self.process = subprocess.Popen(  # noqa: S603
                self._command,
                env={**self._env, READY_FD: str(self._pipe.write_fd)},
                stdout=out,
                stderr=out,
                start_new_session=True,
                pass_fds=[self._pipe.write_fd, *self._fds],
            )
            self._pipe.started()

    def check(self, now_s: float) -> int | None:
        """Restart the process if it died and its delay has passed.

        Args:
            now_s: present time of a monotonic clock.

        Returns:
            The exit code with which all shards must end; None to go on.
        """
        if self.process is None:
            if now_s >= self._again_at:
                self.start()
            return None
        code = self.process.poll()
        if code is None:
            return None
        was_ready = self._ended()
        if code in (0, REFUSED):
            return code
        self.restarts += 1
        delay_s = self._backoff.delay_s(was_ready=was_ready)
        self._again_at = now_s + delay_s
        after = "had been ready" if was_ready else "never became ready"
        _log.warning("shard %s ended with %s and %s; restart in %.1f s", self.number, code, after, delay_s)
        return None

    def _ended(self) -> bool:
        self.process = None
        pipe, self._pipe = self._pipe, None
        return pipe is not None and pipe.close()

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
        """Send SIGKILL and wait for the end; the next `check` starts the process again."""
        if self.process is not None:
            self.process.kill()
            self.process.wait()
            self._ended()
            self.restarts += 1
            self._again_at = 0.0


class Supervisor:
    """Keeps N shards running until stopped.

    Args:
        shards: how many.
        command: starts the shard of a number.
        env: their environment.
        logs: folder of their logs; None for the output of this process.
        stop_s: how long a shard may take to stop before it is killed.
        fds: descriptors that they inherit.
    """

    def __init__(
        self,
        shards: int,
        command: Callable[[int], list[str]],
        env: Mapping[str, str],
        logs: Path | None = None,
        stop_s: float = STOP_S,
        fds: Sequence[int] = (),
    ) -> None:
        self._stop_s = stop_s
        self.shards = [
            ShardProcess(number, command(number), env, logs / f"shard-{number}.log" if logs else None, fds)
            for number in range(shards)
        ]
        self._stopping = False

    def start(self) -> None:
        """Start all shards."""
        for shard in self.shards:
            shard.start()

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
            shard.wait(self._stop_s)

    def _ask(self, _signal: int, _frame: FrameType | None) -> None:
        self._stopping = True

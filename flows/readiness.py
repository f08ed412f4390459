"""Readiness of a shard: its process tells the supervisor once that it works.

The supervisor passes the write end of a pipe to the process. One byte in it means: this start worked.
"""

import contextlib
import os
from collections.abc import Callable

READY_FD = "TOCSIN_READY_FD"
"""Variable that names the pipe's file descriptor; absent without a supervisor."""


def ready_signal(fd: int) -> Callable[[], None]:
    """Make the function that reports this process as ready. Calls after the first do nothing.

    Args:
        fd: write end of the supervisor's pipe; below 0 if there is none.
    """
    waiting = [fd] if fd >= 0 else []

    def tell() -> None:
        while waiting:
            _write_and_close(waiting.pop())

    return tell


def _write_and_close(fd: int) -> None:
    with contextlib.suppress(OSError):  # the supervisor is gone: the parent watch ends this process
        os.write(fd, b"1")
    os.close(fd)


class ReadyPipe:
    """The supervisor's side, for one start of one process. Never blocks."""

    def __init__(self) -> None:
        self._read_fd, self.write_fd = os.pipe()
        os.set_blocking(self._read_fd, False)

    def started(self) -> None:
        """Close the write end in this process: only the started one holds it now."""
        os.close(self.write_fd)

    def close(self) -> bool:
        """Close the pipe after the process has ended; return whether the process became ready."""
        try:
            return bool(os.read(self._read_fd, 1))
        except BlockingIOError:  # a child of the process still holds the write end
            return False
        finally:
            os.close(self._read_fd)

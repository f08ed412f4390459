"""Keeps two processes from choosing the same free port before one of them listens on it."""

import contextlib
import fcntl
import os
import tempfile
from pathlib import Path


class PortClaims:
    """Holds ports for this process until it ends, against the processes of the same user.

    A port that was found free is bound seconds later, by a server that has yet to start. A claim is a lock on
    one byte of a file: the kernel releases it however the process ends. Where the file cannot be opened,
    nothing is claimed, and each port may be taken.

    Args:
        path: of the file that all processes lock; created if it is not there.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._file: int | None = None
        self._ours: set[int] = set()

    def take(self, port: int) -> bool:
        """Claim a port; false if this process or another one has it."""
        if port in self._ours or not self._lock(port):
            return False
        self._ours.add(port)
        return True

    def _lock(self, port: int) -> bool:
        if self._file is None:
            try:
                self._file = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o600)
            except OSError:
                return True
        with contextlib.suppress(OSError):
            fcntl.lockf(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB, 1, port)
            return True
        return False


def claims_of_this_user() -> PortClaims:
    """Open the claims that all processes of this user share."""
    return PortClaims(Path(tempfile.gettempdir()) / f"tocsin-ports-{os.getuid()}")

"""Guards a process: ends its children, however that process came to its end.

`PR_SET_PDEATHSIG` is Linux only and follows the starting *thread*; this works on any Unix and from any
thread. The guard reads identities from its standard input. When that closes without a goodbye, or its
parent changes, the starter is gone, and every process named so far is ended, the last one first.
"""

import os
import select
import subprocess
import sys
from pathlib import Path

from tocsin.devkit.identity import ProcessIdentity, end

_GOODBYE = "goodbye"
_PARENT_CHECK_S = 1.0


def project_env() -> dict[str, str]:
    """Return an environment for `python -m tocsin.devkit.…` children that works from any folder."""
    root = str(Path(__file__).resolve().parents[2])
    paths = [root, *filter(None, [os.environ.get("PYTHONPATH")])]
    return {**os.environ, "PYTHONPATH": os.pathsep.join(paths), "PYTHONUNBUFFERED": "1"}


class Guard:
    """Holds a guard process; `watch` what must not outlive this process, `close` when all is ended."""

    def __init__(self) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tocsin.devkit.guard"],
            stdin=subprocess.PIPE,
            env=project_env(),
            start_new_session=True,  # Ctrl-C is for the starter alone
            text=True,
            bufsize=1,
        )

    def watch(self, identity: ProcessIdentity) -> None:
        """End this process too if the starter dies."""
        self._tell(identity.to_json())

    def close(self) -> None:
        """Let the guard go without ending anything."""
        self._tell(_GOODBYE)
        if self._process.stdin:
            self._process.stdin.close()
        self._process.wait()

    def _tell(self, line: str) -> None:
        if self._process.stdin and not self._process.stdin.closed:
            self._process.stdin.write(line + "\n")


def _lines(parent: int) -> list[str]:
    """Collect what the starter said, until it is gone."""
    heard = b""
    while os.getppid() == parent:
        if not select.select([0], [], [], _PARENT_CHECK_S)[0]:
            continue
        chunk = os.read(0, 65_536)
        if not chunk:
            break
        heard += chunk
    return heard.decode().splitlines()


def main() -> None:
    """Wait for the starter's end; then end what it left."""
    lines = _lines(os.getppid())
    if _GOODBYE in lines:
        return
    watched = [identity for line in lines if (identity := ProcessIdentity.from_json(line))]
    end(reversed(watched))


if __name__ == "__main__":
    main()

"""Gives what failed in the last run of pytest a second try: `python -m tests.second_try`, as `.ci/run` does.

A test that meets processes, sockets or a browser may fail once by the timing of a machine. That is a fault,
of the test or of the product, and is to be corrected; but one such test of eleven thousand keeps no change
out. There is no second try for more than three tests, nor for one of pure code, which has no timing. The
attacks on the laws never get one: `.ci/run` runs them on their own.

Exit code: 0 if all that failed passes now, else 1.
"""

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

MOST = 3
_TIMED = "integration or e2e or loopback"
_NONE_COLLECTED = 5


def failed(folder: Path) -> list[str]:
    """Read which tests failed, from what pytest keeps in its cache."""
    kept = folder / ".pytest_cache/v/cache/lastfailed"
    return list(json.loads(kept.read_text())) if kept.exists() else []


def refusal(folder: Path, tests: Sequence[str]) -> str:
    """Say why there is no second try; empty if there is one."""
    if not tests:
        return "pytest names no test that failed"
    if len(tests) > MOST:
        return f"{len(tests)} tests failed, more than {MOST}"
    if _pytest(folder, "--collect-only", "-q", "-m", f"not ({_TIMED})", *tests) != _NONE_COLLECTED:
        return "a test of pure code failed, or a file cannot be read"
    return ""


def _pytest(folder: Path, *arguments: str) -> int:
    command = [sys.executable, "-m", "pytest", *arguments]
    return subprocess.run(command, cwd=folder, env=os.environ, check=False).returncode


def main(folder: Path, more: Sequence[str]) -> int:
    """Try again; `more` are arguments for pytest."""
    tests = failed(folder)
    if why := refusal(folder, tests):
        sys.stdout.write(f"== no second try: {why}\n")
        return 1
    names = "\n".join(tests)
    sys.stdout.write(f"== a second try; even if they pass now, a fault is to be corrected:\n{names}\n")
    sys.stdout.flush()
    return int(_pytest(folder, *more, *tests) != 0)


if __name__ == "__main__":
    sys.exit(main(Path.cwd(), sys.argv[1:]))

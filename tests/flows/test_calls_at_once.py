"""Provider calls need open files: the limit is raised, and calls are bounded by what it allows."""

import subprocess
import sys

_RUN = """
import logging, resource, sys
from flows.delivery import calls_at_once
logging.basicConfig(format="%(message)s")
soft, hard, wanted, channels = map(int, sys.argv[1:])
resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
print(calls_at_once(wanted, channels), resource.getrlimit(resource.RLIMIT_NOFILE)[0])
"""


def calls(soft: int, hard: int, wanted: int, channels: int) -> tuple[list[int], str]:
    """Return calls and limit, and what was logged, of a process with limits of its own."""
    numbers = map(str, (soft, hard, wanted, channels))
    done = subprocess.run([sys.executable, "-c", _RUN, *numbers], capture_output=True, text=True, check=True)
    return [int(word) for word in done.stdout.split()], done.stderr


def test_the_soft_limit_is_raised_as_far_as_the_calls_need() -> None:
    assert calls(256, 4_096, 1_024, 2) == ([1_024, 2_560], "")


def test_a_limit_that_is_high_enough_stays() -> None:
    assert calls(4_000, 4_096, 1_024, 2) == ([1_024, 4_000], "")


def test_a_hard_limit_bounds_the_calls_and_the_log_says_how_to_raise_it() -> None:
    numbers, said = calls(256, 1_024, 1_024, 2)
    assert numbers == [256, 1_024]
    assert "256 provider calls at once for each channel, not TOCSIN_IN_FLIGHT=1024" in said
    assert "ulimit -n" in said

"""Ports that were found free belong to who found them, before anybody listens."""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.waiting import until
from tocsin.devkit.guard import project_env
from tocsin.devkit.ports import PortClaims
from tocsin.devkit.processes import free_ports

_OTHER = """
import sys
from pathlib import Path
from tocsin.devkit.ports import PortClaims

print(PortClaims(Path(sys.argv[1])).take(20_000), flush=True)
sys.stdin.read()
"""
_FINDER = """
import random, sys
from tocsin.devkit import processes

processes._DICE = random.Random(7)
print(*processes.free_ports(5), flush=True)
sys.stdin.read()
"""


def _run(code: str, *arguments: str) -> "subprocess.Popen[str]":
    argv = [sys.executable, "-c", code, *arguments]
    pipe = subprocess.PIPE
    return subprocess.Popen(argv, env=project_env(), stdin=pipe, stdout=pipe, text=True)


def _said(process: "subprocess.Popen[str]") -> str:
    assert process.stdout is not None
    return process.stdout.readline().strip()


@pytest.fixture
def other(tmp_path: Path) -> Iterator["subprocess.Popen[str]"]:
    """Run a process that has claimed port 20000."""
    with _run(_OTHER, str(tmp_path / "ports")) as process:
        assert _said(process) == "True"
        yield process
        process.kill()


def test_a_port_is_claimed_once(tmp_path: Path) -> None:
    claims = PortClaims(tmp_path / "ports")
    assert [claims.take(port) for port in (20_000, 20_001, 20_000)] == [True, True, False]


def test_what_another_process_has_claimed_is_free_again_when_it_has_ended(
    tmp_path: Path, other: "subprocess.Popen[str]"
) -> None:
    claims = PortClaims(tmp_path / "ports")
    assert (claims.take(20_000), claims.take(20_001)) == (False, True)
    other.kill()
    until(lambda: claims.take(20_000), "the end of the claim")


def test_where_no_file_can_be_made_ports_are_found_all_the_same(tmp_path: Path) -> None:
    claims = PortClaims(tmp_path / "nowhere" / "ports")
    assert [claims.take(20_000), claims.take(20_000)] == [True, False]


def test_processes_that_look_in_the_same_places_find_different_ports() -> None:
    """Else each starts its server on them, and a test talks to the server of another one."""
    with _run(_FINDER) as one, _run(_FINDER) as other:
        found = [*_said(one).split(), *_said(other).split()]
        one.kill()
        other.kill()
    assert len(set(found)) == 10


def test_one_process_is_never_given_the_same_port_again() -> None:
    found = [port for _ in range(50) for port in free_ports(20)]
    assert len(set(found)) == 1_000

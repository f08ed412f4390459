"""The socket guard, in test runs of its own."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.clock import ManualClock
from tests.sockets import is_local

_ROOT = Path(__file__).parent.parent

_QUIET = """
def test_quiet():
    assert True is not None
"""
_SWALLOWED = """
import contextlib, socket

def test_swallowed():
    with contextlib.suppress(Exception):
        socket.create_connection(("127.0.0.1", 9), 0.1)
"""
_IN_A_THREAD = """
import socket, threading

def test_in_a_thread():
    thread = threading.Thread(target=lambda: [socket.socket().connect_ex(("10.0.0.1", 9))])
    thread.start()
    thread.join()
"""
_MARKED = """
import pytest, socket

@pytest.mark.integration
def test_marked():
    with pytest.raises(OSError):
        socket.create_connection(("127.0.0.1", 9), 0.5)
"""
_LOOPBACK = """
import pytest, socket

@pytest.mark.loopback
def test_here():
    with socket.socket() as here:
        here.bind(("127.0.0.1", 0))

@pytest.mark.loopback
def test_elsewhere():
    with pytest.raises(RuntimeError), socket.socket() as there:
        there.connect(("192.0.2.1", 80))
"""
_BY_NAME = """
import socket, pytest

def test_by_name():
    with pytest.raises(RuntimeError):
        socket.getaddrinfo("example.org", 80)
"""


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Run the tests above in one go, and give what pytest said."""
    folder = tmp_path_factory.mktemp("guarded")
    codes = [_QUIET, _SWALLOWED, _IN_A_THREAD, _MARKED, _LOOPBACK, _BY_NAME]
    for number, code in enumerate(codes):
        (folder / f"test_{number}.py").write_text(code)
    quiet = ["-q", "-rA", "-p", "no:cacheprovider", "-p", "no:randomly", "-W", "ignore"]
    command = [sys.executable, "-m", "pytest", "-p", "tests.conftest", *quiet, str(folder)]
    inner = {name: value for name, value in os.environ.items() if not name.startswith("PYTEST_")}
    done = subprocess.run(command, cwd=_ROOT, env=inner, capture_output=True, text=True, check=False)
    return done.stdout


@pytest.mark.parametrize("name", ["quiet", "marked", "here"])
def test_what_is_allowed_passes(run: str, name: str) -> None:
    assert re.search(rf"^PASSED .*::test_{name}$", run, re.MULTILINE), run


@pytest.mark.parametrize("name", ["swallowed", "in_a_thread", "by_name", "elsewhere"])
def test_who_reaches_fails_even_where_the_error_is_swallowed(run: str, name: str) -> None:
    assert re.search(rf"^FAILED .*::test_{name}\b", run, re.MULTILINE), run
    assert len(re.findall("^E +Failed: reached for a socket", run, re.MULTILINE)) == 4


@pytest.mark.parametrize(
    ("host", "local"),
    [
        ("127.0.0.1", True),
        ("127.8.8.8", True),
        ("::1", True),
        ("0.0.0.0", True),
        ("localhost", True),
        ("/var/run/docker.sock", True),
        ("10.0.0.1", False),
        ("example.org", False),
        ("localhost.example.org", False),
    ],
)
def test_what_is_this_machine(host: str, local: bool) -> None:
    assert is_local(host) is local


def test_the_clock_moves_only_by_hand(clock: ManualClock) -> None:
    start = clock()
    assert clock() == start
    assert clock.advance(250, s=1.5) == start + 1_750 == clock()

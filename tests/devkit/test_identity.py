"""Who is who among processes."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.waiting import PATIENCE_S
from tocsin.devkit.identity import ProcessIdentity, end, identify, is_running, send, wait_gone

_SLEEPER = "import time; time.sleep(600)"
_STUBBORN = """
import signal, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
print('up', flush=True)
time.sleep(600)
"""


def _start(code: str) -> "subprocess.Popen[str]":
    return subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)


@pytest.fixture
def sleeper() -> Iterator["subprocess.Popen[str]"]:
    with _start(_SLEEPER) as process:
        yield process
        process.kill()


def _identity(process: "subprocess.Popen[str]") -> ProcessIdentity:
    found = identify(process.pid)
    assert found is not None
    return found


def test_this_process_is_itself() -> None:
    found = identify(os.getpid())
    assert found is not None
    assert sys.executable in found.command
    assert is_running(found)


def test_a_process_that_is_just_being_started_is_looked_at_again() -> None:
    """Between fork and the end of exec its command line is empty."""
    answers = iter([("boot/1", ""), ("boot/1", ""), ("boot/1", "python -m it")])
    assert identify(7, lambda _: next(answers)) == ProcessIdentity(7, "boot/1", "python -m it")


def test_a_process_that_is_not_there() -> None:
    assert identify(2**22 + 1) is None


def test_a_zombie_is_gone(sleeper: "subprocess.Popen[str]") -> None:
    identity = _identity(sleeper)
    sleeper.kill()
    assert wait_gone([identity], PATIENCE_S)  # it was not waited for: its pid is still taken
    assert identify(sleeper.pid) is None


@pytest.mark.parametrize("field", ["started", "command"])
def test_a_stranger_under_the_same_pid_is_left_alone(sleeper: "subprocess.Popen[str]", field: str) -> None:
    stranger = ProcessIdentity(**{**_identity(sleeper)._asdict(), field: "another"})
    assert not is_running(stranger)
    assert not send(stranger, signal.SIGKILL)
    assert end([stranger], 0.1) == []
    assert sleeper.poll() is None


def test_end_is_gentle_first(sleeper: "subprocess.Popen[str]") -> None:
    identity = _identity(sleeper)
    assert end([identity], PATIENCE_S) == [identity]
    assert sleeper.wait(PATIENCE_S) == -signal.SIGTERM
    assert end([identity], PATIENCE_S) == []


def test_end_kills_who_does_not_listen() -> None:
    with _start(_STUBBORN) as stubborn:
        assert stubborn.stdout
        assert stubborn.stdout.readline() == "up\n"
        try:
            assert end([_identity(stubborn)], 0.2)
            assert stubborn.wait(PATIENCE_S) == -signal.SIGKILL
        finally:
            stubborn.kill()


@given(st.builds(ProcessIdentity, st.integers(), st.text(), st.text()))
def test_a_pid_file_reads_back(identity: ProcessIdentity) -> None:
    assert ProcessIdentity.from_json(identity.to_json()) == identity


@pytest.mark.parametrize(
    "text", ["", "123", "[1]", "{}", '{"pid": "x", "started": "", "command": ""}', '{"pid']
)
def test_a_file_of_another_kind_names_nobody(text: str) -> None:
    assert ProcessIdentity.from_json(text) is None

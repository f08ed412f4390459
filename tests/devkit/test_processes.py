"""Child processes end with their starter, come up before they are used, and leave nothing behind."""

import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.waiting import PATIENCE_S
from tocsin.devkit.guard import Guard, project_env
from tocsin.devkit.identity import ProcessIdentity, identify, is_running, wait_gone
from tocsin.devkit.processes import Child, Service, StartError, free_ports, stop, sweep, wait_ready

_SLEEP = (sys.executable, "-c", "import time; print('hello', flush=True); time.sleep(600)")
_DEAF = """
import signal, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
print('up', flush=True)
time.sleep(600)
"""
_STARTER = """
import sys, threading, time
from pathlib import Path
from tocsin.devkit.guard import Guard
from tocsin.devkit.processes import Child, Service

folder, guarded = Path(sys.argv[1]), sys.argv[2] == "guarded"
def start():
    sleep = (sys.executable, "-c", "import time; time.sleep(600)")
    child = Child(Service("sleeper", sleep, lambda: True), folder)
    if guarded:
        guard = Guard()
        guard.watch(child.identity)
        starters.append(guard)
    print("started", flush=True)
starters = []
if guarded:  # a thread that ends at once: the kernel's signal alone would end the child with it
    thread = threading.Thread(target=start)
    thread.start()
    thread.join()
else:
    start()
time.sleep(600)
"""


def _service(argv: tuple[str, ...] = _SLEEP, *, ready: bool = True) -> Service:
    return Service("sleeper", argv, lambda: ready)


@pytest.fixture
def child(tmp_path: Path) -> Iterator[Child]:
    child = Child(_service(), tmp_path)
    yield child
    child.kill()


def _noted(folder: Path) -> ProcessIdentity:
    found = ProcessIdentity.from_json((folder / "sleeper.pid").read_text())
    assert found is not None
    return found


def test_a_child_is_noted_and_logged(child: Child, tmp_path: Path) -> None:
    wait_ready([child], PATIENCE_S)
    assert _noted(tmp_path) == child.identity == identify(child.pid)
    stop([child])
    assert not child.alive()
    assert not (tmp_path / "sleeper.pid").exists()
    assert "hello" in child.tail() or child.tail() == ""


def test_a_child_that_ends_while_starting_is_told_with_its_log(tmp_path: Path) -> None:
    child = Child(
        _service((sys.executable, "-c", "print('no room'); raise SystemExit(3)"), ready=False), tmp_path
    )
    with pytest.raises(StartError, match="sleeper ended while starting:\nno room"):
        wait_ready([child], PATIENCE_S)


def test_a_child_that_never_answers_is_told(tmp_path: Path) -> None:
    child = Child(_service(ready=False), tmp_path)
    with pytest.raises(StartError, match=r"sleeper did not answer within 0\.2 s"):
        wait_ready([child], 0.2)
    child.kill()


def test_stop_asks_all_before_it_waits_and_kills_the_deaf(tmp_path: Path) -> None:
    first = Child(Service("deaf", (sys.executable, "-c", _DEAF), lambda: "up" in first.tail()), tmp_path)
    second = Child(_service(), tmp_path)
    wait_ready([first, second], PATIENCE_S)
    stop([first, second], grace_s=0.3)
    assert not first.alive()
    assert not second.alive()


@pytest.mark.timeout(60)
def test_a_service_that_has_nothing_to_finish_is_not_waited_for(tmp_path: Path) -> None:
    command = (sys.executable, "-c", _DEAF)
    deaf = Child(Service("deaf", command, lambda: "up" in deaf.tail(), grace_s=0), tmp_path)
    wait_ready([deaf], PATIENCE_S)
    stop([deaf], grace_s=600)
    assert not deaf.alive()


def test_sweep_ends_left_overs_and_only_them(child: Child, tmp_path: Path) -> None:
    stranger = child.identity._replace(started="before the last boot")
    (tmp_path / "stranger.pid").write_text(stranger.to_json())
    (tmp_path / "torn.pid").write_text('{"pid": 1')
    assert sweep(tmp_path) == [child.identity]
    assert wait_gone([child.identity], PATIENCE_S)
    assert list(tmp_path.glob("*.pid")) == []
    assert sweep(tmp_path) == []


@pytest.mark.parametrize("how", ["guarded", "kernel"])
def test_a_child_does_not_outlive_a_killed_starter(tmp_path: Path, how: str) -> None:
    if how == "kernel" and sys.platform != "linux":
        pytest.skip("PR_SET_PDEATHSIG is Linux's")
    argv = [sys.executable, "-c", _STARTER, str(tmp_path), how]
    with subprocess.Popen(argv, env=project_env(), stdout=subprocess.PIPE, text=True) as starter:
        assert starter.stdout
        assert starter.stdout.readline() == "started\n"
        orphan = _noted(tmp_path)
        assert is_running(orphan)
        starter.send_signal(signal.SIGKILL)
    assert wait_gone([orphan], PATIENCE_S)


def test_a_guard_that_hears_goodbye_ends_nobody(child: Child) -> None:
    guard = Guard()
    guard.watch(child.identity)
    guard.close()
    assert child.alive()


def test_a_child_started_from_a_thread_outlives_the_thread(tmp_path: Path) -> None:
    started: list[Child] = []
    thread = threading.Thread(target=lambda: started.append(Child(_service(), tmp_path)))
    thread.start()
    thread.join()
    assert not wait_gone([started[0].identity], 0.3)
    started[0].kill()


def test_ctrl_c_is_for_the_starter_alone(child: Child) -> None:
    assert os.getsid(child.pid) == child.pid != os.getsid(0)


@pytest.mark.skipif(sys.platform != "linux", reason="reads the kernel's range where Linux tells it")
def test_free_ports_are_none_that_a_connection_may_take() -> None:
    lowest = int(Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split()[0])
    assert max(free_ports(20)) < lowest


def test_free_ports_are_distinct_and_free() -> None:
    ports = free_ports(20)
    assert len(set(ports)) == 20
    for port in ports:
        with socket.socket() as each:
            each.bind(("127.0.0.1", port))

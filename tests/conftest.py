"""What all tests share: servers on demand, the socket guard, a manual clock."""

import gc
import signal
import subprocess
from collections.abc import Generator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, settings

from tests.clock import ManualClock
from tests.sockets import Level, SocketGuard

pytest_plugins = ("tests.services",)

_SERVERS = frozenset(
    {"kafka", "redis_url", "redis_db", "clickhouse_url", "clickhouse_db", "clickhouse_module_db", "sandbox"}
)
# Of these .ci/run names others in a second pass: Apache Kafka itself, and Debian's Redis.
_EXCHANGED = frozenset({"kafka", "redis_url", "redis_db"})
# Tests there stand up small servers of their own on 127.0.0.1.
_LOOPBACK_FOLDERS = frozenset(
    {
        "providers",
        "delivery",
        "operators",
        "sources",
        "store",
        "sinks",
        "sandbox",
        "gateway",
        "dashboards",
        "devkit",
        "app",
        "judges",
    }
)
# How long an example takes tells of the machine, not of the code.
settings.register_profile("tocsin", deadline=None, suppress_health_check=[HealthCheck.too_slow])
# A run that decides whether a change may land gives the same answer again: new examples are for runs by hand.
settings.register_profile("ci", settings.get_profile("tocsin"), derandomize=True, database=None)
settings.load_profile("tocsin")
_TESTS = Path(__file__).parent
_GUARD = SocketGuard()
_LONG = ("laws", "peers", "judges")
_DEATH_S = 5
# From half a minute on; of a folder, all files.
_LONG_FILES = (
    "laws/test_kills",
    "laws/",
    "e2e/test_commands.py",
    "e2e/",
    "judges/",
    "flows/test_declared_topics.py",
    "sources/test_misplaced_profiles.py",
    "sandbox/test_viewer.py",
    "operators/test_deliver_outage.py",
    "delivery/test_lost_answers.py",
    "cli/test_balance.py",
    "gateway/people/",
    "gateway/test_schemathesis.py",
    "gateway/broadcasts/",
    "flows/",
)


def pytest_configure(config: pytest.Config) -> None:
    """Declare the marker that folders give, and start to watch sockets."""
    config.addinivalue_line("markers", "loopback: may use sockets of this machine (given by folder)")
    config.addinivalue_line("markers", "exchanged: meets a broker or Redis that a run may name (by fixture)")
    _GUARD.install()


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Mark what uses a server as integration, and what lies in a loopback folder as such; long files first.

    Workers share the run by files: what takes a minute must not be left for the end. What takes minutes
    is left out unless it is asked for.
    """
    for item in items:
        if _SERVERS & set(getattr(item, "fixturenames", ())):
            item.add_marker(pytest.mark.integration)
        if _EXCHANGED & set(getattr(item, "fixturenames", ())):
            item.add_marker(pytest.mark.exchanged)
        if _LOOPBACK_FOLDERS & _folders(item.path):
            item.add_marker(pytest.mark.loopback)
    items.sort(key=lambda item: _rank(item.path))
    unasked = [name for name in _LONG if name not in config.getoption("markexpr")]
    long = [item for item in items if any(map(item.get_closest_marker, unasked))]
    if long:
        config.hook.pytest_deselected(items=long)
        items[:] = [item for item in items if item not in long]


def pytest_collection_finish() -> None:
    """Leave out of each search for garbage what stays: half a million objects stall a test for 0.4 s."""
    gc.collect()
    gc.freeze()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item: pytest.Item) -> Generator[None, object, object]:
    """Give each test its level of socket use, its fixtures included."""
    _GUARD.enter(_level(item))
    try:
        return (yield)
    finally:
        _GUARD.enter("any")


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call() -> Generator[None, object, object]:
    """Fail a test whose attempt was swallowed."""
    result = yield
    if _GUARD.attempts:
        pytest.fail(f"reached for a socket: {', '.join(_GUARD.attempts)}")
    return result


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: Any, error: object | None) -> None:
    """Say how the process of a worker ended that died without a word: xdist itself does not."""
    if error is None:
        return
    process = node.gateway._io.popen  # noqa: SLF001 (the only one who has its exit code)
    try:
        ended = how_it_ended(process.wait(_DEATH_S))
    except subprocess.TimeoutExpired:
        ended = "it still runs: its pipe to the controller was closed"
    print(f"\n{node.gateway.id}, process {process.pid}: {ended}", flush=True)  # noqa: T201


def how_it_ended(code: int) -> str:
    """Put the exit code of a process into words, a signal by its name."""
    return f"ended by {signal.Signals(-code).name}" if code < 0 else f"ended itself with exit code {code}"


def _rank(path: Path) -> int:
    """Give the place of a file in the run: long ones are first, in the order of their time."""
    name = path.relative_to(_TESTS).as_posix() if path.is_relative_to(_TESTS) else ""
    return next((at for at, start in enumerate(_LONG_FILES) if name.startswith(start)), len(_LONG_FILES))


def _folders(path: Path) -> set[str]:
    return set(path.relative_to(_TESTS).parts) if path.is_relative_to(_TESTS) else set()


def _level(item: pytest.Item) -> Level:
    if item.get_closest_marker("integration") or item.get_closest_marker("e2e"):
        return "any"
    return "loopback" if item.get_closest_marker("loopback") else "none"


@pytest.fixture
def clock() -> ManualClock:
    """Make a clock that only the test moves."""
    return ManualClock()

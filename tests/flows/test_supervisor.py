"""The supervisor: restarts what dies, gives up on a refusal, stops in order."""

import os
import sys
import time
from pathlib import Path

import pytest

from flows.supervisor import PARENT, REFUSED, Supervisor

SLEEPER = "import time; time.sleep(60)"
STUBBORN = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); time.sleep(60)"


def supervisor(*programs: str, logs: Path | None = None) -> Supervisor:
    made = Supervisor(
        len(programs), lambda number: [sys.executable, "-c", programs[number]], os.environ, logs
    )
    made.start()
    return made


def check_until(made: Supervisor, seen: int, within_s: float = 20) -> int | None:
    """Check until the first shard was restarted `seen` times, or all must end."""
    end = time.monotonic() + within_s
    code = None
    while code is None and made.shards[0].restarts < seen and time.monotonic() < end:
        code = made.check()
        time.sleep(0.02)
    return code


def test_a_shard_that_dies_is_started_again_and_the_others_go_on() -> None:
    made = supervisor("import sys; sys.exit(3)", SLEEPER)
    other = made.shards[1].process
    assert check_until(made, seen=2) is None
    assert made.shards[0].restarts >= 2
    assert other is made.shards[1].process
    made.stop()


def test_a_shard_is_told_who_supervises_it(tmp_path: Path) -> None:
    made = supervisor(f"import os; print(os.environ[{PARENT!r}])", logs=tmp_path)
    assert check_until(made, seen=1) == 0
    made.stop()
    assert (tmp_path / "shard-0.log").read_text() == f"{os.getpid()}\n"


def test_a_refusal_ends_all_with_its_code() -> None:
    made = supervisor(f"import sys; sys.exit({REFUSED})", SLEEPER)
    assert check_until(made, seen=1) == REFUSED
    made.stop()
    assert made.shards[0].restarts == 0


def test_backoff_grows_with_every_death() -> None:
    made = supervisor("raise SystemExit(1)")
    began = time.monotonic()
    check_until(made, seen=3)
    assert time.monotonic() - began >= 0.2 + 0.4
    made.stop()


def test_a_killed_shard_comes_back_at_once() -> None:
    made = supervisor(SLEEPER)
    first = made.shards[0].process
    made.shards[0].kill_and_wait()
    assert first is not None
    assert first.returncode == -9
    made.check()
    assert made.shards[0].process not in (None, first)
    assert made.shards[0].restarts == 1
    made.stop()


def test_stop_ends_all(tmp_path: Path) -> None:
    made = supervisor(SLEEPER, SLEEPER, logs=tmp_path)
    processes = [shard.process for shard in made.shards]
    made.stop()
    assert [process.poll() for process in processes if process] == [-15, -15]


def test_output_of_a_shard_goes_to_its_log(tmp_path: Path) -> None:
    made = supervisor("print('said'); raise SystemExit(78)", logs=tmp_path)
    check_until(made, seen=1)
    assert (tmp_path / "shard-0.log").read_text() == "said\n"


def test_a_stubborn_shard_is_killed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("flows.supervisor._STOP_S", 0.5)
    made = supervisor(STUBBORN)
    process = made.shards[0].process
    time.sleep(0.5)
    made.stop()
    assert process is not None
    assert process.returncode == -9

"""The supervisor: restarts what dies, gives up on a refusal, stops in order."""

import os
import sys
import time
from pathlib import Path

from flows.readiness import READY_FD
from flows.supervisor import PARENT, REFUSED, STOP_S, RestartBackoff, ShardProcess, Supervisor
from tests.waiting import PATIENCE_S, until

SLEEPER = "import time; time.sleep(60)"
READY = f"import os; os.write(int(os.environ[{READY_FD!r}]), b'1'); "
STUBBORN = (
    "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN);"
    "print('deaf', flush=True); time.sleep(600)"
)


def supervisor(*programs: str, logs: Path | None = None, stop_s: float = STOP_S) -> Supervisor:
    made = Supervisor(
        len(programs), lambda number: [sys.executable, "-c", programs[number]], os.environ, logs, stop_s
    )
    made.start()
    return made


def check_until(made: Supervisor, seen: int, within_s: float = PATIENCE_S) -> int | None:
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


def delays(program: str, deaths: int) -> list[float]:
    """Let a process die again and again, by a clock of our own; return how long each restart waited."""
    shard = ShardProcess(0, [sys.executable, "-c", program], os.environ, None)
    now_s, found = 0.0, list[float]()
    for _ in range(deaths):
        shard.start()
        assert shard.process is not None
        shard.process.wait()
        assert shard.check(now_s) is None
        died_s = now_s
        while shard.process is None:
            now_s += 0.01
            shard.check(now_s)
        found.append(round(now_s - died_s, 1))
        shard.kill_and_wait()
        now_s += 9.0
    return found


def test_a_shard_that_had_worked_is_restarted_without_growing_delay() -> None:
    assert delays(READY + "raise SystemExit(1)", 4) == [0.2, 0.2, 0.2, 0.2]


def test_starts_that_fail_wait_longer_each_time() -> None:
    assert delays("raise SystemExit(1)", 4) == [0.2, 0.4, 0.8, 1.6]


def test_the_delay_is_bounded_and_starts_anew_after_a_start_that_worked() -> None:
    backoff = RestartBackoff(first_s=1, max_s=10)
    assert [backoff.delay_s(was_ready=False) for _ in range(6)] == [1, 2, 4, 8, 10, 10]
    assert backoff.delay_s(was_ready=True) == 1
    assert backoff.delay_s(was_ready=False) == 1


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


def test_a_stubborn_shard_is_killed(tmp_path: Path) -> None:
    made = supervisor(STUBBORN, logs=tmp_path, stop_s=0.2)
    process = made.shards[0].process
    until(lambda: (tmp_path / "shard-0.log").read_text() == "deaf\n")
    made.stop()
    assert process is not None
    assert process.returncode == -9

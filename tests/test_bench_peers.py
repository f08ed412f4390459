"""`bench.peers`: its job's rules, how it turns samples into rates and ratios, and how it runs and ends."""

import contextlib
import json
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import psutil
import pytest

from bench.peers import report
from bench.peers.watch import Sample, rate_of
from bench.peers.workload import Decision, User, decide, events, expected, profiles, records

ROOT = Path(__file__).parent.parent


def user(**off: list[str]) -> User:
    return User(
        {
            "channels": dict.fromkeys(off.get("channels", []), False),
            "categories": dict.fromkeys(off.get("categories", []), False),
        }
    )


def event(number: int, kind: str, second: int = 0) -> dict[str, Any]:
    return {
        "source": "/shop",
        "id": str(number),
        "type": kind,
        "time": f"2026-01-01T00:{second // 60:02}:{second % 60:02}Z",
    }


def test_a_repeated_event_is_a_duplicate() -> None:
    someone = user()
    assert decide(someone, event(1, "order.shipped")) == Decision(("push", "email"))
    assert decide(someone, event(1, "order.shipped", 59)) == Decision((), "duplicate")


def test_one_social_or_marketing_event_a_minute_and_orders_do_not_count() -> None:
    someone = user()
    assert decide(someone, event(1, "order.shipped")).channels
    assert decide(someone, event(2, "social.follow")).channels == ("push", "inapp")
    assert decide(someone, event(3, "promo.offer", 59)) == Decision((), "limit")
    assert decide(someone, event(4, "promo.offer", 60)).channels == ("email", "push")


def test_five_marketing_events_a_day() -> None:
    someone = user()
    found = [decide(someone, event(number, "promo.offer", number * 60)).reason for number in range(6)]
    assert found == ["", "", "", "", "", "limit"]


def test_what_a_user_turned_off_uses_no_limit() -> None:
    someone = user(channels=["email", "push"])
    assert decide(someone, event(1, "promo.offer")) == Decision((), "channel_off")
    assert decide(someone, event(2, "social.follow")).channels == ("inapp",)
    assert decide(user(categories=["social"]), event(3, "social.follow")) == Decision((), "category_off")


def test_every_event_has_one_end_and_the_workload_is_the_same_each_time() -> None:
    first, again = (list(events(3_000, 300, 1_790_000_000_000)) for _ in range(2))
    counts = expected(300, first)
    assert first == again
    assert len({profile["user_id"] for _, profile in profiles(300)}) == 300
    suppressed = sum(counts[reason] for reason in ("duplicate", "category_off", "channel_off", "limit"))
    assert records(counts) > 3_000 - suppressed > 0
    assert 100 < counts["duplicate"] < 200


def test_a_rate_leaves_out_the_start_and_counts_what_grows_beside() -> None:
    samples = [
        Sample(0, 0, 0, 0),
        Sample(10, 0, 5, 0),  # starting up
        Sample(11, 100, 6, 50),
        Sample(12, 200, 7, 350),
        Sample(13, 200, 8, 400),  # outcomes come after the messages
        Sample(14, 200, 8, 400),
    ]
    rate = rate_of(samples, 1_000)
    assert rate.per_s == pytest.approx(1_000 * 0.95 / 2.9)
    assert rate.cpu_us == pytest.approx(2.9 / 950 * 1e6)
    assert rate.records == 200


def test_ratios_are_above_one_where_this_build_is_better() -> None:
    rounds: report.Rounds = {
        "decide_per_s": {"today": [30, 20, 10], "before": [15, 20, 2], "quix": [10, 10, 10]},
        "latency_p99_ms": {"today": [50.0], "before": [200.0]},
    }
    assert report.ratios(rounds) == {
        "decide_vs_quix": 2.0,
        "decide_vs_before": 2.0,
        "latency_p99_vs_before": 4.0,
    }
    assert report.rates(rounds)["decide_per_s"] == {"today": 20, "before": 15, "quix": 10}


def test_a_contender_that_decides_otherwise_is_named() -> None:
    right = {"push": 5, "email": 4, "inapp": 1, "limit": 7}
    found = {"quix": {"records": 10}, "today": {"records": 9}}
    assert report.mistakes(right, found) == ["today wrote 9 records, the rules give 10"]
    assert report.differences(found) == ["honest mix: records differ: quix 10, today 9"]
    assert report.differences({"before": {"records": 9, "limit": 1}, "today": {"records": 9}}) == []


@pytest.mark.peers
@pytest.mark.e2e
@pytest.mark.timeout(1_200)
def test_the_bench_runs_and_everybody_decides_alike() -> None:
    argv = [sys.executable, "-m", "bench.peers", "--quick", "--json"]
    done = subprocess.run(argv, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert found["mistakes"] == []
    assert found["ratios"].keys() == report.RATIOS.keys()
    assert min(found["ratios"].values()) > 0
    right = records(found["decisions"]["expected"])
    assert {counts["records"] for counts in found["decisions"]["found"].values()} == {right}


def commands_of(parent: psutil.Process) -> list[list[str]]:
    """List the command lines of what a process started; what ends meanwhile has none."""
    found = []
    for child in parent.children(recursive=True):
        with contextlib.suppress(psutil.NoSuchProcess):
            found.append(child.cmdline())
    return found


@pytest.mark.peers
@pytest.mark.e2e
@pytest.mark.timeout(300)
@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_nothing_is_left_running(how: signal.Signals) -> None:
    argv = [sys.executable, "-m", "bench.peers", "--quick", "--only", "deliver"]
    bench = psutil.Popen(argv, cwd=ROOT, stderr=subprocess.DEVNULL)
    while not any("flows" in command for command in commands_of(bench)):
        assert bench.poll() is None
        time.sleep(0.05)
    started = bench.children(recursive=True)
    bench.send_signal(how)
    bench.wait(60)
    _, alive = psutil.wait_procs(started, 30)
    assert alive == []

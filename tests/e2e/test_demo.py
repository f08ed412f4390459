"""The whole of it, from one command: real flights in, messages out, the audit balanced, shards killed.

Where TOCSIN_TEST_KAFKA names a broker, the demo runs on Apache Kafka too, in a node of its own.
"""

import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any
from urllib.request import urlopen

import pytest

from tocsin.cli.demo_environment import sends

ROOT = Path(__file__).parent.parent.parent
NOBODY = "http://127.0.0.1:9"
pytestmark = [pytest.mark.e2e, pytest.mark.timeout(420)]


def demo(folder: Path, *options: str) -> tuple[int, dict[str, Any], str]:
    """Run it where a proxy is named that answers nobody: all its servers are on this machine.

    Not on Apache Kafka, whose jars may have to be fetched.
    """
    env, broker = dict(os.environ), "apache"
    if not os.environ.get("TOCSIN_TEST_KAFKA"):
        proxies = dict.fromkeys(("HTTP_PROXY", "http_proxy", "HTTPS_PROXY", "https_proxy"), NOBODY)
        env = {name: value for name, value in env.items() if name.lower() != "no_proxy"} | proxies
        broker = "embedded"
    command = [
        sys.executable,
        "-m",
        "tocsin.cli.main",
        "demo",
        "--json",
        "--broker",
        broker,
        "--keep",
        str(folder),
        *options,
    ]
    done = subprocess.run(
        command, cwd=ROOT, env=env, capture_output=True, text=True, timeout=400, check=False
    )
    lines = [line for line in done.stdout.splitlines() if line.startswith("{")]
    logs = "".join(path.read_text()[-2_000:] for path in sorted((folder / "logs").glob("*.log")))
    assert lines, f"no report; {done.stderr[-2_000:]}\n{logs}"
    return done.returncode, json.loads(lines[-1]), done.stderr + logs


def test_a_day_of_flights_balances_and_every_word_is_in_clickhouse(tmp_path: Path) -> None:
    code, report, said = demo(tmp_path / "demo", "--days", "1", "--passengers", "300")
    published = report["published"]
    records = sum(published["events"].values()) + published["duplicates"] + sum(published["broken"].values())
    assert code == 0, said
    assert report["events"] == records
    assert report["balance_error"] == 0
    assert report["in_flight"] == 0
    assert report["clickhouse_rows"] == sum(report["decisions"].values())
    assert report["reasons"]["duplicate"] == published["duplicates"]
    assert report["decisions"]["merged"] > report["reasons"]["digest"], "small delays"
    assert report["reasons"]["digest"] > report["held"], "those of the first evening are sent"
    assert report["dead"] >= sum(published["broken"].values())
    assert report["decisions"]["sent"] == report["decisions"]["admitted"] - report["decisions"].get(
        "expired", 0
    )
    assert all(report["channels"][name]["sent"] for name in ("email", "sms", "push", "inapp"))
    recorded = sends(tmp_path / "demo/servers/sandbox")
    assert len(recorded) == sum(
        counts["sent"] for name, counts in report["channels"].items() if name != "inapp"
    )
    lines = (tmp_path / "demo/servers/sandbox/sent.jsonl").read_text().splitlines()
    assert all(json.loads(line)["user"].startswith("default/passenger-") for line in lines)


@pytest.mark.laws
def test_killed_shards_lose_nothing_and_send_twice_only_what_was_open(tmp_path: Path) -> None:
    code, report, said = demo(
        tmp_path / "demo", "--days", "1", "--passengers", "300", "--speed", "5000", "--kill-shard-every", "3"
    )  # fmt: skip
    assert report["kills"] >= 4, report
    assert code == 0, said
    assert report["balance_error"] == 0
    assert report["doubled_beyond_claims"] == 0
    assert report["in_flight"] == 0


def test_ctrl_c_ends_it_in_order_with_a_balance(tmp_path: Path) -> None:
    command = [
        sys.executable,
        "-m",
        "tocsin.cli.main",
        "demo",
        "--keep",
        str(tmp_path / "demo"),
        "--days",
        "2",
        "--speed",
        "600",
    ]
    running = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    sent = tmp_path / "demo/servers/sandbox/sent.jsonl"
    log = tmp_path / "demo/servers/dashboard.log"
    until = time.monotonic() + 120
    while not (sends(sent.parent) and _figures(log)["rows"]) and time.monotonic() < until:
        time.sleep(0.5)
    figures = _figures(log)
    running.send_signal(signal.SIGINT)
    said, _ = running.communicate(timeout=120)
    assert figures["columns"][0]["name"] == "notification", "rows came while it ran"
    assert re.search(r"dashboard +http://127.0.0.1:\d+/", said)
    assert "balanced" in said
    assert running.returncode == 0
    pids = list((tmp_path / "demo/servers").glob("*.pid"))
    assert pids == []


def _figures(log: Path) -> dict[str, Any]:
    """Read the funnel from the dashboard whose address is in its log."""
    address = re.search(r"http://\S+", log.read_text())
    assert address, log.read_text()
    with urlopen(f"{address[0]}api/query/funnel?range=all", timeout=60) as answer:
        found: dict[str, Any] = json.load(answer)
    return found


@pytest.mark.parametrize(("options", "cure"), [(["--speed", "0"], "above 0"), (["--days", "400"], "365")])
def test_bad_options_name_the_cure(tmp_path: Path, options: list[str], cure: str) -> None:
    command = [sys.executable, "-m", "tocsin.cli.main", "demo", "--keep", str(tmp_path), *options]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 2
    assert cure in done.stderr

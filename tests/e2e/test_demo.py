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
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from urllib.error import HTTPError
from urllib.request import urlopen

import msgspec
import pytest

from tocsin.cli.demo_results import sends
from tocsin.devkit.recipients import receipts_of
from tocsin.model.outcome import Outcome

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


def expected_receipts(lines: Sequence[str]) -> Counter[str]:
    """Count the receipts of what the sandbox was sent, by kind: the id of a message decides them."""
    blank = Outcome(outcome_id="o", status="sent", tenant="default", at_ms=0)
    sent = [
        msgspec.structs.replace(blank, channel=message["channel"], message_id=message["message_id"])
        for message in map(json.loads, lines)
    ]
    return Counter(receipt.kind for outcome in sent for receipt in receipts_of(outcome))


@pytest.mark.exchanged
def test_a_day_of_flights_balances_and_every_word_is_in_clickhouse(tmp_path: Path) -> None:
    code, report, said = demo(tmp_path / "demo", "--days", "1", "--passengers", "300")
    published = report["published"]
    records = sum(published["events"].values()) + published["duplicates"] + sum(published["broken"].values())
    assert code == 0, said
    assert published["events"]["airport.report"] == 1
    assert report["events"] == records + published["addressed"] > records + 10, "each subscriber got it"
    assert report["reasons"]["fan_out"] == report["decisions"]["finished"] == 1
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
    lines = (tmp_path / "demo/servers/sandbox/sent.jsonl").read_text().splitlines()
    told = {name: report["decisions"].get(name, 0) for name in ("delivered", "bounced", "opened", "clicked")}
    assert told == dict.fromkeys(told, 0) | expected_receipts(lines), "each receipt, of each message"
    assert told["delivered"] > told["bounced"]
    assert told["opened"] > told["clicked"] > 0
    assert report["decisions"]["read"] > 0, "in the inbox, of which the sandbox knows nothing"
    recorded = sends(tmp_path / "demo/servers/sandbox")
    assert len(recorded) == sum(
        counts["sent"] for name, counts in report["channels"].items() if name != "inapp"
    )
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
    output = tmp_path / "said"
    with output.open("w") as file:
        running = subprocess.Popen(command, cwd=ROOT, stdout=file, stderr=subprocess.STDOUT)
    sent = tmp_path / "demo/servers/sandbox/sent.jsonl"
    log = tmp_path / "demo/servers/dashboard.log"
    figures, until = dict[str, Any](), time.monotonic() + 120
    while not figures.get("rows") and time.monotonic() < until:
        time.sleep(0.5)
        figures = _figures(log) if sends(sent.parent) else {}
    until = time.monotonic() + 120
    while "/inbox/example" not in output.read_text() and time.monotonic() < until:
        time.sleep(0.5)
    inbox = re.search(r"inbox +(\S+)", output.read_text())
    assert inbox, "without a terminal, too, the addresses are there while it runs"
    with urlopen(inbox[1], timeout=60) as answer:
        assert answer.status == 200
    running.send_signal(signal.SIGINT)
    assert running.wait(120) == 0
    said = output.read_text()
    assert figures["columns"][0]["name"] == "notification", "rows came while it ran"
    assert re.search(r"dashboard +http://127.0.0.1:\d+/", said)
    assert "balanced" in said
    pids = list((tmp_path / "demo/servers").glob("*.pid"))
    assert pids == []


def _figures(log: Path) -> dict[str, Any]:
    """Read the funnel from the dashboard whose address is in its log; nothing while ClickHouse is busy."""
    address = re.search(r"http://\S+", log.read_text())
    assert address, log.read_text()
    try:
        with urlopen(f"{address[0]}api/query/funnel?range=all", timeout=60) as answer:
            found: dict[str, Any] = json.load(answer)
    except HTTPError as refused:
        if refused.code in {503, 504}:
            return {}
        raise
    return found


@pytest.mark.parametrize(("options", "cure"), [(["--speed", "0"], "above 0"), (["--days", "400"], "365")])
def test_bad_options_name_the_cure(tmp_path: Path, options: list[str], cure: str) -> None:
    command = [sys.executable, "-m", "tocsin.cli.main", "demo", "--keep", str(tmp_path), *options]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 2
    assert cure in done.stderr

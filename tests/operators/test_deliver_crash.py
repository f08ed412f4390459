"""kill -9 at random moments: a flow with the deliver operator, its ledger and a provider with a send log."""

import base64
import json
import os
import random
import signal
import subprocess
import sys
from collections import Counter, defaultdict
from pathlib import Path

import pytest
import redis
from bytewax.recovery import init_db_dir

from tests.operators.deliver_process import appending
from tests.operators.delivery import decoded
from tests.providers.messages import encode, message
from tocsin.model.message import Retry
from tocsin.model.outcome import Outcome
from tocsin.model.raw import OutRecord
from tocsin.model.statuses import FINAL

MESSAGES, USERS, KILLS = 3_000, 150, 6
Crashed = tuple[Path, set[str]]
ROOT = Path(__file__).parents[2]


def run(folder: Path, redis_url: str, number: int, on_unknown: str, *calls: int) -> int:
    """Run the process to its end, or to the call in which it kills itself; return its exit code."""
    module = "tests.operators.deliver_process"
    argv = [sys.executable, "-m", module, str(folder), redis_url, f"{number:016d}", on_unknown]
    return subprocess.run([*argv, *map(str, calls)], cwd=ROOT, timeout=200, check=False).returncode


def open_claims(redis_url: str) -> set[str]:
    with redis.Redis.from_url(redis_url) as client:
        keys = list(client.scan_iter("t:ledger:*", count=1_000))
        values = client.mget(keys) if keys else []
    return {key.decode().split(":")[-1] for key, value in zip(keys, values, strict=True) if value[:1] == b"C"}


def read_calls(folder: Path) -> list[tuple[str, int, str]]:
    lines = [line.split() for line in (folder / "calls").read_text().splitlines()]
    return [(user, int(number), name) for user, number, name in lines]


def read_out(folder: Path) -> list[OutRecord]:
    decode = base64.b64decode
    records = []
    for line in (folder / "out").read_text().splitlines():
        topic, key, value, headers = json.loads(line)
        records.append(
            OutRecord(topic, 0, decode(key), decode(value), tuple((k, decode(v)) for k, v in headers))
        )
    return records


def test_half_a_line_that_a_kill_left_is_no_record(tmp_path: Path) -> None:
    for number in range(2):
        log = appending(tmp_path / "log")
        os.write(log, f"whole {number}\nhal".encode())
        os.close(log)
    assert (tmp_path / "log").read_text() == "whole 0\nwhole 1\nhal"


@pytest.fixture(scope="module")
def crashed(tmp_path_factory: pytest.TempPathFactory, redis_url: str) -> Crashed:
    """Run to the end through kills; give the folder, and the claims that they left open."""
    return run_through(KILLS, MESSAGES, tmp_path_factory.mktemp("deliver"), redis_url, "resend")


def run_through(times: int, messages: int, folder: Path, redis_url: str, on_unknown: str) -> Crashed:
    chance = random.Random()
    letters = [message(f"u{i * 7 % USERS}", i) for i in range(messages)]
    (folder / "input").write_bytes(b"\n".join(encode(letter) for letter in letters))
    (folder / "store").mkdir()
    init_db_dir(folder / "store", 1)
    with redis.Redis.from_url(redis_url) as client:
        client.flushdb()
    claimed: set[str] = set()
    for number in range(times):
        calls = chance.randint(1, messages // (2 * times))
        assert run(folder, redis_url, number, on_unknown, calls) == -signal.SIGKILL
        claimed |= open_claims(redis_url)
    assert run(folder, redis_url, times, on_unknown) == 0
    return folder, claimed


def test_no_kill_doubles_what_the_provider_can_be_asked_for(tmp_path: Path, redis_url: str) -> None:
    folder, claimed = run_through(2, 400, tmp_path, redis_url, "ask")
    assert claimed, "no kill hit a call: the test proves nothing"
    calls = [name for _, _, name in read_calls(folder)]
    assert len(calls) == len(set(calls))
    lines = decoded([r for r in read_out(folder) if r.topic == "outcomes"], Outcome)
    sent = {line.message_id for line in lines if line.status == "sent"}
    assert sent == set(calls), "what was taken is known as sent"


def test_it_was_killed_while_it_worked(crashed: Crashed) -> None:
    _, claimed = crashed
    assert claimed, "no kill hit a call: the test proves nothing"


def test_every_message_has_exactly_one_end(crashed: Crashed) -> None:
    """A final word, or the hand-back of one that failed again after each kill."""
    ends: dict[str, set[str]] = defaultdict(set)
    records = read_out(crashed[0])
    for line in decoded([r for r in records if r.topic == "outcomes"], Outcome):
        if line.status in FINAL:
            ends[line.message_id].add(line.outcome_id)
    for retry in decoded([r for r in records if r.topic == "retries"], Retry):
        ends[retry.message.message_id].add("handed back")
    assert len(ends) == MESSAGES
    assert all(len(ids) == 1 for ids in ends.values())


def test_sends_are_doubled_only_where_a_claim_was_open(crashed: Crashed) -> None:
    folder, claimed = crashed
    counts = Counter(name for _, _, name in read_calls(folder))
    doubled = {name for name, count in counts.items() if count > 1}
    assert doubled <= claimed
    lines = decoded([r for r in read_out(folder) if r.topic == "outcomes"], Outcome)
    assert {line.message_id for line in lines if line.status == "sent"} <= set(counts)


def test_copies_are_byte_equal(crashed: Crashed) -> None:
    records = read_out(crashed[0])
    lines = [r for r in records if r.topic == "outcomes"]
    forms: dict[str, set[bytes]] = defaultdict(set)
    for record, line in zip(lines, decoded(lines, Outcome), strict=True):
        forms[line.outcome_id].add(record.value or b"")
    assert all(len(bytes_) == 1 for bytes_ in forms.values())
    letters: dict[bytes, set[object]] = defaultdict(set)
    for record in records:
        if record.topic == "dead":
            letters[dict(record.headers)["tocsin-offset"]].add(record)
    assert len(letters) == len(range(0, MESSAGES, 11))
    assert all(len(found) == 1 for found in letters.values())


def test_a_resend_says_so(crashed: Crashed) -> None:
    folder, claimed = crashed
    lines = decoded([r for r in read_out(folder) if r.topic == "outcomes"], Outcome)
    said = {line.message_id for line in lines if line.reason == "resent_after_unknown"}
    doubled = {n for n, count in Counter(name for _, _, name in read_calls(folder)).items() if count > 1}
    assert doubled <= said <= claimed


def test_order_of_each_user_holds_over_crashes(crashed: Crashed) -> None:
    seen: dict[str, list[int]] = defaultdict(list)
    for user, number, _ in read_calls(crashed[0]):
        if number not in seen[user]:
            seen[user].append(number)
    assert all(numbers == sorted(numbers) for numbers in seen.values())

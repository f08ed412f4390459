"""Laws 1 and 5 under `kill -9`: shards, sandbox, Redis, ClickHouse and Apache Kafka, killed while input runs.

Compared are all decisions of events: what `decide` and decode say of them, to the byte and in the order of
each user, against a run that nobody disturbed. No field is set aside: under `TOCSIN_CLOCK=stream` decisions
hold no wall time, and the Kafka times of the input are given. Set aside is what is no decision of an event:
the words of attempts to send, and what the gate says to messages that came back from one. Those answer the
provider's failures, and an unbroken run has none. An event's own decision never rests on them: limits and
dedup count at the admission alone, and the sandbox sends no receipt that blocks.

Redis runs with `appendfsync always`. With `everysec` it may answer a claim whose write it put off for up to
two seconds while the disk is busy; a kill then forgets a claim that a sender was told of.

Seed of the moments: TOCSIN_LAWS_SEED, else another in each run; it is printed.
"""

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from datetime import UTC, date, datetime
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.laws.acts import KEY_GROUPS, PARTITIONS, Act, epilogue, paced, two_acts
from tests.laws.deciding import Decisions, decide, decisions, read_all
from tests.laws.judging import copies_that_differ, decided_by_events, sent_by_provider, unanswered_forms
from tests.laws.killing import Siege
from tests.laws.test_determinism import differing
from tocsin.cli.demo_environment import DemoEnvironment
from tocsin.devkit.demo_data import DemoData
from tocsin.devkit.flights import chosen_days
from tocsin.devkit.servers import APACHE_KAFKA
from tocsin.model import topics

ROOT = Path(__file__).parents[2]

pytestmark = [pytest.mark.laws, pytest.mark.e2e, pytest.mark.timeout(900)]

SEED = int(os.environ.get("TOCSIN_LAWS_SEED") or time.time_ns() % 1_000_000)
KILLS, EVERY_S = 50, 1.8
FEWER_KILLS = 10
LATENCY_MS = 300  # of every provider call, so that kills meet some
BLIZZARD = chosen_days(2, date(2013, 2, 8))  # when most flights are late or cancelled, and told of
NIGHT = datetime(2013, 2, 9, 4, 30, tzinfo=UTC)  # much is held when preferences change
SLACK = 1.35  # a kill itself takes a moment, more where the machine is slow
HOURS = 18  # later than the last retry of anything, and than the quiet hours it may fall into


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DemoEnvironment]:
    folder = tmp_path_factory.mktemp("laws")
    with DemoEnvironment(
        folder,
        partitions=PARTITIONS,
        keep=False,
        broker=APACHE_KAFKA,
        redis_fsync="always",
        sandbox_latency_ms=LATENCY_MS,
    ) as demo:
        yield demo


def environment_of(demo: DemoEnvironment, name: str, **more: str) -> dict[str, str]:
    """Settings of a run with topics, state and tables of its own."""
    clickhouse = demo.env["TOCSIN_CLICKHOUSE"].rsplit("/", 1)[0]
    return {
        **demo.env,
        "TOCSIN_KEY_GROUPS": str(KEY_GROUPS),
        # Two days of flights pass in two minutes: a copy may come a day late, and is still a copy.
        "TOCSIN_DEDUP_WINDOW_S": str(30 * 86_400),
        "TOCSIN_TOPIC_PREFIX": f"{name}.",
        "TOCSIN_STATE_DIR": str(demo.folder / f"state-{name}"),
        "TOCSIN_CLICKHOUSE": f"{clickhouse}/{name}",
        **more,
    }


def besieged(
    demo: DemoEnvironment, acts: list[Act], name: str, kills: int, stamp_ms: int, **more: str
) -> Siege:
    """Run acts under kills, which they outlast a little; then the epilogue."""
    seconds = kills * EVERY_S * SLACK
    total = sum(len(one.event_records) for one in acts)
    siege = Siege(demo, environment_of(demo, name, **more), kills, EVERY_S, SEED)
    spread = [paced(one, seconds * len(one.event_records) / total) for one in acts]
    siege.run([*spread, epilogue(acts[-1], HOURS)], stamp_ms)
    killed, claims = dict(siege.killed), len(siege.claims)
    sys.stdout.write(f"{name}: seed {SEED}, {siege.under_input} kills under input, in all {killed};")
    sys.stdout.write(f" {claims} claims were open, {siege.sent.total()} sends\n")
    return siege


def balance(demo: DemoEnvironment, name: str) -> dict[str, object]:
    """Ask the command, as a person would."""
    command = [sys.executable, "-m", "tocsin.cli.main", "balance", "--json"]
    env = environment_of(demo, name)
    done = subprocess.run(command, cwd=ROOT, env=env, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    found: dict[str, object] = json.loads(done.stdout)
    return found


class Besieged(NamedTuple):
    """What a run under kills left."""

    siege: Siege
    unbroken: Decisions
    events: int
    audit: dict[str, object]


@pytest.fixture(scope="module")
def run(demo: DemoEnvironment, tmp_path_factory: pytest.TempPathFactory) -> Besieged:
    acts, stamp_ms = two_acts(DemoData(BLIZZARD, 300, seed=2013), NIGHT), int(time.time() * 1000)
    env = environment_of(demo, "unbroken")
    whole = [*acts, epilogue(acts[-1], HOURS)]
    unbroken = decide(env, tmp_path_factory.mktemp("unbroken"), whole, 1, stamp_ms)
    siege = besieged(demo, acts, "tocsin", KILLS, stamp_ms)
    events = sum(len(one.event_records) for one in whole)
    return Besieged(siege, unbroken, events, balance(demo, "tocsin"))


def test_all_of_them_were_killed(run: Besieged) -> None:
    killed = run.siege.killed
    assert run.siege.under_input >= KILLS
    assert (
        min(killed[name] for name in ("shard-0", "shard-1", "sandbox", "redis", "clickhouse", "kafka")) >= 3
    )
    assert run.siege.claims, "no kill hit a call: the test proves nothing"


def test_no_event_is_lost_and_the_books_balance(run: Besieged) -> None:
    assert run.audit["balance_error"] == 0
    assert run.audit["events"] == run.events
    assert run.audit["unread"] == 0
    assert run.audit["in_flight"] == 0


def test_no_decision_differs_from_an_unbroken_run(run: Besieged) -> None:
    assert decided_by_events(run.unbroken) == run.unbroken, "the unbroken run has nothing to set aside"
    broken = decisions(run.siege.settings)
    assert differing(decided_by_events(broken), run.unbroken) == []


def test_copies_are_byte_equal_and_messages_change_only_on_their_way_back(run: Besieged) -> None:
    settings = run.siege.settings
    assert copies_that_differ(read_all(settings, topics.OUTCOMES)) == []
    assert unanswered_forms(read_all(settings, *topics.MESSAGES), read_all(settings, topics.RETRIES)) == []


def test_what_is_called_sent_was_sent(run: Besieged) -> None:
    called = sent_by_provider(read_all(run.siege.settings, topics.OUTCOMES))
    assert len(called) > 1_000
    assert called <= run.siege.sent.keys()


def test_sends_are_doubled_only_where_a_claim_was_open(run: Besieged) -> None:
    doubled = {name for name, count in run.siege.sent.items() if count > 1}
    assert doubled, "no kill hit a call: the test proves nothing"
    assert doubled <= run.siege.claims
    sys.stdout.write(f"{len(doubled)} messages were sent twice\n")


def test_with_drop_no_message_is_sent_twice(demo: DemoEnvironment) -> None:
    acts = two_acts(DemoData(BLIZZARD[1:], 300, seed=7), datetime(2013, 2, 9, 17, tzinfo=UTC))
    stamp_ms = int(time.time() * 1000)
    siege = besieged(demo, acts, "dropped", FEWER_KILLS, stamp_ms, TOCSIN_ON_UNKNOWN="drop")
    assert siege.under_input >= FEWER_KILLS
    assert siege.claims, "no kill hit a call: the test proves nothing"
    assert [name for name, count in siege.sent.items() if count > 1] == []
    audit = balance(demo, "dropped")
    assert audit["balance_error"] == 0
    assert audit["in_flight"] == 0

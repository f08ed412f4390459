"""A replay writes each chosen record once, whatever stops it, and reads nothing that it causes."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from sources.replays.planning import spans_of
from sources.replays.selection import Selection
from sources.replays.state import ReplayState, StateFolder
from tests.sources.mock_kafka import MockCluster
from tests.sources.replays.records import PREFIX, Broker, copy_of, event, letter, marks, message_record
from tests.waiting import until
from tocsin.cli.replay_options import check_places, read_from
from tocsin.errors import SettingsError
from tocsin.formats.replays import REPLAY_HEADER
from tocsin.model.raw import RawRecord
from tocsin.model.statuses import Reason

pytestmark = pytest.mark.loopback
ALL = Selection(what="dead", outcomes=False)
COUNT = 40
FIRST = sorted(f"events/{number % 2}/{number}" for number in range(COUNT))


@pytest.fixture
def broker() -> Iterator[Broker]:
    with MockCluster() as cluster:
        made = Broker(cluster)
        made.write(*[letter(event(number)) for number in range(COUNT)])
        yield made


def resumed(broker: Broker, state: ReplayState, folder: Path) -> ReplayState:
    with broker.replaying(state, folder) as work:
        return work.run()


def test_every_chosen_record_is_written_once(broker: Broker, tmp_path: Path) -> None:
    state = broker.state(ALL)
    assert broker.plan(state).chosen == COUNT
    done = resumed(broker, state, tmp_path)
    assert (done.status, done.written, done.total) == ("done", COUNT, COUNT)
    assert marks(broker.read("events")) == FIRST
    assert StateFolder(tmp_path).load("r1") == done


def test_what_it_causes_is_no_part_of_it(broker: Broker, tmp_path: Path) -> None:
    state = broker.state(ALL)
    broker.plan(state)
    broker.write(*[letter(event(number)) for number in range(COUNT, COUNT + 5)])
    assert resumed(broker, state, tmp_path).written == COUNT


@pytest.mark.parametrize("after", [0, 17])
def test_a_stopped_replay_goes_on_where_it_was(broker: Broker, tmp_path: Path, after: int) -> None:
    state = broker.state(ALL)
    broker.plan(state)
    with broker.replaying(state, tmp_path, stop_after=after) as work:
        stopped = work.run()
    assert (stopped.status, stopped.written) == ("stopped", after)
    assert resumed(broker, StateFolder(tmp_path).load("r1"), tmp_path).written == COUNT
    assert marks(broker.read("events")) == FIRST


@pytest.mark.parametrize("after", [17, COUNT - 1])
def test_what_was_written_behind_the_last_state_is_not_written_twice(
    broker: Broker, tmp_path: Path, after: int
) -> None:
    """As after a kill -9: the records are in Kafka, the state file does not know of them."""
    state = broker.state(ALL)
    broker.plan(state)
    killed = copy_of(state)
    with broker.replaying(state, tmp_path / "lost", stop_after=after) as work:
        work.run()
    done = resumed(broker, killed, tmp_path)
    assert (done.status, done.written) == ("done", COUNT)
    assert marks(broker.read("events")) == FIRST


def _part(state: ReplayState, partition: int) -> ReplayState:
    """Copy a state that reads one partition, as if the other one were slower."""
    part = copy_of(state)
    part.spans = [span for span in part.spans if span.partition == partition]
    return part


def test_two_kills_and_another_order_of_partitions_write_nothing_twice(
    broker: Broker, tmp_path: Path
) -> None:
    """The state knows of partition 1 alone; what came of partition 0 was written before it, and is found.

    Events of a declared topic go to the partition of their user, wherever they were read.
    """
    died = [event(number)._replace(topic="source:shop.orders") for number in range(COUNT, COUNT + 2)]
    broker.write(*map(letter, died))
    state = broker.state(ALL)
    assert broker.plan(state).chosen == COUNT + 2
    resumed(broker, _part(state, 0), tmp_path / "lost")
    second = resumed(broker, _part(state, 1), tmp_path)
    second.spans, second.status = state.spans, "running"
    assert resumed(broker, second, tmp_path).written == COUNT + 2
    assert len(set(marks(broker.read("events")))) == len(broker.read("events")) == COUNT + 2


def test_a_limit_holds_after_a_kill_and_another_order_of_partitions(broker: Broker, tmp_path: Path) -> None:
    state = broker.state(Selection(what="dead", outcomes=False, limit=COUNT // 2 + 1))
    broker.plan(state)
    resumed(broker, _part(state, 0), tmp_path / "lost")
    second = resumed(broker, _part(state, 1), tmp_path)
    assert (second.status, second.written) == ("done", COUNT // 2 + 1)
    assert len(set(marks(broker.read("events")))) == len(broker.read("events")) == COUNT // 2 + 1


def test_a_limit_counts_over_a_resume(broker: Broker, tmp_path: Path) -> None:
    state = broker.state(Selection(what="dead", outcomes=False, limit=11))
    assert broker.plan(state).chosen == 11
    with broker.replaying(state, tmp_path, stop_after=6) as work:
        work.run()
    assert resumed(broker, StateFolder(tmp_path).load("r1"), tmp_path).written == 11
    assert len(broker.read("events")) == 11


def test_the_plan_counts_and_writes_nothing(broker: Broker) -> None:
    broker.write(letter(message_record(3, expires_ms=1), Reason.RENDER_ERROR, "deliver"))
    found = broker.plan(broker.state(ALL))
    assert (found.read, found.chosen, found.expired) == (COUNT + 1, COUNT + 1, 1)
    assert found.by_reason == {"unknown_user": COUNT, "render_error": 1}
    assert (found.by_notification, found.by_channel) == ({"landed": 1}, {"email": 1})
    assert found.by_tenant == {"default": COUNT, "acme": 1}
    assert found.targets == {"events": COUNT, "retries": 1}
    assert [one.reason for one in found.samples].count("unknown_user") == 5
    assert broker.read("events", "retries") == []


def test_an_old_profile_does_not_take_the_place_of_a_newer_one(broker: Broker, tmp_path: Path) -> None:
    def profile(user: str, offset: int) -> RawRecord:
        return RawRecord("profiles", 0, offset, 1, f"acme/{user}".encode(), b"{}", ())

    broker.write(profile("old", 0), profile("lone", 1), profile("old", 2))
    broker.write(letter(profile("old", 0)), letter(profile("lone", 1)))
    state = broker.state(Selection(what="dead", outcomes=False, tenants=("acme",)))
    found = broker.plan(state)
    assert (found.chosen, found.left_out) == (1, {"profiles of which a newer record was written": 1})
    resumed(broker, state, tmp_path)
    again = [one for one in broker.read("profiles") if dict(one.headers).get(REPLAY_HEADER)]
    assert [one.key for one in again] == [b"acme/lone"]


def test_a_killed_command_goes_on_and_writes_nothing_twice(broker: Broker, tmp_path: Path) -> None:
    """kill -9 in the middle, resume; then Ctrl-C, resume."""
    env = os.environ | {
        "TOCSIN_KAFKA": broker.bootstrap,
        "TOCSIN_PARTITIONS": "4",
        "TOCSIN_TOPIC_PREFIX": PREFIX,
    }
    command = [sys.executable, "-m", "tocsin.cli.main", "replay"]
    options = ["--state", str(tmp_path), "--json"]

    def start(*words: str) -> "subprocess.Popen[str]":
        pipe = subprocess.PIPE
        return subprocess.Popen([*command, *words, *options], env=env, stdout=pipe, stderr=pipe, text=True)

    def written() -> int:
        return len(broker.read("events"))

    first = start("dead", "--all", "--no-outcomes", "--rate", "4", "--yes")
    until(lambda: written() > 3, "some records are written")
    first.send_signal(signal.SIGKILL)
    first.communicate()
    (name,) = StateFolder(tmp_path).names()
    second, before = start("--resume", name), written()
    until(lambda: written() > before + 1, "it goes on")
    second.send_signal(signal.SIGINT)
    out, err = second.communicate(timeout=60)
    report = json.loads(out)
    assert (second.returncode, report["status"]) == (130, "stopped"), err
    assert report["resume"] == f"tocsin replay --resume {name} --state {tmp_path}"
    assert written() == report["written"]
    state = StateFolder(tmp_path).load(name)
    state.rate = 0
    assert resumed(broker, state, tmp_path).written == COUNT
    assert marks(broker.read("events")) == FIRST


def test_the_pace_is_kept(broker: Broker, tmp_path: Path) -> None:
    state = broker.state(ALL)
    state.rate = 200
    began_s = time.monotonic()
    resumed(broker, state, tmp_path)
    assert time.monotonic() - began_s > (COUNT - 12) / 200


def test_a_state_that_is_not_there_or_broken_is_told(tmp_path: Path) -> None:
    folder = StateFolder(tmp_path)
    with pytest.raises(SettingsError, match=r"no replay 'r1'.*there are: none"):
        folder.load("r1")
    folder.path("r1").write_text("{")
    with pytest.raises(SettingsError, match="not the state of a replay"):
        folder.load("r1")


def test_a_time_is_kept_whatever_the_broker_says_of_it(broker: Broker) -> None:
    """Tansu knows the beginning of a topic for any time, and the mock cluster no record at all."""
    now_ms = int(time.time() * 1000)

    def chosen(**bounds: Any) -> int:
        return broker.plan(broker.state(Selection(what="dead", outcomes=False, **bounds))).chosen

    assert chosen(since_ms=now_ms - 60_000) == COUNT
    assert chosen(since_ms=now_ms + 60_000) == 0
    assert chosen(until_ms=now_ms - 60_000) == 0
    assert chosen(since_ms=now_ms - 60_000, until_ms=now_ms + 60_000) == COUNT


def test_a_range_of_offsets_is_read_and_nothing_else(broker: Broker) -> None:
    given = read_from(["dead/0/3-6", "dead/1/18"], "dead")
    with broker.reader() as reader:
        check_places(reader, given)
        spans, _ = spans_of(reader, ALL, given)
        found = [(raw.partition, raw.offset) for batch in reader.read(spans) for raw in batch]
    assert sorted(found) == [(0, 3), (0, 4), (0, 5), (0, 6), (1, 18), (1, 19)]

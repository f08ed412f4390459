"""`tocsin replay` on the command line: what it shows, and how it says what is wrong."""

import io
import json
import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from sources.replays.selection import Selection
from sources.replays.state import StateFolder
from tests.sources.mock_kafka import MockCluster
from tests.sources.replays.records import PARTITIONS, PREFIX, Broker, event, letter, message_record
from tocsin.cli.main import build
from tocsin.cli.replay_view import progress
from tocsin.errors import SettingsError
from tocsin.model.statuses import Reason

_ROOT = Path(__file__).parents[2]


def run(*words: str) -> object:
    return build(["replay"])(["replay", *words], standalone_mode=False)


@pytest.mark.parametrize(
    ("words", "cure"),
    [
        ([""], "there is dead (dead letters), events, messages and list"),
        (["outcomes"], "there is dead (dead letters), events, messages and list"),
        (["dead"], "nothing is selected: name a time (--since 2h)"),
        (["dead", "--limit", "5", "--policy", "force"], "nothing is selected"),
        (["dead", "--all", "--policy", "maybe"], "--policy maybe: there are again and force"),
        (["dead", "--reason", "sunspots"], "there is no reason sunspots; there are: no_match"),
        (["dead", "--stage", "sink"], "there are: decode, gate, deliver"),
        (["messages", "--channel", "pigeon"], "`pigeon` is no channel, use email, sms"),
        (["events", "--status", "lost"], "there is no status lost"),
        (["events", "--all", "--stage", "gate"], "--stage: only dead letters have one"),
        (
            ["dead", "--provider", "twilio", "--no-outcomes"],
            "--no-outcomes: only outcomes know these filters",
        ),
        (["dead", "--since", "yesterday"], "write a time like"),
        (["dead", "--since", "1d", "--until", "2d"], "the range is empty"),
        (["dead", "--since", "2200-01-01"], "--since is not in the past: the range is empty"),
        (["dead", "--from", "dead/1"], "write topic/partition/offset to begin there"),
        (["dead", "--from", "dead/x/1"], "write topic/partition/offset to begin there"),
        (["dead", "--from", "dead/0/9-1"], "the range is empty"),
        (["dead", "--from", "events/0/1"], "`replay dead` does not read 'events'; it reads dead"),
        (["dead", "--from", "dead/0/3-6", "--from", "dead/0/9"], "dead/0 is named twice"),
        (["dead", "--all", "--apply", "--dry-run"], "--dry-run and --apply exclude each other"),
        (["dead", "--all", "--yes", "--dry-run"], "--dry-run and --yes exclude each other"),
        (["dead", "--dry-run"], "nothing is selected"),
        (["dead", "--tenant", ""], "--tenant '': names nothing"),
        (["dead", "--id", " "], "--id ' ': names nothing"),
        (["dead", "--user", "a\x1b[2J"], "names nothing"),
        (["dead", "--ids", "/no/such/file"], "No such file"),
    ],
)
def test_bad_input_names_the_cure(words: list[str], cure: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(*words) == 2
    assert cure in capsys.readouterr().err


@pytest.mark.parametrize(
    ("content", "cure"),
    [
        (b"", "holds no id"),
        (b"e1\n\xff\xfe\n", "line 2: not UTF-8"),
        (b'e1\n{"id": 1}\n', "line 2: no id; write one a line"),
        (b"e1,e2\n", "line 1: no id"),
        (b"x" * 600, "line 1: no id"),
    ],
)
def test_a_list_with_garbage_names_the_line(
    content: bytes, cure: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "ids"
    file.write_bytes(content)
    assert run("dead", "--ids", str(file)) == 2
    assert cure in capsys.readouterr().err


@contextmanager
def filled() -> Iterator[Broker]:
    with MockCluster() as cluster:
        made = Broker(cluster)
        made.write(*[letter(event(number)) for number in range(6)])
        made.write(letter(message_record(3), Reason.RENDER_ERROR, "deliver"))
        yield made


@pytest.fixture(scope="module")
def broker() -> Iterator[Broker]:
    with filled() as made:
        yield made


def settle(broker: Broker, monkeypatch: pytest.MonkeyPatch, folder: Path) -> Broker:
    monkeypatch.setenv("TOCSIN_KAFKA", broker.bootstrap)
    monkeypatch.setenv("TOCSIN_PARTITIONS", str(PARTITIONS))
    monkeypatch.setenv("TOCSIN_TOPIC_PREFIX", PREFIX)
    monkeypatch.chdir(folder)
    return broker


@pytest.fixture
def here(broker: Broker, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Broker:
    return settle(broker, monkeypatch, tmp_path)


@pytest.fixture
def own(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Broker]:
    """Give a broker that no other test writes to."""
    with filled() as made:
        yield settle(made, monkeypatch, tmp_path)


def test_no_bar_is_drawn_into_a_file(capsys: pytest.CaptureFixture[str]) -> None:
    with progress("reading", 3) as step:
        step(3)
    assert capsys.readouterr().err == "", "a log had an empty line for each bar"


@pytest.mark.loopback
def test_by_default_it_only_shows(here: Broker, capsys: pytest.CaptureFixture[str]) -> None:
    before = here.read("events", "retries")
    run("dead", "--all")
    said = capsys.readouterr().out
    assert "7 dead letters to replay, of 7 records read" in said
    assert "unknown_user  No profile came" in said
    assert "Nothing was written. Add --apply to do it." in said
    assert here.read("events", "retries") == before
    assert not Path(".tocsin").exists()


@pytest.mark.loopback
@pytest.mark.parametrize(
    ("words", "code", "cure"),
    [
        (["dead", "--reason", "limit"], 1, "no record is what was asked for; leave a filter out"),
        (["dead", "--from", "dead/9/0"], 2, "there is no such partition; its partitions are 0 to 3"),
        (["dead", "--from", "dead/0/99"], 2, "the partition holds 0 to 2"),
        (["--resume", "nothing"], 78, "no replay 'nothing'"),
    ],
)
def test_what_is_not_there_names_the_cure(
    here: Broker,
    words: list[str],
    code: int,
    cure: str,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from tocsin.cli.main import main

    monkeypatch.setattr("sys.argv", ["tocsin", "replay", *words])
    with pytest.raises(SystemExit) as ended:
        main()
    assert (ended.value.code, cure in capsys.readouterr().err) == (code, True)


@pytest.mark.loopback
@pytest.mark.parametrize(
    ("name", "value", "cure"),
    [
        ("TOCSIN_PARTITIONS", "7", "set TOCSIN_PARTITIONS=4"),
        ("TOCSIN_TOPIC_PREFIX", "other.", "is TOCSIN_TOPIC_PREFIX right, and `tocsin topics create` done?"),
    ],
)
def test_settings_of_other_topics_are_refused(
    here: Broker, name: str, value: str, cure: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(name, value)
    with pytest.raises(SettingsError, match=re.escape(cure)):
        run("dead", "--all")


@pytest.mark.loopback
def test_ids_from_stdin_are_replayed_and_those_that_are_not_there_told(
    here: Broker, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    class Stdin:
        buffer = io.BytesIO(b"e1\nno-such-event\n\n")

        def isatty(self) -> bool:
            return False

    monkeypatch.setattr("sys.stdin", Stdin())
    run("dead", "--ids", "-", "--apply", "--json")
    report = json.loads(capsys.readouterr().out)
    assert (report["status"], report["written"], report["resume"]) == ("done", 1, "")
    assert report["plan"]["unknown_ids"] == ["no-such-event"]
    assert [one.value for one in here.read("events")] == [event(1).value]
    [entered] = [json.loads(one.value or b"") for one in here.read("audit")]
    assert (entered["action"], entered["subject"]) == ("replay_started", report["id"])
    assert (entered["detail"]["records"], entered["detail"]["ids"]) == (1, 2)
    assert "e1" not in str(entered["detail"])
    run("list")
    assert report["id"] in capsys.readouterr().out


def _stopped_state(own: Broker, **fields: Any) -> StateFolder:
    """Write the state of a replay that was stopped before its first record."""
    folder = StateFolder(Path(".tocsin/replays"))
    state = own.state(Selection(what="dead", outcomes=False), **fields)
    state.status = "stopped"
    own.plan(state)
    folder.save(state)
    return folder


@pytest.mark.loopback
def test_a_replay_that_another_process_carries_out_names_it_and_writes_nothing(own: Broker) -> None:
    """The other process is killed: then the lock is free, and the replay goes on."""
    folder = _stopped_state(own)
    holds = (
        "import sys, time; from pathlib import Path; from sources.replays.state import StateFolder\n"
        "with StateFolder(Path(sys.argv[1])).held('r1'): print('held', flush=True); time.sleep(60)"
    )
    before = len(own.read("events", "retries"))
    command = [sys.executable, "-c", holds, str(Path(".tocsin/replays").resolve())]
    with subprocess.Popen(command, stdout=subprocess.PIPE, cwd=_ROOT) as other:
        try:
            assert other.stdout is not None
            assert other.stdout.readline() == b"held\n"
            with pytest.raises(SettingsError, match=rf"r1 is carried out by process {other.pid} on \S+ now"):
                run("--resume", "r1")
            assert len(own.read("events", "retries")) == before
        finally:
            other.kill()
    run("--resume", "r1", "--rate", "0")
    assert folder.load("r1").status == "done"
    assert len(own.read("events", "retries")) == before + 7


@pytest.mark.loopback
def test_a_replay_is_not_resumed_on_another_cluster(own: Broker, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its offsets mean other records town; nothing is written, and both clusters are named."""
    with own.reader() as reader:
        cluster = reader.cluster()
    assert cluster
    _stopped_state(own, cluster="another")
    before = own.read("events", "retries")
    with pytest.raises(SettingsError, match=f"cluster another .*TOCSIN_KAFKA leads to the cluster {cluster}"):
        run("--resume", "r1")
    assert own.read("events", "retries") == before
    _stopped_state(own, cluster=cluster)
    run("--resume", "r1", "--rate", "0")

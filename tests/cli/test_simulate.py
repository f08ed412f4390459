"""`tocsin simulate` on a recorded folder. Sockets are refused to these tests: it needs no server."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
import typer

from tests.decision.gate_world import HOUR, NOON, SMALL
from tests.simulation.recorded import MemoryHistory, changed
from tests.simulation.test_small_histories import LANDED, Script, recorded
from tocsin.cli.main import build
from tocsin.cli.simulate import _stoppable
from tocsin.model import topics
from tocsin.model.raw import RawRecord

SINCE = ("--since", "2023-11-01")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Record a day of one user, who gets something at 1 and at 5 o'clock."""
    script = Script()
    for hour in (1, 5):
        script.event("flight.landed", hour * HOUR)
    script.event("nothing", 20 * HOUR)
    return recorded(tmp_path_factory.mktemp("cli"), script)


@pytest.fixture(autouse=True)
def settings(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TOCSIN_CATALOG", str(SMALL))
    monkeypatch.setenv("TOCSIN_KEY_GROUPS", "2")


def run(*words: str) -> int:
    command = ("simulate", *words)
    try:
        code = build(command)(command, standalone_mode=False)
    except typer.Exit as end:
        return end.exit_code
    return int(code or 0)


def new_catalog(folder: Path) -> Path:
    return changed(folder / "new", LANDED, LANDED.replace("inapp, email", "inapp, sms"))


def test_the_same_catalog_differs_in_nothing(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("--catalog", str(SMALL), "--from", str(folder), *SINCE) == 0
    out = capsys.readouterr().out
    assert "✓ 5 decisions compared with what happened: no difference" in out
    assert "Reading began" in out


def test_a_folder_that_is_not_there_is_named_with_the_option(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run("--catalog", "/no/such", "--from", str(folder), *SINCE) == 2
    said = capsys.readouterr().err
    assert "--catalog /no/such: there is no such folder" in said
    assert "TOCSIN_CATALOG" not in said


def test_another_catalog_is_told_in_a_table_examples_and_a_page(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    html = tmp_path / "report.html"
    options = ("--catalog", str(new_catalog(tmp_path)), "--from", str(folder), *SINCE, "--html", str(html))
    assert run(*options) == 0
    out = capsys.readouterr().out
    assert "decisions compared with what happened: 4 differ" in out
    rows = [line.replace("│", " ").split() for line in out.splitlines()]
    assert ["landed", "sms", "admitted", "0", "2", "+2"] in rows
    assert ["landed", "email", "admitted", "2", "0", "-2"] in rows
    assert "landed email for ann" in out
    assert "Users most affected" not in out, "ann gets as many as before"
    assert html.read_text().startswith("<!doctype html>")


def test_the_users_most_affected_are_named(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    none = changed(tmp_path / "new", LANDED, LANDED.replace("flight.landed", "flight.arrived"))
    assert run("--catalog", str(none), "--from", str(folder), *SINCE) == 0
    lines = capsys.readouterr().out.partition("Users most affected")[2].splitlines()
    assert ["quiet/ann", "2", "0", "-2"] in [line.replace("│", " ").split() for line in lines]


def test_the_report_is_one_json_object(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    options = ("--catalog", str(new_catalog(tmp_path)), "--from", str(folder), "--json", "--tenant", "quiet")
    assert run(*options, "--baseline", "replayed") == 0
    report = json.loads(capsys.readouterr().out)
    assert report["baseline"] == "replayed"
    assert report["result"]["differing"] == 4


def test_a_range_without_decisions_says_so(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("--catalog", str(SMALL), "--from", str(folder), "--since", "2024-01-01") == 1
    assert "no decision in this range" in capsys.readouterr().err


def test_a_catalog_with_mistakes_is_refused_with_their_places(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    bad = changed(tmp_path / "bad", LANDED, LANDED.replace("inapp", "pigeon"))
    assert run("--catalog", str(bad), "--from", str(folder)) == 78
    said = capsys.readouterr().err
    assert "notifications/all.yaml:" in said
    assert f"tocsin check --catalog {bad}" in said


def test_a_catalog_in_force_that_is_not_there_is_named_by_its_setting(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("TOCSIN_CATALOG", "gone")
    assert run("--catalog", str(SMALL), "--from", str(folder)) == 78
    said = capsys.readouterr().err
    assert "TOCSIN_CATALOG: there is no folder gone; set it to the catalog in force" in said


@pytest.mark.parametrize(
    ("words", "cure"),
    [
        ((), "--catalog: name the folder"),
        (("--catalog", str(SMALL), "--since", "yesterday"), "--since 'yesterday': write a time like"),
        (("--catalog", str(SMALL), "--since", "2024-01-02", "--until", "2024-01-01"), "the range is empty"),
        (("--catalog", str(SMALL), "--warm-up", "long"), "--warm-up 'long': write"),
        (("--catalog", str(SMALL), "--baseline", "guess"), "actual"),
        (("--record", str(SMALL)), "not empty"),
    ],
)
def test_wrong_options_are_refused_with_a_cure(
    words: tuple[str, ...], cure: str, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run("--from", str(folder), *words) == 2
    assert cure in capsys.readouterr().err.replace("\n", " ")


def test_ctrl_c_ends_it_without_a_traceback(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(typer.Exit) as end, _stoppable():
        raise KeyboardInterrupt
    assert end.value.exit_code == 130
    assert "stopped: nothing was written" in capsys.readouterr().err


@pytest.fixture
def heeds_ctrl_c() -> Iterator[None]:
    """Let children end on Ctrl-C: what a script runs in its background ignores it, and so do its children."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.usefixtures("heeds_ctrl_c")
@pytest.mark.parametrize("stop", [signal.SIGINT, signal.SIGTERM])
def test_ctrl_c_ends_all_processes_and_leaves_nothing(tmp_path: Path, stop: signal.Signals) -> None:
    """One partition's events come from a pipe that nobody writes, so its process waits for ever."""
    place = MemoryHistory(_of_two_partitions()).write(tmp_path / "history", "wall", 2)
    pipe = place / f"{topics.EVENTS}-1.jsonl.gz"
    pipe.unlink()
    os.mkfifo(pipe)
    temporary = tmp_path / "temporary"
    temporary.mkdir()
    words = ("--catalog", str(SMALL), "--from", str(place), "--workers", "2")
    command = [sys.executable, "-m", "tocsin.cli.main", "simulate", *words]
    env = {**os.environ, "TMPDIR": str(temporary), "TOCSIN_KEY_GROUPS": "2"}
    with subprocess.Popen(command, env=env, stderr=subprocess.PIPE, start_new_session=True) as process:
        _wait_for(lambda: [*temporary.glob("*/*/new/base")], process)
        # Ctrl-C in a terminal reaches all processes, a supervisor's SIGTERM the first one.
        (os.killpg if stop == signal.SIGINT else os.kill)(process.pid, stop)
        _, said = process.communicate(timeout=60)  # ends when nobody holds the pipe of stderr any more
    assert process.returncode == 130
    assert said.decode().split() == ["✗", "stopped:", "nothing", "was", "written"]
    assert not list(temporary.iterdir())


def _of_two_partitions() -> list[RawRecord]:
    event = b'{"specversion":"1.0","id":"1","source":"/t","type":"nothing","subject":"ann"}'
    places = [(topic, number) for topic in (topics.PROFILES, topics.EVENTS) for number in (0, 1)]
    return [RawRecord(*place, 0, NOON, b"quiet/ann", event, ()) for place in places]


def _wait_for(condition: Callable[[], object], process: subprocess.Popen[bytes]) -> None:
    end_s = time.monotonic() + 60
    while not condition():
        assert process.poll() is None, "it runs until it is stopped"
        assert time.monotonic() < end_s, "the processes play"
        time.sleep(0.05)


def test_only_decisions_before_the_end_count(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    end = datetime.fromtimestamp((NOON + 2 * HOUR) / 1000, UTC).isoformat()
    assert run("--catalog", str(SMALL), "--from", str(folder), "--until", end) == 0
    assert "2 decisions compared" in capsys.readouterr().out

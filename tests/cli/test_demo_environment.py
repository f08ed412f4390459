"""The environment of the demo: which folder it takes, and what its send log counts."""

import subprocess
import sys
from pathlib import Path

import pytest
import typer

from tocsin.cli.demo_accounts import write_accounts
from tocsin.cli.demo_environment import (
    DemoEnvironment,
    exports,
    refuse_foreign,
    settings_from,
)
from tocsin.cli.demo_results import refusals, sends
from tocsin.providers.clear_secrets import clear_secrets

# Loading a client of ClickHouse asks the machine whether it speaks IPv6.
pytestmark = pytest.mark.loopback


@pytest.mark.parametrize("foreign", ["state/__init__.py", "providers.yaml", "env", "servers/note"])
def test_a_folder_that_is_not_a_demo_s_is_refused_and_left_alone(
    tmp_path: Path, foreign: str, capfd: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / foreign
    file.parent.mkdir(exist_ok=True)
    file.write_text("mine")
    with pytest.raises(typer.Exit) as ended, DemoEnvironment(tmp_path, partitions=1, keep=True):
        pytest.fail("it was taken")
    said = capfd.readouterr().err
    assert (ended.value.exit_code, str(tmp_path) in said, "empty folder" in said) == (2, True, True)
    assert file.read_text() == "mine"
    assert [each for each in tmp_path.rglob("*") if each.is_file()] == [file]


@pytest.mark.parametrize("left", [[], ["servers/lock"], ["servers/lock", "state/gate-0/base", "env"]])
def test_a_new_or_empty_folder_and_a_demo_s_own_are_taken(tmp_path: Path, left: list[str]) -> None:
    for name in left:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    refuse_foreign(tmp_path)
    refuse_foreign(tmp_path / "new")
    assert not (tmp_path / "new").exists()


def test_who_sources_the_settings_finds_the_command(tmp_path: Path) -> None:
    """The demo prints `source .tocsin/demo/env; tocsin why …` to people whose path has no tocsin."""
    file = tmp_path / "env"
    file.write_text(exports({"TOCSIN_SECRET": "it's mine"}))
    asked = f'. {file}; command -v tocsin; echo "$TOCSIN_SECRET"'
    said = subprocess.run(
        ["/bin/sh", "-c", asked], env={"PATH": "/nowhere"}, check=True, capture_output=True, text=True
    )
    assert said.stdout.splitlines() == [str(Path(sys.executable).parent / "tocsin"), "it's mine"]


def test_sends_are_counted_by_message_and_a_torn_line_is_none(tmp_path: Path) -> None:
    whole = ['{"message_id":"a"}', '{"message_id":"b"}', '{"message_id":"a"}', '{"provider":"smtp"}']
    (tmp_path / "sent.jsonl").write_text("\n".join([*whole, '{"mess']))
    assert sends(tmp_path) == {"a": 2, "b": 1}


def test_why_shards_gave_up_is_read_from_their_logs(tmp_path: Path) -> None:
    (tmp_path / "gate-0.log").write_text("✗ an old end\nstarted\n✗ the disk is full: free space\n  a trace\n")
    (tmp_path / "gate-1.log").write_text("all is well\n")
    assert refusals(tmp_path) == ["  gate-0: the disk is full: free space"]
    assert refusals(tmp_path / "nowhere") == []


def test_nothing_was_sent_before_the_first_line(tmp_path: Path) -> None:
    assert sends(tmp_path) == {}


def test_settings_of_a_mapping_are_read_as_those_of_the_environment() -> None:
    assert settings_from({"TOCSIN_KAFKA_OPTIONS": "{}", "HOME": "/"}).kafka_options == {}


def test_accounts_of_the_demo_have_no_secret_in_clear(tmp_path: Path) -> None:
    write_accounts(tmp_path, "http://127.0.0.1:1", "127.0.0.1:25")
    written = (tmp_path / "providers.yaml").read_text()
    assert ("api_key_file" in written, "auth_token_file" in written) == (True, True)
    assert clear_secrets(tmp_path / "providers.yaml") == []

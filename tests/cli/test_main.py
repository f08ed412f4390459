"""The table of commands: what it says of them is what they say, and nothing is loaded that was not named."""

import ast
import subprocess
import sys

import pytest
import typer

from tocsin.cli.main import COMMANDS, build, load, main

# Loading a client of ClickHouse asks the machine whether it speaks IPv6.
pytestmark = pytest.mark.loopback
HEAVY = ("bytewax", "chdb", "clickhouse_connect", "confluent_kafka", "pydantic", "pydantic_settings", "redis")


def said_by(found: object) -> str:
    if isinstance(found, typer.Typer):
        return str(found.info.help)
    return str(found.__doc__).strip().partition("\n")[0]


@pytest.mark.parametrize("name", COMMANDS)
def test_the_table_says_what_the_command_says(name: str) -> None:
    assert said_by(load(name)) == COMMANDS[name].help


def test_only_what_is_named_is_loaded() -> None:
    loaded = f"[name for name in {HEAVY} if name in sys.modules]"
    code = f"import sys, tocsin.cli.main; tocsin.cli.main.build(['--help']); print({loaded})"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "[]"


@pytest.mark.parametrize(
    ("words", "needed"),
    [(["--help"], set()), (["why", "--help"], {"clickhouse_connect"})],
)
def test_a_command_ends_without_loading_more(words: list[str], needed: set[str]) -> None:
    loaded = f"[name for name in {HEAVY} if name in sys.modules]"
    code = f"""import sys, tocsin.cli.main
sys.argv = ["tocsin", *{words}]
try:
    tocsin.cli.main.main()
finally:
    print({loaded})"""
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    by_typer = {"pydantic"}
    assert set(ast.literal_eval(found.stdout.splitlines()[-1])) <= needed | by_typer, found.stderr


def test_a_named_command_is_the_real_one() -> None:
    names = {one.name: one.callback for one in build(["check"]).registered_commands}
    assert names["check"] is load("check")
    assert names["send"] is not load("send")


@pytest.mark.parametrize(("word", "meant"), [("dead", "tocsin replay dead"), ("audit", "tocsin balance")])
def test_a_word_for_a_command_of_another_name_says_which(
    word: str, meant: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("sys.argv", ["tocsin", word, "--since", "1h"])
    with pytest.raises(SystemExit) as ended:
        main()
    assert (ended.value.code, word in COMMANDS) == (2, False)
    assert f"`{meant}` does that" in capsys.readouterr().err


def test_without_the_local_extra_the_demo_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("tocsin.cli.main.find_spec", lambda _: None)
    with pytest.raises(SystemExit) as ended:
        build(["demo"])(["demo"])
    assert ended.value.code == 1
    assert "pip install '.[local]'" in capsys.readouterr().err

"""`tocsin dashboard`: where it listens, who may read, what it prints."""

import os
import signal
import socket
import subprocess
import sys
from urllib.request import urlopen

import msgspec
import pytest
import typer
from pydantic import SecretStr

from tests.waiting import PATIENCE_S
from tocsin.cli.dashboard import address_of, check_access, listen, read_token

TOKEN = "sixteen-letters!"


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.168.1.5", "dashboard.example"])
def test_an_address_that_others_reach_needs_a_token(host: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(typer.Exit) as ended:
        check_access(host, "")
    assert ended.value.exit_code == 78
    assert "TOCSIN_DASHBOARD_TOKEN" in capsys.readouterr().err
    check_access(host, TOKEN)


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "::1", "[::1]"])
def test_this_machine_needs_none(host: str, capsys: pytest.CaptureFixture[str]) -> None:
    check_access(host, "")
    assert capsys.readouterr().err == ""


def test_a_short_token_is_refused_and_not_shown(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(typer.Exit):
        check_access("127.0.0.1", "short-token")
    said = capsys.readouterr().err
    assert "16 characters" in said
    assert "short-token" not in said


def test_a_variable_that_is_not_set_is_named(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(typer.Exit):
        read_token(SecretStr(TOKEN), "TOCSIN_NO_SUCH_VARIABLE")
    assert "TOCSIN_NO_SUCH_VARIABLE is not set" in capsys.readouterr().err
    assert read_token(SecretStr(TOKEN), "") == TOKEN


def test_a_named_variable_goes_before_the_usual_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MY_TOKEN", "another-token-of-mine")
    assert read_token(SecretStr(TOKEN), "MY_TOKEN") == "another-token-of-mine"


@pytest.mark.integration
def test_a_port_in_use_is_an_error_if_it_was_asked_for(capsys: pytest.CaptureFixture[str]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        with pytest.raises(typer.Exit):
            listen("127.0.0.1", port)
        said = capsys.readouterr().err
        assert f"--port {port}: Address already in use; name another port" in said.replace("\n", " ")


@pytest.mark.integration
def test_the_usual_port_in_use_is_another_one() -> None:
    with listen("127.0.0.1", None) as first, listen("127.0.0.1", None) as second:
        assert first.getsockname()[1] != second.getsockname()[1]


@pytest.mark.integration
@pytest.mark.parametrize(
    ("host", "shown"), [("127.0.0.1", "127.0.0.1"), ("0.0.0.0", "127.0.0.1"), ("localhost", "localhost")]
)
def test_the_address_is_one_that_a_browser_here_opens(host: str, shown: str) -> None:
    with listen(host, 0) as listener:
        assert address_of(listener, host) == f"http://{shown}:{listener.getsockname()[1]}/"


@pytest.mark.integration
def test_it_prints_its_address_serves_and_ends_on_a_signal() -> None:
    command = [sys.executable, "-m", "tocsin.cli.main", "dashboard", "--port", "0", "--json"]
    env = os.environ | {"TOCSIN_CLICKHOUSE": "http://127.0.0.1:9/tocsin"}
    env.pop("PYTHONUNBUFFERED", None)  # of images of containers: it would hide output that is not flushed
    with subprocess.Popen(
        command, env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as running:
        try:
            assert running.stdout is not None
            address = msgspec.json.decode(running.stdout.readline())["address"]
            with urlopen(f"{address}healthz", timeout=30) as answer:
                assert answer.read() == b'{"status":"ok"}'
            running.send_signal(signal.SIGTERM)
            assert running.wait(PATIENCE_S) in (0, -signal.SIGTERM)
        finally:
            running.kill()

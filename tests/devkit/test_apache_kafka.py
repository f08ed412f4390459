"""Apache Kafka without Docker: what it says when something is missing, and that its topics survive it."""

import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from confluent_kafka import Producer
from confluent_kafka.admin import AdminClient

from tests.waiting import PATIENCE_S
from tocsin.devkit.guard import project_env
from tocsin.devkit.identity import identify, wait_gone
from tocsin.devkit.kafka_jars import cache_folder, jars, java
from tocsin.devkit.processes import StartError
from tocsin.devkit.servers import APACHE_KAFKA, KAFKA, Servers, status

_FETCHED = pytest.mark.skipif(
    not cache_folder().exists(),
    reason="Apache Kafka's jars are not here; `python -m tocsin.devkit.apache_kafka` fetches",
)


@pytest.fixture
def path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Make an empty PATH and an empty cache."""
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path


def _program(folder: Path, name: str, script: str) -> None:
    (folder / name).write_text(f"#!/bin/sh\n{script}\n")
    (folder / name).chmod(0o755)


def test_no_java_is_told_with_the_cure(path: Path) -> None:
    with pytest.raises(StartError, match=r"no `java` on the PATH \(Debian: openjdk"):
        java()


def test_an_old_java_is_told(path: Path) -> None:
    _program(path, "java", """echo 'openjdk version "11.0.2" 2019-01-15' >&2""")
    with pytest.raises(StartError, match="is Java 11"):
        java()


@pytest.mark.parametrize("version", ["17.0.15", "21", "25-ea"])
def test_a_new_java_is_taken(path: Path, version: str) -> None:
    _program(path, "java", f"""echo 'openjdk version "{version}"' >&2""")
    assert java() == str(path / "java")


def test_no_maven_is_told_with_the_cure(path: Path) -> None:
    with pytest.raises(StartError, match="apt-get install maven"):
        jars()


def test_a_failed_fetch_leaves_no_half_cache(path: Path) -> None:
    _program(path, "mvn", "echo 'no route to the repository'; exit 1")
    with pytest.raises(StartError, match="no route to the repository"):
        jars()
    assert list((path / "cache" / "tocsin").iterdir()) == []


def test_a_fetch_is_kept(path: Path) -> None:
    target = (
        r"""for argument; do case "$argument" in -DoutputDirectory=*) out="${argument#*=}";; esac; done"""
    )
    _program(path, "mvn", f"PATH=/bin:/usr/bin; {target}; mkdir -p $out; echo jar > $out/kafka.jar")
    assert (jars() / "kafka.jar").read_text() == "jar\n"
    (path / "mvn").unlink()
    assert jars() == cache_folder()


@_FETCHED
@pytest.mark.integration
def test_topics_survive_kill_9(tmp_path: Path) -> None:
    with Servers(tmp_path, {APACHE_KAFKA}) as servers:
        producer = Producer({"bootstrap.servers": servers.settings["TOCSIN_KAFKA"]})
        producer.produce("kept", b"value")
        assert producer.flush(PATIENCE_S) == 0
        servers.kill(KAFKA)
        servers.restart(KAFKA)
        admin = AdminClient({"bootstrap.servers": servers.settings["TOCSIN_KAFKA"]})
        assert "kept" in admin.list_topics(timeout=PATIENCE_S).topics


@contextlib.contextmanager
def _command(folder: Path) -> Iterator["tuple[subprocess.Popen[str], str]"]:
    argv = [sys.executable, "-m", "tocsin.devkit.apache_kafka", "--dir", str(folder)]
    with subprocess.Popen(argv, env=project_env(), stdout=subprocess.PIPE, text=True) as command:
        assert command.stdout
        try:
            yield command, command.stdout.readline().strip()
        finally:
            command.kill()


@_FETCHED
@pytest.mark.integration
def test_the_command_serves_until_it_is_stopped(tmp_path: Path) -> None:
    with _command(tmp_path) as (command, bootstrap):
        assert AdminClient({"bootstrap.servers": bootstrap}).list_topics(timeout=PATIENCE_S).brokers
        (listed,) = status(tmp_path)
        node = identify(listed.pid)
        assert node is not None
        command.terminate()
        assert command.wait(PATIENCE_S) == 0
        assert wait_gone([node], PATIENCE_S)
    assert status(tmp_path) == []


@_FETCHED
@pytest.mark.integration
def test_the_command_ends_when_the_node_does(tmp_path: Path) -> None:
    with _command(tmp_path) as (command, _):
        (listed,) = status(tmp_path)
        os.kill(listed.pid, signal.SIGKILL)
        assert command.wait(PATIENCE_S) == 1

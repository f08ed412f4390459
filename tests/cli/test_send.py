"""One event by hand: what was written is said, whatever its id looks like."""

import json
from collections.abc import Iterator

import pytest
import typer

from sources.reader import TopicReader
from tests.sources.mock_kafka import MockCluster
from tocsin.app.settings import Settings
from tocsin.cli.main import build
from tocsin.cli.send import Written, write_all
from tocsin.devkit.processes import free_ports

pytestmark = pytest.mark.loopback


@pytest.fixture
def cluster(monkeypatch: pytest.MonkeyPatch) -> Iterator[MockCluster]:
    """Give a broker with the topic of events, which the environment names."""
    with MockCluster() as found:
        found.create("tocsin.events", 1)
        monkeypatch.setenv("TOCSIN_KAFKA", found.bootstrap)
        monkeypatch.setenv("TOCSIN_PARTITIONS", "1")
        yield found


@pytest.mark.parametrize("name", ["a[/b]", "a[b]c"])
def test_an_id_that_looks_like_markup_is_written_and_said(
    name: str, cluster: MockCluster, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["send", "x", "--user", "u", "--id", name]
    build(words)(words, standalone_mode=False)
    assert capsys.readouterr().out == f"✓ {name} at events/0/0; ask with: tocsin why {name}\n"


def test_an_event_for_a_topic_names_it_and_no_user(
    cluster: MockCluster, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["send", "x", "--topic", "flight/UA 1545", "--id", "e1"]
    build(words)(words, standalone_mode=False)
    with TopicReader(cluster.bootstrap, "tocsin.") as reader:
        (record,) = reader.read("events")
    event = json.loads(record.value or b"")
    assert (event["tocsintopic"], "subject" in event) == ("flight/UA 1545", False)
    assert record.key == b"default/flight/UA 1545"


def test_a_notification_by_name_on_some_channels_needs_no_type(
    cluster: MockCluster, capsys: pytest.CaptureFixture[str]
) -> None:
    channels = ["--channel", "push", "--channel", "sms"]
    words = ["send", "--notification", "welcome", *channels, "--user", "ann"]
    build(words)(words, standalone_mode=False)
    with TopicReader(cluster.bootstrap, "tocsin.") as reader:
        (record,) = reader.read("events")
    event = json.loads(record.value or b"")
    assert (event["tocsinnotification"], event["tocsinchannels"]) == ("welcome", "push,sms")
    assert event["type"] == "notification.requested"


def test_an_event_has_a_type_or_a_notification(capsys: pytest.CaptureFixture[str]) -> None:
    words = ["send", "--user", "ann"]
    assert build(words)(words, standalone_mode=False) == 2
    assert "a notification by --notification" in capsys.readouterr().err


@pytest.mark.parametrize("whom", [[], ["--user", "ann", "--topic", "t"]])
def test_an_event_is_for_one_user_or_one_topic(whom: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    words = ["send", "x", *whom]
    assert build(words)(words, standalone_mode=False) == 2
    assert "name one user by --user" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("option", "text"),
    [
        ("--time", "2026-13-01T00:00:00Z"),
        ("--send-at", "tomorrow"),
        ("--expires", "6h"),
        ("--time", "2026-01-31"),
    ],
)
def test_a_time_that_would_make_a_dead_letter_is_refused(
    option: str, text: str, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["send", "x", "--user", "u", option, text]
    assert build(words)(words, standalone_mode=False) == 2
    assert f"{option} '{text}': write a time with an offset, like 2026-01-31" in capsys.readouterr().err


def test_a_tenant_that_would_make_a_dead_letter_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    words = ["send", "x", "--user", "u", "--tenant", "a/b"]
    assert build(words)(words, standalone_mode=False) == 2
    assert "--tenant 'a/b': a tenant's name has no '/'" in capsys.readouterr().err


def test_an_event_of_another_tenant_is_asked_for_with_that_tenant(
    cluster: MockCluster, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["send", "x", "--user", "u", "--id", "e1", "--tenant", "acme"]
    build(words)(words, standalone_mode=False)
    assert capsys.readouterr().out.endswith("; ask with: tocsin why e1 --tenant acme\n")


def test_an_event_may_name_its_start_and_its_end(cluster: MockCluster) -> None:
    times = ["--send-at", "2026-01-31T09:30:00Z", "--expires", "2026-01-31T12:00:00Z"]
    words = ["send", "x", "--user", "u", *times]
    build(words)(words, standalone_mode=False)
    with TopicReader(cluster.bootstrap, "tocsin.") as reader:
        (record,) = reader.read("events")
    event = json.loads(record.value or b"")
    assert [event["tocsinsendat"], event["tocsinexpires"]] == times[1::2]


def test_a_kafka_that_is_away_is_told_in_one_line(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    (port,) = free_ports(1)
    monkeypatch.setenv("TOCSIN_KAFKA", f"127.0.0.1:{port}")
    with pytest.raises(typer.Exit):
        write_all(Settings(), "events", [Written(b"t/u", b"{}", 0)], timeout_s=1)
    assert capfd.readouterr().err.startswith("✗ not written to tocsin.events: ")

"""The audit of topics: records that nobody can decode, and records that retention has removed."""

import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import msgspec
import pytest
from confluent_kafka import Consumer, Producer, TopicPartition

from dashboards import migrate, store
from sinks.clickhouse_store import ClickHouseLines
from tests.sources.mock_kafka import MockCluster
from tests.waiting import PATIENCE_S
from tocsin.app.audit import Reconciliation
from tocsin.app.audit_windows import Windows
from tocsin.app.settings import Settings
from tocsin.cli.audit_reading import Plan
from tocsin.cli.balance import draw, show
from tocsin.cli.balance_watch import AuditMetrics, Schedule, run
from tocsin.cli.main import build
from tocsin.formats.codec import encode
from tocsin.model import topics
from tocsin.model.event import Origin
from tocsin.model.message import Message, Target
from tocsin.model.outcome import Outcome

pytestmark = pytest.mark.loopback
PREFIX = "t."
PUSH = topics.messages("push")


class Log:
    """The topics of one partition each, and a pen."""

    def __init__(self, cluster: MockCluster) -> None:
        self._bootstrap = cluster.bootstrap
        self._pen = Producer({"bootstrap.servers": cluster.bootstrap, "linger.ms": 0})
        for name in topics.ALL:
            cluster.create(PREFIX + name, 1)

    def settings(self, clickhouse: str = "http://127.0.0.1:9/x") -> Settings:
        return Settings(kafka=self._bootstrap, topic_prefix=PREFIX, clickhouse=clickhouse, kafka_options={})

    def write(self, topic: str, *values: bytes, at_ms: int = 0) -> None:
        for value in values:
            self._pen.produce(PREFIX + topic, value=value, key=b"default/u", partition=0, timestamp=at_ms)
        assert self._pen.flush(PATIENCE_S) == 0

    def read_by_the_shard(self, ends: Mapping[str, int]) -> None:
        """Commit positions."""
        shard = Consumer({"bootstrap.servers": self._bootstrap, "group.id": f"{PREFIX}shard"})
        places = [TopicPartition(PREFIX + topic, 0, end) for topic, end in ends.items()]
        shard.commit(offsets=places, asynchronous=False)
        shard.close()


@pytest.fixture
def log() -> Iterator[Log]:
    with MockCluster() as cluster:
        yield Log(cluster)


def message(number: int) -> bytes:
    return encode(
        Message(
            message_id=f"m{number}",
            notification_id=f"n{number}",
            tenant="default",
            user="u",
            channel="push",
            target=Target("token"),
            notification="x",
            category="c",
            template="x",
            data=msgspec.Raw(b"{}"),
            locale="en",
            event_id=f"e{number}",
            event_source="/s",
            event_type="t",
            event_time_ms=1,
            received_ms=2,
            decided_ms=3,
            origin=Origin("events", 0, number),
        )
    )


def word(number: int, status: str, **more: Any) -> Outcome:
    fields: dict[str, Any] = {
        "tenant": "default",
        "user": "u",
        "notification_id": f"n{number}",
        "message_id": f"m{number}",
        "channel": "push",
        "origin": f"events/0/{number}",
        "at_ms": 1_357_000_000_000,
    } | more
    return Outcome(outcome_id=f"{status}{number}", status=status, **fields)


def sent(log: Log, count: int) -> list[Outcome]:
    """Write events, their messages and their words, all of them read; the words."""
    words = [word(number, status) for number in range(count) for status in ("admitted", "sent")]
    log.write(topics.EVENTS, *[b"{}"] * count)
    log.write(PUSH, *map(message, range(count)))
    log.write(topics.OUTCOMES, *map(encode, words))
    log.read_by_the_shard({topics.EVENTS: count, topics.OUTCOMES: 2 * count})
    return words


def shown(drawn: Reconciliation, capsys: pytest.CaptureFixture[str]) -> str:
    show(drawn)
    return capsys.readouterr().out


def test_records_nobody_can_decode_are_counted_and_passed_over(
    log: Log, capsys: pytest.CaptureFixture[str]
) -> None:
    log.write(PUSH, b"{broken", b'{"message_id": "m9"}', b'"\xff"')
    log.write(topics.OUTCOMES, b"{}", b"[" * 2_000)
    sent(log, 2)
    drawn = draw(log.settings(), clickhouse=False)
    assert (drawn.undecodable, drawn.settled, drawn.error) == (5, 2, 0)
    assert re.search(r"finished +│ +2 ", shown(drawn, capsys)), "the word of the help and of the pages"
    assert re.search(r"undecodable, passed over\W+5\b", shown(drawn, capsys))


def aged(log: Log, count: int, forgotten: int) -> list[Outcome]:
    """Write as `sent` does, but Kafka has deleted the words of the first events; all words there were."""
    words = [word(number, status) for number in range(count) for status in ("admitted", "sent")]
    log.write(topics.EVENTS, *[b"{}"] * count)
    log.write(PUSH, *map(message, range(count)))
    log.write(topics.OUTCOMES, *map(encode, words[: 2 * forgotten]))
    # The mock broker keeps 5 MiB of a partition. JSON may end in spaces.
    log.write(topics.OUTCOMES, *[encode(words[-1]) + b" " * 900_000] * 6)
    log.write(topics.OUTCOMES, *map(encode, words[2 * forgotten :]))
    log.read_by_the_shard({topics.EVENTS: count, topics.OUTCOMES: 2 * count + 6})
    return words


@pytest.fixture
def stored(clickhouse_db: str) -> str:
    migrate.migrate(clickhouse_db)
    return clickhouse_db


def insert(url: str, *words: Outcome) -> None:
    ClickHouseLines(lambda: store.connect(url)).insert(b"\n".join(map(encode, words)))


def test_words_that_kafka_has_deleted_are_asked_of_clickhouse(
    log: Log, stored: str, capsys: pytest.CaptureFixture[str]
) -> None:
    insert(stored, *aged(log, 10, forgotten=4))
    drawn = draw(log.settings(stored))
    assert (drawn.events, drawn.settled, drawn.recalled, drawn.error) == (10, 10, 8, 0)
    assert re.search(r"outcomes only ClickHouse has\W+8\b", shown(drawn, capsys))


def test_what_clickhouse_does_not_know_either_is_lost(log: Log, stored: str) -> None:
    words = aged(log, 10, forgotten=4)
    insert(stored, *words[2:])
    drawn = draw(log.settings(stored))
    assert (drawn.missing, drawn.unannounced, drawn.untracked) == (["events/0/0"], ["m0"], 0)


def test_a_word_older_than_all_events_is_of_a_topic_that_is_gone(log: Log, stored: str) -> None:
    words = aged(log, 2, forgotten=1)
    insert(stored, *words[2:], word(0, "suppressed", message_id="", notification_id="", received_ms=1))
    drawn = draw(log.settings(stored))
    assert (drawn.missing, drawn.recalled) == (["events/0/0"], 0)


def test_without_clickhouse_what_deleted_words_may_explain_is_not_judged(
    log: Log, capsys: pytest.CaptureFixture[str]
) -> None:
    aged(log, 10, forgotten=4)
    drawn = draw(log.settings(), clickhouse=False)
    assert (drawn.settled, drawn.unjudged, drawn.error) == (6, 8, 0)
    said = shown(drawn, capsys)
    assert "without --no-clickhouse" in said
    assert "nothing lost, nothing twice, of what is judged" in said


def test_what_may_have_reached_people_twice_is_said(log: Log, capsys: pytest.CaptureFixture[str]) -> None:
    log.write(topics.EVENTS, b"{}")
    log.write(PUSH, message(0))
    log.write(topics.OUTCOMES, encode(word(0, "admitted")))
    log.write(topics.OUTCOMES, encode(word(0, "sent", reason="resent_after_unknown")))
    log.read_by_the_shard({topics.EVENTS: 1, topics.OUTCOMES: 2})
    said = shown(draw(log.settings(), clickhouse=False), capsys)
    assert "nothing lost, no final outcome twice" in said
    assert "1 sent again after an unknown outcome, so perhaps received twice: m0" in said


def ask(log: Log, monkeypatch: pytest.MonkeyPatch, *words: str, clickhouse: str = "") -> int:
    """Run the command; its exit code."""
    settings = log.settings(clickhouse or "http://127.0.0.1:9/x")
    monkeypatch.setenv("TOCSIN_KAFKA", settings.kafka)
    monkeypatch.setenv("TOCSIN_TOPIC_PREFIX", PREFIX)
    monkeypatch.setenv("TOCSIN_CLICKHOUSE", settings.clickhouse)
    command = ("balance", *words)
    return int(build(command)(command, standalone_mode=False) or 0)


def test_each_fault_is_named_with_what_is_missing_and_where(
    log: Log,
    stored: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """A lost outcome, a send that ended twice, a lost row of ClickHouse and a lost message."""
    words = [word(number, status) for number in range(6) for status in ("admitted", "sent")]
    kept = [one for one in words if one.notification_id not in ("n1", "n4")] + [word(4, "admitted")]
    kept.append(word(2, "dead", attempt=2))
    log.write(topics.EVENTS, *[b"{}"] * 6)
    log.write(PUSH, *map(message, (0, 2, 3, 5)))
    log.write(topics.OUTCOMES, *map(encode, kept))
    log.read_by_the_shard({topics.EVENTS: 6, topics.OUTCOMES: len(kept)})
    insert(stored, *[one for one in kept if one.outcome_id != "sent3"])
    file = tmp_path / "faults.jsonl"
    assert ask(log, monkeypatch, "--list", str(file), clickhouse=stored) == 1
    faults = {one["kind"]: one for one in map(json.loads, file.read_text().splitlines())}
    assert {kind: one["id"] for kind, one in faults.items()} == {
        "missing": "events/0/1", "doubled": "m2", "unstored": "sent3", "unsent": "m4",
    }  # fmt: skip
    assert faults["doubled"]["what"] == "2 final outcomes: sent (outcomes/0/3), dead (outcomes/0/9)"
    assert (faults["unsent"]["where"], faults["unsent"]["origin"]) == ("outcomes/0/8", "events/0/4")
    assert "no message topic of push" in faults["unsent"]["what"]
    assert "outcome sent of m3" in faults["unstored"]["what"]
    said = capsys.readouterr().out
    assert "`tocsin why ID` tells the story of one" in said
    assert all(one["id"] in said for one in faults.values())


DAY_MS = 86_400_000


def test_a_range_judges_its_own_events_whenever_their_outcomes_come(
    log: Log, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The first day lost an event. The second holds one over its end; another's end came on the third."""
    first_ms = 1_700_006_400_000  # a midnight
    for day in range(3):
        log.write(topics.EVENTS, b"{}", b"{}", at_ms=first_ms + day * DAY_MS + 5)
    log.write(topics.OUTCOMES, encode(word(0, "suppressed", message_id="")), at_ms=first_ms + 9)
    held = encode(word(2, "held", message_id="", channel="*"))
    log.write(topics.OUTCOMES, held, at_ms=first_ms + DAY_MS + 9)
    late = [word(number, "suppressed", message_id="") for number in (3, 4, 5)]
    log.write(topics.OUTCOMES, *map(encode, late), at_ms=first_ms + 2 * DAY_MS + 9)
    log.read_by_the_shard({topics.EVENTS: 6, topics.OUTCOMES: 5})
    second = ("--since", "2023-11-16", "--until", "2023-11-17", "--no-clickhouse")
    assert ask(log, monkeypatch, *second, "--json") == 0
    report = json.loads(capsys.readouterr().out)
    assert (report["events"], report["settled"], report["held"], report["balance_error"]) == (2, 1, 1, 0)
    assert report["statuses"] == {"held": 1, "suppressed": 1}
    assert ask(log, monkeypatch, "--no-clickhouse", "--window", "1d", "--json") == 1
    report = json.loads(capsys.readouterr().out)
    days = [(one["since_ms"], one["events"], one["settled"], one["faults"]) for one in report["windows"]]
    assert days == [(first_ms + n * DAY_MS, 2, settled, n == 0) for n, settled in enumerate((1, 1, 2))]
    assert report["missing"] == ["events/0/1"]
    assert report["oldest_ms"] == first_ms + 5
    assert ask(log, monkeypatch, *second, "--window", "1d") == 0
    assert "Events by window" in capsys.readouterr().out, "one window is a table, too"


def test_the_watch_serves_each_audit_and_survives_a_server_that_is_away(log: Log) -> None:
    log.write(topics.EVENTS, b"{}")
    log.read_by_the_shard({topics.EVENTS: 1})
    metrics, waits = AuditMetrics(), list[float]()

    def once(seconds: float) -> bool:
        waits.append(seconds)
        return True

    schedule = Schedule("1h", every_s=300, port=0)
    run(log.settings(), schedule, Plan(Windows(), clickhouse=False), metrics, once)
    read = metrics.registry.get_sample_value
    assert (read("tocsin_balance_error"), read("tocsin_balance_failed_runs_total")) == (1, 0)
    assert 0 <= (read("tocsin_balance_oldest_unexplained_seconds") or -1) < 60
    assert 200 < waits[0] <= 300
    run(log.settings(), schedule, Plan(Windows(), clickhouse=True), metrics, lambda _seconds: True)
    assert read("tocsin_balance_failed_runs_total") == 1, "ClickHouse is away"
    assert read("tocsin_balance_error") == 1, "what is known stays"

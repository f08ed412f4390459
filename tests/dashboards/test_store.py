"""The analytical store on a real ClickHouse engine: schema, inserts that may repeat, named queries."""

import re
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import msgspec
import pytest
from clickhouse_connect.driver.client import Client
from clickhouse_connect.driver.exceptions import ClickHouseError

from dashboards import migrate, migration_files, queries, store
from dashboards.rollups import refresh
from sinks.clickhouse import OutcomeWriter
from sinks.clickhouse_lines import Erased
from sinks.clickhouse_store import ClickHouseLines
from tests.dropping_proxy import DroppingProxy
from tests.waiting import until
from tocsin.devkit.processes import free_ports
from tocsin.errors import SettingsError, SinkError
from tocsin.model.outcome import Outcome
from tocsin.model.raw import RawRecord


def outcome(number: int, status: str, **extra: Any) -> Outcome:
    fields: dict[str, Any] = {
        "tenant": "default",
        "user": f"u{number}",
        "notification_id": f"n{number}",
        "message_id": f"m{number}",
        "notification": "flight_delayed",
        "channel": "sms",
        "at_ms": 1_357_000_000_000 + number,
        "origin": f"events/0/{number}",
    } | extra
    return Outcome(outcome_id=f"{number}-{status}-{fields['channel']}", status=status, **fields)


def lines(*outcomes: Outcome) -> bytes:
    return b"\n".join(msgspec.json.encode(one) for one in outcomes)


@pytest.fixture
def url(clickhouse_db: str) -> str:
    migrate.migrate(clickhouse_db)
    return clickhouse_db


pytestmark = pytest.mark.integration


def insert(url: str, *outcomes: Outcome) -> None:
    ClickHouseLines(lambda: store.connect(url)).insert(lines(*outcomes))
    with store.connect(url) as client:
        refresh(client)


def test_migrations_run_once(clickhouse_db: str) -> None:
    first = migrate.migrate(clickhouse_db)
    assert first == [f"{one.number:04d}_{one.name}" for one in migration_files.migrations()]
    assert migrate.migrate(clickhouse_db) == []


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
def test_a_server_of_this_machine_is_not_asked_through_a_proxy(
    clickhouse_db: str, host: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("NO_PROXY", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
    for name in ("HTTP_PROXY", "http_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    with store.connect(clickhouse_db.replace("127.0.0.1", host), with_database=False) as client:
        assert client.command("SELECT 1") == 1


def test_a_server_elsewhere_is_asked_through_the_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    with ThreadingHTTPServer(("127.0.0.1", 0), _Proxy) as proxy:
        monkeypatch.setenv("http_proxy", f"http://127.0.0.1:{proxy.server_port}")
        monkeypatch.setenv("no_proxy", "localhost")
        threading.Thread(target=proxy.serve_forever).start()
        with pytest.raises(ClickHouseError, match="stopped by the proxy"):
            store.connect("http://clickhouse.example.com:8123/tocsin")
        proxy.shutdown()


class _Proxy(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_error(403, "Forbidden", "stopped by the proxy")

    do_POST = do_GET

    def log_message(self, *_: object) -> None:
        """Keep quiet."""


def test_every_field_of_an_outcome_arrives(url: str) -> None:
    whole = Outcome(
        outcome_id="o",
        status="dead",
        tenant="default",
        user="ann",
        notification_id="n",
        message_id="m",
        event_id="e",
        event_source="/s",
        event_type="t",
        event_time_ms=5,
        origin="events/1/2",
        notification="x",
        category="c",
        channel="sms",
        target="abc",
        platform="ios",
        reason="rejected",
        detail={"limit": 5, "counter": "day"},
        priority="high",
        catalog_version="v",
        provider="twilio",
        provider_message_id="SM1",
        code="21211",
        attempt=3,
        generation=1,
        at_ms=1_357_000_000_123,
        received_ms=7,
        latency_ms=8,
        provider_ms=9,
        rule="usable",
        variant="b",
        locale="de-AT",
        replay="r",
        replay_of="m0",
    )
    insert(url, whole)
    with store.connect(url) as client:
        result = client.query(f"SELECT {', '.join(Outcome.__struct_fields__)}, at FROM outcomes")
    row = dict(zip(result.column_names, result.result_rows[0], strict=True))
    assert msgspec.json.decode(row.pop("detail")) == {"limit": 5, "counter": "day"}
    assert row.pop("at").isoformat().startswith("2013-01-01T00:26:40.123")
    assert row == {name: value for name, value in msgspec.to_builtins(whole).items() if name != "detail"}


def test_left_out_fields_have_the_records_defaults(url: str) -> None:
    bare = Outcome(outcome_id="o", status="held", tenant="default", at_ms=1)
    insert(url, bare)
    with store.connect(url) as client:
        (row,) = client.query(
            "SELECT channel, detail, latency_ms, provider_ms, attempt FROM outcomes"
        ).result_rows
    assert tuple(row) == (bare.channel, "{}", bare.latency_ms, bare.provider_ms, bare.attempt)


def test_a_batch_inserted_twice_counts_once(url: str) -> None:
    batch = [outcome(n, "sent", latency_ms=n) for n in range(50)]
    insert(url, *batch)
    insert(url, *batch)
    with store.connect(url) as client:
        (row,) = client.query("SELECT count() FROM outcomes FINAL").result_rows
        funnel = queries.run(client, "funnel", {})
    assert row[0] == 50
    assert funnel[0]["sent"] == 50


def test_copies_in_one_batch_count_once_though_the_insert_does_not_merge_them(url: str) -> None:
    held = outcome(99, "held", message_id="", channel="*")
    batch = [held, *[outcome(n, status) for n in range(50) for status in ("admitted", "sent")]]
    insert(url, *batch, *batch)
    with store.connect(url) as client:
        counts = [int(str(client.command(f"SELECT count() FROM outcomes {how}"))) for how in ("", "FINAL")]
        funnel = queries.run(client, "funnel", {})
        balance = queries.run(client, "balance", {})
        waiting = queries.run(client, "waiting", {})
        subjects = int(str(client.command("SELECT count() FROM latest FINAL")))
    assert counts == [202, 101], "the insert merged copies, which takes 29 % of its CPU"
    assert funnel[0]["sent"] == 50
    assert [(row["status"], row["outcomes"], row["doubled"]) for row in balance] == [("sent", 50, 0)]
    assert sum(row["waiting"] for row in waiting) == 1
    assert subjects == 51


def test_a_refused_line_is_a_value_error_and_nothing_of_the_batch_is_stored(url: str) -> None:
    good = lines(outcome(1, "sent"))
    with pytest.raises(ValueError, match=r"\d+"):
        ClickHouseLines(lambda: store.connect(url)).insert(good + b"\n{broken")
    with store.connect(url) as client:
        assert client.query("SELECT count() FROM outcomes").result_rows[0][0] == 0


def test_a_clickhouse_that_does_not_answer_is_said_to_be_away() -> None:
    (port,) = free_ports(1)
    away = ClickHouseLines(lambda: store.connect(f"http://127.0.0.1:{port}/tocsin"))
    with pytest.raises(SinkError, match="is away: it does not answer"):
        away.insert(lines(outcome(1, "sent")))
    with pytest.raises(SinkError, match="is away: it does not answer"):
        away.erase([Erased("t", "u", 1)])


def test_one_connection_serves_many_batches(url: str) -> None:
    opened: list[str] = []

    def connect() -> Client:
        opened.append(url)
        return store.connect(url)

    writer = OutcomeWriter(ClickHouseLines(connect))
    for number in range(3):
        writer.submit([RawRecord("outcomes", 0, number, 0, b"k", lines(outcome(number, "sent")), ())])
        end = time.monotonic() + 60
        while not writer.finished() and time.monotonic() < end:
            time.sleep(0.01)
    writer.close()
    assert writer.rows == 3
    assert len(opened) == 1


def test_outcomes_whose_answers_are_lost_count_once(url: str) -> None:
    """clickhouse-connect posts an insert again by itself; then the writer does."""
    with DroppingProxy(url, b"INSERT") as proxy:
        proxy.to_drop = 5
        writer = OutcomeWriter(ClickHouseLines(lambda: store.connect(proxy.url)))
        rows = [outcome(number, "sent") for number in range(50)]
        writer.submit([RawRecord("outcomes", 0, n, 0, b"k", lines(row), ()) for n, row in enumerate(rows)])
        until(lambda: not proxy.to_drop and writer.rows == 50, "the insert")
        assert len(writer.finished()) == 50
        writer.close()
    assert proxy.dropped == 5
    with store.connect(url) as client:
        stored = int(str(client.command("SELECT count() FROM outcomes")))
        refresh(client)
        counted = queries.run(client, "balance", {})
    assert stored > 50, "no insert was repeated: the test proves nothing"
    assert [(row["status"], row["outcomes"], row["doubled"]) for row in counted] == [("sent", 50, 0)]


MONTH_MS = 31 * 86_400_000


def test_outcomes_of_more_months_than_one_insert_may_touch_are_stored(url: str) -> None:
    """A replay of years: ClickHouse takes 100 partitions an insert and refuses the rest as code 252."""
    writer = OutcomeWriter(ClickHouseLines(lambda: store.connect(url)))
    rows = [outcome(number, "sent", at_ms=number * MONTH_MS) for number in range(400)]
    rows.reverse()
    writer.submit([RawRecord("outcomes", 0, n, 0, b"k", lines(row), ()) for n, row in enumerate(rows)])
    end = time.monotonic() + 60
    done = 0
    while done < len(rows) and time.monotonic() < end:
        done += len(writer.finished())
        time.sleep(0.01)
    problem = writer.problem
    writer.close()
    assert (done, problem) == (400, "")
    with store.connect(url) as client:
        assert client.command("SELECT count(), uniqExact(outcome_id) FROM outcomes") == ["400", "400"]


def test_the_funnel_counts_messages_by_channel(url: str) -> None:
    insert(
        url,
        outcome(1, "admitted"),
        outcome(1, "sent"),
        outcome(1, "delivered"),
        outcome(2, "admitted"),
        outcome(2, "dead"),
        outcome(3, "admitted", channel="push"),
    )
    with store.connect(url) as client:
        rows = {row["channel"]: row for row in queries.run(client, "funnel", {})}
    assert (rows["sms"]["admitted"], rows["sms"]["sent"], rows["sms"]["delivered"], rows["sms"]["dead"]) == (
        2,
        1,
        1,
        1,
    )
    assert rows["push"]["admitted"] == 1


def test_suppressions_failures_latency_balance_and_timeline_answer(url: str) -> None:
    insert(
        url,
        outcome(1, "suppressed", reason="limit", channel="*", message_id=""),
        outcome(2, "retrying", reason="transient", provider="p", code="503"),
        outcome(2, "sent", latency_ms=100, provider_ms=40, provider="p"),
        outcome(3, "sent", latency_ms=300, provider_ms=60, provider="p"),
    )
    with store.connect(url) as client:

        def ask(name: str, **more: str) -> list[dict[str, Any]]:
            return queries.run(client, name, more)

        assert ask("suppressed")[0]["reason"] == "limit"
        assert ask("failures")[0] == {
            "provider": "p",
            "channel": "sms",
            "reason": "transient",
            "code": "503",
            "retried": 1,
            "dead": 0,
        }
        latency = ask("latency")[0]
        assert (latency["sent"], latency["p99_ms"], latency["promise"]) == (2, 300, "kept")
        assert {row["status"]: row["outcomes"] for row in ask("balance")} == {
            "suppressed": 1,
            "sent": 2,
        }
        assert [row["status"] for row in ask("timeline", notification_id="n2")] == ["retrying", "sent"]


def test_two_final_words_show_in_the_view(url: str) -> None:
    insert(url, outcome(1, "sent"), outcome(1, "dead"), outcome(2, "sent"))
    with store.connect(url) as client:
        rows = client.query("SELECT subject, words FROM final_words ORDER BY subject").result_rows
    assert [tuple(row) for row in rows] == [("m1", 2), ("m2", 1)]


def test_the_books_count_final_words_and_those_that_have_another_beside_them(url: str) -> None:
    twice = outcome(1, "sent")
    insert(url, outcome(1, "admitted"), twice, outcome(1, "dead", reason="unknown"), outcome(1, "delivered"))
    insert(url, twice, outcome(2, "sent"), outcome(2, "sent", tenant="other"))
    insert(
        url,
        *[outcome(3, "suppressed", channel=channel, message_id="") for channel in ("sms", "push")],
        outcome(4, "expired", notification_id="", message_id=""),
    )
    with store.connect(url) as client:
        rows = queries.run(client, "balance", {})
    assert {(row["status"], row["reason"]): (row["outcomes"], row["doubled"]) for row in rows} == {
        ("sent", ""): (2, 1),
        ("dead", "unknown"): (1, 1),
        ("suppressed", ""): (2, 0),
        ("expired", ""): (1, 0),
    }


def test_another_tenant_is_not_shown(url: str) -> None:
    insert(url, outcome(1, "sent", tenant="other"))
    with store.connect(url) as client:
        assert queries.run(client, "funnel", {}) == []
        assert len(queries.run(client, "funnel", {"tenant": "other"})) == 1


@pytest.mark.parametrize(
    ("question", "told"),
    [
        ("SELECT {never_bound:String}", "ClickHouse refuses: .*never_bound"),
        ("SELECT 1 FROM never_made", "tocsin db migrate"),
    ],
)
def test_a_refusal_is_told_as_one(url: str, question: str, told: str) -> None:
    with store.connect(url) as client, pytest.raises(ClickHouseError) as refused:
        client.query(question)
    assert re.search(told, store.explain_failure(refused.value))
    assert "not answer" not in store.explain_failure(refused.value)


def test_nobody_there_is_told_as_no_answer() -> None:
    with pytest.raises(store.AWAY) as away:
        store.connect("http://127.0.0.1:9/x")
    assert store.explain_failure(away.value).startswith("ClickHouse does not answer (Connection refused): is")


def test_an_unknown_query_names_those_there_are() -> None:
    with pytest.raises(SettingsError, match="funnel, latency"):
        queries.find("nonsense")


@pytest.mark.parametrize("bad", ["localhost:8123", "tcp://h:1/x", "http:///db", "http://h:http/x"])
def test_an_address_that_cannot_be_one_names_its_form(bad: str) -> None:
    with pytest.raises(SettingsError, match="TOCSIN_CLICKHOUSE"):
        store.address(bad)


def test_an_address_is_taken_apart() -> None:
    assert store.address("https://a%40b:p%3Aw@h/db") == ("h", 8443, "a@b", "p:w", "db", True)
    assert store.address("http://h:9") == ("h", 9, "default", "", "tocsin", False)


def test_a_refused_connection_is_named_by_its_cause() -> None:
    wrapped = OSError('Error pool(x): Max retries (Caused by E("x: [Errno 111] Connection refused")) 1')
    assert store.reason(wrapped) == "Connection refused"
    assert store.reason(OSError("Code: 60. no such table\nmore")) == "OSError: Code: 60. no such table"


@pytest.mark.parametrize(("may_set", "priority"), [(True, 1), (False, 0)])
def test_refreshes_wait_for_questions_unless_the_user_may_set_nothing(
    url: str, *, may_set: bool, priority: int
) -> None:
    with store.connect(url) as client:
        known = client.server_settings["priority"]
        client.server_settings["priority"] = known._replace(readonly=int(not may_set))
        assert store.ask(client, "SELECT getSetting('priority') AS own", {}) == [{"own": priority}]

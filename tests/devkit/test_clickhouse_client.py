"""clickhouse-connect's ordinary client against this run's ClickHouse: a server and the embedded one alike."""

import contextlib
import gzip
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from typing import Any

import clickhouse_connect
import pytest
from clickhouse_connect.driver.client import Client
from clickhouse_connect.driver.exceptions import ClickHouseError, DatabaseError
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

MakeClient = Callable[..., Client]

_COLUMNS = ["id", "at", "who", "tags", "score"]
_CREATE = """
    CREATE TABLE log (id UInt64, at DateTime64(3, 'UTC'), who LowCardinality(String),
        tags Map(String, String), score Nullable(Float64), version UInt32 DEFAULT 0)
    ENGINE = ReplacingMergeTree(version) ORDER BY id
"""


@pytest.fixture
def make_client(clickhouse_db: str) -> Iterator[MakeClient]:
    with contextlib.ExitStack() as stack:

        def make(**options: Any) -> Client:
            client = clickhouse_connect.get_client(dsn=clickhouse_db, tz_mode="aware", **options)
            stack.callback(client.close)
            return client

        yield make


@pytest.fixture
def client(make_client: MakeClient) -> Client:
    client = make_client()
    client.command(_CREATE)
    return client


def _rows(start: int, count: int) -> list[list[Any]]:
    at = datetime(2013, 1, 1, 5, 17, 0, 250_000, UTC)
    return [
        [i, at, f"user-{i % 10}", {"a": "ä", "i": str(i)}, None if i % 3 else i / 2]
        for i in range(start, start + count)
    ]


@pytest.mark.parametrize("compress", [True, False, "lz4", "zstd", "gzip"])
def test_insert_reads_back_as_written(client: Client, make_client: MakeClient, compress: bool | str) -> None:
    rows = _rows(0, 2_000)
    make_client(compress=compress).insert("log", rows, column_names=_COLUMNS)
    read = make_client(compress=compress).query("SELECT id, at, who, tags, score FROM log ORDER BY id")
    assert [list(row) for row in read.result_rows] == rows


def test_insert_of_100_000_rows_by_columns_counts_them(client: Client) -> None:
    columns = list(map(list, zip(*_rows(0, 100_000), strict=True)))
    summary = client.insert("log", columns, column_names=_COLUMNS, column_oriented=True)
    assert summary.written_rows == 100_000
    found = client.command("SELECT count(), uniqExact(id), sum(id) FROM log")
    assert found == ["100000", "100000", "4999950000"]


def test_empty_insert_and_empty_result(client: Client) -> None:
    client.insert("log", [], column_names=_COLUMNS)
    assert client.query("SELECT * FROM log").result_rows == []
    assert client.query("SELECT id, who FROM log LIMIT 0").column_names == ("id", "who")


def test_raw_inserts(client: Client) -> None:
    lines = b'{"id": 1, "who": "a"}\n{"id": 2, "who": "b"}\n'
    client.raw_insert("log", ["id", "who"], lines, fmt="JSONEachRow")
    client.raw_insert("log", ["id", "who"], gzip.compress(b"3\tc\n"), fmt="TSV", compression="gzip")
    client.command("INSERT INTO log (id, who) VALUES (4, 'd (FORMAT JSON)')")
    client.command("INSERT INTO log (id, who) SELECT number + 5, 'e' FROM numbers(2)")
    assert client.query("SELECT id, who FROM log ORDER BY id").result_rows == [
        (1, "a"), (2, "b"), (3, "c"), (4, "d (FORMAT JSON)"), (5, "e"), (6, "e"),
    ]  # fmt: skip


def test_final_keeps_the_newest_version(client: Client) -> None:
    for version in (1, 3, 2):
        client.insert("log", [[7, f"v{version}", version]], column_names=["id", "who", "version"])
    assert client.query("SELECT who FROM log FINAL").result_rows == [("v3",)]


@given(text=st.text(st.characters(codec="utf-8", exclude_characters="\0")), number=st.integers(0, 2**63))
@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_parameters_arrive_as_sent(client: Client, text: str, number: int) -> None:
    read = client.query(
        "SELECT {text:String}, {number:UInt64}, {list:Array(String)}, {none:Nullable(String)}",
        parameters={"text": text, "number": number, "list": [text, "x"], "none": None},
    )
    assert read.result_rows == [(text, number, [text, "x"], None)]


def test_long_parameters_go_as_a_form(client: Client) -> None:
    long = "ä" * 50_000
    assert client.query("SELECT {p:String} AS p", parameters={"p": long}).result_rows == [(long,)]


@pytest.mark.parametrize(
    ("sql", "code"),
    [
        ("SELEC 1", 62),
        ("SELECT nope FROM log", 47),
        ("SELECT * FROM missing", 60),
        ("SELECT throwIf(number = 3, 'three') FROM numbers(10)", 395),
        ("CREATE TABLE log (x UInt8) ENGINE = Memory", 57),
        ("INSERT INTO log (nope) VALUES (1)", 16),
    ],
)
def test_errors_carry_their_code(client: Client, sql: str, code: int) -> None:
    with pytest.raises(DatabaseError) as error:
        client.command(sql)
    assert error.value.code == code
    with pytest.raises(DatabaseError, match=f"[Cc]ode: {code}"):
        client.query(sql)


def test_bad_rows_are_refused_and_not_kept(client: Client) -> None:
    with pytest.raises(DatabaseError) as error:
        client.raw_insert("log", ["id", "who"], b"1\ta\nnot a number\tb\n", fmt="TSV")
    assert error.value.code == 27
    assert client.command("SELECT count() FROM log") == 0


def test_an_unknown_setting_is_refused(client: Client) -> None:
    with pytest.raises(DatabaseError) as error:
        client.command("SELECT 1", settings={"no_such_setting": "1"})
    assert error.value.code == 115


def test_settings_hold_for_one_query_only(client: Client) -> None:
    ask = "SELECT toUInt64(getSetting('max_result_rows'))"
    before = client.command(ask)
    assert client.command(ask, settings={"max_result_rows": 77}) == 77
    assert client.command(ask) == before


def test_a_streamed_answer_comes_in_blocks(client: Client) -> None:
    blocks = total = 0
    with client.query_row_block_stream("SELECT number FROM numbers(500000)") as stream:
        for block in stream:
            blocks += 1
            total += len(block)
    assert blocks > 1
    assert total == 500_000


def test_an_error_within_a_stream_is_raised(client: Client) -> None:
    sql = "SELECT throwIf(number = 400000, 'late') FROM numbers(500000) SETTINGS max_block_size = 10000"
    with pytest.raises(ClickHouseError, match="late"), client.query_row_block_stream(sql) as stream:
        list(stream)


def test_a_stream_left_early_harms_nobody(client: Client) -> None:
    with client.query_row_block_stream("SELECT number FROM numbers(100000000)") as stream:
        next(iter(stream))
        stream.source.close()
    assert client.command("SELECT 1") == 1


def test_system_tables_tell_of_the_database(client: Client) -> None:
    client.insert("log", _rows(0, 10), column_names=_COLUMNS)
    named = {"database": client.database}
    sql = "SELECT name, total_rows FROM system.tables WHERE database = {database:String}"
    assert client.query(sql, parameters=named).result_rows == [("log", 10)]
    sql = "SELECT sum(rows) FROM system.parts WHERE active AND database = {database:String}"
    assert client.query(sql, parameters=named).result_rows == [(10,)]
    assert [row[0] for row in client.query("DESCRIBE TABLE log").result_rows] == [*_COLUMNS, "version"]


def test_clients_at_once_do_not_mix(client: Client, make_client: MakeClient) -> None:
    clients = [make_client() for _ in range(4)]

    def work(number: int) -> int:
        mine = clients[number]
        for part in range(5):
            mine.insert("log", _rows(number * 10_000 + part * 100, 100), column_names=_COLUMNS)
        sql = "SELECT count() FROM log WHERE intDiv(id, 10000) = {n:UInt64}"
        return int(mine.query(sql, parameters={"n": number}).result_rows[0][0])

    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(work, range(4))) == [500] * 4
    assert client.command("SELECT uniqExact(id) FROM log") == 2_000

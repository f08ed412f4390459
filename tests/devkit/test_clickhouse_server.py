"""The embedded ClickHouse as a process: what a client library does not show."""

import base64
import contextlib
import http.client
import io
import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlencode, urlsplit

import clickhouse_connect
import pyarrow.parquet
import pytest
from clickhouse_connect.driver.client import Client

from tests.waiting import PATIENCE_S
from tocsin.devkit.guard import project_env
from tocsin.devkit.servers import CLICKHOUSE, Servers


@pytest.fixture(scope="module")
def servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Servers]:
    with Servers(tmp_path_factory.mktemp("embedded"), {CLICKHOUSE}) as servers:
        yield servers


@pytest.fixture
def client(servers: Servers) -> Iterator[Client]:
    with contextlib.closing(_client(servers)) as client:
        yield client


def _client(servers: Servers) -> Client:
    return clickhouse_connect.get_client(dsn=f"{servers.addresses[CLICKHOUSE]}default")


def _ask(
    servers: Servers,
    body: bytes = b"",
    *,
    method: str = "POST",
    headers: dict[str, str] | None = None,
    **arguments: str,
) -> tuple[int, str, http.client.HTTPMessage]:
    where = urlsplit(servers.addresses[CLICKHOUSE])
    connection = http.client.HTTPConnection(where.hostname or "", where.port or 0, timeout=PATIENCE_S)
    with contextlib.closing(connection):
        connection.request(method, f"/?{urlencode(arguments)}", body, headers or {})
        reply = connection.getresponse()
        return reply.status, reply.read().decode(), reply.headers


def test_the_statement_may_be_in_the_url_the_body_or_both(servers: Servers) -> None:
    assert _ask(servers, query="SELECT 1")[:2] == (200, "1\n")
    assert _ask(servers, b"SELECT 2")[:2] == (200, "2\n")
    assert _ask(servers, b"+ 3", query="SELECT 1")[:2] == (200, "4\n")


def test_rows_in_the_body_of_an_insert_in_the_url(servers: Servers, client: Client) -> None:
    client.command("CREATE OR REPLACE TABLE u (x UInt8, y String) ENGINE = MergeTree ORDER BY x")
    status, _, headers = _ask(servers, b'1,"a"\n2,"b"\n', query="INSERT INTO u FORMAT CSV")
    assert status == 200
    assert json.loads(headers["X-ClickHouse-Summary"])["written_rows"] == "2"
    rows = b"(3, {y:String}), (2 + 2, 'd')"
    assert _ask(servers, rows, query="INSERT INTO u VALUES", param_y="c")[0] == 200
    answer = _ask(servers, query="SELECT * FROM u ORDER BY x FORMAT JSONCompactEachRow")
    assert answer[1].splitlines() == ['[1, "a"]', '[2, "b"]', '[3, "c"]', '[4, "d"]']
    assert answer[2]["X-ClickHouse-Format"] == "JSONCompactEachRow"


def test_any_user_is_let_in(servers: Servers) -> None:
    token = base64.b64encode(b"somebody:secret").decode()
    assert _ask(servers, b"SELECT 1", headers={"Authorization": f"Basic {token}"})[0] == 200


def test_get_only_reads(servers: Servers) -> None:
    assert _ask(servers, method="GET", query="SELECT 1")[:2] == (200, "1\n")
    status, text, headers = _ask(servers, method="GET", query="CREATE TABLE g (x UInt8) ENGINE = Memory")
    assert (status, headers["X-ClickHouse-Exception-Code"]) == (500, "164")
    assert "READONLY" in text


@pytest.mark.parametrize(
    ("arguments", "headers", "told"),
    [
        ({"decompress": "1"}, {}, "decompress=1"),
        ({}, {"Content-Encoding": "snappy"}, "snappy"),
        ({}, {"Content-Encoding": "gzip"}, "not gzip"),
    ],
)
def test_what_it_does_not_speak_is_refused_by_name(
    servers: Servers, arguments: dict[str, str], headers: dict[str, str], told: str
) -> None:
    status, text, reply = _ask(servers, b"SELECT 1", headers=headers, **arguments)
    assert (status, reply["X-ClickHouse-Exception-Code"]) == (500, "48")
    assert told in text


def test_a_statement_that_is_not_text_is_refused(servers: Servers) -> None:
    status, _, headers = _ask(servers, b"SELECT '\xff'")
    assert (status, headers["X-ClickHouse-Exception-Code"]) == (400, "62")


def test_time_is_utc(client: Client) -> None:
    assert client.command("SELECT timezone()") == "UTC"


def test_parts_are_merged_and_may_be_optimized(client: Client) -> None:
    client.command("CREATE OR REPLACE TABLE m (x UInt64) ENGINE = ReplacingMergeTree ORDER BY x")
    for _ in range(30):
        client.insert("m", [[1], [2]], column_names=["x"])
    client.command("OPTIMIZE TABLE m FINAL")
    assert client.command("SELECT count() FROM m") == 2


def test_rows_survive_kill_9(tmp_path: Path) -> None:
    with Servers(tmp_path, {CLICKHOUSE}) as servers:
        for start in range(0, 3_000, 1_000):
            with contextlib.closing(_client(servers)) as client:
                client.command("CREATE DATABASE IF NOT EXISTS kept")
                client.command("CREATE TABLE IF NOT EXISTS kept.k (x UInt64) ENGINE = MergeTree ORDER BY x")
                client.insert("k", [[x] for x in range(start, start + 1_000)], ["x"], database="kept")
            servers.kill(CLICKHOUSE)
            servers.restart(CLICKHOUSE)
            with contextlib.closing(_client(servers)) as client:
                found = client.command("SELECT count(), uniqExact(x), max(x) FROM kept.k")
            assert found == [str(start + 1_000), str(start + 1_000), str(start + 999)]
    assert list((tmp_path / CLICKHOUSE / "http_bodies").iterdir()) == []


def test_a_second_process_on_the_same_data_is_refused(servers: Servers, tmp_path: Path) -> None:
    data = Path(servers.status()[0].log).parent / CLICKHOUSE / "data"
    (tmp_path / "data").symlink_to(data)
    argv = [sys.executable, "-m", "tocsin.devkit.clickhouse_server", "--port=0", f"--path={tmp_path}"]
    second = subprocess.run(argv, capture_output=True, text=True, timeout=60, env=project_env(), check=False)
    assert second.returncode != 0
    assert "already running" in second.stderr


@pytest.mark.parametrize("form", ["CSVWithNames", "TabSeparatedWithNamesAndTypes", "JSON", "Parquet"])
def test_an_answer_of_many_blocks_is_one_in_its_format(client: Client, form: str) -> None:
    """An answer has one header and one end, however many blocks the engine made."""
    sql = "SELECT number AS n, {x:String} AS x FROM numbers(200000)"
    stream = client.raw_stream(sql, {"x": "a"}, fmt=form)
    assert isinstance(stream, io.IOBase)
    body = stream.read()
    if form == "Parquet":
        table = pyarrow.parquet.read_table(io.BytesIO(body))
        assert (table.num_rows, table["n"][-1].as_py(), table["x"][0].as_py()) == (200_000, 199_999, "a")
    elif form == "JSON":
        assert len(json.loads(body)["data"]) == 200_000
    else:
        heads = 2 if form.endswith("Types") else 1
        assert len(body.splitlines()) == 200_000 + heads


def test_a_query_that_fails_is_refused_whatever_its_format(servers: Servers) -> None:
    sql = "SELECT throwIf(number = 150000) FROM numbers(200000) FORMAT Parquet SETTINGS max_block_size = 1000"
    status, text, headers = _ask(servers, query=sql)
    assert (status, headers["X-ClickHouse-Exception-Code"]) == (500, "395")
    assert "throwIf" in text

"""Exports are read back by an independent reader: each row once, every column, whole or not at all."""

import csv
import gzip
import io
from pathlib import Path
from typing import Any

import msgspec
import pyarrow.parquet
import pytest
from clickhouse_connect.driver.client import Client

from dashboards import store
from dashboards.export import Selection, count, export, select
from dashboards.export_file import Form
from sinks.clickhouse_store import ClickHouseLines
from tocsin.cli.main import build
from tocsin.errors import ExportError, SettingsError
from tocsin.model.outcome import Outcome

pytestmark = pytest.mark.integration
DAY_MS = 86_400_000
START_MS = 1_356_998_400_000


def outcome(number: int) -> Outcome:
    return Outcome(
        outcome_id=f"o{number:05}",
        status="sent" if number % 3 else "suppressed",
        tenant="default" if number % 10 else "other",
        user=f'u"{number}",\nline two',
        notification="flight_delayed" if number % 2 else "offer",
        channel="sms",
        detail={"limit": number},
        at_ms=START_MS + number % 5 * DAY_MS,
        latency_ms=number,
    )


ROWS = [outcome(number) for number in range(3000)]


@pytest.fixture(scope="module")
def filled(client: Client, clickhouse_module_db: str) -> Client:
    """Client of a database where each row is stored twice."""
    lines = b"\n".join(map(msgspec.json.encode, ROWS))
    for _ in range(2):
        ClickHouseLines(lambda: store.connect(clickhouse_module_db)).insert(lines)
    return client


def written(client: Client, selection: Selection, form: Form) -> tuple[int, bytes]:
    file = io.BytesIO()
    return export(client, selection, form, file, lambda _rows, _written: None), file.getvalue()


def chosen(**filters: Any) -> list[str]:
    named = {key: value for key, value in filters.items() if not key.endswith("_ms")}
    return sorted(
        one.outcome_id
        for one in ROWS
        if all(getattr(one, key) == value for key, value in named.items())
        and filters.get("from_ms", 0) <= one.at_ms < filters.get("to_ms", 2**62)
    )


@pytest.mark.parametrize(
    "filters",
    [
        {},
        {"tenant": "other"},
        {"notification": "offer", "channel": "sms", "tenant": "default"},
        {"from_ms": START_MS + DAY_MS, "to_ms": START_MS + 3 * DAY_MS},
        {"tenant": "nobody"},
    ],
)
def test_parquet_has_each_row_of_the_range_once(filled: Client, filters: dict[str, Any]) -> None:
    selection = select(filled, "outcomes", filters)
    rows, data = written(filled, selection, Form("parquet"))
    table = pyarrow.parquet.read_table(io.BytesIO(data))
    assert sorted(table["outcome_id"].to_pylist()) == chosen(**filters)
    assert rows == table.num_rows == count(filled, selection)


def test_every_column_is_there_with_its_value(filled: Client) -> None:
    _, data = written(filled, select(filled, "outcomes", {}), Form("parquet"))
    table = pyarrow.parquet.read_table(io.BytesIO(data))
    assert set(Outcome.__struct_fields__) <= set(table.column_names)
    row = next(one for one in table.to_pylist() if one["outcome_id"] == "o00007")
    known = ROWS[7]
    assert (row["user"], row["latency_ms"], row["at_ms"]) == (known.user, 7, known.at_ms)
    assert row["at"].timestamp() * 1000 == known.at_ms
    assert msgspec.json.decode(row["detail"]) == known.detail


def test_csv_is_read_by_another_reader_and_its_rows_are_counted(filled: Client) -> None:
    rows, data = written(filled, select(filled, "outcomes", {}), Form("csv", "gz"))
    read = list(csv.DictReader(io.StringIO(gzip.decompress(data).decode(), newline="")))
    assert rows == len(read) == len(ROWS)
    assert {one["outcome_id"]: one["user"] for one in read} == {one.outcome_id: one.user for one in ROWS}


def test_a_named_query_is_exported_for_its_range(filled: Client) -> None:
    bounds = {"from_ms": START_MS, "to_ms": START_MS + DAY_MS, "tenant": "default"}
    rows, data = written(filled, select(filled, "rows", bounds), Form("csv"))
    assert rows == len(chosen(**bounds))
    assert data.startswith(b'"at","status"')


@pytest.mark.parametrize(
    ("name", "filters", "told"),
    [
        ("nothing", {}, "no table or query is called 'nothing'; tables: .*outcomes.*; queries: .*funnel"),
        ("migrations", {"tenant": "x"}, "migrations cannot be narrowed by --tenant"),
        ("final_words", {"from_ms": 1}, "final_words has no time"),
        ("timeline", {"channel": "sms"}, "timeline cannot be narrowed by --channel"),
    ],
)
def test_what_cannot_be_exported_is_told(
    filled: Client, name: str, filters: dict[str, Any], told: str
) -> None:
    with pytest.raises(SettingsError, match=told):
        select(filled, name, filters)


@pytest.mark.parametrize("form", [Form("csv"), Form("parquet")])
def test_an_answer_that_breaks_off_is_an_error(filled: Client, form: Form) -> None:
    late = "SELECT number, throwIf(number = 900000, 'too late') FROM numbers(1000000)"
    with pytest.raises((ExportError, *store.AWAY), match="too late"):
        written(filled, Selection("late", late, {}), form)


def test_the_command_writes_a_file_and_says_how_many_rows(
    filled: Client,
    clickhouse_module_db: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("TOCSIN_CLICKHOUSE", clickhouse_module_db)
    path = tmp_path / "rows.parquet"
    words = [
        "export",
        "outcomes",
        "--to",
        str(path),
        "--since",
        "2013-01-02",
        "--until",
        "2013-01-03",
        "--json",
    ]
    build(words)(words, standalone_mode=False)
    done = msgspec.json.decode(capsys.readouterr().out)
    assert done == {
        "what": "outcomes",
        "to": str(path),
        "format": "parquet",
        "rows": 600,
        "bytes": path.stat().st_size,
    }
    assert pyarrow.parquet.read_metadata(path).num_rows == 600
    with pytest.raises(SettingsError, match="--force replaces it"):
        build(words)(words, standalone_mode=False)

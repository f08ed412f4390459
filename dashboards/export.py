"""Exports a table or a named query of ClickHouse as Parquet or CSV, block by block: memory holds one block.

ClickHouse itself writes both formats. Rows that were stored twice are exported once (`FINAL`).
"""

import re
from collections.abc import Callable, Container, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import IO, Any

from clickhouse_connect.driver.client import Client
from urllib3 import BaseHTTPResponse
from urllib3.exceptions import HTTPError

from dashboards import queries
from dashboards.export_file import Form, compressor
from dashboards.export_rows import CsvRows, ParquetRows, RowCounter
from tocsin.errors import ExportError, SettingsError

Progress = Callable[[int, int], None]
"""Takes the rows (0 as long as they are not known) and the bytes written so far."""
_FORMATS = {"csv": "CSVWithNames", "parquet": "Parquet"}
_SETTINGS = {
    "output_format_csv_serialize_tuple_into_separate_columns": 0,
    "output_format_parquet_compression_method": "zstd",
    "do_not_merge_across_partitions_select_final": 1,
}
_CHUNK_BYTES = 1 << 20
_TAG_HEADER = "X-ClickHouse-Exception-Tag"
_LONGEST_ERROR = 32_768
_TIMES = ("at_ms", "first_ms", "at", "time", "minute", "hour", "day")
_FILTERS = ("tenant", "notification", "channel")
_COMPARED = {"from_ms": ">=", "to_ms": "<"}
_EVERY_ROW = 2**32 - 1
_MERGING = re.compile(r"(?:Replicated|Shared)?(?:Replacing|Aggregating|Summing|\w*Collapsing)MergeTree")
"""Engines that merge rows: read with FINAL, each row counts once."""
_COLUMNS = """
SELECT name, type FROM system.columns
WHERE database = currentDatabase() AND table = {table:String} AND type NOT LIKE 'AggregateFunction%'
ORDER BY position
"""
_TABLES = """
SELECT name, engine FROM system.tables
WHERE database = currentDatabase() AND engine != 'MaterializedView' AND NOT startsWith(name, '.')
ORDER BY name
"""


@dataclass(frozen=True)
class Selection:
    """The rows of an export: a SELECT and what it binds."""

    name: str
    sql: str
    bound: Mapping[str, Any]


def select(client: Client, name: str, chosen: Mapping[str, Any]) -> Selection:
    """Choose the rows of a table or of a named query.

    Args:
        client: of the database.
        name: of the table or query.
        chosen: those of `tenant`, `notification`, `channel`, `from_ms` and `to_ms` that narrow the rows.

    Raises:
        SettingsError: there is no such table or query, or it cannot be narrowed so; the text says why.
    """
    tables = _pairs(client, _TABLES)
    if name in tables:
        return _of_table(client, name, tables[name], chosen)
    named = {one.name: one for one in queries.queries()}
    if name not in named:
        there = f"tables: {', '.join(tables)}; queries: {', '.join(sorted(named))}"
        msg = f"no table or query is called {name!r}; {there}"
        raise SettingsError(msg)
    query = named[name]
    _refuse_others(name, [key for key in _FILTERS if chosen.get(key)], query.parameters)
    bound = queries.parameters(client, query, {"tenant": "", **chosen, "rows": _EVERY_ROW})
    return Selection(name, query.sql, bound)


def _of_table(client: Client, name: str, engine: str, chosen: Mapping[str, Any]) -> Selection:
    columns = _pairs(client, _COLUMNS, table=name)
    filters = {key: chosen[key] for key in _FILTERS if chosen.get(key)}
    times = {key: chosen[key] for key in ("from_ms", "to_ms") if key in chosen}
    time = next((column for column in _TIMES if column in columns), "")
    _refuse_others(name, filters, columns)
    if times and not time:
        msg = f"{name} has no time: it cannot be narrowed by --since and --until"
        raise SettingsError(msg)
    conditions = [f"`{key}` = {{{key}:String}}" for key in filters]
    conditions += [f"`{time}` {_COMPARED[key]} {_moment(columns[time], key)}" for key in times]
    where = f" WHERE {' AND '.join(conditions)}" if conditions else ""
    once = " FINAL" if _MERGING.fullmatch(engine) else ""
    listed = ", ".join(f"`{column}`" for column in columns)
    sql = f"SELECT {listed} FROM `{name}`{once}{where}"  # noqa: S608  # names that ClickHouse gave; values are bound
    return Selection(name, sql, {**filters, **times})


def _pairs(client: Client, sql: str, **bound: str) -> dict[str, str]:
    return {str(row[0]): str(row[1]) for row in client.query(sql, parameters=bound).result_rows}


def _moment(kind: str, key: str) -> str:
    """Spell a bound time in the type of its column."""
    bound = f"{{{key}:Int64}}"
    return f"fromUnixTimestamp64Milli({bound}, 'UTC')" if "Date" in kind else bound


def _refuse_others(name: str, asked: Iterable[str], there: Container[str]) -> None:
    unknown = [key for key in asked if key not in there]
    if unknown:
        msg = f"{name} cannot be narrowed by --{unknown[0]}: it has no such column"
        raise SettingsError(msg)


def count(client: Client, selection: Selection) -> int:
    """Count the rows of a selection, as they are now."""
    sql = f"SELECT count() FROM ({selection.sql})"  # noqa: S608  # ours
    return int(client.query(sql, parameters=dict(selection.bound)).result_rows[0][0])


def export(client: Client, selection: Selection, form: Form, file: IO[bytes], progress: Progress) -> int:
    """Write a selection to an open file.

    Args:
        client: of ClickHouse.
        selection: the rows, as SQL and its parameters.
        form: Parquet or CSV, and how it is compressed.
        file: stays open.
        progress: called with the rows and bytes so far.

    Returns:
        the number of rows.

    Raises:
        ExportError: the answer ended before its end; what was written is of no use.
        ClickHouseError: ClickHouse is away or refuses.
    """
    rows: RowCounter = ParquetRows() if form.kind == "parquet" else CsvRows()
    packed = compressor(form)
    written = 0
    for chunk in _stream(client, selection, _FORMATS[form.kind]):
        rows.feed(chunk)
        written += _write(file, packed.compress(chunk))
        progress(rows.so_far, written)
    found = rows.rows()
    written += _write(file, packed.flush())
    progress(found, written)
    return found


def _write(file: IO[bytes], data: bytes) -> int:
    try:
        return file.write(data)
    except BrokenPipeError:  # the reader of stdout has had enough
        raise
    except OSError as error:
        msg = f"cannot write the file: {error.strerror}"
        raise ExportError(msg) from error


def _stream(client: Client, selection: Selection, form: str) -> Iterator[bytes]:
    response = client.raw_stream(selection.sql, dict(selection.bound), settings=_SETTINGS, fmt=form)
    assert isinstance(response, BaseHTTPResponse)
    tag = response.headers.get(_TAG_HEADER, "").encode()
    before = b""
    try:
        for chunk in response.stream(_CHUNK_BYTES):
            window = before + chunk
            if tag and tag in window:
                raise ExportError(_error_in(window, tag))
            before = chunk[-_LONGEST_ERROR:]
            yield chunk
    except HTTPError as error:
        msg = f"ClickHouse broke off its answer ({type(error).__name__})"
        raise ExportError(msg) from error
    finally:
        response.close()


def _error_in(window: bytes, tag: bytes) -> str:
    """Read the error that ClickHouse writes into an answer that it has begun."""
    text = window.partition(tag)[2].strip().decode(errors="replace").partition("\n")[0]
    return f"ClickHouse broke off its answer: {text[:400]}"

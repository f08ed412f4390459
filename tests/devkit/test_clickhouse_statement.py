"""Parsing of requests to the ClickHouse interface: pure."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tocsin.devkit.clickhouse_statement import Insert, quote, split_insert, statement


@pytest.mark.parametrize(
    ("text", "head", "form", "rows"),
    [
        ("INSERT INTO t FORMAT Native\n\x01", "INSERT INTO t", "Native", "\x01"),
        ("insert into db.t (a, b) format JSONEachRow {}", "insert into db.t (a, b)", "JSONEachRow", "{}"),
        ("INSERT INTO `a FORMAT b` (`VALUES`) FORMAT TSV\r\n1", "INSERT INTO `a FORMAT b` (`VALUES`)",
         "TSV", "1"),
        ("INSERT INTO t SETTINGS x=1 FORMAT CSV;\n1", "INSERT INTO t SETTINGS x=1", "CSV", "1"),
        ("/* why */ -- and\nINSERT INTO t VALUES (1)", "INSERT INTO t", "Values", "(1)"),
        ("INSERT INTO t FORMAT Native", "INSERT INTO t", "Native", ""),
        ("INSERT INTO t SETTINGS note='x SELECT' FORMAT TSV\n", "INSERT INTO t SETTINGS note='x SELECT'",
         "TSV", ""),
    ],
)  # fmt: skip
def test_an_insert_is_parted_from_its_rows(text: str, head: str, form: str, rows: str) -> None:
    found = split_insert(text)
    assert found is not None
    insert, start = found
    assert (insert.head, insert.format, text[start:]) == (head, form, rows)


@pytest.mark.parametrize(
    "text",
    [
        "SELECT 1 FORMAT Native",
        "INSERT INTO t SELECT 1 FORMAT Null",
        "INSERT INTO t WITH 1 AS x SELECT x FORMAT Null",
        "INSERT INTO t FROM INFILE 'x' FORMAT TSV",
        "CREATE TABLE insert_into (x UInt8)",
        "SELECT 'INSERT INTO t FORMAT TSV'",
        "",
    ],
)
def test_what_carries_no_rows_is_left_alone(text: str) -> None:
    assert split_insert(text) is None


@given(st.binary())
def test_any_bytes_may_follow(rows: bytes) -> None:
    text = (b"INSERT INTO t (a) FORMAT Native\n" + rows).decode("latin-1")
    found = split_insert(text)
    assert found is not None
    assert text[found[1] :].encode("latin-1") == rows


@given(st.text())
def test_any_text_is_taken(text: str) -> None:
    found = split_insert(text)
    assert found is None or "insert" in text.lower()


def test_the_file_stands_before_the_settings() -> None:
    insert = Insert("INSERT INTO t (a) SETTINGS async_insert=0", "Native")
    assert insert.from_file(Path("/d/it's")) == (
        "INSERT INTO t (a) FROM INFILE '/d/it\\'s' COMPRESSION 'none' SETTINGS async_insert=0 FORMAT Native"
    )


@given(st.text())
def test_a_quoted_string_is_one_literal(text: str) -> None:
    quoted = quote(text)
    assert quoted.startswith("'")
    assert quoted.endswith("'")
    inner = quoted[1:-1]
    assert inner.replace("\\\\", "").replace("\\'", "").count("'") == 0
    assert inner.replace("\\\\", "\0").replace("\\'", "'").replace("\0", "\\") == text or "\0" in text


def test_arguments_are_sorted_into_what_they_are() -> None:
    found = statement(
        "SELECT {x:UInt8}",
        {"param_x": "1", "max_threads": "2", "database": "d", "session_id": "s", "default_format": "JSON"},
    )
    assert found.parameters == {"x": "1"}
    assert found.settings == {"max_threads": "2"}
    assert (found.database, found.format) == ("d", "JSON")


@pytest.mark.parametrize(
    ("sql", "answers", "streams"),
    [
        ("SELECT 1", True, True),
        (" -- why\n/* so */ with 1 as x select x", True, True),
        ("(SELECT 1) UNION ALL (SELECT 2)", True, False),
        ("SHOW TABLES", True, False),
        ("EXPLAIN SELECT 1", True, False),
        ("INSERT INTO t SELECT 1", False, False),
        ("CREATE TABLE selects (x UInt8) ENGINE = Memory", False, False),
    ],
)
def test_what_answers_and_what_streams(sql: str, answers: bool, streams: bool) -> None:
    found = statement(sql, {})
    assert (found.answers, found.streams) == (answers, streams)


@pytest.mark.parametrize(
    ("sql", "form"),
    [
        ("SELECT 1", "TabSeparated"),
        ("SELECT 1 FORMAT JSON", "JSON"),
        ("SELECT 1\n format  Native ;", "Native"),
        ("SELECT 1 FORMAT CSV SETTINGS max_threads = 1", "CSV"),
    ],
)
def test_the_format_of_the_answer(sql: str, form: str) -> None:
    assert statement(sql, {}).answer_format == form


@pytest.mark.parametrize(
    ("sql", "run"),
    [
        ("DROP TABLE t SYNC", "DROP TABLE t"),
        ("drop database if exists d no delay;", "drop database if exists d"),
        ("TRUNCATE TABLE t", "TRUNCATE TABLE t"),
        ("SELECT 'DROP TABLE t SYNC'", "SELECT 'DROP TABLE t SYNC'"),
    ],
)
def test_nobody_waits_for_a_drop_that_never_ends(sql: str, run: str) -> None:
    assert statement(sql, {}).sql == run

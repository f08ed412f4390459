"""`LineStore` over clickhouse-connect: one client a writer, made anew after a failure."""

import re
import time
from collections.abc import Callable, Iterator, Sequence

import msgspec
from clickhouse_connect.driver.client import Client
from clickhouse_connect.driver.exceptions import ClickHouseError, DatabaseError

from sinks.clickhouse import INSERT_SETTINGS, OUTCOMES
from sinks.clickhouse_erasure import erase
from sinks.clickhouse_lines import COLUMNS, Erased
from tocsin.errors import SinkError

# Codes by which ClickHouse refuses the content of an insert, as opposed to being unable to serve it.
_CONTENT_CODES = ("26", "27", "33", "38", "41", "53", "69", "70", "72", "117", "130", "131", "321", "636")
_TOO_MANY_PARTS = "252"
# The same code also means that merges are behind; then smaller inserts would do harm.
_TOO_MANY_PARTITIONS = "too many partitions"
_DAY_MS = 86_400_000
_THERE = """SELECT table, groupArray(name) FROM system.columns
WHERE database = currentDatabase() AND table IN {tables:Array(String)} GROUP BY table"""
_CURE = "run `tocsin db migrate`, the rows wait in Kafka until then"
_SLOW_S = 5.0
"""Rollups expect rows to appear within 15 s of their time; those of a slower insert are touched again."""
_NAMED_COLUMN = re.compile(r"(?:while reading the value of key|No such column|column) [`']?(\w+)")


class ClickHouseLines:
    """Inserts JSON lines into one table.

    An insert that touches more partitions than the server takes (`max_partitions_per_insert_block`, 100 as
    shipped) is split by day. Then a failure may leave a part of it stored; a repeat does no harm, since the
    table replaces copies.

    Raises (from `insert`):
        ValueError: the server refuses the content.
        SinkError: the server is away or cannot serve; nothing is known to be stored.
    """

    def __init__(self, connect: Callable[[], Client]) -> None:
        self._connect = connect
        self._client: Client | None = None

    def insert(self, lines: bytes, table: str = OUTCOMES) -> None:
        """Insert JSON lines, in one block up to a million rows."""
        try:
            began_s = time.monotonic()
            self._post(lines, table)
            if table == OUTCOMES and time.monotonic() - began_s > _SLOW_S:
                self._serve(lambda client: touch(client, round(time.monotonic() - began_s) + 1))
        except DatabaseError as error:
            portions = halves_by_day(lines) if _is_over_partitions(error) else []
            if not portions:
                self._refused(error)
            for portion in portions:
                self.insert(portion, table)

    def erase(self, users: Sequence[Erased]) -> None:
        """Make the rows of users anonymous.

        Raises:
            SinkError: ClickHouse refuses.
        """
        try:
            self._serve(lambda client: erase(client, users))
        except DatabaseError as error:
            self._client = None
            msg = f"ClickHouse cannot erase users (code {error.code})"
            raise SinkError(msg) from error

    def _post(self, lines: bytes, table: str) -> None:
        self._serve(
            lambda client: client.raw_insert(
                table, insert_block=lines, settings=INSERT_SETTINGS, fmt="JSONEachRow"
            )
        )

    def _serve(self, ask: Callable[[Client], object]) -> None:
        try:
            if self._client is None:
                self._client = self._opened()
            ask(self._client)
        except (ClickHouseError, OSError) as error:
            if isinstance(error, DatabaseError) and error.code is not None:  # the server answered
                raise
            self._client = None
            msg = "ClickHouse is away: it does not answer"
            raise SinkError(msg) from error

    def _opened(self) -> Client:
        """Connect, and refuse a schema without the columns that lines have: their values would be lost."""
        client = self._connect()
        rows = client.query(_THERE, parameters={"tables": list(COLUMNS)}).result_rows
        there = {table: set(columns) for table, columns in rows}
        lacking = [
            f"{table}.{column}"
            for table, wanted in COLUMNS.items()
            for column in sorted(wanted - there.get(table, set()))
        ]
        if lacking:
            msg = f"ClickHouse's schema is older than this release: it lacks {', '.join(lacking)}; {_CURE}"
            raise SinkError(msg)
        return client

    def _refused(self, error: DatabaseError) -> None:
        code = str(error.code)
        if code in _CONTENT_CODES:
            raise ValueError(refusal(error)) from error
        self._client = None
        msg = f"ClickHouse cannot take outcomes (code {code})"
        raise SinkError(msg) from error


def refusal(error: DatabaseError) -> str:
    """Say what the server refuses, with its code: the column, never a value of a row."""
    named = _NAMED_COLUMN.search(str(error))
    return f"code {error.code}{f', column {named[1]}' if named else ''}"


def touch(client: Client, since_s: int) -> None:
    """Have every minute refreshed in the rollups of which rows were stored in the last `since_s` seconds."""
    client.command(
        "INSERT INTO outcomes_touched SELECT toStartOfMinute(at) AS minute, now('UTC') AS stored_at"
        " FROM outcomes WHERE stored_at >= now('UTC') - {since_s:UInt32} GROUP BY minute",
        parameters={"since_s": since_s},
    )


def _is_over_partitions(error: DatabaseError) -> bool:
    code = str(error.code)
    return code == _TOO_MANY_PARTS and _TOO_MANY_PARTITIONS in str(error).lower()


class _Dated(msgspec.Struct):
    at_ms: int = 0


_read_date = msgspec.json.Decoder(_Dated).decode


def halves_by_day(lines: bytes) -> list[bytes]:
    """Split JSON lines in two, earlier days and later ones; empty if all are of one day."""
    by_day: dict[int, list[bytes]] = {}
    for line in lines.split(b"\n"):
        by_day.setdefault(_day(line), []).append(line)
    days = sorted(by_day)
    middle = len(days) // 2
    return [b"\n".join(_of(by_day, part)) for part in (days[:middle], days[middle:])] if middle else []


def _of(by_day: dict[int, list[bytes]], days: list[int]) -> Iterator[bytes]:
    for day in days:
        yield from by_day[day]


def _day(line: bytes) -> int:
    """Return the day of an outcome; the server has parsed the line, so it decides what is none."""
    try:
        return _read_date(line).at_ms // _DAY_MS
    except (msgspec.DecodeError, UnicodeDecodeError):
        return 0

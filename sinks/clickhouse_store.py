"""`LineStore` over clickhouse-connect: one client a writer, made anew after a failure."""

from collections.abc import Callable, Iterator

import msgspec
from clickhouse_connect.driver.client import Client
from clickhouse_connect.driver.exceptions import ClickHouseError, DatabaseError

from sinks.clickhouse import INSERT_SETTINGS
from tocsin.errors import SinkError

# Codes by which ClickHouse refuses the content of an insert, as opposed to being unable to serve it.
_CONTENT_CODES = ("26", "27", "33", "38", "41", "53", "69", "70", "72", "117", "130", "131", "321", "636")
_TOO_MANY_PARTS = "252"
# The same code also means that merges are behind; then smaller inserts would do harm.
_TOO_MANY_PARTITIONS = "too many partitions"
_DAY_MS = 86_400_000


class ClickHouseLines:
    """Inserts JSON lines into one table.

    An insert that touches more partitions than the server takes (`max_partitions_per_insert_block`, 100 as
    shipped) is split by day. Then a failure may leave a part of it stored; a repeat does no harm, since the
    table replaces copies.

    Raises (from `insert`):
        ValueError: the server refuses the content.
        SinkError: the server is away or cannot serve; nothing is known to be stored.
    """

    def __init__(self, connect: Callable[[], Client], table: str = "outcomes") -> None:
        self._connect = connect
        self._table = table
        self._client: Client | None = None

    def insert(self, lines: bytes) -> None:
        """Insert JSON lines, in one block up to a million rows."""
        try:
            self._post(lines)
        except DatabaseError as error:
            portions = halves_by_day(lines) if _is_over_partitions(error) else []
            if not portions:
                self._refused(error)
            for portion in portions:
                self.insert(portion)

    def _post(self, lines: bytes) -> None:
        try:
            client = self._client or self._connect()
            self._client = client
            client.raw_insert(self._table, insert_block=lines, settings=INSERT_SETTINGS, fmt="JSONEachRow")
        except DatabaseError:
            raise
        except (ClickHouseError, OSError) as error:
            self._client = None
            msg = "ClickHouse is away: it does not answer"
            raise SinkError(msg) from error

    def _refused(self, error: DatabaseError) -> None:
        code = str(getattr(error, "code", "") or "")
        if code in _CONTENT_CODES:
            raise ValueError(code) from error
        self._client = None
        msg = f"ClickHouse cannot take outcomes (code {code or 'unknown'})"
        raise SinkError(msg) from error


def _is_over_partitions(error: DatabaseError) -> bool:
    code = str(getattr(error, "code", "") or "")
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

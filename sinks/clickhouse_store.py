"""`LineStore` over clickhouse-connect: one client a writer, made anew after a failure."""

from collections.abc import Callable

from clickhouse_connect.driver.client import Client
from clickhouse_connect.driver.exceptions import ClickHouseError, DatabaseError

from sinks.clickhouse import INSERT_SETTINGS
from tocsin.errors import SinkError

# Codes by which ClickHouse refuses the content of an insert, as opposed to being unable to serve it.
_CONTENT_CODES = ("26", "27", "33", "38", "41", "53", "69", "70", "72", "117", "130", "131", "321", "636")


class ClickHouseLines:
    """Inserts JSON lines into one table.

    Raises (from `insert`):
        ValueError: the server refuses the content.
        SinkError: the server is away or cannot serve; nothing is known to be stored.
    """

    def __init__(self, connect: Callable[[], Client], table: str = "outcomes") -> None:
        self._connect = connect
        self._table = table
        self._client: Client | None = None

    def insert(self, lines: bytes) -> None:
        """Insert JSON lines, all or none (one block up to a million rows)."""
        try:
            client = self._client or self._connect()
            self._client = client
            client.raw_insert(self._table, insert_block=lines, settings=INSERT_SETTINGS, fmt="JSONEachRow")
        except DatabaseError as error:
            self._refused(error)
        except (ClickHouseError, OSError) as error:
            self._client = None
            msg = f"ClickHouse is away: {type(error).__name__}"
            raise SinkError(msg) from error

    def _refused(self, error: DatabaseError) -> None:
        code = str(getattr(error, "code", "") or "")
        if code in _CONTENT_CODES:
            raise ValueError(code) from error
        self._client = None
        msg = f"ClickHouse cannot take outcomes (code {code or 'unknown'})"
        raise SinkError(msg) from error

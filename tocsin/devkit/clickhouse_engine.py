"""Runs statements side by side on chDB, the ClickHouse engine in this process.

One process may open one path. Within it each statement gets a connection of its own (measured: its cost is
lost in that of a query), so settings and the current database never leak, and statements run in parallel.
"""

import contextlib
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import chdb

from tocsin.devkit.clickhouse_statement import Statement, quote

# The engine's own bindings: `chdb.connect` wraps them in cursors and data frames.
_connect = chdb._chdb.connect  # type: ignore[attr-defined]  # noqa: SLF001  # compiled, no stubs

_CODE = re.compile(r"Code: (\d+)\.")
_UNKNOWN_CODE = 1002  # UNKNOWN_EXCEPTION


class EngineError(Exception):
    """Says that ClickHouse refused a statement; `code` is ClickHouse's own."""

    def __init__(self, text: str) -> None:
        super().__init__(text)
        found = _CODE.search(text)
        self.code = int(found[1]) if found else _UNKNOWN_CODE


@dataclass(frozen=True)
class QueryResult:
    """Holds what a statement gave: its bytes, and the rows it read (of an insert: that it wrote)."""

    body: bytes
    rows: int


@contextlib.contextmanager
def _engine_errors() -> Iterator[None]:
    try:
        yield
    except RuntimeError as error:  # the only class chDB raises
        raise EngineError(str(error)) from error


class Engine:
    """Runs statements on the data of one path. Any number of threads may use it at once."""

    def __init__(self, path: Path) -> None:
        """Open the data, and keep them open until `close`.

        Raises:
            EngineError: another process has them open.
        """
        self._path = str(path)
        with _engine_errors():
            self._anchor = _connect(self._path)

    def run(self, statement: Statement) -> QueryResult:
        """Run a statement to its end."""
        with _engine_errors(), self._context(statement) as connection:
            result = connection.query(statement.sql, statement.format, params=dict(statement.parameters))
            return QueryResult(result.bytes(), int(result.rows_read()))

    def stream(self, statement: Statement) -> Iterator[bytes]:
        """Run a query and yield its answer block by block; memory holds one block."""
        with _engine_errors(), self._context(statement) as connection:
            parameters = dict(statement.parameters)
            result = connection.send_query(statement.sql, statement.format, params=parameters)
            try:
                while chunk := bytes(connection.streaming_fetch_result(result).bytes()):
                    yield chunk
            except GeneratorExit:
                connection.streaming_cancel_query(result)
                raise

    def close(self) -> None:
        """Close the data; statements under way must have ended."""
        self._anchor.close()

    @contextlib.contextmanager
    def _context(self, statement: Statement) -> Iterator[Any]:
        connection = _connect(self._path)
        try:
            if statement.database:
                connection.query(f"USE `{statement.database.replace('`', '``')}`", "Null", params={})
            for name, value in statement.settings.items():
                connection.query(f"SET `{name.replace('`', '``')}` = {quote(value)}", "Null", params={})
            yield connection
        finally:
            connection.close()

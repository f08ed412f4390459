"""Parses what one request to ClickHouse's HTTP interface asks for. Pure; knows no engine.

The interface is described at https://clickhouse.com/docs/interfaces/http: the statement comes in the URL, in
the body, or split over both; `param_*` are bound values, `database` and `default_format` are taken out, names
of the transport are ignored, and every other argument is a setting of the query.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

DEFAULT_FORMAT = "TabSeparated"

# What clients send about the connection; it has no meaning for one statement in its own context.
_TRANSPORT = frozenset(
    {
        "buffer_size", "client_protocol_version", "compress", "database", "decompress", "default_format",
        "enable_http_compression", "http_headers_progress_interval_ms", "password", "query", "query_id",
        "quota_key", "role", "send_progress_in_http_headers", "session_check", "session_id",
        "session_timeout", "user", "wait_end_of_query",
    }
)  # fmt: skip
_QUOTED = r"`(?:[^`\\]|\\.)*`|\"(?:[^\"\\]|\\.)*\"|'(?:[^'\\]|\\.)*'"
_SPACE = r"(?:\s|--[^\n]*\n|/\*.*?\*/)*"
_INSERT = re.compile(
    rf"{_SPACE}(?P<head>INSERT\s+INTO\b(?:{_QUOTED}|[^`\"'])*?)\s*"
    r"\b(?:FORMAT\s+(?P<format>\w+)|(?P<values>VALUES))[ \t]*;?[ \t]*(?:\r?\n|$|(?=[(\[{]))",
    re.IGNORECASE | re.DOTALL,
)
_READS = re.compile(r"\b(?:SELECT|WITH|VALUES|INFILE)\b", re.IGNORECASE)
_SETTINGS = re.compile(r"\sSETTINGS\s", re.IGNORECASE)
_ANSWERS = re.compile(
    rf"{_SPACE}\(*\s*(?:SELECT|WITH|SHOW|DESC|DESCRIBE|EXISTS|EXPLAIN|CHECK)\b", re.IGNORECASE | re.DOTALL
)
_STREAMS = re.compile(rf"{_SPACE}(?:SELECT|WITH)\b", re.IGNORECASE | re.DOTALL)
_FORMAT = re.compile(r"\bFORMAT\s+(\w+)\s*(?:\bSETTINGS\b[^;]*)?;?\s*$", re.IGNORECASE)
# Formats in which an answer is its blocks one after another. chDB formats each streamed block as an answer of
# its own: any other format would get a header, or a whole file, for each block.
_JOINABLE = frozenset(
    {"CSV", "JSONCompactEachRow", "JSONEachRow", "JSONLines", "NDJSON", "Native", "Null", "RowBinary", "TSV",
     "TSVRaw", "TabSeparated", "TabSeparatedRaw"}
)  # fmt: skip
# chDB removes dropped tables in a background task that never runs: it would wait for ever.
_SYNC = re.compile(rf"({_SPACE}(?:DROP|DETACH|TRUNCATE)\b.*?)\s+(?:SYNC|NO\s+DELAY)\s*;?\s*$", re.I | re.S)


@dataclass(frozen=True)
class Statement:
    """Describes one statement, ready to run in a context of its own.

    Attributes:
        sql: the statement.
        parameters: values of `{name:Type}` placeholders, escaped as the HTTP interface has them.
        settings: applied to this statement alone.
        database: where unqualified names are looked up; empty for the default.
        format: of the answer, where the statement names none.
    """

    sql: str
    parameters: Mapping[str, str] = field(default_factory=dict)
    settings: Mapping[str, str] = field(default_factory=dict)
    database: str = ""
    format: str = DEFAULT_FORMAT

    @property
    def answers(self) -> bool:
        """Tell whether it gives rows."""
        return _ANSWERS.match(self.sql) is not None

    @property
    def streams(self) -> bool:
        """Tell whether its rows can be streamed; chDB refuses `SHOW` and its like."""
        return self.selects and self.answer_format in _JOINABLE

    @property
    def selects(self) -> bool:
        """Tell whether it is a query whose answer may be of any size."""
        return _STREAMS.match(self.sql) is not None

    @property
    def answer_format(self) -> str:
        """Name the format of the answer: the statement's own, or the default."""
        named = _FORMAT.search(self.sql)
        return named[1] if named else self.format

    def to_file(self, path: Path) -> "Statement":
        """Make a query write its answer to a file."""
        named = _FORMAT.search(self.sql)
        query = self.sql[: named.start()] if named else self.sql.rstrip().removesuffix(";")
        ending = named[0] if named else f"FORMAT {self.format}"
        return replace(self, sql=f"{query}\nINTO OUTFILE {quote(str(path))} TRUNCATE {ending}")


@dataclass(frozen=True)
class Insert:
    """Describes the statement of an insert, apart from its rows."""

    head: str
    format: str

    def from_file(self, path: Path) -> str:
        """Make it read its rows from a file."""
        target, *settings = _SETTINGS.split(self.head, maxsplit=1)
        options = f" SETTINGS {settings[0]}" if settings else ""
        source = f"FROM INFILE {quote(str(path))} COMPRESSION 'none'"
        return f"{target} {source}{options} FORMAT {self.format}"


def quote(text: str) -> str:
    r"""Quote a string literal.

    >>> quote("it's")
    "'it\\'s'"
    """
    escaped = text.replace("\\", "\\\\").replace("'", "\\'")
    return f"'{escaped}'"


def split_insert(text: str) -> tuple[Insert, int] | None:
    """Tell an insert that carries its rows with it; with it the index in `text` where they begin.

    None for anything else, `INSERT … SELECT` included.
    """
    found = _INSERT.match(text)
    if not found or _READS.search(re.sub(_QUOTED, "", found["head"])):
        return None
    return Insert(found["head"].strip(), found["format"] or "Values"), found.end()


def statement(sql: str, arguments: Mapping[str, str]) -> Statement:
    """Build the statement from its text and the arguments of the request."""
    parameters = {name[6:]: value for name, value in arguments.items() if name.startswith("param_")}
    settings = {
        name: value
        for name, value in arguments.items()
        if name not in _TRANSPORT and not name.startswith("param_")
    }
    return Statement(
        sql=_SYNC.sub(r"\1", sql),
        parameters=parameters,
        settings=settings,
        database=arguments.get("database", ""),
        format=arguments.get("default_format", DEFAULT_FORMAT),
    )

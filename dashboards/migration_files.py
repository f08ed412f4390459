"""Reads the numbered files of `dashboards/migrations`: `NNNN_name.sql` goes up, `NNNN_name.down.sql` back.

Statements end with `;` at the end of a line. Each may be repeated without harm, so a migration that failed
half-way is run again from its first statement. A line `-- unless: SELECT …` before a statement makes it so
where SQL has no `IF EXISTS`: the statement is skipped if the query answers 1. A file whose first line begins
with `-- data:` loses data.
"""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from tocsin.errors import SettingsError

_FOLDER = Path(__file__).parent / "migrations"
_END = re.compile(r";[ \t]*$", re.MULTILINE)
_UNLESS = "-- unless:"
_DATA = "-- data:"


class Statement(NamedTuple):
    """One statement; it is skipped if the query `unless` answers 1."""

    sql: str
    unless: str = ""


class Migration(NamedTuple):
    """One numbered change of the schema.

    Attributes:
        number: its place in the order.
        name: its file's name without number and ending.
        up: what makes the change.
        down: what takes it back.
        loses: what is lost on the way back; empty where no row is.
    """

    number: int
    name: str
    up: tuple[Statement, ...]
    down: tuple[Statement, ...]
    loses: str

    @property
    def title(self) -> str:
        """Number and name, as files and messages have them."""
        return f"{self.number:04d}_{self.name}"


def migrations() -> list[Migration]:
    """List the shipped migrations in order."""
    return [_read(path) for path in sorted(_FOLDER.glob("*.sql")) if not path.stem.endswith(".down")]


def check_number(number: int) -> None:
    """Refuse the number of no migration; 0 is the empty database.

    Raises:
        SettingsError: there is none; the text lists those there are.
    """
    there = [one.number for one in migrations()]
    if number not in {0, *there}:
        msg = f"--to {number}: there is no migration {number}; there are: 0, {', '.join(map(str, there))}"
        raise SettingsError(msg)


def _read(path: Path) -> Migration:
    number, _, name = path.stem.partition("_")
    back = path.with_suffix(".down.sql").read_text()
    first = back.partition("\n")[0]
    loses = first.removeprefix(_DATA).strip() if first.startswith(_DATA) else ""
    return Migration(int(number), name, tuple(_statements(path.read_text())), tuple(_statements(back)), loses)


def _statements(text: str) -> Iterator[Statement]:
    for part in _END.split(text):
        lines = part.strip().splitlines()
        sql = "\n".join(line for line in lines if not line.startswith("--")).strip()
        unless = next((line.removeprefix(_UNLESS).strip() for line in lines if line.startswith(_UNLESS)), "")
        if sql:
            yield Statement(sql, unless)

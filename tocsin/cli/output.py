"""Prints: a console for people, JSON lines for machines."""

import json
from collections.abc import Collection, Iterable, Mapping
from typing import Any, NoReturn

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

console = Console(highlight=False)
errors = Console(stderr=True, highlight=False)

FAULT = 1  # something is wrong with what was looked at
REFUSED = 78  # it must not start: a setting, the catalog or a state directory
_UNBOUNDED = 10_000  # columns: more than any table has


def print_json(value: Mapping[str, Any] | list[Any]) -> None:
    """Print one JSON value on one line, at once: a program at the other end of a pipe may wait for it."""
    print(json.dumps(value, ensure_ascii=False, default=str), flush=True)


def print_table(table: Table) -> None:
    """Print a table; only a terminal's width narrows it, and elsewhere no line ends in spaces.

    The title stands above it on a line of its own; in the table, it would be broken to the table's width.
    """
    if table.title:
        console.print(table.title, style="italic", soft_wrap=True, markup=False)
        table.title = None
    if console.is_terminal:
        console.print(table)
        return
    wide = Console(highlight=False, width=_UNBOUNDED)
    with wide.capture() as printed:
        wide.print(table)
    console.print(Text("\n".join(line.rstrip() for line in printed.get().splitlines())), soft_wrap=True)


def complain(text: str) -> None:
    """Say what is wrong on stderr, letter by letter: values of others in it may look like markup."""
    errors.print(Text.assemble(("✗", "red"), f" {text}"), soft_wrap=True)


def fail(text: str, code: int = FAULT) -> NoReturn:
    """Say what is wrong on stderr and end.

    Args:
        text: one sentence: the field or place, what is wrong, and the cure.
        code: exit code; 2 if the command itself is wrong.

    Raises:
        typer.Exit: always.
    """
    complain(text)
    raise typer.Exit(code)


def check_names(option: str, named: Iterable[str], there: Collection[str]) -> None:
    """End with what there is, if an option names what there is not."""
    unknown = sorted(set(named) - set(there))
    if unknown:
        fail(f"--{option}: there is no {option} {', '.join(unknown)}; there are: {', '.join(there)}", code=2)

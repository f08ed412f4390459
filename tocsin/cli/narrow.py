"""Lays rows out on a narrow terminal so that nothing that one may copy is broken: an id, a time, a name.

Where all words and short values fit side by side, the rows are a table; only longer texts take several lines.
Where they do not fit, each row is a block of `name: value`.
"""

from collections.abc import Sequence

from rich.table import Table
from rich.text import Text

Cells = Sequence[str]
_BESIDE = 3
"""Columns of a terminal that a table needs between two values: a line and a blank on each side."""
_GAP = "  "
_WHOLE = 24
"""A value of so many characters, such as a time or a line of cron, stays on one line."""


def column_widths(names: Cells, rows: Sequence[Cells], width: int) -> list[int] | None:
    """Share a width among columns, each at least as wide as its longest word; None if it is too small.

    >>> column_widths(["id", "text"], [["0123456789", "one and two and three and four"]], 24)
    [10, 7]
    >>> column_widths(["id", "text"], [["0123456789", "one and two and three and four"]], 18) is None
    True
    """
    columns = list(zip(names, *rows, strict=True))
    least = [max(map(_unbroken, column)) for column in columns]
    most = [max(map(_cells, column)) for column in columns]
    spare = width - 1 - _BESIDE * len(columns) - sum(least)
    if spare < 0:
        return None
    found = least.copy()
    wider = sorted(range(len(columns)), key=lambda at: most[at] - least[at])
    for done, at in enumerate(wider):
        more = min(most[at] - least[at], spare // (len(wider) - done))
        found[at] += more
        spare -= more
    return found


def fit(table: Table, widths: Sequence[int]) -> Table:
    """Give the columns of a table their widths."""
    for column, width in zip(table.columns, widths, strict=True):
        column.width = width
    return table


def blocks(names: Cells, rows: Sequence[Cells], width: int) -> list[Text]:
    """Write each row as lines of `name: value`; one that is empty is left out.

    >>> [str(line) for line in blocks(["id", "text"], [["0123456789", "one"]], 18)]
    ['• id: 0123456789', '  text: one']
    """
    return [line for row in rows for line in _block(names, row, width)]


def _block(names: Cells, row: Cells, width: int) -> list[Text]:
    lines = [Text("• ")]
    for name, value in zip(names, row, strict=True):
        pair = Text.assemble((f"{name}: ", "dim"), value)
        if not value:
            continue
        if lines[-1].cell_len > 2 and lines[-1].cell_len + len(_GAP) + pair.cell_len > width:
            lines.append(Text(_GAP))
        if lines[-1].cell_len > 2:
            lines[-1].append(_GAP)
        lines[-1].append_text(pair)
    return lines


def _unbroken(text: str) -> int:
    if len(text) <= _WHOLE:
        return _cells(text)
    return max((_cells(word) for word in text.split()), default=0)


def _cells(text: str) -> int:
    return Text(text).cell_len

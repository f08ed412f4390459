"""Rows on a narrow terminal: what one may copy is never broken."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.text import Text

from tocsin.cli import output
from tocsin.cli.narrow import blocks, column_widths
from tocsin.cli.query import print_rows

HELD = [
    {
        "tenant": "default", "user": f"passenger-{number:06}", "notification": "delay_news", "channel": "sms",
        "event": f"7a1f2c9e-6f0b-4a55-9d1e-0e6b8c7f2a1{number}", "reason": "send_window",
        "due": "2026-11-30 08:00:00 UTC",
    }
    for number in range(3)
]  # fmt: skip
PLANNED = [
    {
        "tenant": "default", "schedule": "weekly_newsletter", "cron": "0 9 * * MON", "zone": "user",
        "for": "german", "type": "newsletter", "next": "2026-11-30 09:00 of each user's clock",
        "state": "planned",
    }
]  # fmt: skip


@pytest.fixture(params=[80, 100, 160])
def terminal(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> int:
    """Let the console be a terminal of so many columns, without colours."""
    monkeypatch.setattr(output.console, "_force_terminal", True)
    monkeypatch.setattr(output.console, "_color_system", None)
    monkeypatch.setattr(output.console, "width", request.param)
    width: int = request.param
    return width


@pytest.mark.parametrize("rows", [HELD, PLANNED])
def test_ids_and_times_are_whole_on_every_terminal(
    rows: list[dict[str, Any]], terminal: int, capsys: pytest.CaptureFixture[str]
) -> None:
    print_rows(rows, "Rows", "none")
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "Rows"
    assert all(Text(line).cell_len <= terminal for line in lines)
    for row in rows:
        for name, value in row.items():
            assert name == "next" or any(value in line for line in lines), value


def test_a_terminal_that_is_wide_enough_has_a_table(
    capsys: pytest.CaptureFixture[str], terminal: int
) -> None:
    print_rows(HELD, "Held", "none")
    assert ("│" in capsys.readouterr().out) == (terminal == 160)


def test_what_is_longer_than_a_line_is_left_whole_for_the_terminal_to_break() -> None:
    lines = blocks(["id", "text"], [["x" * 90, "short"], ["", "alone"]], 80)
    assert [str(line) for line in lines] == ["• id: " + "x" * 90, "  text: short", "• text: alone"]


words = st.text(st.characters(categories=["L", "N"]), min_size=1, max_size=40)
values = st.lists(words, max_size=8).map(" ".join)


@given(st.lists(st.tuples(values, values, values), min_size=1, max_size=5), st.integers(20, 200))
def test_columns_hold_their_longest_word_and_fit(rows: list[tuple[str, str, str]], width: int) -> None:
    widths = column_widths(["a", "b", "c"], rows, width)
    longest = [
        max(Text(word).cell_len for row in rows for word in row[at].split() or ["x"]) for at in range(3)
    ]
    if widths is None:
        assert 1 + sum(3 + max(len(row[at]) * 2 for row in rows) for at in range(3)) > width
        return
    assert 1 + sum(3 + each for each in widths) <= width
    assert all(each >= least for each, least in zip(widths, longest, strict=True))

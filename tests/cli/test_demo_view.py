"""Without a live view, a visitor reads where to look while the demo runs, and once."""

import pytest

from tocsin.cli.demo_stats import DemoStats
from tocsin.cli.demo_view import Announcement, DemoView, render
from tocsin.cli.output import console

ADDRESSES = {"gateway": "http://127.0.0.1:1/openapi.json", "inbox": "http://127.0.0.1:1/inbox/example"}


def test_addresses_are_printed_once_they_answer(capsys: pytest.CaptureFixture[str]) -> None:
    looks = [False, False, True]
    announcement = Announcement(ADDRESSES, lambda: looks.pop(0), wanted=True)
    for _ in range(2):
        announcement.tick()
        assert capsys.readouterr().out == "", "a link that does not answer yet is of no use"
    announcement.tick()
    said = capsys.readouterr().out
    assert all(f"{name} " in said and address in said for name, address in ADDRESSES.items())
    announcement.tick()
    assert capsys.readouterr().out == ""


def test_nothing_is_printed_where_a_program_reads(capsys: pytest.CaptureFixture[str]) -> None:
    Announcement(ADDRESSES, lambda: True, wanted=False).tick()
    assert capsys.readouterr().out == ""


def test_reasons_stand_in_lines_of_a_terminal_and_none_is_torn(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(console, "width", 80)
    stats = DemoStats()
    stats.reasons.update({f"a_longer_reason_{number}": 1_000 + number for number in range(12)})
    console.print(render(DemoView(), stats))
    lines = [line for line in capsys.readouterr().out.splitlines() if "a_longer_reason" in line]
    assert lines[0].startswith("why  a_longer_reason_11 1,011 · a_longer_reason_10 1,010 ·")
    assert len(lines) == 3
    assert lines[-1].endswith(" …")
    assert all(line.startswith("     a_longer") for line in lines[1:])
    assert max(map(len, lines)) <= 79


def test_lag_that_was_not_measured_yet_is_no_negative_number(capsys: pytest.CaptureFixture[str]) -> None:
    console.print(render(DemoView(lag=-1), DemoStats()))
    shown = capsys.readouterr().out
    assert "lag " in shown
    assert "-1" not in shown

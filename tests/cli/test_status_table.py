"""`tocsin status` for people."""

import pytest

from sources.backlog import Backlog
from tocsin.cli.output import console
from tocsin.cli.status import Status, tables

TOPICS = ("events", "messages.webpush.now", "messages.webpush.bulk", "outcomes")


def test_a_terminal_of_a_hundred_columns_shows_the_whole_name_of_each_topic(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of two that were cut after the channel, nobody knew which one was urgent."""
    monkeypatch.setattr(console, "width", 100)
    waiting = [Backlog(name, 12_345, 9.5, 2_369.3, 2_694.5) for name in TOPICS]
    (shown,) = tables(Status(5.0, waiting, [], []))
    console.print(shown)
    said = capsys.readouterr().out
    assert [name for name in TOPICS if f" {name} " not in said] == []
    assert "does not shrink" in said

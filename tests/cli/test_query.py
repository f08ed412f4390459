"""Named queries: values of producers stay as they are, whatever they look like."""

import json
from datetime import UTC, datetime

import pytest
from rich.console import Console

from dashboards import migrate, store
from sinks.clickhouse_store import ClickHouseLines
from tocsin.cli.main import build
from tocsin.cli.output import print_table
from tocsin.cli.query import as_table
from tocsin.formats.codec import encode
from tocsin.model.outcome import Outcome

MARKUP = ["order[eu].shipped", "order[/eu].shipped", "[bold]", "a:warning:b", "ends in \\"]


@pytest.mark.parametrize("name", MARKUP)
def test_a_cell_is_printed_letter_by_letter(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    print_table(as_table([{"notification": name, "sent": 1234}], "title"))
    said = capsys.readouterr().out
    assert name in said
    assert "1,234" in said


ROW = {name: "flight_departed_" + name for name in ("notification", "channel", "reason", "provider", "code")}


def test_times_name_their_clock_and_what_is_not_there_is_empty(capsys: pytest.CaptureFixture[str]) -> None:
    begun, exact = datetime(2026, 5, 1, 9, tzinfo=UTC), datetime(2026, 5, 1, 9, 0, 1, 250_000, tzinfo=UTC)
    print_table(as_table([{"begun": begun, "exact": exact, "ended": None}], "title"))
    told = capsys.readouterr().out
    assert "2026-05-01 09:00:00 UTC" in told
    assert "2026-05-01 09:00:01.250 UTC" in told
    assert "None" not in told


def test_a_table_has_all_the_width_it_wants_where_no_terminal_is(capsys: pytest.CaptureFixture[str]) -> None:
    print_table(as_table([ROW], "title"))
    said = capsys.readouterr().out
    assert all(value in said for value in ROW.values())


def test_a_narrow_terminal_cuts_no_text(capsys: pytest.CaptureFixture[str]) -> None:
    Console(width=40, force_terminal=True, color_system=None).print(as_table([ROW], "title"))
    cells = [
        [cell.strip() for cell in line.split("│")[1:-1]] for line in capsys.readouterr().out.splitlines()
    ]
    columns = ["".join(column) for column in zip(*filter(None, cells), strict=True)]
    assert columns == list(ROW.values())


def test_a_title_is_not_broken_to_the_width_of_a_narrow_table(capsys: pytest.CaptureFixture[str]) -> None:
    title = "Sent: messages that a provider took."
    for rows in ([], [{"n": 1}]):
        print_table(as_table(rows, title))
        assert title in capsys.readouterr().out.splitlines()


def ask(url: str, monkeypatch: pytest.MonkeyPatch, *words: str) -> object:
    monkeypatch.setenv("TOCSIN_CLICKHOUSE", url)
    return build(words)(words, standalone_mode=False)


def test_the_life_of_one_notification_is_asked_by_its_id(
    clickhouse_db: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    migrate.migrate(clickhouse_db)
    words = [
        Outcome(outcome_id=status + n, status=status, tenant="default", notification_id=n, at_ms=1)
        for n in ("n1", "n2")
        for status in ("admitted", "sent")
    ]
    lines = b"\n".join(map(encode, words))
    ClickHouseLines(lambda: store.connect(clickhouse_db)).insert(lines)
    ask(clickhouse_db, monkeypatch, "query", "timeline", "--notification-id", "n2", "--json")
    assert [row["status"] for row in json.loads(capsys.readouterr().out)] == ["admitted", "sent"]


def test_a_query_that_needs_an_id_says_so_before_it_asks(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert ask("http://127.0.0.1:9/x", monkeypatch, "query", "timeline") == 2
    assert "--notification-id" in capsys.readouterr().err


DAY_MS = 86_400_000


def test_a_range_and_filters_narrow_the_rows(
    clickhouse_db: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    migrate.migrate(clickhouse_db)
    days = [
        Outcome(
            outcome_id=f"{day}{channel}",
            status="sent",
            tenant=tenant,
            channel=channel,
            at_ms=day * 86_400_000,
        )
        for day in range(3)
        for channel in ("sms", "push")
        for tenant in ("default", "other")
    ]
    lines = b"\n".join(map(encode, days))
    ClickHouseLines(lambda: store.connect(clickhouse_db)).insert(lines)

    def count(*words: str) -> int:
        ask(clickhouse_db, monkeypatch, "query", "rows", *words, "--json")
        return len(json.loads(capsys.readouterr().out))

    assert count() == 6
    assert count("--tenant", "") == 12
    assert count("--since", "1970-01-02", "--channel", "sms") == 2
    assert count("--since", "1970-01-02", "--until", "1970-01-03") == 2
    assert count("--notification", "nothing") == 0
    monkeypatch.setenv("TOCSIN_CLOCK", "stream")
    assert count("--since", "30h") == 4, "of a stream that is played, time ends with its newest outcome"


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["broadcasts", "--channel", "sms"], "query broadcasts has no filter --channel"),
        (["rows", "--since", "yesterday"], "--since 'yesterday': write a time like"),
        (["rows", "--since", "1d", "--until", "2d"], "--since is not before --until"),
    ],
)
def test_a_filter_that_cannot_be_is_told(
    words: list[str], told: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert ask("http://127.0.0.1:9/x", monkeypatch, "query", *words) == 2
    assert told in capsys.readouterr().err

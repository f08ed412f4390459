"""What a person reads of an outcome: values of producers stay as they are, whatever they look like."""

import json
from datetime import UTC, datetime
from typing import Any

import pytest
from rich.console import Console

from dashboards import store
from sinks.clickhouse_store import ClickHouseLines
from tocsin.cli.main import build
from tocsin.cli.output import print_table
from tocsin.cli.query import as_table, explain
from tocsin.formats.codec import encode
from tocsin.model.outcome import Outcome

MARKUP = ["order[eu].shipped", "order[/eu].shipped", "[bold]", "a:warning:b", "ends in \\"]


def row(**fields: object) -> dict[str, Any]:
    empty = dict.fromkeys(
        ("reason", "notification", "event_type", "origin", "provider", "detail", "target"), ""
    )
    at = datetime(2013, 1, 1, tzinfo=UTC)
    return {**empty, "at": at, "status": "suppressed", "channel": "*", **fields}


@pytest.mark.parametrize("name", MARKUP)
@pytest.mark.parametrize("field", ["event_type", "notification", "origin", "channel", "provider", "status"])
def test_a_value_is_told_letter_by_letter(field: str, name: str, capsys: pytest.CaptureFixture[str]) -> None:
    explain(row(**{field: name}))
    assert name in capsys.readouterr().out


@pytest.mark.parametrize("name", MARKUP)
def test_a_detail_is_told_letter_by_letter(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    explain(row(detail=json.dumps({"counter": name, "limit": 5})))
    assert f"counter {name}, limit 5" in capsys.readouterr().out


def test_a_reason_has_its_sentence_and_one_of_a_provider_s_own_stands_alone(
    capsys: pytest.CaptureFixture[str],
) -> None:
    explain(row(reason="snoozed"))
    explain(row(status="bounced", reason="permanent [/5.1.1]"))
    said = capsys.readouterr().out.splitlines()
    assert said[1].strip() == "snoozed: The user snoozed notifications until later."
    assert said[3].strip() == "permanent [/5.1.1]"


def test_an_outcome_names_its_target_as_unblock_wants_it(capsys: pytest.CaptureFixture[str]) -> None:
    explain(row(notification="flight_landed", channel="sms", target="45cca7fde80bee5d"))
    assert "flight_landed by sms (target 45cca7fde80bee5d)" in capsys.readouterr().out


def test_an_outcome_names_the_arm_of_an_experiment(capsys: pytest.CaptureFixture[str]) -> None:
    explain(row(notification="offer", variant="cheerful"))
    assert "offer (variant cheerful)" in capsys.readouterr().out


def test_the_time_that_something_is_held_until_is_one_that_a_person_reads(
    capsys: pytest.CaptureFixture[str],
) -> None:
    explain(row(status="held", detail=json.dumps({"due_ms": 1_360_323_000_001})))
    assert capsys.readouterr().out.splitlines()[1].strip() == "due 2013-02-08 11:30:00 UTC"


@pytest.mark.parametrize(
    ("reason", "untrue"),
    [
        ("no_channel", "any channel"),
        ("channel_off", "every channel"),
        ("misconfigured", "The provider account"),
    ],
)
def test_a_sentence_fits_one_channel_and_an_account_that_is_missing(
    reason: str, untrue: str, capsys: pytest.CaptureFixture[str]
) -> None:
    explain(row(reason=reason, channel="sms"))
    said = capsys.readouterr().out
    assert f"{reason}: " in said
    assert untrue not in said


@pytest.mark.parametrize("name", MARKUP)
def test_a_cell_is_printed_letter_by_letter(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    print_table(as_table([{"notification": name, "sent": 1234}], "title"))
    said = capsys.readouterr().out
    assert name in said
    assert "1,234" in said


ROW = {name: "flight_departed_" + name for name in ("notification", "channel", "reason", "provider", "code")}


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


def ask(url: str, monkeypatch: pytest.MonkeyPatch, *words: str) -> object:
    monkeypatch.setenv("TOCSIN_CLICKHOUSE", url)
    return build(words)(words, standalone_mode=False)


def test_the_life_of_one_notification_is_asked_by_its_id(
    clickhouse_db: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    store.migrate(clickhouse_db)
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

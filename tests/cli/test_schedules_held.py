"""What `tocsin schedules` lists as held and cancelled: each once, though each outcome is stored twice."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from dashboards import migrate, store
from sinks.clickhouse_store import ClickHouseLines
from tocsin.cli.main import build
from tocsin.model.outcome import Outcome

pytestmark = pytest.mark.integration
HOUR = 3_600_000
NOON = 1_780_056_000_000


def told(name: str, *, user: str = "ann", tenant: str = "default", **fields: Any) -> Outcome:
    """Make an outcome of a notification; each has an id of its own."""
    common: dict[str, Any] = {"tenant": tenant, "user": user, "notification_id": name, "at_ms": NOON}
    given = common | {"event_id": f"event of {name}", "notification": "news", "status": "held"} | fields
    identity = json.dumps(given, sort_keys=True)
    return msgspec.convert(given | {"outcome_id": identity}, Outcome)


def held(name: str, due: float, **fields: Any) -> Outcome:
    return told(name, **{"reason": "scheduled", "detail": {"due_ms": NOON + int(due * HOUR)}} | fields)


def history() -> Iterator[Outcome]:
    """Give holds that are over in each way there is, and holds that are not."""
    yield held("scheduled", 5)
    yield held("again", 2)
    yield held("again", 4, at_ms=NOON + 2 * HOUR, reason="quiet_hours")
    yield held("sent", 1)
    yield told("sent", status="admitted", channel="sms", message_id="m1", at_ms=NOON + HOUR)
    yield held("cancelled", 1)
    yield told("cancelled", status="cancelled", at_ms=NOON + 1)
    yield held("parted", 1)
    yield told("parted", status="admitted", channel="push", message_id="m2", at_ms=NOON + HOUR)
    yield held("parted", 3, channel="sms", reason="send_window", at_ms=NOON + HOUR)
    yield held("only-parted", 1)
    yield held("only-parted", 6, channel="sms", reason="send_window", at_ms=NOON + HOUR)
    message = {"channel": "sms", "message_id": "m3"}
    yield told("receipt", status="admitted", **message)
    yield held("receipt", 1, reason="awaiting_receipt", at_ms=NOON + 1, **message)
    done = {"channel": "sms", "message_id": "m4"}
    yield told("done", status="admitted", **done)
    yield held("done", 1, reason="awaiting_receipt", at_ms=NOON + 1, **done)
    yield told("done", status="sent", at_ms=NOON + 2, **done)
    yield held("other user", 7, user="bob")
    yield held("other tenant", 8, tenant="acme")


@pytest.fixture(scope="module")
def database(clickhouse_module_db: str) -> str:
    migrate.migrate(clickhouse_module_db)
    lines = b"\n".join(msgspec.json.encode(one) for one in history())
    for _ in range(2):
        ClickHouseLines(lambda: store.connect(clickhouse_module_db)).insert(lines)
    return clickhouse_module_db


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (
            (),
            ["receipt", "parted sms", "again", "scheduled", "only-parted sms", "other user", "other tenant"],
        ),
        (("--user", "bob"), ["other user"]),
        (("--tenant", "acme"), ["other tenant"]),
        (("--limit", "2"), ["receipt", "parted sms"]),
    ],
)
def test_what_is_open_is_listed_once_by_its_time(
    words: tuple[str, ...],
    expected: list[str],
    database: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("TOCSIN_CLICKHOUSE", database)
    monkeypatch.setenv("TOCSIN_CATALOG", "examples/flights")
    command = ("schedules", "--json", *words)
    build(command)(command, standalone_mode=False)
    lists = json.loads(capsys.readouterr().out)
    rows = lists["held"]
    names = {row["event"].removeprefix("event of "): row["channel"] for row in rows}
    assert len(rows) == len(names)
    assert [
        name if channel == "*" or name == "receipt" else f"{name} {channel}"
        for name, channel in names.items()
    ] == expected
    assert all(row["due"].endswith("UTC") for row in rows)
    cancelled = [] if "bob" in words or "acme" in words else ["event of cancelled"]
    assert [row["event"] for row in lists["cancelled"]] == cancelled


ACME = "categories: {news: {}}\nlimits: []\n"
NEWS = "news: {on: {type: news}, category: news, channels: [inapp]}\n"
DAILY = 'daily: {cron: "0 9 * * *", type: news, for: everyone, tenants: [acme]}\n'


@pytest.fixture
def written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, database: str) -> Path:
    """Write a catalog in which only acme has a schedule."""
    files = {"tenants/acme.yaml": ACME, "tenants/quiet.yaml": ACME, "tenants/shop.yaml": ACME}
    for name, text in (files | {"notifications/all.yaml": NEWS, "schedules/all.yaml": DAILY}).items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
    (tmp_path / "templates/news").mkdir(parents=True)
    monkeypatch.setenv("TOCSIN_CLICKHOUSE", database)
    monkeypatch.setenv("TOCSIN_CATALOG", str(tmp_path))
    return tmp_path


def listed(capsys: pytest.CaptureFixture[str], *words: str) -> str:
    command = ("schedules", *words)
    build(command)(command, standalone_mode=False)
    return "".join(capsys.readouterr())


def test_where_nothing_is_planned_it_says_who_has_schedules(
    written: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert "daily" in listed(capsys)
    assert "daily" in listed(capsys, "--tenant", "acme")
    none = "Nothing is planned: tenant shop has no schedule. Ask --tenant acme."
    assert none in listed(capsys, "--tenant", "shop")
    unknown = "Nothing is planned: the catalog has no tenant acne. It has acme, quiet or shop."
    assert unknown in listed(capsys, "--tenant", "acne")
    (written / "schedules/all.yaml").unlink()
    nothing = "Nothing is planned: the catalog has no schedule. They are files of its folder schedules/."
    assert nothing in listed(capsys)
    assert nothing in listed(capsys, "--tenant", "shop")


def test_one_tenant_s_mistake_hides_no_schedule_of_another(
    written: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (written / "tenants/quiet.yaml").write_text("timezone: Mars\n")
    said = listed(capsys)
    assert "daily" in said
    assert (
        "the files of tenant quiet have mistakes, so its schedules are not listed: run `tocsin check`" in said
    )

"""`tocsin broadcasts` and `tocsin schedules` on outcomes of real decisions, in a real ClickHouse engine."""

import json
import shutil
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from dashboards import migrate, store
from sinks.clickhouse_store import ClickHouseLines
from sources.reader import TopicReader
from tests.operators.fleet import MANY, Fleet
from tests.sources.mock_kafka import MockCluster
from tocsin.catalog.loader import load
from tocsin.cli.main import build
from tocsin.cli.schedules import planned
from tocsin.formats.codec import encode

SCHEDULES = """\
monday: {cron: "0 9 * * MON", zone: tenant, type: newsletter, for: {segment: german}, tenants: [default]}
morning: {cron: "0 7 * * *", zone: user, type: newsletter, for: everyone, tenants: [default]}
flight:
  {cron: "*/9 * * * *", type: newsletter, for: {topic: UA1545}, paused: true, tenants: [default]}
"""


def with_schedules(folder: Path) -> Path:
    shutil.copytree(MANY, folder)
    (folder / "schedules").mkdir()
    (folder / "schedules" / "all.yaml").write_text(SCHEDULES)
    return folder


def history(folder: Path, url: str) -> None:
    """Let one broadcast run, one end, one be cancelled, and one be held for everybody's morning."""
    fleet = Fleet(folder)
    for number in range(8):
        fleet.profile(f"user-{number}")
    fleet.run(2)
    fleet.broadcast("done")
    fleet.settle()
    fleet.broadcast("stopped", tocsinrate=8)
    fleet.broadcast("running", tocsinrate=8)
    fleet.run(6)
    fleet.control("stopped", "cancel")
    fleet.control("running", "pause")
    fleet.settle()
    fleet.broadcast("morning", "german", tocsinlocaltime="2026-05-29T07:00")
    fleet.profile("user-3", locale="de")
    fleet.settle()
    fleet.broadcast("listed", "@list")
    fleet.users("listed", ["user-1", "user-2"])
    fleet.settle()
    migrate.migrate(url)
    lines = b"\n".join(encode(one) for one in fleet.outcomes())
    ClickHouseLines(lambda: store.connect(url)).insert(lines)
    fleet.stop()


def ask(*words: str) -> Any:
    return build(words)(words, standalone_mode=False)


def test_progress_and_what_is_held_come_from_the_outcomes(
    tmp_path: Path, clickhouse_db: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    history(tmp_path / "state", clickhouse_db)
    monkeypatch.setenv("TOCSIN_CLICKHOUSE", clickhouse_db)
    monkeypatch.setenv("TOCSIN_CATALOG", str(with_schedules(tmp_path / "catalog")))
    ask("broadcasts", "--json")
    rows = {row["event"]: row for row in json.loads(capsys.readouterr().out)}
    states = {event: (row["state"], row["segment"], row["parts"]) for event, row in rows.items()}
    assert states == {
        "done": ("finished", "*", 4),
        "stopped": ("cancelled", "*", 4),
        "running": ("paused", "*", 0),
        "morning": ("finished", "german", 4),
        "listed": ("uploading", "@list", 0),
    }
    assert (rows["done"]["reached"], rows["done"]["admitted"]) == (8, 8)
    assert 0 < rows["running"]["reached"] < 8
    assert rows["running"]["ended"] is None
    ask("schedules", "--user", "user-3", "--json")
    lists = json.loads(capsys.readouterr().out)
    (held,) = lists["held"]
    assert (held["event"], held["notification"], held["due"]) == (
        "morning",
        "newsletter",
        "2026-05-29 05:00:00 UTC",
    )
    assert [row["state"] for row in lists["planned"]] == ["planned", "planned", "paused"]
    ask("schedules", "--json")
    assert [row["event"] for row in json.loads(capsys.readouterr().out)["cancelled"]] == ["stopped"]
    ask("schedules")
    assert "of each user's clock" in capsys.readouterr().out
    ask("broadcasts", "--tenant", "nobody")
    ask("schedules", "--tenant", "nobody")
    assert capsys.readouterr().out.splitlines() == [
        "Tenant nobody has had no broadcast.",
        "Nothing is planned: the catalog has no tenant nobody. It has default, other or retired.",
        "Nothing is held.",
        "Nothing was cancelled.",
    ]


def test_what_is_planned_is_the_next_occurrence_of_each_schedule(tmp_path: Path) -> None:
    schedules = load(with_schedules(tmp_path / "catalog")).tenants["default"].schedules.values()
    now_ms = int(datetime(2026, 11, 28, 12, tzinfo=UTC).timestamp() * 1000)
    rows = [(row["schedule"], row["for"], row["next"]) for row in planned(schedules, now_ms)]
    assert rows == [
        ("morning", "everyone", "2026-11-29 07:00 of each user's clock"),
        ("monday", "german", "2026-11-30 08:00:00 UTC"),
        ("flight", "UA1545", ""),
    ]


def test_a_schedule_of_an_inactive_tenant_says_why_it_is_paused(tmp_path: Path) -> None:
    schedules = load(with_schedules(tmp_path / "catalog")).tenants["default"].schedules
    paused = [replace(schedules["flight"], is_active=False)]
    assert [row["state"] for row in planned(paused, 0)] == ["paused"]
    assert [row["state"] for row in planned(paused, 0, inactive={"default"})] == ["tenant inactive"]


@pytest.mark.loopback
@pytest.mark.parametrize("words", [["--tenant", "acme", "pause", "b1"], ["pause", "b1", "--tenant", "acme"]])
def test_the_tenant_may_stand_before_or_behind_the_action(
    words: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    with MockCluster() as cluster:
        cluster.create("tocsin.events", 1)
        monkeypatch.setenv("TOCSIN_KAFKA", cluster.bootstrap)
        monkeypatch.setenv("TOCSIN_PARTITIONS", "1")
        ask("broadcasts", *words)
        with TopicReader(cluster.bootstrap, "tocsin.") as reader:
            (record,) = reader.read("events")
    assert json.loads(record.value or b"")["tenant"] == "acme"

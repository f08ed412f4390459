"""Recurring schedules: each occurrence once, for whom it is meant, over restarts, pauses and edits."""

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
import yaml

from tests.operators import fan_out_fleet
from tests.operators.fleet import MANY, START_MS, Fleet
from tocsin.formats.forwarded import ORIGIN_HEADER
from tocsin.formats.subscriptions import subscription_key
from tocsin.model import topics
from tocsin.model.explanations import explain
from tocsin.model.raw import OutRecord, RawRecord

MINUTE, HOUR, DAY = 60_000, 3_600_000, 86_400_000
USERS = [f"user-{number}" for number in range(6)]
MORNING: dict[str, Any] = {"cron": "0 7 * * *", "type": "newsletter", "for": "everyone"}
"""START_MS is Thursday, 28 May 2026, 20:26:40 UTC."""

Make = Callable[..., Fleet]


def catalog(folder: Path, schedule: dict[str, Any] | None) -> Path:
    """Write a catalog with one schedule, or none."""
    shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(MANY, folder)
    if schedule is not None:
        (folder / "schedules").mkdir()
        spec = {"tenants": ["default"], **schedule}
        (folder / "schedules" / "all.yaml").write_text(yaml.safe_dump({"daily": spec}))
    return folder


@pytest.fixture
def make(tmp_path: Path) -> Iterator[Make]:
    """Make a fleet whose catalog has a schedule."""
    made: list[Fleet] = []

    def build(stream: bool = False, **schedule: Any) -> Fleet:
        spec = MORNING | {name.removesuffix("_"): value for name, value in schedule.items()}
        fleet = Fleet(tmp_path / "state", stream=stream, catalog=catalog(tmp_path / "catalog", spec))
        made.append(fleet)
        for user in USERS:
            fleet.profile(user)
        fleet.run(2)
        return fleet

    yield build
    for fleet in made:
        fleet.stop()


def until(fleet: Fleet, ms: int) -> None:
    """Let time pass: up to a moment before, then on and on until all is done."""
    fleet.topics.now_ms = START_MS + ms
    fleet.settle()


def written(fleet: Fleet) -> list[RawRecord]:
    """Read what schedules have written; what the fan-out forwards to each partition names its origin."""
    return [one for one in fleet.topics.read(topics.BULK) if ORIGIN_HEADER not in dict(one.headers)]


def raised(fleet: Fleet) -> list[str]:
    """Return the ids of the events that schedules raised, each as often as it was written."""
    found = [msgspec.json.decode(one.value or b"") for one in written(fleet)]
    return sorted(one["id"] for one in found if one["source"] == "/tocsin/schedules")


def test_each_occurrence_reaches_everyone_once(make: Make) -> None:
    fleet = make()
    until(fleet, 10 * HOUR)
    assert raised(fleet) == []
    until(fleet, 11 * HOUR)
    until(fleet, 35 * HOUR)
    assert raised(fleet) == ["daily/2026-05-29T07:00Z", "daily/2026-05-30T07:00Z"]
    for name in raised(fleet):
        assert fleet.reached(name) == USERS
        (end,) = [one for one in fleet.outcomes(event_id=name, status="finished") if "parts" in one.detail]
        assert end.detail["admitted"] == 6


def test_a_segment_a_rate_and_the_data_are_the_schedule_s(make: Make) -> None:
    fleet = make(for_={"segment": "german"}, data={"issue": 7}, rate=50)
    fleet.profile("user-3", locale="de")
    until(fleet, 11 * HOUR)
    (name,) = raised(fleet)
    assert fleet.reached(name) == ["user-3"]
    (message,) = fleet.topics.read("messages.email.bulk")
    assert msgspec.json.decode(message.value or b"")["data"] == {"issue": 7}


def test_each_user_s_own_morning(make: Make) -> None:
    fleet = make(zone="user")
    fleet.profile("user-0", timezone="Pacific/Kiritimati")
    fleet.profile("user-1", timezone="America/Los_Angeles")
    until(fleet, 20 * HOUR)
    until(fleet, 44 * HOUR)
    said = {
        (one.event_id, one.user): one.at_ms
        for one in fleet.outcomes(status="admitted", channel="email")
        if one.event_id.endswith("05-30T07:00")
    }
    seven_ms = START_MS - 26 * MINUTE - 40_000 + 11 * HOUR + DAY
    assert {user: at_ms - seven_ms for (_, user), at_ms in said.items()} == {
        "user-0": -14 * HOUR,
        "user-1": 7 * HOUR,
        **dict.fromkeys(USERS[2:], -2 * HOUR),
    }


def test_a_topic_s_event_is_raised_once(make: Make) -> None:
    fleet = make(for_={"topic": "flights/UA1545"})
    until(fleet, 11 * HOUR)
    (record,) = written(fleet)
    event = msgspec.json.decode(record.value or b"")
    assert (event["tocsintopic"], event["id"]) == ("flights/UA1545", "daily/2026-05-29T07:00Z")


@pytest.mark.parametrize(
    "deaths", [{}, {1: "closed", 2: "stored", 4: "open"}], ids=["unbroken", "with deaths"]
)
def test_subscribers_get_each_occurrence_once_through_the_fan_out(
    make: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, deaths: dict[int, str]
) -> None:
    """From the schedule over the fan-out to the messages, with the real steps on both sides."""
    fleet = make(for_={"topic": "flights/UA1545"})
    monkeypatch.setattr(fan_out_fleet, "GATE", fleet.gate)
    fan_out = fan_out_fleet.Fleet(tmp_path / "fan-out")
    for user in USERS[:3]:
        key = subscription_key("default", "flights/UA1545", user)
        fan_out.log.write(topics.SUBSCRIPTIONS, key, {})
    for hours in (11, 35):
        until(fleet, hours * HOUR)
    occurrences = ["daily/2026-05-29T07:00Z", "daily/2026-05-30T07:00Z"]
    assert raised(fleet) == occurrences
    for one in written(fleet):
        fan_out.log.publish([OutRecord(topics.BULK, one.partition, one.key, one.value, one.headers)])
    fan_out.settle(deaths, most=1)
    for (stream, _), records in fan_out.log.records.items():
        for record in records if stream == topics.BULK else ():
            if b"tocsinfanout" in (record.value or b""):
                fleet.topics.append(record)
    fan_out.close()
    fleet.settle()
    for name in occurrences:
        assert fleet.reached(name) == USERS[:3]
    mails = [msgspec.json.decode(one.value or b"") for one in fleet.topics.read("messages.email.bulk")]
    assert sorted((one["event_id"], one["user"]) for one in mails) == [
        (name, user) for name in occurrences for user in USERS[:3]
    ]


@pytest.mark.parametrize(
    ("missed", "expected", "said"),
    [
        ("run_late", ["daily/2026-05-31T07:00Z"], {"instead": "daily/2026-05-31T07:00Z"}),
        ("skip", [], {}),
    ],
)
def test_of_what_was_missed_only_the_newest_comes_late_or_nothing(
    make: Make, missed: str, expected: list[str], said: dict[str, str]
) -> None:
    fleet = make(missed=missed)
    fleet.members[0].kill()
    until(fleet, 2 * DAY + 12 * HOUR)
    assert raised(fleet) == expected
    (one,) = fleet.outcomes(reason="missed")
    assert (one.status, one.event_id) == ("suppressed", "daily/2026-05-29T07:00Z")
    assert one.detail == {"schedule": "daily", "late_s": 49 * 3600 + 26 * 60 + 40} | said
    why = explain(one.reason, one.detail)
    assert why.endswith(said["instead"] + "." if said else "it skips what is late.")
    until(fleet, 3 * DAY + 10 * HOUR + 34 * MINUTE)
    assert raised(fleet) == [*expected, "daily/2026-06-01T07:00Z"]


def test_a_minute_late_is_not_missed(make: Make) -> None:
    fleet = make(missed="skip")
    until(fleet, 10 * HOUR + 35 * MINUTE)
    assert raised(fleet) == ["daily/2026-05-29T07:00Z"]
    assert fleet.outcomes(reason="missed") == []


def test_while_it_is_paused_or_gone_or_its_tenant_inactive_nothing_is_raised(
    make: Make, tmp_path: Path
) -> None:
    fleet = make()
    for spec, status in ((MORNING | {"paused": True}, "active"), (None, "active"), (MORNING, "inactive")):
        folder = catalog(tmp_path / "other", spec)
        with (folder / "tenants" / "default.yaml").open("a") as file:
            file.write(f"status: {status}\n")
        fleet.reload(folder)
        fleet.run(2)
        fleet.topics.now_ms += DAY
        fleet.settle()
    fleet.reload(catalog(tmp_path / "other", MORNING))
    fleet.settle()
    assert raised(fleet) == [], "days in between are not made up for"
    fleet.topics.now_ms += DAY
    fleet.settle()
    assert len(raised(fleet)) == 1


@pytest.mark.parametrize(
    ("missed", "expected"), [("run_late", ["daily/2026-05-30T07:00Z"]), ("skip", [])], ids=["late", "skipped"]
)
def test_what_comes_due_while_the_files_have_mistakes_is_missed_by_its_policy(
    make: Make, tmp_path: Path, missed: str, expected: list[str]
) -> None:
    """A process that starts with the mistakes has no older version: nothing is raised, and nothing lost."""
    fleet = make(missed=missed)
    folder = catalog(tmp_path / "other", MORNING | {"missed": missed})
    good = (folder / "tenants" / "default.yaml").read_text()
    (folder / "tenants" / "default.yaml").write_text(f"{good}status: unheard of\n")
    fleet.reload(folder)
    until(fleet, 2 * DAY)
    assert raised(fleet) == []
    (folder / "tenants" / "default.yaml").write_text(good)
    fleet.reload(folder)
    until(fleet, 2 * DAY + 2 * MINUTE)
    assert raised(fleet) == expected
    (one,) = fleet.outcomes(reason="missed")
    assert one.event_id == "daily/2026-05-29T07:00Z"
    until(fleet, 2 * DAY + 10 * HOUR + 34 * MINUTE)
    assert raised(fleet) == [*expected, "daily/2026-05-31T07:00Z"]


def test_an_edit_changes_later_occurrences_only(make: Make, tmp_path: Path) -> None:
    fleet = make()
    until(fleet, 11 * HOUR)
    fleet.reload(catalog(tmp_path / "other", MORNING | {"cron": "0 9 * * *"}))
    fleet.run(1)
    until(fleet, 13 * HOUR)
    until(fleet, 36 * HOUR + HOUR)
    assert raised(fleet) == ["daily/2026-05-29T07:00Z", "daily/2026-05-29T09:00Z", "daily/2026-05-30T09:00Z"]
    assert [fleet.reached(name) for name in raised(fleet)] == [USERS] * 3


def test_a_crash_around_an_occurrence_neither_loses_nor_doubles_it(make: Make) -> None:
    fleet = make()
    shard = fleet.members[0]
    fleet.topics.now_ms = START_MS + 11 * HOUR
    shard.notify()
    shard.kill()
    assert raised(fleet) == []
    shard.notify()
    shard.close_epoch()
    shard.kill()
    fleet.step()
    shard.copy_last()
    fleet.settle()
    assert set(raised(fleet)) == {"daily/2026-05-29T07:00Z"}
    assert fleet.reached("daily/2026-05-29T07:00Z") == USERS


def test_under_the_stream_clock_only_events_bring_an_occurrence(make: Make) -> None:
    fleet = make(stream=True)
    for number, moment in enumerate(["2020-01-01T06:00:00Z", "2020-01-01T08:00:00Z", "2020-01-03T08:00:00Z"]):
        for user in USERS:
            fleet.event("alarm", f"{user}-{number}", topics.EVENTS, subject=user, time=moment)
        fleet.run(8)
    assert raised(fleet) == [f"daily/2020-01-0{day}T07:00Z" for day in (1, 2, 3)]
    assert fleet.outcomes(reason="missed") == []

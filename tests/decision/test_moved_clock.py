"""A user who moves to another zone gets what goes by the clock when the new clock shows its time."""

from pathlib import Path
from typing import Any

import pytest

from tests.decision.gate_world import DAY, HOUR, MINUTE, NOON, World, profile, said
from tests.docs.timelines import write_catalog
from tocsin.catalog.loader import load

FILES = """
```yaml
# notifications/all.yaml
tip: {on: {type: tip}, category: updates, channels: [email], at: "18:00"}
fixed: {on: {type: fixed}, category: updates, channels: [email], at: 2023-11-15T09:00}
exact: {on: {type: exact}, category: updates, channels: [email], at: "2023-11-15T09:00Z"}
berlin: {on: {type: berlin}, category: updates, channels: [email], at: {time: "18:00", zone: Europe/Berlin}}
found: {on: {type: found}, category: updates, channels: [email], at: {expression: data.at}}
later: {on: {type: later}, category: updates, channels: [email], delay: 6h}
daily: {on: {type: daily}, category: updates, channels: [email], digest: {at: "18:00"}}
weekly: {on: {type: weekly}, category: updates, channels: [email], digest: {at: "18:00", on: [wednesday]}}
hourly: {on: {type: hourly}, category: updates, channels: [email], digest: {every: 6h}}
twenty: {on: {type: twenty}, category: updates, channels: [email], digest: {at: "18:00", count: 2}}
```
"""
NEW_YORK = {"timezone": "America/New_York", "version": 1}


@pytest.fixture
def world(tmp_path: Path) -> World:
    """Ann is in New York, where it is seven in the morning: it is noon in UTC."""
    write_catalog(FILES, tmp_path)
    made = World("default", catalog=load(tmp_path))
    made.profile(profile(**NEW_YORK))
    return made


def sent_at(world: World) -> list[float]:
    """Let two days pass; return the hours after noon at which mails left."""
    world.advance(2 * DAY)
    return [(one.at_ms - NOON) / HOUR for one in sent(world)]


def sent(world: World) -> list[Any]:
    return [one for one in world.outcomes if one.status == "admitted"]


def test_who_flies_east_gets_it_at_the_new_evening(world: World) -> None:
    assert said(world.event("tip")) == [("held", "scheduled", "*")]
    world.profile(profile(timezone="Europe/Berlin", version=2), at=HOUR)
    assert sent_at(world) == [5]  # 18:00 in Berlin, and not 18:00 in New York, which is midnight there
    assert [one.reason for one in world.outcomes] == ["scheduled", ""], "it is not held once more"


def test_who_flies_west_waits_for_the_later_evening(world: World) -> None:
    world.profile(profile(timezone="Europe/Berlin", version=2))
    world.event("tip")
    world.profile(profile(timezone="America/New_York", version=3), at=HOUR)
    assert sent_at(world) == [11]


def test_whose_new_evening_is_over_gets_it_at_once(world: World) -> None:
    world.event("tip")
    world.profile(profile(timezone="Europe/Berlin", version=2), at=8 * HOUR)
    assert sent_at(world) == [8]


def test_for_whom_it_was_evening_already_when_the_event_came_gets_it_at_the_next(world: World) -> None:
    world.event("tip")
    world.profile(profile(timezone="Asia/Tokyo", version=2), at=HOUR)  # ten in the evening there
    assert sent_at(world) == [21]


def test_several_leave_in_the_order_of_their_events(world: World) -> None:
    for number in range(3):
        world.event("tip", at=number * MINUTE)
    world.profile(profile(timezone="Europe/Berlin", version=2), at=HOUR)
    world.advance(DAY)
    assert [one.event_id for one in sent(world)] == ["e1", "e2", "e3"]
    assert len({one.at_ms for one in sent(world)}) == 3


@pytest.mark.parametrize(
    ("kind", "data", "hour"),
    [
        ("fixed", {}, 20),
        ("exact", {}, 21),
        ("berlin", {}, 5),
        ("later", {}, 6),
        ("found", {"at": "2023-11-15T09:00:00Z"}, 21),
        ("found", {"at": "2023-11-15 09:00"}, 20),
        ("hourly", {}, 6),
        ("daily", {}, 5),
        ("weekly", {}, 29),
    ],
)
def test_only_what_goes_by_the_user_s_clock_moves(
    kind: str, data: dict[str, str], hour: float, world: World
) -> None:
    world.event(kind, data=data)
    world.profile(profile(timezone="Europe/Berlin", version=2), at=HOUR)
    assert sent_at(world) == [hour]
    assert sum(one.status == "held" for one in world.outcomes) == 1


def test_a_time_that_an_expression_finds_follows_only_if_it_is_one_of_a_clock(world: World) -> None:
    world.event("found", data={"at": "2023-11-14 18:00"})
    world.event("found", data={"at": "2023-11-14T18:00-05:00"})
    world.profile(profile(timezone="Europe/Berlin", version=2), at=HOUR)
    assert [round(hour, 3) for hour in sent_at(world)] == [5, 11]


def test_where_something_asks_for_a_later_time_than_the_clock_it_stays(world: World) -> None:
    world.event("found", data={"at": "2023-11-14 18:00"}, send_at=20 * HOUR)
    world.profile(profile(timezone="Europe/Berlin", version=2), at=HOUR)
    assert sent_at(world) == [20]


@pytest.mark.parametrize(
    ("zone", "hours_later", "due"),
    [
        ("Europe/Berlin", 1, 5),  # 18:00 there
        ("Europe/Berlin", 8, 8),  # which is over: at once
        ("Asia/Tokyo", 1, 1),  # ten in the evening of the same day
        ("America/Los_Angeles", 1, 14),
    ],
)
def test_an_open_digest_is_due_when_the_new_clock_shows_its_time(
    zone: str, hours_later: int, due: int, world: World
) -> None:
    world.event("daily")
    world.event("daily", at=MINUTE)
    world.profile(profile(timezone=zone, version=2), at=hours_later * HOUR)
    assert sent_at(world) == [due]
    assert [one.reason for one in world.outcomes if one.status == "held"] == ["digest"]


def test_what_comes_after_the_move_joins_the_digest(world: World) -> None:
    world.event("daily")
    world.profile(profile(timezone="America/Los_Angeles", version=2), at=HOUR)
    world.event("daily", at=12 * HOUR)
    assert sent_at(world) == [14]
    assert sum(one.status == "merged" for one in world.outcomes) == 2


def test_a_digest_that_would_be_due_after_an_item_expires_is_due_then(world: World) -> None:
    world.event("daily", expires=12 * HOUR)
    world.event("daily", at=MINUTE)
    world.profile(profile(timezone="America/Los_Angeles", version=2), at=HOUR)
    assert sent_at(world) == [12]


def test_a_digest_that_is_full_or_of_an_older_catalog_keeps_its_time(world: World) -> None:
    for _ in range(2):
        world.event("twenty")
    world.event("hourly", at=MINUTE)
    world.profile(profile(timezone="Europe/Berlin", version=2), at=HOUR)
    assert sent_at(world) == [0, 6 + MINUTE / HOUR]


@pytest.mark.parametrize(("back", "due"), [("America/New_York", 11), ("Europe/Berlin", 5)])
def test_a_digest_follows_there_and_back(back: str, due: int, world: World) -> None:
    world.event("daily")
    world.profile(profile(timezone="Europe/Berlin", version=2), at=HOUR)
    world.profile(profile(timezone=back, version=3), at=2 * HOUR)
    assert sent_at(world) == [due]

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
    ],
)
def test_only_what_goes_by_the_user_s_clock_moves(
    kind: str, data: dict[str, str], hour: float, world: World
) -> None:
    world.event(kind, data=data)
    world.profile(profile(timezone="Europe/Berlin", version=2), at=HOUR)
    assert sent_at(world) == [hour]
    assert sum(one.status == "held" for one in world.outcomes) == 1

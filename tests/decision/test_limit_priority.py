"""One limit over all: what is more important takes the place of what waits and is less important."""

import pytest

from tests.decision.gate_world import CAPS, HOUR, MINUTE, NOON, World, profile, said
from tocsin.model.profile import Preferences
from tocsin.model.statuses import Status


@pytest.fixture
def shop() -> World:
    """Two an hour over everything; two were sent at noon."""
    world = World("shop", catalog=CAPS)
    world.profile(profile(devices=()))
    for number in range(2):
        world.event("ordinary", event_id=f"first{number}", at=number)
    return world


def sent_at(world: World) -> list[tuple[str, int]]:
    """What left after noon: event and minute."""
    return [
        (one.event_id, (one.at_ms - NOON) // MINUTE)
        for one in world.outcomes
        if one.status == Status.ADMITTED and not one.event_id.startswith("first")
    ]


def due(world: World, event_id: str) -> int:
    record = world.record()
    assert record is not None
    return next((ref.due_ms - NOON) // MINUTE for ref in record.holds.values() if ref.event_id == event_id)


def test_the_more_important_one_takes_the_first_place(shop: World) -> None:
    for at, kind in enumerate(("ordinary", "ordinary", "ordinary", "important")):
        step = shop.event(kind, event_id=f"{kind[0]}{at}", at=(at + 1) * MINUTE)
        assert said(step) == [("held", "limit_hold", "*")]
    assert [due(shop, name) for name in ("i3", "o0", "o1", "o2")] == [60, 60, 120, 120]
    shop.advance(3 * HOUR)
    assert sent_at(shop) == [("i3", 60), ("o0", 60), ("o1", 120), ("o2", 120)]


def test_important_ones_keep_the_order_of_their_events(shop: World) -> None:
    for at, kind in enumerate(("ordinary", "important", "ordinary", "important", "trifle", "important")):
        shop.event(kind, event_id=f"{kind[0]}{at}", at=(at + 1) * MINUTE)
    shop.advance(5 * HOUR)
    order = [name for name, _ in sent_at(shop)]
    assert order == ["i1", "i3", "i5", "o0", "o2"]
    lost = [(one.event_id, one.status) for one in shop.outcomes if one.event_id == "t4"]
    assert lost == [("t4", "held"), ("t4", "expired")], "its own place would be after its expiry"


def test_what_moves_back_behind_its_expiry_waits_for_a_place_that_becomes_free(shop: World) -> None:
    """The trifle would leave at 60 and expires at 91; two important ones push it to 120."""
    shop.event("trifle", event_id="t", at=MINUTE)
    assert due(shop, "t") == 60
    for number in range(2):
        shop.event("important", event_id=f"i{number}", at=(number + 2) * MINUTE)
    assert due(shop, "t") == 91
    shop.profile(profile(devices=(), preferences=_off("important")), at=10 * MINUTE)
    shop.advance(2 * HOUR)
    assert sent_at(shop) == [("t", 60)]


def _off(notification: str) -> Preferences:

    return Preferences(notifications={notification: False})


def test_a_place_that_comes_back_goes_to_the_most_important(shop: World) -> None:
    shop.event("ordinary", event_id="o", at=MINUTE)
    shop.event("important", event_id="i", at=2 * MINUTE)
    shop.failed(shop.messages[0], at=30 * MINUTE)
    shop.failed(shop.messages[1], at=40 * MINUTE)
    shop.advance(2 * HOUR)
    assert sent_at(shop) == [("i", 30), ("o", 40)]


def test_critical_ones_wait_for_nobody_and_a_broadcast_is_less_important(shop: World) -> None:
    shop.event("important", event_id="b", at=MINUTE, bulk=True)
    shop.event("ordinary", event_id="o", at=2 * MINUTE)
    shop.event("ordinary", event_id="p", at=3 * MINUTE)
    assert [due(shop, name) for name in ("o", "p", "b")] == [60, 60, 120]


def test_the_detail_names_window_and_time(shop: World) -> None:
    (held,) = shop.event("ordinary", at=MINUTE).outcomes
    assert held.detail == {
        "counter": "user",
        "limit": 2,
        "window_s": 3600.0,
        "count": 2,
        "window_start_ms": NOON - 59 * MINUTE,
        "window_end_ms": NOON + MINUTE,
        "due_ms": NOON + HOUR,
    }


def test_what_a_limit_has_no_room_for_is_one_digest_when_there_is() -> None:
    world = World("calm", catalog=CAPS)
    world.profile(profile(devices=()))
    for at in range(4):
        world.event("pile", event_id=f"p{at}", at=at * MINUTE)
    merged = [one for one in world.outcomes if one.status == Status.MERGED]
    assert [one.event_id for one in merged] == ["p1", "p2", "p3"]
    world.advance(HOUR - 1)
    assert len(world.messages) == 1
    world.advance(HOUR)
    assert [(one.digest, one.decided_ms) for one in world.messages] == [(False, NOON), (True, NOON + HOUR)]
    step = world.event("pile", event_id="late", at=HOUR + MINUTE)
    assert said(step)[-1] == ("merged", "", "*"), "the digest was counted"

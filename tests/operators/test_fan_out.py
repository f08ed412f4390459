"""The fan-out over the real store: everybody once and in order, on two shards, whenever one dies."""

from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from operators.fan_out_parts import EpochQuota
from tests.operators.fan_out_fleet import POINTS, Fleet
from tocsin.app.audit import Audit, Reconciliation
from tocsin.model import topics
from tocsin.model.outcome import Outcome

USERS = tuple(f"user-{number:02}" for number in range(20))


@pytest.fixture
def fleet(tmp_path: Path) -> Iterator[Fleet]:
    made = Fleet(tmp_path)
    yield made
    made.close()


def reached(fleet: Fleet) -> Counter[tuple[str, str]]:
    """Count the records of each event and user; copies after a crash must have equal bytes."""
    assert len(set(fleet.addressed())) == len({one[:2] for one in fleet.addressed()})
    return Counter(one[:2] for one in fleet.addressed())


def said(fleet: Fleet) -> list[tuple[str, str]]:
    """List status and reason of every outcome."""
    return sorted((one.status, one.reason) for one in fleet.outcomes())


def finished(fleet: Fleet) -> list[Outcome]:
    return [one for one in fleet.outcomes() if one.status == "finished"]


def test_subscribers_of_all_partitions_get_the_event_at_their_own(fleet: Fleet) -> None:
    for user in USERS:
        fleet.subscribe(user)
    fleet.subscribe("other", "t2")
    fleet.event(1)
    fleet.settle()
    assert reached(fleet) == dict.fromkeys((("e1", user) for user in USERS), 1)
    assert said(fleet) == [("finished", ""), ("held", "fan_out")]
    (whole,) = finished(fleet)
    assert (whole.event_id, whole.origin, whole.user) == ("e1", "events/1/0", "")
    assert whole.detail == {"topic": "t", "users": len(USERS)}
    assert fleet.rows() != [], "it is remembered for duplicates"
    assert all(key[0] == "k" for key in fleet.rows())


def test_what_a_subscriber_gets_is_the_event_with_the_user(fleet: Fleet) -> None:
    fleet.subscribe("ann/1")
    fleet.event(1, subject="flight UA 1545", time="2026-05-28T20:26:40Z")
    fleet.settle()
    ((_, user, value),) = fleet.addressed()
    assert user == "ann/1"
    assert b'"subject":"ann/1"' in value
    for kept in (b'"id":"e1"', b'"source":"/s"', b'"time":"2026-05-28T20:26:40.000Z"', b'"data":{"n":1}'):
        assert kept in value
    assert b'"tocsintopic":"t","tocsinfanout":"events/1/0"' in value


def test_a_bulk_event_stays_bulk(fleet: Fleet) -> None:
    fleet.subscribe("ann")
    fleet.event(1, stream=topics.BULK)
    fleet.settle()
    assert fleet.addressed() == []
    assert [one[:2] for one in fleet.addressed(topics.BULK)] == [("e1", "ann")]


def test_a_duplicate_names_its_original_and_reaches_nobody(fleet: Fleet) -> None:
    fleet.subscribe("ann")
    fleet.event(1)
    fleet.event(1)
    fleet.settle()
    assert reached(fleet) == {("e1", "ann"): 1}
    (duplicate,) = [one for one in fleet.outcomes() if one.reason == "duplicate"]
    assert (duplicate.status, duplicate.detail) == ("suppressed", {"original": "events/1/0"})


def test_what_no_notification_wants_or_no_tenant_has_is_not_fanned_out(fleet: Fleet) -> None:
    fleet.subscribe("ann")
    fleet.event(1, type="unheard.of")
    fleet.event(2, tenant="nobodys")
    fleet.settle()
    assert said(fleet) == [("dead", "bad_field"), ("suppressed", "no_match")]
    (letter,) = [one for at in range(2) for one in fleet.log.records[topics.DEAD, at]]
    assert dict(letter.headers)["tocsin-error"].startswith(b"tenant: not in the catalog")


def test_an_event_that_cancels_is_fanned_out_although_no_notification_asks_for_it(fleet: Fleet) -> None:
    fleet.subscribe("ann")
    fleet.event(1, type="tocsin.cancel")
    fleet.settle()
    assert reached(fleet) == {("e1", "ann"): 1}


def test_an_event_is_held_until_every_partition_has_reported(fleet: Fleet) -> None:
    for user in USERS:
        fleet.subscribe(user)
    fleet.settle()
    fleet.event(1)
    drawn: list[Reconciliation] = []
    while not drawn or drawn[-1].held:
        fleet.epoch()
        audit = Audit()
        audit.event("events/1/0")
        for outcome in fleet.outcomes():
            audit.outcome(outcome)
        drawn.append(audit.reconcile())
    assert len(drawn) > 5
    assert {(one.held, one.settled, one.error) for one in drawn[2:-1]} == {(1, 0, 0)}
    assert (drawn[-1].held, drawn[-1].settled, drawn[-1].error) == (0, 1, 0)


def test_an_event_on_another_partition_is_forwarded_once_and_keeps_its_origin(fleet: Fleet) -> None:
    fleet.subscribe("ann")
    fleet.event(1, partition=0)
    fleet.event(1, partition=0)
    fleet.settle()
    fleet.event(1, partition=1)
    fleet.settle()
    assert reached(fleet) == {("e1", "ann"): 1}
    assert [one.origin for one in finished(fleet)] == ["events/0/0"]
    duplicates = [one.detail for one in fleet.outcomes() if one.reason == "duplicate"]
    assert duplicates == [{"original": "events/0/0"}] * 2, "they meet at the topic's partition"


def test_a_copy_of_a_forwarded_event_is_the_same_event_and_no_duplicate(fleet: Fleet) -> None:
    """A shard that dies before it knows that its forward is published forwards it again, with its origin."""
    fleet.subscribe("ann")
    fleet.event(1, partition=0)
    fleet.epoch()
    (forward,) = fleet.log.records[topics.EVENTS, 1]
    fleet.log.publish([forward])
    fleet.settle()
    assert reached(fleet) == {("e1", "ann"): 1}
    assert said(fleet) == [("finished", ""), ("held", "fan_out")]


@pytest.mark.parametrize(("point", "shards"), [*((point, 2) for point in POINTS), ("stored", 1)])
def test_a_shard_that_dies_in_any_epoch_loses_nobody_and_reaches_nobody_twice(
    tmp_path: Path, point: str, shards: int
) -> None:
    whole = play(tmp_path / "whole", shards, {})
    for number in range(2 * shards, whole - shards, 5):
        play(tmp_path / str(number), shards, {number: point})
    play(tmp_path / "often", shards, dict.fromkeys(range(0, whole, 3), point))


def play(folder: Path, shards: int, deaths: dict[int, str]) -> int:
    """Let two events of one topic pass, with deaths; check what came of them; return the epochs it took."""
    folder.mkdir()
    fleet = Fleet(folder, shards)
    for user in USERS:
        fleet.subscribe(user)
    fleet.settle()
    for number in (1, 2):
        fleet.event(number)
    epochs = fleet.settle(deaths)
    found = reached(fleet)
    assert set(found) == {(f"e{number}", user) for number in (1, 2) for user in USERS}
    assert said(fleet) == [("finished", "")] * 2 + [("held", "fan_out")] * 2
    assert [one.detail["users"] for one in finished(fleet)] == [len(USERS)] * 2
    for user in USERS:
        order = list(dict.fromkeys(event for event, who, _ in fleet.addressed() if who == user))
        assert order == ["e1", "e2"], "each user gets the events of a topic in their order"
    if not deaths:
        assert set(found.values()) == {1}
    fleet.close()
    return epochs


def test_a_turn_is_smaller_while_events_wait_and_an_epoch_has_an_end() -> None:
    behind = False
    quota = EpochQuota(lambda: behind, a_turn=80, an_epoch=100)
    assert [quota.take(), quota.take(), quota.take()] == [80, 20, 0]
    quota.refill()
    behind = True
    assert [quota.take(), quota.take()] == [10, 10]
    assert EpochQuota(lambda: True, a_turn=2, an_epoch=5).take() == 1, "it goes on, if slowly"


def test_an_epoch_reaches_no_more_than_its_bound_and_unsubscribing_meanwhile_works(fleet: Fleet) -> None:
    for user in USERS:
        fleet.subscribe(user)
    fleet.settle()
    fleet.event(1)
    (process,) = fleet.processes
    counts = []
    for epoch in range(12):
        before = process.tally.reached
        fleet.epoch()
        counts.append(process.tally.reached - before)
        if epoch == 2:
            fleet.subscribe(USERS[-1], on=False)
    assert max(counts) <= 7
    assert set(reached(fleet)) == {("e1", user) for user in USERS[:-1]}
    assert {logic.notify_at() for logic in process.logics.values()} == {None}

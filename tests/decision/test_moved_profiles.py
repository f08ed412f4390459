"""Forwarded profiles: a copy that a shard without state forwards again changes nothing any more."""

import pytest

from tests.decision.gate_world import DAY, HOUR, MINUTE, NOON, World, profile, said, sent
from tocsin.decision.effects import Decision
from tocsin.decision.user_state import ERASURES_KEPT_MS, UserRecord, expire
from tocsin.formats.forwarded import ORIGIN_HEADER, RECEIVED_HEADER
from tocsin.formats.profiles import ProfileChange
from tocsin.model.event import Recipient
from tocsin.model.profile import Profile
from tocsin.model.raw import RawRecord
from tocsin.model.statuses import Reason


def read(
    world: World, wanted: Profile | None, *, at: int, first: int | None = None, mark: bytes | None = None
) -> Decision:
    """Read a profile at `at`; one that was first read elsewhere, at `first`, is forwarded."""
    world.advance(at)
    received = str(NOON + first).encode() if first is not None else mark
    headers = () if received is None else ((ORIGIN_HEADER, b"profiles/2/7"), (RECEIVED_HEADER, received))
    raw = RawRecord("profiles", 3, 1, NOON + at, b"quiet/ann", b"{}", headers)
    change = ProfileChange("quiet", "ann", wanted)
    return world.apply("ann", world.gate.on_profile_change(world.record(), change, NOON + at, raw))


def test_a_copy_forwarded_again_after_an_erasure_does_not_rise() -> None:
    world = World()
    read(world, profile(), at=HOUR, first=0)
    read(world, None, at=2 * HOUR)
    step = read(world, profile(), at=3 * HOUR, first=0)
    assert [(one.reason, one.error[:14]) for one in step.dead_letters] == [
        (Reason.OUTDATED, "forwarded here")
    ]
    assert said(world.event("flight.landed", at=4 * HOUR)) == [("held", "awaiting_profile", "*")]


def test_nor_does_it_where_the_erasure_is_all_that_is_left() -> None:
    """A shard that lost its state reads a compacted topic: of the user, only the erasure is in it."""
    world = World()
    read(world, None, at=HOUR)
    read(world, profile(), at=2 * HOUR, first=0)
    assert said(world.event("flight.landed", at=3 * HOUR)) == [("held", "awaiting_profile", "*")]


def test_an_older_copy_does_not_replace_a_newer_profile() -> None:
    world = World()
    read(world, profile(email="new@mail.example", version=2), at=HOUR)
    step = read(world, profile(), at=2 * HOUR, first=0)
    assert [one.reason for one in step.dead_letters] == [Reason.OUTDATED]
    assert world.event("flight.landed", at=3 * HOUR).messages[-1].target.address == "new@mail.example"


def test_an_older_erasure_does_not_erase_who_came_back() -> None:
    world = World()
    read(world, profile(), at=HOUR)
    read(world, None, at=2 * HOUR, first=MINUTE)
    assert "email" in sent(world.event("flight.landed", at=3 * HOUR))


@pytest.mark.parametrize("mark", [b"", b"soon", b"9" * 30, "²".encode()])
def test_a_mark_that_is_no_time_counts_as_now(mark: bytes) -> None:
    world = World()
    read(world, profile(), at=0)
    read(world, None, at=HOUR, mark=mark)
    assert world.record() == UserRecord(profile_ms=NOON + HOUR, erased_ms=NOON + HOUR)


def test_what_is_newer_is_applied_although_forwarded() -> None:
    world = World()
    read(world, profile(), at=HOUR)
    read(world, profile(email="newer@mail.example", version=2), at=3 * HOUR, first=2 * HOUR)
    assert world.event("flight.landed", at=4 * HOUR).messages[-1].target.address == "newer@mail.example"


def test_a_higher_version_is_newer_whatever_the_clock_of_its_producer_said() -> None:
    """An opt-out is never lost because two producers' clocks differ."""
    world = World()
    read(world, profile(), at=HOUR)
    read(world, profile(email="newer@mail.example", version=2), at=2 * HOUR, first=MINUTE)
    assert world.event("flight.landed", at=3 * HOUR).messages[-1].target.address == "newer@mail.example"


def test_an_equal_copy_is_no_dead_letter() -> None:
    world = World()
    read(world, profile(), at=HOUR, first=0)
    step = read(world, profile(), at=2 * HOUR, first=0)
    assert (step.touched, step.dead_letters) == (False, [])


def test_of_somebody_erased_only_the_time_stays_and_not_for_long() -> None:
    world = World()
    read(world, profile(), at=0)
    read(world, None, at=HOUR)
    record = world.record()
    assert record == UserRecord(profile_ms=NOON + HOUR, erased_ms=NOON + HOUR)
    assert not expire(record, NOON + HOUR + ERASURES_KEPT_MS)
    assert expire(record, NOON + HOUR + ERASURES_KEPT_MS + 1)
    assert record.is_empty()


def test_the_time_of_an_erasure_changes_no_other_decision() -> None:
    erased, fresh = World(), World()
    read(erased, profile(), at=0)
    read(erased, None, at=HOUR)
    guest = Recipient(email="guest@mail.example")
    for world in (erased, fresh):
        world.outcomes.clear()
        world.notes.clear()
        world.event("flight.landed", at=DAY, event_id="e", recipient=guest)
        world.profile(profile(), at=2 * DAY)
        world.event("flight.cancelled", at=3 * DAY, event_id="f")
        assert expire(world.record() or UserRecord(), NOON + 90 * DAY)
    words = [[(one.status, one.reason, one.channel) for one in world.outcomes] for world in (erased, fresh)]
    assert words[0] == words[1]
    assert erased.notes == fresh.notes

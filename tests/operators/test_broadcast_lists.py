"""Broadcasts to a list: each of its users once, whatever is uploaded twice, paused, cancelled or killed."""

import tempfile
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.operators.broadcast_acts import BroadcastActs
from tests.operators.fleet import START_MS, Fleet
from tests.operators.test_broadcasts import USERS, meet, parts, whole
from tocsin.decision.broadcast_lists import KEPT_MS
from tocsin.model import topics
from tocsin.model.broadcast_list import LIST

SOME = USERS[5:35]
_SHARED = [HealthCheck.too_slow]


@pytest.fixture
def fleet(tmp_path: Path) -> Iterator[Fleet]:
    """One shard that knows the users."""
    made = Fleet(tmp_path)
    meet(made)
    yield made
    made.stop()


def end_of(fleet: Fleet, event_id: str = "b1") -> dict[str, object]:
    """Return the counts of a broadcast that has ended."""
    (end,) = [one for one in fleet.outcomes(event_id=event_id, user="") if "parts" in one.detail]
    return dict(end.detail)


def test_the_users_of_the_list_get_it_once_on_two_shards(tmp_path: Path) -> None:
    fleet = Fleet(tmp_path, 2)
    meet(fleet)
    fleet.broadcast("b1", LIST)
    fleet.settle()
    fleet.users("b1", SOME[:10], last=False)
    fleet.users("b1", SOME[10:], 1)
    fleet.settle()
    assert fleet.reached("b1") == []
    assert whole(fleet) == [("held", "uploading")]
    fleet.close_list("b1")
    fleet.settle()
    assert fleet.reached("b1") == SOME
    assert whole(fleet) == [("held", "uploading"), ("held", "broadcast"), ("finished", "")]
    counts = {"users": 30, "reached": 30, "admitted": 30, "held": 0, "missed": 0, "parts": 4}
    assert end_of(fleet) == counts
    fleet.stop()


def test_all_of_it_may_come_at_once_and_before_the_orders(fleet: Fleet) -> None:
    fleet.broadcast("b1", LIST, topic=topics.EVENTS)
    fleet.users("b1", SOME)
    fleet.close_list("b1")
    fleet.settle()
    assert fleet.reached("b1") == SOME


def test_a_user_who_is_named_twice_gets_it_once(fleet: Fleet) -> None:
    fleet.broadcast("b1", LIST)
    fleet.users("b1", [*SOME, *SOME], last=False)
    fleet.users("b1", SOME, 1)
    fleet.close_list("b1")
    fleet.settle()
    assert fleet.reached("b1") == SOME
    assert len(fleet.topics.read("messages.inapp.bulk")) == len(SOME)
    assert end_of(fleet)["users"] == 90
    assert end_of(fleet)["reached"] == 30


def test_a_slice_that_is_uploaded_again_replaces_the_one_before(fleet: Fleet) -> None:
    """The first upload broke off; the second has other users and fewer slices."""
    fleet.broadcast("b1", LIST)
    for number, users in enumerate((USERS[:5], USERS[5:10], USERS[10:15])):
        fleet.users("b1", users, number, last=False)
    fleet.settle()
    fleet.users("b1", USERS[2:5], 0, last=False)
    fleet.users("b1", USERS[20:21], 1)
    fleet.close_list("b1")
    fleet.settle()
    assert fleet.reached("b1") == [*USERS[2:5], USERS[20]]
    assert end_of(fleet)["users"] == 4


def test_a_user_without_a_profile_waits_for_it(fleet: Fleet) -> None:
    fleet.broadcast("b1", LIST)
    fleet.users("b1", ["newcomer", "nobody"])
    fleet.close_list("b1")
    fleet.run(8)
    assert fleet.reached("b1") == []
    fleet.profile("newcomer")
    fleet.settle()
    assert fleet.reached("b1") == ["newcomer"]
    fleet.topics.now_ms += 3_600_000
    fleet.settle()
    assert {one.reason for one in fleet.outcomes(event_id="b1", user="nobody", status="dead")} == {
        "unknown_user"
    }


@pytest.mark.parametrize("closed", [False, True])
def test_it_pauses_resumes_and_is_cancelled_before_and_after_its_list_is_complete(
    fleet: Fleet, closed: bool
) -> None:
    fleet.broadcast("b1", LIST, tocsinrate=20)
    fleet.users("b1", SOME)
    fleet.run(4)
    if closed:
        fleet.close_list("b1")
        fleet.run(8)
    fleet.control("b1", "pause")
    fleet.run(4)
    before = fleet.reached("b1")
    assert (0 < len(before) < 30) if closed else before == []
    fleet.settle()
    assert fleet.reached("b1") == before
    fleet.control("b1", "resume")
    fleet.run(6)
    fleet.control("b1", "cancel")
    fleet.settle()
    assert whole(fleet)[-1] == ("cancelled", "")
    assert len(parts(fleet)) == 4
    after = fleet.reached("b1")
    assert (len(before) < len(after) < 30) if closed else after == []
    assert end_of(fleet)["reached"] == len(after)


def test_one_that_is_paused_before_it_is_started_goes_when_it_is_started(fleet: Fleet) -> None:
    fleet.broadcast("b1", LIST)
    fleet.users("b1", SOME)
    fleet.run(4)
    fleet.control("b1", "pause")
    fleet.run(4)
    fleet.close_list("b1")
    fleet.settle()
    assert fleet.reached("b1") == SOME


def test_one_that_is_never_started_expires_and_leaves_nothing(fleet: Fleet) -> None:
    fleet.broadcast("b1", LIST)
    fleet.users("b1", SOME)
    fleet.settle()
    fleet.topics.now_ms += KEPT_MS + 1_000
    fleet.settle()
    assert whole(fleet) == [("held", "uploading"), ("expired", "")]
    fleet.topics.now_ms += 2 * KEPT_MS
    fleet.settle()
    assert fleet.rows_of_lists() == 0


def test_a_list_of_no_broadcast_is_forgotten(fleet: Fleet) -> None:
    fleet.users("nothing", SOME)
    fleet.settle()
    assert fleet.rows_of_lists() > 0
    fleet.topics.now_ms += KEPT_MS + 1_000
    fleet.settle()
    assert fleet.rows_of_lists() == 0


def test_it_waits_for_the_time_asked_for_and_ends_with_its_expiry(fleet: Fleet) -> None:
    """START_MS is 20:26:40 UTC."""
    fleet.broadcast("b1", LIST, tocsinsendat="2026-05-28T20:28:00Z")
    fleet.broadcast("b2", LIST, tocsinexpires="2026-05-28T20:26:45Z")
    for name in ("b1", "b2"):
        fleet.users(name, SOME)
    fleet.close_list("b1")
    fleet.run(60, ms=500)
    assert fleet.reached("b1") == []
    assert whole(fleet, "b2") == [("held", "uploading"), ("expired", "")]
    fleet.run(120, ms=500)
    assert fleet.reached("b1") == SOME


def test_each_user_gets_it_at_the_same_time_of_the_own_clock(fleet: Fleet) -> None:
    fleet.profile("user-06", timezone="Asia/Tokyo")
    fleet.broadcast("b1", LIST, tocsinlocaltime="2026-05-29T07:00")
    fleet.users("b1", SOME)
    fleet.close_list("b1")
    fleet.settle()
    held = {
        one.user: int(str(one.detail["due_ms"]))
        for one in fleet.outcomes(event_id="b1", status="held")
        if one.user
    }
    moment = {user: datetime.fromtimestamp(due / 1000, UTC).hour for user, due in held.items()}
    assert (moment["user-06"], moment["user-07"]) == (22, 5)
    assert sorted(held) == SOME


def test_users_who_come_after_the_list_was_closed_are_dead_letters(fleet: Fleet) -> None:
    fleet.broadcast("b1", LIST, tocsinrate=4)
    fleet.users("b1", SOME[:9])
    fleet.close_list("b1")
    fleet.run(4)
    fleet.users("b1", SOME[9:], 1)
    fleet.settle()
    assert fleet.reached("b1") == SOME[:9]
    letters = {(one.partition, dict(one.headers)["tocsin-error"]) for one in fleet.topics.read(topics.DEAD)}
    assert {partition for partition, _ in letters} == {0, 1}
    assert all(b"users: the list was closed before" in error for _, error in letters)


def test_a_copy_of_what_the_list_has_is_no_dead_letter(fleet: Fleet) -> None:
    """A client that had no answer sends all of it again, while the broadcast runs and after it."""
    fleet.broadcast("b1", LIST, tocsinrate=20)
    fleet.users("b1", SOME)
    fleet.close_list("b1")
    fleet.run(4)
    fleet.users("b1", SOME)
    fleet.settle()
    fleet.users("b1", SOME)
    fleet.settle()
    assert fleet.topics.read(topics.DEAD) == []
    assert fleet.reached("b1") == SOME
    assert end_of(fleet)["users"] == 30


def test_broadcasts_that_wait_for_their_list_or_time_take_nothing_of_the_rate(tmp_path: Path) -> None:
    took = []
    for name, waiting in (("alone", 0), ("among", 2)):
        fleet = Fleet(tmp_path / name)
        meet(fleet)
        for number in range(waiting):
            fleet.broadcast(f"uploading-{number}", LIST)
            fleet.broadcast(f"later-{number}", tocsinsendat="2026-05-30T20:28:00Z")
        fleet.run(3)
        began_ms = fleet.topics.now_ms
        fleet.broadcast("b1", LIST, tocsinrate=40)
        fleet.users("b1", SOME[:20])
        fleet.close_list("b1")
        while ("finished", "") not in whole(fleet):
            fleet.run(5, ms=100)
        took.append(fleet.topics.now_ms - began_ms)
        fleet.stop()
    assert took[1] == took[0]


def test_the_list_of_another_tenant_is_another_one(fleet: Fleet) -> None:
    fleet.broadcast("b1", LIST)
    fleet.broadcast("b1", LIST, tenant="other")
    fleet.users("b1", SOME)
    fleet.close_list("b1")
    fleet.settle()
    assert {one.tenant for one in fleet.outcomes(event_id="b1", status="admitted")} == {"default"}
    assert [one.reason for one in fleet.outcomes(event_id="b1", tenant="other", user="")] == ["uploading"]


def test_members_of_another_partition_are_refused(fleet: Fleet) -> None:
    fleet.users("b1", SOME)
    found = fleet.topics.read(topics.BULK)
    fleet.topics.logs.pop((topics.BULK, 0))
    fleet.topics.logs.pop((topics.BULK, 1))
    for one in found:
        fleet.topics.logs[topics.BULK, 1 - one.partition].append(
            one._replace(partition=1 - one.partition, offset=0)
        )
    fleet.settle()
    dead = fleet.outcomes(status="dead")
    assert {one.reason for one in dead} == {"forward_loop"}
    assert all("TOCSIN_PARTITIONS" in str(one.detail["error"]) for one in dead)


ACT = st.sampled_from(["step", "step", "lost", "stored", "copied", "pause", "resume", "again"])


class ListStory(BroadcastActs):
    """A broadcast to a list, and what happens to its shards and to the upload."""

    def __init__(self, fleet: Fleet) -> None:
        super().__init__(fleet)
        meet(fleet)
        fleet.broadcast("b1", LIST, tocsinrate=60)
        self._upload()

    def _upload(self) -> None:
        for number in range(3):
            self.fleet.users("b1", SOME[number * 10 : number * 10 + 10], number, last=number == 2)

    def act(self, what: str, member: int) -> None:
        """Let one thing happen; `again` is a client without an answer, before its list is closed or after."""
        if what == "again":
            self._upload()
        super().act(what, member)

    def check(self) -> None:
        """Let it end, and count."""
        self.act("resume", 0)
        self.fleet.settle()
        assert self.fleet.reached("b1") == SOME
        assert [one for one in whole(self.fleet) if one[0] != "held"] == [("finished", "")]
        assert len({one.outcome_id for one in parts(self.fleet)}) == 4
        found = self.fleet.topics.read("messages.inapp.bulk")
        assert len({one.value for one in found}) == len(SOME), "a copy equals its original, byte for byte"


@settings(max_examples=6, deadline=None, derandomize=True, suppress_health_check=_SHARED)
@given(
    st.integers(1, 2),
    st.lists(st.tuples(ACT, st.integers(0, 1)), max_size=5),
    st.lists(st.tuples(ACT, st.integers(0, 1)), min_size=3, max_size=8),
)
def test_each_user_exactly_once_whatever_pauses_and_crashes(
    shards: int, before: list[tuple[str, int]], after: list[tuple[str, int]]
) -> None:
    with tempfile.TemporaryDirectory() as folder:
        story = ListStory(Fleet(Path(folder), shards))
        for act in before:
            story.act(*act)
        story.fleet.close_list("b1")
        for act in after:
            story.act(*act)
        story.check()
        story.fleet.stop()


def test_the_time_of_the_fixture_is_what_the_tests_count_on() -> None:
    assert datetime.fromtimestamp(START_MS / 1000, UTC).isoformat() == "2026-05-28T20:26:40+00:00"

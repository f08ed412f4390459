"""Broadcasts: every user of a segment once, in turns, whatever pauses, restarts and crashes there are."""

import shutil
from collections.abc import Iterator
from datetime import UTC, datetime
from itertools import count
from pathlib import Path

import pytest

from operators.pace import broadcast_pace
from tests.operators.fleet import MANY, START_MS, Fleet
from tocsin.app.audit import Audit
from tocsin.model import topics
from tocsin.model.outcome import Outcome

USERS = [f"user-{number:02}" for number in range(40)]


@pytest.fixture
def fleet(tmp_path: Path) -> Iterator[Fleet]:
    """One shard that knows the users."""
    made = Fleet(tmp_path)
    meet(made)
    yield made
    made.stop()


def meet(made: Fleet) -> None:
    """Let all users have a profile."""
    for number, user in enumerate(USERS):
        made.profile(user, locale="de" if number % 4 == 0 else "en")
    made.profile("somebody", tenant="other")
    made.run(2)


def whole(fleet: Fleet, event_id: str = "b1") -> list[tuple[str, str]]:
    """Return status and reason of what was said about a broadcast itself, in order."""
    found = [one for one in fleet.outcomes(event_id=event_id, user="") if "key_group" not in one.detail]
    return [
        (one.status, one.reason) for one in sorted(found, key=lambda one: (one.attempt, one.status != "held"))
    ]


def parts(fleet: Fleet, event_id: str = "b1") -> list[Outcome]:
    """Return the outcomes of the key groups' parts."""
    return [one for one in fleet.outcomes(event_id=event_id, user="") if "key_group" in one.detail]


def audit(fleet: Fleet) -> Audit:
    """Enter all that the topics hold."""
    found = Audit()
    for name in (topics.EVENTS, topics.BULK):
        for record in fleet.topics.read(name):
            if not any(header == "tocsin-origin" for header, _ in record.headers):
                found.event(f"{name}/{record.partition}/{record.offset}")
    for one in fleet.outcomes():
        found.outcome(one)
        if one.status == "admitted":
            found.message(one.message_id)
    return found


def test_everyone_of_the_tenant_gets_it_once_on_two_shards(tmp_path: Path) -> None:
    fleet = Fleet(tmp_path, 2)
    meet(fleet)
    fleet.broadcast("b1")
    fleet.settle()
    assert fleet.reached("b1") == USERS
    assert whole(fleet) == [("held", "broadcast"), ("finished", "")]
    (end,) = fleet.outcomes(event_id="b1", user="", status="finished", notification_id=_id(fleet))
    assert end.detail == {"users": 40, "reached": 40, "admitted": 40, "held": 0, "missed": 0, "parts": 4}
    assert len(parts(fleet)) == 4
    assert sum(int(str(one.detail["reached"])) for one in parts(fleet)) == 40
    drawn = audit(fleet).reconcile()
    assert (drawn.error, drawn.settled + drawn.in_flight, drawn.held) == (0, 1, 0)
    fleet.stop()


def _id(fleet: Fleet) -> str:
    (found,) = {one.notification_id for one in fleet.outcomes(event_id="b1", reason="broadcast")}
    return found


def test_users_whose_names_begin_with_another_one_are_reached_in_a_later_turn(tmp_path: Path) -> None:
    """Turns of one user: each ends at a name with which the next of its key group may begin."""
    users = sorted(f"{number}{end}" for number in range(8) for end in ("", "-1", "0", "0/1", "~"))
    fleet = Fleet(tmp_path)
    for user in users:
        fleet.profile(user)
    fleet.run(2)
    fleet.broadcast("b1", tocsinrate=4)
    fleet.settle()
    assert fleet.reached("b1") == users
    fleet.stop()


def test_its_messages_travel_in_bulk_whatever_topic_it_came_on(fleet: Fleet) -> None:
    fleet.event("newsletter", "b1", topics.EVENTS, tocsinsegment="*")
    fleet.settle()
    assert fleet.reached("b1") == USERS
    assert fleet.topics.read("messages.email.now") == []
    assert len(fleet.topics.read("messages.email.bulk")) == 40


def test_a_segment_is_an_expression_over_the_user(fleet: Fleet) -> None:
    fleet.broadcast("b1", "german")
    fleet.settle()
    assert fleet.reached("b1") == USERS[::4]
    assert {one.user for one in fleet.outcomes(event_id="b1")} == {"", *USERS[::4]}, "no word about others"
    (end,) = fleet.outcomes(event_id="b1", status="finished", notification_id=_id(fleet))
    assert (end.detail["users"], end.detail["reached"]) == (40, 10)


def test_the_gate_decides_for_each_user_as_always(fleet: Fleet) -> None:
    fleet.profile("user-03", preferences={"enabled": False})
    fleet.erase("user-05")
    fleet.settle()
    fleet.broadcast("b1")
    fleet.settle()
    assert fleet.reached("b1") == [user for user in USERS if user not in {"user-03", "user-05"}]
    assert [one.reason for one in fleet.outcomes(event_id="b1", user="user-03")] == ["opted_out"]
    assert fleet.outcomes(event_id="b1", user="user-05") == []


def test_who_opts_out_or_is_erased_while_it_runs_is_not_sent_to(fleet: Fleet) -> None:
    fleet.broadcast("b1", tocsinrate=20)
    fleet.run(8)
    left = [user for user in USERS if user not in fleet.reached("b1")]
    assert 20 < len(left) < 40
    fleet.profile(left[-1], preferences={"enabled": False})
    fleet.erase(left[-2])
    fleet.settle()
    assert fleet.reached("b1") == sorted(set(USERS) - set(left[-2:]))


def test_it_is_paced(fleet: Fleet) -> None:
    fleet.broadcast("b1", tocsinrate=40)
    fleet.run(10, ms=50)
    soon = len(fleet.reached("b1"))
    fleet.run(10, ms=50)
    assert soon < len(fleet.reached("b1")) < 40
    fleet.settle()
    took_ms = max(one.at_ms for one in parts(fleet)) - START_MS
    assert fleet.reached("b1") == USERS
    assert 500 <= took_ms <= 4_000


def test_a_busy_shard_gives_broadcasts_a_fifth_of_its_time(tmp_path: Path) -> None:
    """Each look at the clock finds 10 ms later: a turn of 10 ms is followed by 40 ms without one."""
    seconds = (number / 100 for number in count())
    fleet = Fleet(tmp_path)
    meet(fleet)
    fleet.pace = broadcast_pace(lambda: next(seconds))
    fleet.members[0].kill()
    fleet.broadcast("b1", tocsinrate=1_000_000)
    fleet.run(4)
    assert 0 < len(fleet.reached("b1")) < 40, "without the share one turn of each key group reaches all"
    fleet.settle()
    assert fleet.reached("b1") == USERS


def test_it_stops_goes_on_and_ends_as_it_is_told(fleet: Fleet) -> None:
    fleet.broadcast("b1", tocsinrate=40)
    fleet.run(8)
    fleet.control("b1", "pause")
    fleet.run(6)
    reached = fleet.reached("b1")
    assert 0 < len(reached) < 40
    fleet.run(40, ms=500)
    assert fleet.reached("b1") == reached
    fleet.control("b1", "resume")
    fleet.run(10)
    further = fleet.reached("b1")
    assert len(reached) < len(further) < 40
    fleet.control("b1", "cancel")
    fleet.settle()
    assert whole(fleet) == [
        ("held", "broadcast"),
        ("held", "paused"),
        ("held", "broadcast"),
        ("cancelled", ""),
    ]
    assert len(parts(fleet)) == 4
    assert len(fleet.reached("b1")) < 40
    assert sum(int(str(one.detail["reached"])) for one in parts(fleet)) == len(fleet.reached("b1"))
    assert audit(fleet).reconcile().error == 0


def test_control_of_a_broadcast_that_does_not_run_matches_nothing(fleet: Fleet) -> None:
    fleet.control("nothing", "pause")
    fleet.settle()
    (one,) = fleet.outcomes(event_id="pause-nothing")
    assert (one.status, one.reason) == ("suppressed", "no_match")


def test_several_take_turns(fleet: Fleet) -> None:
    fleet.broadcast("b1", tocsinrate=40)
    fleet.broadcast("b2", tocsinrate=40)
    fleet.run(16)
    first, second = fleet.reached("b1"), fleet.reached("b2")
    assert 0 < len(first) < 40
    assert abs(len(first) - len(second)) <= 8
    fleet.settle()
    assert fleet.reached("b1") == fleet.reached("b2") == USERS


def test_it_waits_for_the_time_asked_for_and_ends_with_its_expiry(fleet: Fleet) -> None:
    """START_MS is 20:26:40 UTC."""
    fleet.broadcast("b1", tocsinsendat="2026-05-28T20:28:00Z")
    fleet.broadcast("b2", tocsinrate=4, tocsinexpires="2026-05-28T20:26:45Z")
    fleet.run(60, ms=500)
    assert fleet.reached("b1") == []
    assert whole(fleet, "b2") == [("held", "broadcast"), ("expired", "")]
    assert 0 < len(fleet.reached("b2")) < 40
    fleet.run(120, ms=500)
    assert fleet.reached("b1") == USERS


def test_the_same_event_twice_is_one_broadcast(fleet: Fleet) -> None:
    fleet.broadcast("b1")
    fleet.broadcast("b1")
    fleet.settle()
    fleet.broadcast("b1")
    fleet.settle()
    assert fleet.reached("b1") == USERS
    assert [one.reason for one in fleet.outcomes(event_id="b1", status="suppressed")] == ["duplicate"] * 2
    assert audit(fleet).reconcile().error == 0


def test_two_sources_may_use_one_id(fleet: Fleet) -> None:
    for source in ("/one", "/two"):
        fleet.event("newsletter", "b1", tocsinsegment="*", source=source, tocsinrate=20)
    fleet.run(4)
    fleet.control("b1", "pause")
    fleet.settle()
    assert len(fleet.outcomes(event_id="b1", reason="paused")) == 2
    fleet.control("b1", "resume")
    fleet.settle()
    ends = [one for one in fleet.outcomes(event_id="b1", status="finished") if "parts" in one.detail]
    assert {one.event_source for one in ends} == {"/one", "/two"}
    assert [one.detail["reached"] for one in ends] == [40, 40]
    drawn = audit(fleet).reconcile()
    assert (drawn.error, drawn.held) == (0, 0)


def test_one_that_is_paused_before_its_time_starts_at_its_time(fleet: Fleet) -> None:
    start_ms = START_MS + 30_000
    fleet.broadcast("b1", tocsinsendat=datetime.fromtimestamp(start_ms / 1000, UTC).isoformat())
    for action in ("pause", "resume"):
        fleet.run(2)
        fleet.control("b1", action)
    fleet.settle(500)
    assert fleet.outcomes(event_id="b1", user=USERS[0]) == []
    fleet.run(4, 10_000)
    fleet.settle()
    assert fleet.reached("b1") == USERS
    assert {one.at_ms >= start_ms for one in fleet.outcomes(event_id="b1", status="admitted")} == {True}


def test_one_that_is_paused_ends_with_its_expiry(fleet: Fleet) -> None:
    expiry = datetime.fromtimestamp(START_MS / 1000 + 60, UTC).isoformat()
    fleet.broadcast("b1", tocsinrate=20, tocsinexpires=expiry)
    fleet.run(8)
    fleet.control("b1", "pause")
    fleet.control("b1", "pause")
    fleet.settle(500)
    before = fleet.reached("b1")
    assert 0 < len(before) < 40
    assert whole(fleet)[-1] == ("held", "paused")
    fleet.run(4, 20_000)
    fleet.settle()
    assert whole(fleet)[-1] == ("expired", "")
    assert fleet.reached("b1") == before


@pytest.mark.parametrize(
    ("segment", "kind", "fields", "status", "reason", "said"),
    [
        ("nobody", "newsletter", {}, "dead", "bad_field", "tocsinsegment: not in the catalog"),
        ("*", "newsletter", {"tenant": "ghost"}, "dead", "bad_field", "tenant: not in the catalog"),
        ("*", "unheard.of", {}, "suppressed", "no_match", ""),
        ("*", "newsletter", {"tenant": "retired"}, "suppressed", "tenant_inactive", ""),
        ("*", "newsletter", {"subject": "ann"}, "dead", "bad_field", "tocsinsegment: beside a subject"),
        ("*", "newsletter", {"tocsinrate": "many"}, "dead", "bad_field", "tocsinrate: has the wrong form"),
        ("*", "newsletter", {"tocsinlocaltime": "9"}, "dead", "bad_field", "tocsinlocaltime: has the wrong"),
        ("*", "newsletter", {"tocsinmissed": "x"}, "dead", "bad_field", "tocsinmissed: has the wrong form"),
    ],
)
def test_what_is_not_sound_has_one_final_outcome_with_the_cure(
    tmp_path: Path, segment: str, kind: str, fields: dict[str, str], status: str, reason: str, said: str
) -> None:
    fleet = Fleet(tmp_path)
    fleet.broadcast("b1", segment, kind, **fields)
    fleet.settle()
    (one,) = fleet.outcomes()
    assert (one.status, one.reason) == (status, reason)
    assert str(one.detail.get("error", "")).startswith(said)
    fleet.stop()


def test_that_of_a_tenant_with_mistakes_can_be_replayed(tmp_path: Path) -> None:
    folder = shutil.copytree(MANY, tmp_path / "catalog")
    (folder / "tenants" / "other.yaml").write_text("categories: 7\n")
    fleet = Fleet(tmp_path, catalog=folder)
    fleet.broadcast("b1", tenant="other")
    fleet.settle()
    (one,) = fleet.outcomes()
    assert (one.status, one.reason) == ("dead", "bad_catalog")
    assert "`tocsin check` names them" in str(one.detail["error"])
    fleet.stop()


def test_one_that_runs_waits_while_the_files_of_its_tenant_have_mistakes(
    fleet: Fleet, tmp_path: Path
) -> None:
    fleet.broadcast("b1", tocsinrate=20)
    fleet.run(12)
    assert 0 < len(fleet.reached("b1")) < len(USERS)
    folder = tmp_path / "catalog"
    shutil.copytree(MANY, folder)
    with (folder / "tenants" / "default.yaml").open("a") as file:
        file.write("status: unheard of\n")
    fleet.reload(folder)
    fleet.settle()
    reached = fleet.reached("b1")
    assert len(reached) < len(USERS)
    fleet.reload(MANY)
    fleet.topics.now_ms += 60_000
    fleet.settle()
    assert fleet.reached("b1") == USERS
    assert fleet.topics.read(topics.DEAD) == []
    assert whole(fleet) == [("held", "broadcast"), ("finished", "")]


def test_an_expression_that_fails_on_a_user_leaves_a_dead_letter_of_his_own(fleet: Fleet) -> None:
    fleet.broadcast("b1", "broken")
    fleet.settle()
    dead = fleet.outcomes(event_id="b1", status="dead")
    assert sorted(one.user for one in dead) == USERS
    assert len({one.outcome_id for one in dead}) == 40
    (letter,) = [one for one in fleet.topics.read(topics.DEAD) if b'"user-07"' in (one.value or b"")]
    assert b"tocsinsegment" not in (letter.value or b""), "replayed, it goes to this user only"
    assert whole(fleet) == [("held", "broadcast"), ("finished", "")]
    assert audit(fleet).reconcile().error == 0


def test_a_condition_of_the_notification_is_asked_for_each_user(fleet: Fleet) -> None:
    fleet.broadcast("b1", kind="greeting")
    fleet.settle()
    assert fleet.reached("b1") == USERS[::4]
    others = fleet.outcomes(event_id="b1", reason="no_match")
    assert len(others) == len({one.outcome_id for one in others}) == 30
    assert audit(fleet).reconcile().error == 0


def test_each_user_gets_it_at_the_same_time_of_his_own_clock(fleet: Fleet) -> None:
    """Berlin is two hours ahead of UTC, Tokyo nine; New York is four behind."""
    fleet.profile("user-00", timezone="Asia/Tokyo")
    fleet.profile("user-01", timezone="America/New_York")
    fleet.settle()
    fleet.broadcast("b1", tocsinlocaltime="2026-05-29T07:00", tocsinmissed="skip")
    fleet.settle()
    held = {
        one.user: one.detail["due_ms"] for one in fleet.outcomes(event_id="b1", status="held") if one.user
    }
    six_ms = 1_779_998_400_000 + 3_600_000  # 21:00 UTC, 05:00 UTC is eight hours later
    assert held["user-00"] == six_ms + 3_600_000
    assert held["user-01"] == six_ms + 14 * 3_600_000
    assert held["user-02"] == six_ms + 8 * 3_600_000
    assert len(held) == 40
    assert fleet.reached("b1") == []
    fleet.topics.now_ms += 20 * 3_600_000
    fleet.settle()
    assert fleet.reached("b1") == USERS


def test_whose_local_time_is_over_is_left_out_if_it_says_so(fleet: Fleet) -> None:
    fleet.profile("user-00", timezone="Asia/Tokyo")
    fleet.settle()
    fleet.broadcast("b1", tocsinlocaltime="2026-05-29T04:00", tocsinmissed="skip")
    fleet.broadcast("b2", tocsinlocaltime="2026-05-29T04:00")
    fleet.settle()
    assert fleet.reached("b1") == []
    assert fleet.reached("b2") == ["user-00"], "without it he gets it late"
    (end,) = fleet.outcomes(event_id="b1", status="finished", notification_id=_id(fleet))
    assert (end.detail["missed"], end.detail["held"]) == (1, 39)


def test_a_user_s_own_event_comes_in_between(fleet: Fleet) -> None:
    fleet.broadcast("b1", tocsinrate=4)
    fleet.run(4)
    fleet.event("alarm", "a1", topics.EVENTS, subject="user-07")
    fleet.run(3)
    assert fleet.reached("a1") == ["user-07"]
    assert len(fleet.reached("b1")) < 40

"""Replays in the gate: decided anew, linked to the first record, and a duplicate of every other event."""

import msgspec
import pytest

from tests.decision.gate_world import HOUR, MINUTE, NOON, SECOND, World, profile, said, sent, with_preferences
from tocsin.decision.effects import Decision
from tocsin.decision.policy import GatePolicy
from tocsin.model.event import Origin, Replay
from tocsin.model.message import Message
from tocsin.model.profile import QuietHours

FIRST = Origin("events", 3, 900)
OTHER = Origin("events", 3, 901)


def again(replay_id: str = "r1", origin: Origin = FIRST) -> Replay:
    return Replay(replay_id, force=False, origin=origin)


def force(replay_id: str = "r1") -> Replay:
    return Replay(replay_id, force=True, origin=FIRST)


@pytest.fixture
def ann() -> World:
    world = World()
    world.profile(profile())
    return world


def landed(
    world: World, replay: Replay | None = None, at: int = SECOND, kind: str = "flight.landed"
) -> Decision:
    origin = FIRST if replay is None else None
    return world.event(kind, event_id="e", at=at, time=0, origin=origin, replay=replay)


def test_a_replay_is_decided_anew_with_ids_of_its_own(ann: World) -> None:
    first, second = landed(ann), landed(ann, again())
    assert sent(second) == sent(first) == ["inapp", "email"]
    ids = [{one.outcome_id for one in step.outcomes} for step in (first, second)]
    assert not ids[0] & ids[1], "a replay never takes the place of an outcome of the first record"
    assert {one.message_id for one in first.messages}.isdisjoint(one.message_id for one in second.messages)


def test_outcomes_and_messages_name_the_replay_and_the_first_record(ann: World) -> None:
    landed(ann)
    step = landed(ann, again())
    assert {(one.replay, one.replay_of) for one in step.outcomes} == {("r1", "events/3/900")}
    assert {(one.replay, one.replay_of) for one in step.messages} == {("r1", "events/3/900")}
    assert {one.origin for one in step.outcomes} != {"events/3/900"}, "it is a record of its own"


def test_under_again_each_message_names_the_one_that_must_not_have_been_sent(ann: World) -> None:
    first = landed(ann)
    names = [one.message_id for one in first.messages]
    assert [one.unless_sent for one in landed(ann, again()).messages] == names
    assert [one.unless_sent for one in landed(ann, again("r2")).messages] == names


def test_force_sends_in_any_case_as_a_new_generation(ann: World) -> None:
    landed(ann)
    step = landed(ann, force())
    assert [(one.unless_sent, one.generation) for one in step.messages] == [("", 1), ("", 1)]
    assert {one.generation for one in step.outcomes} == {1}


@pytest.mark.parametrize("replay", [again(), force()])
def test_a_copy_of_a_replay_is_a_duplicate(ann: World, replay: Replay) -> None:
    """A tool that was killed and resumed may write a record twice."""
    landed(ann)
    assert len(landed(ann, replay).messages) == 2
    copy = landed(ann, replay)
    assert said(copy) == [("suppressed", "duplicate", "*")]
    assert copy.outcomes[0].replay == "r1"


def test_what_duplicates_another_event_still_does_when_replayed(ann: World) -> None:
    landed(ann)
    step = landed(ann, again(origin=OTHER))
    assert said(step) == [("suppressed", "duplicate", "*")]
    assert step.outcomes[0].detail == {"original": "events/3/900"}


def test_what_was_dead_is_decided_and_then_no_late_copy_is(ann: World) -> None:
    assert len(landed(ann, again()).messages) == 2, "nothing is remembered of an event that was dead"
    late = ann.event("flight.landed", event_id="e", at=2 * SECOND, time=0)
    assert said(late) == [("suppressed", "duplicate", "*")]
    assert len(landed(ann, again("r2"), at=3 * SECOND).messages) == 2


@pytest.mark.parametrize("replay", [again(), force()])
def test_a_dedup_key_of_its_own_first_record_does_not_stop_a_replay(ann: World, replay: Replay) -> None:
    landed(ann, kind="once")
    assert sent(landed(ann, replay, kind="once")) == ["email"]


def test_a_dedup_key_of_another_event_stops_a_replay(ann: World) -> None:
    ann.event("once", event_id="other", time=0)
    assert said(landed(ann, again(), kind="once")) == [("suppressed", "duplicate_key", "*")]


def test_what_a_replay_holds_keeps_the_link(ann: World) -> None:
    landed(ann, kind="later")
    held = landed(ann, again(), kind="later")
    assert said(held) == [("held", "scheduled", "*")]
    ann.advance(6 * MINUTE)
    due = [one for one in ann.messages if one.replay]
    assert [(one.replay, one.replay_of) for one in due] == [("r1", "events/3/900")]
    assert due[0].unless_sent == next(one.message_id for one in ann.messages if not one.replay)


def test_what_ends_while_held_keeps_the_link(ann: World) -> None:
    landed(ann, again(), kind="later")
    ended = ann.profile(None, at=2 * SECOND).outcomes[0]
    assert (ended.status, ended.replay, ended.replay_of) == ("suppressed", "r1", "events/3/900")


def test_a_replay_that_waits_for_a_profile_keeps_the_link() -> None:
    world = World(policy=GatePolicy(profile_wait_ms=MINUTE))
    assert said(landed(world, again())) == [("held", "awaiting_profile", "*")]
    assert {one.replay for one in world.profile(profile(), at=2 * SECOND).outcomes} == {"r1"}


def test_a_digest_of_several_events_names_no_single_message(ann: World) -> None:
    landed(ann, again(), kind="gathered")
    ann.event("gathered", at=2 * SECOND)
    ann.advance(HOUR + 2 * SECOND)
    assert [one.unless_sent for one in ann.messages] == [""]


def replayed(message: Message, **changes: object) -> Message:
    known = {"message_id": "m" * 32, "replay": "r1", "replay_of": message.message_id, "slots": None}
    return msgspec.structs.replace(message, **known, **changes)


def test_a_replayed_message_is_admitted_once_more(ann: World) -> None:
    message = replayed(landed(ann).messages[0])
    step = ann.retry(message, at=MINUTE, reason="replayed", due=-NOON, attempt=1)
    assert said(step) == [("admitted", "", message.channel)]
    (outcome,) = step.outcomes
    assert (outcome.message_id, outcome.replay, outcome.replay_of) == ("m" * 32, "r1", message.replay_of)
    assert [(one.message_id, one.replay) for one in step.messages] == [("m" * 32, "r1")]


def test_a_replayed_message_keeps_quiet_hours_and_preferences(ann: World) -> None:
    message = replayed(landed(ann).messages[1])
    ann.profile(profile(quiet_hours=QuietHours("11:00", "13:00"), version=2), at=2 * SECOND)
    assert said(ann.retry(message, at=MINUTE, reason="replayed", due=-NOON))[0][:2] == ("held", "quiet_hours")
    ann.profile(with_preferences(enabled=False), at=2 * MINUTE)
    ann.advance(2 * HOUR)
    last = ann.outcomes[-1]
    assert (last.status, last.reason, last.replay) == ("suppressed", "opted_out", "r1")


def test_a_replay_of_a_message_that_waits_for_its_next_attempt_is_already_on_its_way(ann: World) -> None:
    message = landed(ann).messages[1]
    ann.retry(message, at=MINUTE, due=HOUR)
    step = ann.retry(replayed(message, unless_sent=message.message_id), at=2 * MINUTE, reason="replayed")
    assert said(step) == [("suppressed", "already_sent", "email")]


def test_a_replayed_message_that_has_expired_expires_again(ann: World) -> None:
    message = replayed(landed(ann).messages[1])
    step = ann.retry(message, at=7 * HOUR, reason="replayed", due=-NOON)
    assert said(step) == [("expired", "too_late", "email")]

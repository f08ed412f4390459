"""Events of type `tocsin.cancel`: what they end, what their own outcome is, and who is never reached."""

from typing import Any

import pytest

from tests.decision.gate_world import DAY, HOUR, MINUTE, NOON, World, profile, said
from tests.decision.test_replacing import ended, meeting
from tests.decision.test_schedule import left, world
from tocsin.decision.effects import Decision
from tocsin.decision.user_state import expire
from tocsin.formats.profiles import ProfileChange
from tocsin.model.event import Origin, Recipient
from tocsin.model.message import Message
from tocsin.model.raw import RawRecord

APPLIED = ("suppressed", "cancel_applied", "*")
NOTHING = [("suppressed", "nothing_to_cancel", "*")]


def cancel(found: World, at: int = MINUTE, user: str = "ann", **data: Any) -> list[tuple[str, str, str]]:
    return said(found.event("tocsin.cancel", at=at, user=user, data=data))


@pytest.mark.parametrize(
    "data",
    [
        {"cancel_key": 7},
        {"cancel_key": "7"},
        {"cancel_key": 7, "notification": "reminder"},
        {"cancel_key": 7, "notification": None, "notification_id": ""},
    ],
)
def test_by_its_cancel_key(data: dict[str, Any]) -> None:
    found = world()
    held = found.event("reminder", data=meeting(2)).outcomes[0]
    assert cancel(found, **data) == [("cancelled", "cancelled_by_event", "*"), APPLIED]
    one, own = found.outcomes[-2:]
    assert (one.notification_id, one.detail, one.rule) == (
        held.notification_id, {"by": "events/3/2"}, "cancel_key"
    )  # fmt: skip
    assert (own.origin, own.detail) == ("events/3/2", {"cancelled": 1})
    found.advance(DAY)
    assert (found.messages, found.timers) == ([], {})


def test_by_its_notification_id() -> None:
    found = world()
    meetings = [meeting(2, number=number, room=str(number)) for number in (1, 2)]
    ids = [found.event("reminder", data=data).outcomes[0].notification_id for data in meetings]
    assert cancel(found, notification_id=ids[0])[-1] == APPLIED
    found.advance(DAY)
    assert {one.notification_id for one in found.messages} == {ids[1]}


@pytest.mark.parametrize(
    "data",
    [
        {"cancel_key": 8},
        {"cancel_key": 7, "notification": "news"},
        {"notification_id": "0" * 32},
    ],
)
def test_what_names_nothing_that_is_held(data: dict[str, Any]) -> None:
    found = world()
    found.event("reminder", data=meeting(2))
    assert cancel(found, **data) == NOTHING
    assert cancel(found, user="eve", cancel_key=7) == NOTHING
    assert cancel(found, at=3 * HOUR, cancel_key=7) == NOTHING, "it is sent"
    assert len(found.messages) == 2


@pytest.mark.parametrize(
    "data", [{}, {"notification": "reminder"}, {"cancel_key": ""}, [], {"cancel_key": [1]}, None]
)
def test_data_that_name_nothing_are_a_dead_letter(data: object) -> None:
    found = world()
    found.event("reminder", data=meeting(2))
    step = found.event("tocsin.cancel", event_id="c", data=data)
    assert said(step) == [("dead", "bad_field", "*")]
    assert step.dead_letters[0].error.startswith("data: names nothing to cancel; send")
    assert said(found.event("tocsin.cancel", event_id="c", data={"cancel_key": 7}))[-1] == APPLIED


def test_a_copy_of_a_cancel_event_is_a_duplicate() -> None:
    found = world()
    found.event("reminder", data=meeting(2))
    found.event("tocsin.cancel", event_id="c", data={"cancel_key": 7})
    again = found.event("tocsin.cancel", event_id="c", data={"cancel_key": 7})
    assert said(again) == [("suppressed", "duplicate", "*")]


def test_all_of_a_notification_ends_parts_and_retries_and_later_steps() -> None:
    found = world()
    at = 10 * HOUR
    step = found.event("news", at=at, data={"room": "a"})
    found.retry(step.messages[0], at=at + 1, due=at + HOUR)
    nid = step.outcomes[0].notification_id
    assert cancel(found, at + 2, notification_id=nid) == [
        ("cancelled", "cancelled_by_event", "sms"), ("cancelled", "cancelled_by_event", "email"), APPLIED,
    ]  # fmt: skip
    assert found.outcomes[-1].detail == {"cancelled": 1}
    found.event("chased", at=at + 3, data={"key": 1})
    assert cancel(found, at + 4, cancel_key=1) == [("cancelled", "cancelled_by_event", "email"), APPLIED]
    found.advance(2 * DAY)
    assert found.timers == {}
    assert [one.channel for one in found.messages] == ["email", "push"]


def test_one_key_ends_notifications_of_several_names() -> None:
    found = world()
    found.event("turns", data={"key": 7})
    found.event("turns", at=1, data={"key": 7})
    found.event("reminder", at=2, data=meeting(2))
    assert sorted(cancel(found, cancel_key=7)[:2]) == [("cancelled", "cancelled_by_event", "*")] * 2
    assert found.outcomes[-1].detail == {"cancelled": 2}


def test_what_waits_for_a_profile_is_cancelled_when_the_profile_comes() -> None:
    """Without a later look the event would be decided first: one that is due at once would be sent."""
    found = World("texts", catalog=world().gate.catalog)
    found.event("reminder", data=meeting(0.1))
    found.event("turns", at=1, data={"key": 9})
    assert cancel(found, 2, cancel_key=7) == [("held", "awaiting_profile", "*")]
    step = found.profile(profile(), at=3)
    assert said(step) == [("cancelled", "cancelled_by_event", "*"), ("admitted", "", "email"), APPLIED]
    assert found.outcomes[-1].detail == {"cancelled": 1}
    assert len(found.messages) == 1


def test_an_event_after_the_cancel_event_is_not_cancelled() -> None:
    found = World("texts", catalog=world().gate.catalog)
    found.event("reminder", data=meeting(2))
    cancel(found, 1, cancel_key=7)
    found.event("reminder", at=2, data=meeting(3))
    found.profile(profile(), at=3)
    found.advance(DAY)
    assert left(found) == [(name, "2023-11-14T14:50:00Z") for name in ("email", "sms")]


def test_a_guest_s_hold_ends_at_once_and_what_waits_for_a_profile_ends_with_it() -> None:
    found = World("texts", catalog=world().gate.catalog)
    found.event("reminder", data=meeting(2), recipient=Recipient(email="a@mail.example"))
    found.event("turns", at=1, data={"key": 7})
    assert cancel(found, 2, cancel_key=7) == [
        ("cancelled", "cancelled_by_event", "*"), ("held", "awaiting_profile", "*"),
    ]  # fmt: skip
    assert said(found.profile(profile(), at=3)) == [("cancelled", "cancelled_by_event", "*"), APPLIED]
    assert found.outcomes[-1].detail == {"cancelled": 2}


def test_without_a_profile_both_are_dead_letters() -> None:
    found = World("texts", catalog=world().gate.catalog)
    found.event("reminder", data=meeting(2))
    cancel(found, 1, cancel_key=7)
    found.advance(MINUTE)
    assert [one.reason for one in ended(found, "dead")] == ["unknown_user"] * 2
    assert (found.records, found.timers) == ({}, {})


def test_a_slot_of_a_limit_goes_to_the_next() -> None:
    found = world()
    for minute, key in enumerate((1, 2, 3)):
        found.event("turns", at=minute * MINUTE, data={"key": key})
    cancel(found, 5 * MINUTE, cancel_key=2)
    found.advance(DAY)
    assert [(one.event_id, (one.decided_ms) % DAY // MINUTE) for one in found.messages] == [
        ("e1", 12 * 60), ("e3", 13 * 60),
    ]  # fmt: skip


# What was admitted and still queues for a provider


def stale(found: World, message: Message, at: int) -> Decision:
    """Return a message as the send ledger does, which knows a newer version of the profile."""
    return found.retry(message, at=at, reason="stale_profile", attempt=1)


@pytest.mark.parametrize("by_id", [True, False])
def test_what_queues_for_a_provider_is_called_back(by_id: bool) -> None:
    found = world()
    first = found.event("reminder", data=meeting(0.1)).messages
    other = found.event("reminder", data=meeting(0.1, number=8, room="b")).messages
    assert (
        cancel(found, **({"notification_id": first[0].notification_id} if by_id else {"cancel_key": 7}))
        == NOTHING
    )
    record = found.record()
    assert record is not None
    assert found.notes[-1:] == [record.version], "the ledger returns what is older"
    assert all(one.profile_version < record.version for one in first)
    for message in first:
        step = stale(found, message, 2 * MINUTE)
        assert said(step) == [("cancelled", "cancelled_by_event", message.channel)]
        assert (step.outcomes[0].detail, step.outcomes[0].rule) == ({"by": "events/3/3"}, "cancelled")
    assert len(stale(found, other[0], 2 * MINUTE).messages) == 1, "another meeting"


def test_what_comes_after_the_cancel_event_is_not_called_back() -> None:
    found = world()
    before = found.event("reminder", data=meeting(0.1)).messages[0]
    cancel(found, 0, cancel_key=7)
    after = found.event("reminder", data=meeting(0.1)).messages[0]
    assert said(stale(found, before, 1)) == [("cancelled", "cancelled_by_event", "email")]
    assert len(stale(found, after, 1).messages) == 1, "in the very same millisecond"


def test_a_notification_of_another_name_is_not_called_back() -> None:
    found = world()
    message = found.event("reminder", data=meeting(0.1)).messages[0]
    cancel(found, cancel_key=7, notification="turns")
    assert len(stale(found, message, 2 * MINUTE).messages) == 1
    cancel(found, 3 * MINUTE, cancel_key=7, notification="reminder")
    assert said(stale(found, found.messages[-1], 4 * MINUTE))[0][:2] == ("cancelled", "cancelled_by_event")


def test_the_order_within_a_millisecond_is_the_gate_s_whatever_the_topics() -> None:
    """Offsets of two topics say nothing about which record the gate took first."""
    found = world()
    soon: dict[str, Any] = {"data": meeting(0.1), "origin": Origin("bulk", 3, 900)}
    before = found.event("reminder", **soon, event_id="a").messages[0]
    cancel(found, 0, cancel_key=7)
    between = found.event("reminder", **soon | {"origin": Origin("bulk", 3, 0)}, event_id="b").messages[0]
    cancel(found, 0, cancel_key=7)
    after = found.event("reminder", **soon | {"origin": Origin("bulk", 3, 1)}, event_id="c").messages[0]
    cancelled = [("cancelled", "cancelled_by_event", "email")]
    assert said(stale(found, before, 1)) == cancelled
    assert said(stale(found, between, 1)) == cancelled
    assert len(stale(found, after, 1).messages) == 1


def test_a_slot_comes_back_of_what_was_admitted_behind_a_cancel_event() -> None:
    found = world()
    cancel(found, 0, cancel_key=7)
    message = found.event("turns", data={"key": 8}).messages[0]
    assert message.decided_ms == NOON + 1
    found.failed(message)
    assert said(found.event("turns", at=1, data={"key": 9})) == [("admitted", "", "email")]


# The same for inline recipients, whom no profile version calls back


def guest_world() -> tuple[World, Message, Message]:
    """A guest, and two messages to her that queue."""
    found = World("texts", catalog=world().gate.catalog)
    to = Recipient(email="a@mail.example")
    first = found.event("reminder", data=meeting(0.1), recipient=to).messages[0]
    return found, first, found.event("reminder", data=meeting(0.1, number=8), recipient=to).messages[0]


def test_a_guest_s_message_is_cancelled_when_it_fails() -> None:
    found, message, _ = guest_world()
    assert cancel(found, cancel_key=7) == NOTHING
    assert said(found.retry(message, at=2 * MINUTE)) == [("cancelled", "cancelled_by_event", "email")]


def test_what_queues_for_a_guest_is_called_back() -> None:
    found, message, other = guest_world()
    cancel(found, 0, cancel_key=7)
    assert (found.notes, found.steps[-1].keeps_user) == ([-(NOON + 1)], True)
    assert said(stale(found, message, 0)) == [("cancelled", "cancelled_by_event", "email")]
    (again,) = stale(found, other, 0).messages
    assert again.target == other.target, "another meeting"
    assert again.decided_ms > NOON, "or the ledger would return it for ever"


def test_a_guest_who_was_erased_before_gets_nothing_back() -> None:
    found, message, other = guest_world()
    erase(found, at=1)
    cancel(found, 2, cancel_key=7)
    for queued in (message, other):
        assert said(stale(found, queued, 3)) == [("suppressed", "erased", "email")]


def test_a_guest_who_is_erased_afterwards_gets_nothing_back() -> None:
    found, message, other = guest_world()
    cancel(found, 1, cancel_key=7)
    erase(found, at=2)
    for queued in (message, other):
        assert said(stale(found, queued, 3)) == [("suppressed", "erased", "email")]


def erase(found: World, at: int) -> None:
    """Read a tombstone of the profile."""
    change = ProfileChange("texts", "ann", None)
    raw = RawRecord("profiles", 3, 1, NOON + at, b"texts/ann", None, ())
    found.apply("ann", found.gate.on_profile_change(found.record(), change, NOON + at, raw))


def test_a_retry_ends_by_the_cancel_key_and_gives_its_slot_back() -> None:
    found = world()
    message = found.event("turns", data={"key": 7}).messages[0]
    found.retry(message, due=HOUR)
    assert cancel(found, cancel_key=7) == [("cancelled", "cancelled_by_event", "email"), APPLIED]
    assert said(found.event("turns", at=2 * MINUTE, data={"key": 8})) == [("admitted", "", "email")]


def test_it_is_forgotten_when_nothing_can_queue_any_more() -> None:
    found = world()
    cancel(found, cancel_key=7)
    record = found.record()
    assert record is not None
    assert len(record.cancelled) == 35
    assert expire(record, NOON + 8 * DAY)
    assert record.cancelled == b""

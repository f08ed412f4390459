"""Profiles, erasure and receipts: what a gate keeps of a user and what it forgets."""

from datetime import UTC, datetime

import pytest

from tests.decision.gate_world import (
    DAY,
    HOUR,
    MINUTE,
    NOON,
    SECOND,
    World,
    profile,
    said,
    sent,
    with_preferences,
)
from tocsin.decision.policy import GatePolicy
from tocsin.decision.user_state import UserRecord
from tocsin.model import ids
from tocsin.model.event import Recipient
from tocsin.model.profile import Device
from tocsin.model.statuses import Reason

TOKEN = ids.target_id("token-1")


@pytest.fixture
def ann() -> World:
    world = World()
    world.profile(profile())
    return world


def test_first_sight_is_not_noted_for_the_ledger() -> None:
    step = World().profile(profile(version=7))
    assert step.record is not None
    assert (step.record.version, step.profile_version) == (7, None)


def test_a_change_is_noted_with_its_version(ann: World) -> None:
    assert ann.profile(profile(email="new@mail.example", version=9)).profile_version == 9
    assert ann.event("flight.landed").messages[0].profile_version == 9


@pytest.mark.parametrize("version", [0, 1])
def test_the_version_grows_where_the_producer_forgot(ann: World, version: int) -> None:
    assert ann.profile(profile(email="new@mail.example", version=version)).profile_version == 2
    assert ann.profile(profile(email="newer@mail.example", version=version)).profile_version == 3


def test_an_equal_profile_changes_nothing(ann: World) -> None:
    step = ann.profile(profile(version=1))
    assert (step.touched, step.profile_version) == (False, None)


def test_of_an_equal_profile_a_higher_version_is_noted_and_makes_no_message_stale(ann: World) -> None:
    step = ann.profile(profile(version=5))
    assert (step.touched, step.profile_version) == (True, None)
    assert step.record is not None
    assert (step.record.version, step.record.written_version) == (1, 5)


def test_first_sight_of_somebody_written_to_inline_is_noted() -> None:
    world = World()
    world.event("flight.landed", recipient=Recipient(email="ann@mail.example"))
    assert world.profile(with_preferences(enabled=False)).profile_version == 1


def test_an_opt_out_reaches_the_very_next_event(ann: World) -> None:
    ann.profile(with_preferences(enabled=False), at=1)
    assert said(ann.event("flight.landed", at=1)) == [("suppressed", "opted_out", "*")]


def test_erasure_forgets_everything(ann: World) -> None:
    ann.event("flight.landed", event_id="1")
    step = ann.profile(None)
    assert (step.record, step.touched, step.profile_version) == (None, True, -NOON)
    assert ann.records == {}
    assert said(ann.event("flight.landed", event_id="1", at=1)) == [("held", "awaiting_profile", "*")]


def test_erasure_of_nobody_does_nothing() -> None:
    step = World().profile(None)
    assert (step.touched, step.profile_version, step.outcomes) == (False, None, [])


def test_erasure_leaves_an_empty_record_that_the_sweep_has_not_met_yet_as_it_is() -> None:
    world = World()
    world.records["ann"] = world.codec.encode(UserRecord())
    step = world.profile(None)
    assert (step.record, step.touched) == (UserRecord(), False)


def test_erasure_gives_each_held_thing_its_last_word_and_releases_it(ann: World) -> None:
    message = ann.event("flight.cancelled").messages[0]
    held = ann.event("flight.landed", send_at=HOUR)
    ann.retry(message, due=MINUTE)
    step = ann.profile(None)
    assert ann.timers == {}
    assert said(step) == [("suppressed", "erased", "*"), ("suppressed", "erased", "push")]
    assert step.outcomes[0].notification_id == held.outcomes[0].notification_id
    assert step.outcomes[0].origin == held.outcomes[0].origin
    assert (step.outcomes[1].message_id, step.outcomes[1].target) == (message.message_id, TOKEN)


def test_erasure_ends_what_waits_for_the_profile() -> None:
    world = World()
    world.event("flight.landed")
    step = world.profile(None, at=SECOND)
    assert said(step) == [("suppressed", "erased", "*")]
    assert (world.timers, world.records, step.profile_version) == ({}, {}, -NOON - SECOND)


def test_erasing_an_inline_recipient_stops_what_queues_too() -> None:
    world = World()
    (message,) = world.event("flight.landed", recipient=Recipient(email="guest@mail.example")).messages
    step = world.profile(None, at=SECOND)
    assert step.profile_version == -NOON - SECOND
    assert message.decided_ms < NOON + SECOND


def test_a_complaint_blocks_every_spelling_of_a_mail_address() -> None:
    world = World()
    (message,) = world.event("flight.landed", recipient=Recipient(email="Ann@Mail.example")).messages
    world.receipt("complained", at=SECOND, target=ids.target_id(message.target.address), channel="email")
    step = world.event("flight.landed", at=MINUTE, recipient=Recipient(email="ann@mail.example"))
    assert ("suppressed", "target_blocked", "email") in said(step)
    assert "email" not in sent(step)


def test_a_receipt_is_logged(ann: World) -> None:
    step = ann.receipt("delivered", at=5, message_id="m1", channel="push", provider="fcm", receipt_id="r1")
    word = step.outcomes[0]
    assert (word.status, word.message_id, word.channel, word.provider) == ("delivered", "m1", "push", "fcm")
    assert (word.at_ms, step.touched) == (NOON + 5, False)


def test_receipts_with_ids_are_told_apart(ann: World) -> None:
    first = ann.receipt("opened", message_id="m1", receipt_id="r1").outcomes[0]
    second = ann.receipt("opened", message_id="m1", receipt_id="r2").outcomes[0]
    copy = ann.receipt("opened", message_id="m1", receipt_id="r1").outcomes[0]
    assert first.outcome_id == copy.outcome_id != second.outcome_id


@pytest.mark.parametrize(
    ("kind", "reason", "status"),
    [
        ("gone", "", "bounced"),
        ("opted_out", "", "unsubscribed"),
        ("complained", "", "complained"),
        ("bounced", "permanent", "bounced"),
        ("bounced", "recipient_gone", "bounced"),
    ],
)
def test_a_dead_or_refusing_target_is_blocked(ann: World, kind: str, reason: str, status: str) -> None:
    step = ann.receipt(kind, target=TOKEN, reason=reason, message_id="m")
    assert step.outcomes[0].status == status
    step = ann.event("flight.cancelled", at=1)
    assert said(step) == [
        ("suppressed", "target_blocked", "push"),
        ("admitted", "", "sms"),
        ("admitted", "", "email"),
    ]
    assert step.outcomes[0].target == TOKEN


@pytest.mark.parametrize(("kind", "reason"), [("bounced", ""), ("bounced", "mailbox full"), ("opened", "")])
def test_other_receipts_block_nothing(ann: World, kind: str, reason: str) -> None:
    ann.receipt(kind, target=TOKEN, reason=reason)
    assert sent(ann.event("flight.cancelled")) == ["push", "sms", "email"]


def test_a_device_registered_again_is_not_blocked_any_more(ann: World) -> None:
    ann.receipt("gone", target=TOKEN)
    for day, blocked in ((14, True), (15, False)):
        device = Device("ios", token="token-1", registered_at=datetime(2023, 11, day, tzinfo=UTC))
        ann.profile(profile(devices=(device,)), at=day)
        assert ("push" not in sent(ann.event("flight.cancelled", at=day))) == blocked


def test_blocks_outlive_profile_changes(ann: World) -> None:
    ann.receipt("opted_out", target=ids.target_id("+12125550100"))
    ann.profile(profile(locale="de", version=2), at=1)
    ann.profile(profile(version=3), at=2)
    assert "sms" not in sent(ann.event("flight.cancelled", at=3))


def test_blocks_are_bounded_and_the_oldest_goes_first() -> None:
    world = World(policy=GatePolicy(blocked_max=2))
    world.profile(profile())
    for target in ("a", "b", "a", "c"):
        world.receipt("gone", target=target)
    record = world.record()
    assert record is not None
    assert list(record.blocked) == ["a", "c"]


def test_a_receipt_for_somebody_unknown_blocks_his_inline_address() -> None:
    world = World()
    guest = Recipient(email="guest@mail.example")
    world.receipt("opted_out", target=ids.target_id("guest@mail.example"))
    step = world.event("flight.landed", recipient=guest)
    assert said(step) == [("suppressed", "no_channel", "inapp"), ("suppressed", "target_blocked", "email")]


def test_a_receipt_of_no_known_kind_is_dead(ann: World) -> None:
    step = ann.receipt("vanished", origin="events/3/7")
    assert step.outcomes == []
    (letter,) = step.dead_letters
    assert (letter.reason, letter.raw[:3]) == (Reason.BAD_FIELD, ("receipts", 3, 9))
    assert b"vanished" in (letter.raw.value or b"")


def test_nothing_is_left_of_a_guest_once_the_windows_have_passed() -> None:
    world = World()
    world.event("later", time=-2 * HOUR, recipient=Recipient(email="guest@mail.example"), send_at=HOUR)
    assert world.records != {}
    world.event("unheard.of", at=DAY * 9, recipient=Recipient(email="guest@mail.example"))
    record = world.record()
    assert record is not None
    assert (record.holds, record.counts, len(record.seen)) == ({}, {}, 35)

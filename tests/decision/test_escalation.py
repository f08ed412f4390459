"""Later steps, sequences and `stop_when_seen`: what goes out when, and which receipts stop it."""

from typing import Any, Final

import pytest

from tests.decision.gate_world import (
    DAY,
    HOUR,
    MINUTE,
    NOON,
    SECOND,
    SMALL,
    World,
    profile,
    said,
    sent,
    with_preferences,
)
from tocsin.catalog.loader import load
from tocsin.decision.policy import GatePolicy
from tocsin.decision.user_state import UserRecord, expire
from tocsin.model.statuses import Status

LATER: Final = load(SMALL.parent / "later")
"""A catalog with later steps."""


@pytest.fixture
def ann() -> World:
    return world()


def world(policy: GatePolicy | None = None, **changes: Any) -> World:
    found = World("lab", catalog=LATER, policy=policy)
    found.profile(profile(**changes))
    return found


def about(found: World, kind: str, at: int, message: int = 0, **fields: Any) -> list[tuple[str, str, str]]:
    """Report a receipt of one of the messages so far, by default the first; return the outcomes."""
    one = found.messages[message]
    names = {"notification_id": one.notification_id, "message_id": one.message_id, "channel": one.channel}
    return said(found.receipt(kind, at=at, **{**names, "notification": one.notification, **fields}))


def ends(found: World) -> list[tuple[str, str, str]]:
    """List the final outcomes."""
    final = (Status.SUPPRESSED, Status.CANCELLED, Status.EXPIRED, Status.MERGED)
    return [(one.status, one.reason, one.channel) for one in found.outcomes if one.status in final]


def sends(found: World) -> list[tuple[str, int]]:
    """List the messages with the minutes after noon at which they left."""
    return [(one.channel, (one.decided_ms - NOON) // MINUTE) for one in found.messages]


def test_steps_go_out_in_time_if_nothing_stops_them(ann: World) -> None:
    step = ann.event("alert")
    assert sent(step) == ["push", "inapp"]
    held = [one for one in step.outcomes if one.status == Status.HELD]
    assert [(one.reason, one.channel, one.detail["due_ms"]) for one in held] == [
        ("escalation", "sms", NOON + 10 * MINUTE),
        ("escalation", "email", NOON + 30 * MINUTE),
    ]
    ann.advance(HOUR)
    assert sends(ann) == [("push", 0), ("inapp", 0), ("sms", 10), ("email", 30)]
    assert (ends(ann), ann.timers) == ([], {})
    record = ann.record()
    assert record is not None
    assert record.engaged == b"", "nothing waits any more, so nothing is remembered"


@pytest.mark.parametrize(
    ("kind", "stopped"),
    [
        ("delivered", []),
        ("opened", ["sms"]),
        ("clicked", ["sms"]),
        ("unsubscribed", ["sms"]),
        ("read", ["sms", "email"]),
    ],
)
def test_a_receipt_stops_the_steps_of_its_level_and_below(ann: World, kind: str, stopped: list[str]) -> None:
    ann.event("alert")
    words = about(ann, kind, SECOND)
    assert words[1:] == [("cancelled", "answered", channel) for channel in stopped]
    details = [one.detail for one in ann.outcomes if one.reason == "answered"]
    assert details == [{"receipt": kind, "channel": "push"}] * len(stopped)
    if kind == "unsubscribed":
        return  # the preference ends what is left
    ann.advance(HOUR)
    assert [channel for channel, _ in sends(ann)[2:]] == [
        one for one in ("sms", "email") if one not in stopped
    ]


def test_what_software_opens_is_delivered_and_no_more(ann: World) -> None:
    ann.event("alert")
    ann.event("hurry", at=SECOND)
    assert about(ann, "opened", 2 * SECOND, reason="Machine") == [("opened", "Machine", "push")]
    assert about(ann, "clicked", 2 * SECOND, message=2, reason="machine")[1:] == [
        ("cancelled", "answered", "sms"),
        ("cancelled", "answered", "email"),
    ]


def test_doubled_and_late_receipts_change_nothing(ann: World) -> None:
    ann.event("alert")
    about(ann, "opened", SECOND)
    assert len(about(ann, "opened", 2 * SECOND)) == 1
    assert len(about(ann, "delivered", 3 * SECOND)) == 1, "out of order: the level does not fall"
    ann.advance(HOUR)
    assert [channel for channel, _ in sends(ann)[2:]] == ["email"]
    assert len(about(ann, "read", 2 * HOUR)) == 1, "it has fired"


def test_a_receipt_after_the_first_step_stops_only_what_is_to_come(ann: World) -> None:
    ann.event("alert")
    assert about(ann, "read", 20 * MINUTE)[1:] == [("cancelled", "answered", "email")]
    assert sends(ann)[2:] == [("sms", 10)]


def test_a_receipt_of_another_notification_stops_nothing(ann: World) -> None:
    ann.event("alert")
    about(ann, "read", SECOND, notification_id="0" * 32)
    ann.advance(HOUR)
    assert len(ann.messages) == 4


def test_a_receipt_that_is_read_before_its_event_stops_the_steps(ann: World) -> None:
    """Topics that are read again from their beginning are not read in step."""
    twin = world()
    twin.event("alert")
    nid = twin.messages[0].notification_id
    ann.receipt("read", at=0, notification_id=nid, notification="alert", channel="push")
    ann.event("alert", at=SECOND)
    ann.advance(HOUR)
    assert ends(ann) == [("cancelled", "answered", "sms"), ("cancelled", "answered", "email")]


@pytest.mark.parametrize("notification", ["plain", "unheard_of", ""])
def test_receipts_of_other_notifications_leave_nothing_behind(ann: World, notification: str) -> None:
    step = ann.receipt("read", notification_id="1" * 32, notification=notification, channel="push")
    assert not step.touched


def test_a_receipt_of_somebody_unknown_leaves_nothing_behind(ann: World) -> None:
    step = ann.receipt("read", user="bob", notification_id="1" * 32, notification="alert", channel="push")
    assert (step.record, step.touched) == (None, False)


def test_a_step_is_decided_by_the_preferences_of_then(ann: World) -> None:
    ann.event("alert")
    ann.profile(with_preferences(channels={"sms": False}), at=MINUTE)
    ann.advance(HOUR)
    assert ends(ann) == [("suppressed", "channel_off", "sms")]
    assert sends(ann)[2:] == [("email", 30)]


def test_quiet_hours_hold_a_step_and_a_receipt_still_stops_it(ann: World) -> None:
    late = 10 * HOUR + 55 * MINUTE
    ann.event("alert", at=late)
    ann.advance(late + 15 * MINUTE)
    held = [(one.reason, one.channel) for one in ann.outcomes if one.status == Status.HELD]
    assert held[2:] == [("quiet_hours", "sms")]
    assert about(ann, "opened", late + 20 * MINUTE)[1:] == [("cancelled", "answered", "sms")]
    ann.advance(DAY)
    assert sends(ann)[2:] == [("email", 19 * 60)], "at seven in the morning"


def test_a_step_keeps_to_the_limit_of_its_channel(ann: World) -> None:
    for number in range(3):
        ann.event("alert", at=number * SECOND)
    ann.advance(20 * MINUTE)
    assert [channel for channel, _ in sends(ann)].count("sms") == 2
    assert ends(ann) == [("suppressed", "limit", "sms")]


def test_a_step_that_would_be_too_late_expires_at_once(ann: World) -> None:
    step = ann.event("hurry", expires=5 * MINUTE)
    assert said(step) == [
        ("admitted", "", "push"),
        ("expired", "too_late", "sms"),
        ("expired", "too_late", "email"),
    ]


def test_an_erasure_ends_the_steps_and_forgets_the_receipts(ann: World) -> None:
    ann.event("alert")
    about(ann, "delivered", SECOND)
    step = ann.profile(None, at=MINUTE)
    assert said(step) == [("suppressed", "erased", "sms"), ("suppressed", "erased", "email")]
    assert (ann.record(), ann.timers) == (None, {})


def test_a_step_that_the_catalog_does_not_have_any_more_is_cancelled(ann: World) -> None:
    ann.event("alert")
    without = World("lab", catalog=LATER)
    found = without.gate.catalog.notification("lab", "plain")
    assert found is not None
    alert = ann.gate.catalog.tenants["lab"].notifications
    before = alert["alert"]
    alert["alert"] = found
    ann.gate.context.rules.setdefault(found, ann.gate.context.rules[before])
    try:
        ann.advance(HOUR)
    finally:
        alert["alert"] = before
    assert ends(ann) == [("cancelled", "no_match", "sms"), ("cancelled", "no_match", "email")]


def test_who_has_no_device_gets_the_next_step_at_once() -> None:
    ann = world(devices=())
    step = ann.event("hurry")
    assert said(step) == [
        ("suppressed", "no_channel", "push"),
        ("admitted", "", "sms"),
        ("admitted", "", "email"),
    ]
    assert ann.timers == {}


def test_the_steps_after_one_that_is_sent_at_once_keep_their_distance() -> None:
    ann = world(devices=(), preferences=with_preferences(channels={"inapp": False}).preferences)
    ann.event("alert")
    ann.advance(HOUR)
    assert sends(ann) == [("sms", 0), ("email", 20)]


def test_who_can_be_reached_nowhere_waits_for_nothing() -> None:
    ann = world(devices=(), email="", phone="")
    step = ann.event("chain")
    assert said(step) == [("suppressed", "no_channel", channel) for channel in ("push", "sms", "email")]
    record = ann.record()
    assert record is not None
    assert (ann.timers, record.engaged) == ({}, b"")


def test_a_sequence_sends_one_channel_after_another(ann: World) -> None:
    ann.event("chain")
    ann.advance(HOUR)
    assert sends(ann) == [("push", 0), ("sms", 5), ("email", 10)]


def test_a_sequence_ends_when_its_level_is_reached(ann: World) -> None:
    ann.event("chain")
    assert len(about(ann, "opened", MINUTE)) == 1
    assert about(ann, "clicked", 6 * MINUTE)[1:] == [("cancelled", "answered", "email")]
    assert sends(ann) == [("push", 0), ("sms", 5)]


def test_a_sequence_passes_over_a_channel_that_reaches_nobody() -> None:
    ann = world(devices=())
    ann.event("chain")
    ann.advance(HOUR)
    assert sends(ann) == [("sms", 0), ("email", 5)]


def test_seen_on_one_channel_drops_what_waits_elsewhere(ann: World) -> None:
    inapp, push, mail = ann.event("once_seen").messages
    ann.retry(mail, at=SECOND, due=HOUR)
    words = about(ann, "read", MINUTE)
    assert words[1:] == [("suppressed", "seen", "sms"), ("suppressed", "seen", "email")]
    assert ann.timers == {}
    # The push still queues for its provider: the ledger finds it stale and returns it.
    assert ann.notes == [2]
    returned = ann.retry(push, at=2 * MINUTE, due=2 * MINUTE, reason="stale_profile", attempt=1)
    assert said(returned) == [("suppressed", "seen", "push")]
    assert returned.outcomes[0].detail == {"receipt": "read"}
    assert returned.outcomes[0].rule == "seen"
    assert inapp.profile_version == 1


def test_other_messages_of_the_user_return_unharmed(ann: World) -> None:
    ann.event("once_seen")
    plain = ann.event("plain", at=SECOND).messages[1]
    about(ann, "opened", MINUTE)
    step = ann.retry(plain, at=2 * MINUTE, due=2 * MINUTE, reason="stale_profile", attempt=1)
    assert sent(step) == ["push"]
    assert step.messages[0].profile_version == 2


def test_the_version_rises_once_for_each_notification_that_is_seen(ann: World) -> None:
    ann.event("once_seen")
    for kind in ("delivered", "opened", "clicked", "opened", "read"):
        about(ann, kind, MINUTE)
    assert ann.notes == [2]


def test_a_delivery_alone_is_not_seen(ann: World) -> None:
    push = ann.event("once_seen").messages[1]
    about(ann, "delivered", SECOND)
    assert sent(ann.retry(push, at=MINUTE, due=MINUTE)) == ["push"]


def test_only_so_many_notifications_are_remembered() -> None:
    ann = world(GatePolicy(engaged_max=3))
    for number in range(9):
        ann.event("once_seen", at=number)
    record = ann.record()
    assert record is not None
    assert len(record.engaged) == 3 * 17
    assert about(ann, "read", MINUTE)[1:] == [("suppressed", "seen", "sms")], "what is held is found anyway"


def test_receipts_are_forgotten_in_time(ann: World) -> None:
    ann.event("once_seen")
    ann.advance(2 * HOUR)
    record = ann.record()
    assert record is not None
    expire(record, NOON + 7 * DAY)
    assert record.engaged, "seven days after the last step"
    expire(record, NOON + 7 * DAY + HOUR)
    assert record.engaged == b""


def test_a_receipt_without_a_notification_changes_no_engagement(ann: World) -> None:
    ann.event("alert")
    step = ann.receipt("read", at=SECOND, channel="push")
    assert (len(step.outcomes), step.touched) == (1, False)
    assert isinstance(ann.record(), UserRecord)


def test_a_failed_channel_leaves_the_slot_to_the_later_steps(ann: World) -> None:
    """The notification gives its place in a limit back when the last of its channels has failed."""
    push = ann.event("scarce").messages[0]
    ann.failed(push, at=SECOND)
    assert said(ann.event("scarce", at=MINUTE)) == [("suppressed", "limit", "*")]
    ann.advance(10 * MINUTE)
    mail = ann.messages[-1]
    assert mail.channel == "email"
    ann.failed(mail, at=11 * MINUTE)
    assert sent(ann.event("scarce", at=12 * MINUTE)) == ["push"]


def test_a_failed_step_takes_no_slot_from_what_was_sent(ann: World) -> None:
    ann.event("scarce")
    ann.advance(10 * MINUTE)
    ann.failed(ann.messages[-1], at=11 * MINUTE)
    assert said(ann.event("scarce", at=12 * MINUTE)) == [("suppressed", "limit", "*")]


def test_a_step_that_a_receipt_stops_is_no_failure_of_what_was_sent(ann: World) -> None:
    ann.event("scarce")
    about(ann, "delivered", SECOND)
    assert said(ann.event("scarce", at=MINUTE)) == [("suppressed", "limit", "*")]


def test_a_cancelled_notification_has_no_later_steps(ann: World) -> None:
    nid = ann.event("alert").messages[0].notification_id
    ann.event("tocsin.cancel", at=MINUTE, data={"notification_id": nid})
    assert [end for end in ends(ann) if end[2] != "*"] == [
        ("cancelled", "cancelled_by_event", "sms"),
        ("cancelled", "cancelled_by_event", "email"),
    ]
    record = ann.record()
    assert record is not None
    assert (ann.timers, record.engaged) == ({}, b"")


def test_a_digest_escalates_as_a_whole(ann: World) -> None:
    for number in range(2):
        ann.event("news", at=number * MINUTE, data={"n": number})
    ann.advance(HOUR)
    assert sends(ann) == [("push", 10), ("sms", 20)]
    push, text = ann.messages
    assert text.data == push.data, "the step has the items, too"


@pytest.mark.parametrize("kind", ["opened", "delivered"])
def test_a_receipt_of_what_is_over_is_not_remembered(ann: World, kind: str) -> None:
    """Nothing waits any more. Every receipt of the day would add another entry for a week."""
    ann.event("alert")
    ann.advance(HOUR)
    about(ann, kind, 2 * HOUR, origin=str(ann.messages[0].origin))
    record = ann.record()
    assert record is not None
    assert record.engaged == b""


def test_what_has_no_later_step_and_stops_for_nothing_is_not_remembered(ann: World) -> None:
    ann.profile(profile(devices=(), phone="", version=2))
    ann.event("chain")
    assert sends(ann) == [("email", 0)]
    record = ann.record()
    assert record is not None
    assert record.engaged == b""

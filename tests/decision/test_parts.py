"""Parts: a rule of a channel holds that channel alone; the others go on, and the notification counts once."""

from typing import Final

from tests.decision.gate_world import CATALOG, HOUR, MINUTE, NOON, World, profile, with_preferences
from tocsin.app.audit import Audit
from tocsin.decision.evaluation import Evaluation
from tocsin.decision.gate import Gate
from tocsin.decision.policy import GatePolicy
from tocsin.decision.rules import BEFORE_ADMISSION, ORDER, Entry, Level
from tocsin.decision.timers import TimerKind
from tocsin.decision.verdict import PASS, Hold, Verdict
from tocsin.model.statuses import Reason, Status

OPENS: Final = NOON + HOUR


def no_texts_yet(evaluation: Evaluation) -> Verdict:
    """Hold every text until it is one o'clock."""
    channel = evaluation.channel
    waits = channel is not None and channel.name == "sms" and evaluation.now_ms < OPENS
    return Hold(OPENS, Reason.QUIET_HOURS) if waits else PASS


def world() -> World:
    found = World()
    order = (*ORDER, Entry(no_texts_yet, Level.CHANNEL, BEFORE_ADMISSION))
    found.gate = Gate(CATALOG, GatePolicy(), order)
    found.profile(profile())
    return found


def channels(found: World) -> list[str]:
    return [message.channel for message in found.messages]


def test_the_other_channels_go_at_once_and_the_part_when_it_is_due() -> None:
    found = world()
    found.event("few")
    assert "sms" not in channels(found)
    assert channels(found)
    (held,) = [outcome for outcome in found.outcomes if outcome.status == Status.HELD]
    assert (held.channel, held.reason, held.rule) == ("sms", "quiet_hours", "no_texts_yet")
    assert held.detail["due_ms"] == OPENS
    found.advance(2 * HOUR)
    assert channels(found).count("sms") == 1
    assert not found.timers
    record = found.record()
    assert record is not None
    assert not record.holds


def test_a_notification_with_a_part_is_counted_once() -> None:
    found = world()
    found.event("few")
    found.advance(2 * HOUR)
    record = found.record()
    assert record is not None
    counts = {name: (len(times) - 8) // 8 for name, times in record.counts.items()}
    assert counts["notification:few"] == 1
    assert counts["channel:sms"] == 1


def test_a_part_is_decided_by_the_preferences_of_then() -> None:
    found = world()
    found.event("few")
    found.profile(with_preferences(channels={"sms": False}), at=30 * MINUTE)
    found.advance(2 * HOUR)
    assert "sms" not in channels(found)
    (last,) = [one for one in found.outcomes if one.channel == "sms" and one.status != Status.HELD]
    assert (last.status, last.reason, last.rule) == ("suppressed", "channel_off", "channel_preferences")


def test_an_erased_user_s_part_has_its_final_outcome_on_its_channel() -> None:
    found = world()
    found.event("few")
    found.profile(None, at=MINUTE)
    assert [one.channel for one in found.outcomes if one.reason == Reason.ERASED] == ["sms"]
    assert not found.timers


def test_parts_and_whole_notifications_due_together_leave_in_the_order_of_their_events() -> None:
    found = world()
    found.event("few", event_id="first", send_at=HOUR)
    found.event("few", event_id="second", at=2 * MINUTE)
    kinds = {timer_id[0]: due_ms for (_, timer_id), (due_ms, _) in found.timers.items()}
    assert kinds == {TimerKind.NOTIFICATION: OPENS, TimerKind.PART: OPENS + 1}


def test_the_audit_knows_that_a_part_is_still_held() -> None:
    found, audit = world(), Audit()
    found.event("few")
    for outcome in found.outcomes:
        audit.event(outcome.origin)
        audit.outcome(outcome)
    for message in found.messages:
        audit.message(message.message_id)
    assert audit.reconcile().error == 0
    assert audit.reconcile().in_flight == 1
    held = Audit()
    for outcome in found.outcomes:
        if outcome.status == Status.HELD:
            held.event(outcome.origin)
            held.outcome(outcome)
    assert held.reconcile().held == 1
    found.advance(2 * HOUR)
    for outcome in found.outcomes:
        held.outcome(outcome)
    assert held.reconcile().held == 0

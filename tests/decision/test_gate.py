"""What a gate says about events: one readable example for each reason."""

import msgspec
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
from tocsin.formats import codec
from tocsin.formats.cloudevents import Envelope
from tocsin.model import ids
from tocsin.model.event import Origin, Recipient
from tocsin.model.explanations import explain
from tocsin.model.profile import Device, Preferences, QuietHours
from tocsin.model.raw import RawRecord
from tocsin.model.statuses import Reason


@pytest.fixture
def ann() -> World:
    """A world of a tenant without limits and quiet hours that knows Ann."""
    world = World()
    world.profile(profile())
    return world


def with_defaults() -> World:
    world = World("default")
    world.profile(profile())
    return world


def test_each_target_gets_a_message_and_a_word(ann: World) -> None:
    step = ann.event("flight.landed", event_id="e1")
    assert sent(step) == ["inapp", "email"]
    assert said(step) == [("admitted", "", "inapp"), ("admitted", "", "email")]
    inapp, email = step.messages
    assert (inapp.target.address, email.target.address) == ("ann", "ann@mail.example")
    assert [word.message_id for word in step.outcomes] == [inapp.message_id, email.message_id]


def test_ids_are_those_of_models_ids(ann: World) -> None:
    step = ann.event("flight.landed", event_id="e1")
    notification = ids.notification_id("quiet", "/test", "e1", "ann", "landed", "events/3/1")
    target = ids.target_id("ann@mail.example")
    message = ids.message_id(notification, "email", target)
    assert step.messages[1].notification_id == notification
    assert step.messages[1].message_id == message
    assert step.outcomes[1].outcome_id == ids.outcome_id(message, "admitted")
    assert step.outcomes[1].target == target


def test_a_message_carries_what_delivery_needs(ann: World) -> None:
    message = ann.event("flight.delayed", at=5 * SECOND, time=0).messages[0]
    assert message.template == "plain"
    assert message.priority == "high"
    assert message.collapse_key == "UA 1545"
    assert msgspec.json.decode(message.data)["delay"] == 72
    assert (message.locale, message.timezone, message.profile_version) == ("en", "UTC", 1)
    assert (message.event_time_ms, message.received_ms, message.decided_ms) == (
        NOON,
        NOON + 5000,
        NOON + 5000,
    )
    assert message.catalog_version == ann.gate.catalog.version
    assert message.target.platform == "ios"


def test_locale_and_time_zone_fall_back_to_the_tenants() -> None:
    world = World()
    world.profile(profile(locale="", timezone=""))
    message = world.event("flight.landed").messages[0]
    assert (message.locale, message.timezone) == ("de", "Europe/Berlin")


def test_no_word_holds_an_address(ann: World) -> None:
    ann.event("flight.cancelled")
    ann.receipt("gone", target=ids.target_id("+12125550100"))
    ann.event("flight.cancelled")
    text = msgspec.json.encode(ann.outcomes).decode()
    for secret in ("ann@mail.example", "+12125550100", "token-1"):
        assert secret not in text


def test_no_match_is_keyed_by_the_origin(ann: World) -> None:
    step = ann.event("unheard.of")
    assert said(step) == [("suppressed", "no_match", "*")]
    assert step.outcomes[0].outcome_id == ids.outcome_id(step.outcomes[0].origin, "suppressed")


def test_a_wildcard_matches_by_prefix(ann: World) -> None:
    assert sent(ann.event("offer.spring")) == ["email", "sms"]
    assert said(ann.event("offers")) == [("suppressed", "no_match", "*")]


def test_a_condition_that_fails_is_no_match(ann: World) -> None:
    step = ann.event("flight.delayed", data={"delay": 5, "flight": "x"})
    assert said(step) == [("suppressed", "no_match", "*")]
    (one,) = step.outcomes
    assert explain(one.reason, one.detail) == "The condition of delayed does not hold for this event."
    (unheard,) = ann.event("unheard.of").outcomes
    assert explain(unheard.reason, unheard.detail) == "No notification of the catalog asks for this event."


def test_a_channel_whose_condition_fails_is_not_asked_for(ann: World) -> None:
    assert sent(ann.event("flight.delayed", data={"delay": 20, "flight": "x"})) == ["push", "inapp"]


def test_expressions_read_user_and_event() -> None:
    world = World()
    world.profile(profile(locale="de"))
    assert said(world.event("personal")) == [("suppressed", "no_match", "*")]


def test_duplicate_names_its_original(ann: World) -> None:
    ann.event("flight.landed", event_id="same", origin=Origin("events", 3, 77))
    step = ann.event("flight.landed", event_id="same", at=DAY - 1, origin=Origin("bulk", 3, 78))
    assert said(step) == [("suppressed", "duplicate", "*")]
    assert step.outcomes[0].detail == {"original": "events/3/77"}
    assert step.outcomes[0].origin == "bulk/3/78"
    assert not step.touched


def test_an_id_may_come_again_after_the_window_under_ids_of_its_own(ann: World) -> None:
    first = ann.event("flight.landed", event_id="same")
    again = ann.event("flight.landed", event_id="same", at=DAY)
    assert sent(again) == ["inapp", "email"]
    assert not {one.outcome_id for one in first.outcomes} & {one.outcome_id for one in again.outcomes}
    assert not {one.message_id for one in first.messages} & {one.message_id for one in again.messages}


@pytest.mark.parametrize("days", [1, 2, 6])
def test_a_late_copy_of_an_event_is_a_duplicate(ann: World, days: int) -> None:
    ann.event("flight.landed", event_id="same", time=0)
    copy = ann.event("flight.landed", event_id="same", at=days * DAY + HOUR, time=0)
    assert said(copy) == [("suppressed", "duplicate", "*")]


def test_the_dedup_window_is_in_event_time(ann: World) -> None:
    ann.event("flight.landed", event_id="daily", time=0)
    late = ann.event("flight.landed", event_id="daily", at=1, time=-3 * DAY)
    assert said(late) == [("expired", "too_late", "*")]
    near = ann.event("flight.landed", event_id="daily", at=2, time=1 - DAY)
    assert said(near) == [("suppressed", "duplicate", "*")]
    step = ann.event("once", event_id="a", at=3, time=0)
    assert sent(step) == ["email"]
    assert sent(ann.event("once", event_id="b", at=4, time=-2 * HOUR)) == ["email"]


def test_an_id_used_again_while_its_notification_is_held_names_another(ann: World) -> None:
    ann.event("later", event_id="same", send_at=30 * HOUR, time=30 * HOUR)
    ann.event("later", event_id="same", at=2 * HOUR, send_at=2 * HOUR + 6 * MINUTE)
    ann.advance(40 * HOUR)
    assert [message.decided_ms - NOON for message in ann.messages] == [
        2 * HOUR + 6 * MINUTE,
        30 * HOUR + 5 * MINUTE,
    ]
    assert len({message.message_id for message in ann.messages}) == 2


def test_an_event_that_is_forgotten_in_a_flood_does_not_vanish_behind_equal_ids() -> None:
    world = World("quiet", policy=GatePolicy(dedup_max=1))
    world.profile(profile())
    for event_id in ("same", "other", "same"):
        world.event("flight.landed", event_id=event_id)
    assert len({word.outcome_id for word in world.outcomes}) == len(world.outcomes) == 6


def test_what_an_older_release_held_keeps_its_id(ann: World) -> None:
    """Its timer has the id: the outcomes of the hold and of the end are about one notification."""
    step = ann.event("later", send_at=10 * MINUTE)
    [timer] = step.set_timers
    old = "0123456789abcdef0123456789abcdef"
    record = ann.record()
    assert record is not None
    record.holds[f"n{old}"] = msgspec.structs.replace(record.holds.pop(timer.timer_id), notification_id=old)
    due = ann.gate.on_timer(record, ann.tenant, "ann", f"n{old}", timer.payload, timer.due_ms)
    assert [message.notification_id for message in due.messages] == [old]
    assert due.record is not None
    assert due.record.holds == {}


def test_a_copy_of_the_same_record_says_nothing(ann: World) -> None:
    origin = Origin("events", 3, 77)
    ann.event("flight.landed", event_id="same", origin=origin)
    step = ann.event("flight.landed", event_id="same", origin=origin)
    assert (step.outcomes, step.messages, step.touched) == ([], [], False)


def test_duplicate_key_is_keyed_by_the_notification(ann: World) -> None:
    ann.event("once", data={"key": "LH400"}, origin=Origin("events", 3, 5))
    step = ann.event("once", data={"key": "LH400"}, at=HOUR - 1)
    assert said(step) == [("suppressed", "duplicate_key", "*")]
    assert step.outcomes[0].detail == {"original": "events/3/5"}
    assert step.outcomes[0].notification == "once"
    assert sent(ann.event("once", data={"key": "LH401"}, at=HOUR - 1)) == ["email"]
    assert sent(ann.event("once", data={"key": "LH400"}, at=HOUR)) == ["email"]


def test_unknown_tenant_is_dead() -> None:
    world = World("nobody")
    step = world.event("flight.landed")
    assert said(step) == [("dead", "bad_field", "*")]
    assert step.dead_letters[0].reason == Reason.BAD_FIELD
    assert world.records == {}


@pytest.mark.parametrize(
    "data",
    [{"flight": "x"}, {"delay": "late", "flight": "x"}, {"delay": 20}, [1], {"delay": None, "flight": "x"}],
)
def test_a_failing_expression_ends_the_event_as_dead(ann: World, data: object) -> None:
    before = ann.records["ann"]
    step = ann.event("flight.delayed", data=data, event_id="broken")
    assert said(step) == [("dead", "bad_expression", "*")]
    assert step.messages == []
    assert ann.records["ann"] == before
    assert sent(ann.event("flight.delayed", event_id="broken")) == ["push", "inapp", "email"]


def test_a_dead_letter_reads_as_the_event_it_was(ann: World) -> None:
    step = ann.event(
        "flight.delayed", data={"x": "ü"}, send_at=MINUTE, expires=HOUR, time=-1, event_id="id 1"
    )
    dead = step.dead_letters[0]
    event = codec.decode_event(dead.raw, codec.EventLimits(100_000, 1, 1, False))
    assert (event.tenant, event.id, event.source, event.type) == ("quiet", "id 1", "/test", "flight.delayed")
    assert (event.user, event.time_ms, msgspec.json.decode(event.data)) == ("ann", NOON - 1, {"x": "ü"})
    assert (event.send_at_ms, event.expires_ms, event.recipient) == (NOON + MINUTE, NOON + HOUR, None)
    assert event.origin == Origin(dead.raw.topic, dead.raw.partition, dead.raw.offset)


@pytest.mark.parametrize("never", ["9999-12-31T23:59:59-05:00", "9999-12-31T23:59:59.9999999Z"])
def test_an_event_that_never_expires_may_end_as_a_dead_letter(never: str) -> None:
    written = codec.encode(Envelope("1.0", "1", "/s", "flight.landed", "ann", tocsinexpires=never))
    limits = codec.EventLimits(10_000, 86_400, 3_600, check_time=True)
    raw = RawRecord("events", 0, 7, NOON, None, written, ())
    event = codec.decode_event(raw, limits)
    gate = World("nobody").gate
    (dead,) = gate.on_event(None, msgspec.structs.replace(event, tenant="nobody"), NOON, raw).dead_letters
    again = codec.decode_event(RawRecord("events", 0, 8, NOON, None, dead.raw.value, ()), limits)
    assert again.expires_ms == event.expires_ms


def test_too_late_by_the_catalog_and_by_the_event(ann: World) -> None:
    late = [("expired", "too_late", "*")]
    assert said(ann.event("flight.landed", at=7 * HOUR, time=HOUR - 1)) == late
    assert sent(ann.event("flight.landed", at=7 * HOUR, time=HOUR)) == ["inapp", "email"]
    assert said(ann.event("flight.landed", at=7 * HOUR, expires=7 * HOUR - 1)) == late
    assert sent(ann.event("flight.landed", at=7 * HOUR, expires=7 * HOUR)) == ["inapp", "email"]
    assert ann.event("flight.landed", at=7 * HOUR, expires=9 * HOUR).messages[0].expires_ms == NOON + 9 * HOUR
    assert (
        ann.event("flight.landed", at=7 * HOUR, expires=29 * HOUR).messages[0].expires_ms == NOON + 13 * HOUR
    )


def test_scheduled_by_the_event(ann: World) -> None:
    step = ann.event("flight.landed", send_at=HOUR)
    assert said(step) == [("held", "scheduled", "*")]
    assert step.outcomes[0].detail == {"due_ms": NOON + HOUR}
    ann.advance(HOUR - 1)
    assert ann.messages == []
    ann.advance(HOUR)
    assert [message.channel for message in ann.messages] == ["inapp", "email"]
    assert ann.messages[0].decided_ms == NOON + HOUR
    record = ann.record()
    assert record is not None
    assert record.holds == {}


def test_delayed_by_the_catalog(ann: World) -> None:
    assert said(ann.event("later", at=MINUTE, time=0)) == [("held", "scheduled", "*")]
    ann.advance(5 * MINUTE)
    assert len(ann.messages) == 1
    assert sent(ann.event("later", at=6 * MINUTE, time=MINUTE)) == ["email"]


def test_what_would_be_held_too_long_expires_at_once(ann: World) -> None:
    step = ann.event("flight.landed", send_at=7 * HOUR)
    assert said(step) == [("expired", "too_late", "*")]
    assert step.outcomes[0].detail["held_for"] == "scheduled"


def test_held_things_are_decided_by_the_wishes_of_then(ann: World) -> None:
    ann.event("flight.landed", send_at=HOUR)
    ann.profile(with_preferences(channels={"email": False}), at=MINUTE)
    ann.advance(HOUR)
    assert [message.channel for message in ann.messages] == ["inapp"]
    assert (ann.outcomes[-1].reason, ann.outcomes[-1].channel) == ("channel_off", "email")


@pytest.mark.parametrize(
    ("switches", "expected"),
    [
        ({"enabled": False}, [("suppressed", "opted_out", "*")]),
        ({"notifications": {"landed": False}}, [("suppressed", "notification_off", "*")]),
        ({"categories": {"updates": False}}, [("suppressed", "category_off", "*")]),
        (
            {"categories": {"updates": {"email": False}}},
            [("admitted", "", "inapp"), ("suppressed", "category_off", "email")],
        ),
        ({"channels": {"inapp": False}}, [("suppressed", "channel_off", "inapp"), ("admitted", "", "email")]),
        (
            {"channels": {"inapp": False, "email": False}},
            [("suppressed", "channel_off", "inapp"), ("suppressed", "channel_off", "email")],
        ),
    ],
)
def test_preferences(switches: dict[str, object], expected: list[tuple[str, str, str]]) -> None:
    world = World()
    world.profile(with_preferences(**switches))
    assert said(world.event("flight.landed")) == expected


@pytest.mark.parametrize(
    "switches",
    [
        {"enabled": False},
        {"categories": {"alerts": False}},
        {"channels": {"push": False, "sms": False, "email": False}},
        {"notifications": {"cancelled": False}},
        {"snoozed_until": "2999-01-01T00:00:00Z"},
    ],
)
def test_a_required_category_passes_every_opt_out(switches: dict[str, object]) -> None:
    world = World()
    world.profile(with_preferences(**switches))
    assert sent(world.event("flight.cancelled")) == ["push", "sms", "email"]


def test_snoozed_until() -> None:
    world = World()
    world.profile(with_preferences(snoozed_until="2023-11-14T13:00:00Z"))
    assert said(world.event("flight.landed")) == [("held", "snoozed", "*")]
    assert sent(world.event("flight.landed", at=HOUR)) == ["inapp", "email"]
    assert [one.event_id for one in world.messages] == ["e1", "e1", "e2", "e2"]


def test_defaults_of_the_tenant_hold_until_the_user_chooses() -> None:
    world = with_defaults()
    assert said(world.event("offer.x")) == [("admitted", "", "email"), ("suppressed", "category_off", "sms")]
    world.profile(with_preferences(categories={"offers": {"sms": True}}), at=DAY)
    assert sent(world.event("offer.x", at=DAY)) == ["email", "sms"]


def test_default_limit_one_a_minute() -> None:
    world = with_defaults()
    assert sent(world.event("flight.landed")) == ["inapp", "email"]
    step = world.event("flight.landed", at=MINUTE - 1)
    assert said(step) == [("suppressed", "limit", "*")]
    numbers = {"counter": "user", "limit": 1, "window_s": 60.0, "count": 1}
    window = {"window_start_ms": NOON - 1, "window_end_ms": NOON + MINUTE - 1}
    assert step.outcomes[0].detail == numbers | window
    assert sent(world.event("flight.landed", at=MINUTE)) == ["inapp", "email"]


def test_default_limit_five_marketing_a_day() -> None:
    world = with_defaults()
    decided = [sent(world.event("offer.x", at=hour * HOUR)) for hour in range(7)]
    assert decided == [["email"]] * 5 + [[]] * 2
    assert world.outcomes[-1].detail["counter"] == "marketing"
    assert sent(world.event("flight.landed", at=7 * HOUR)) == ["inapp", "email"]
    assert sent(world.event("offer.x", at=24 * HOUR)) == ["email"]


def test_default_limit_fifty_sms_a_month() -> None:
    world = World("default")
    world.profile(with_preferences(categories={"offers": {"sms": True}}))
    for day in range(11):
        for hour in range(5):
            world.event("offer.x", at=day * DAY + hour * HOUR)
    assert [message.channel for message in world.messages].count("sms") == 50
    assert said(world.steps[-1]) == [("admitted", "", "email"), ("suppressed", "limit", "sms")]
    assert world.outcomes[-1].detail["counter"] == "channel:sms"


def test_critical_skips_caps_and_quiet_hours() -> None:
    world = with_defaults()
    assert sent(world.event("flight.landed")) == ["inapp", "email"]
    assert [len(sent(world.event("flight.cancelled", at=12 * HOUR + step))) for step in range(3)] == [3, 3, 3]
    assert sent(world.event("flight.landed", at=20 * HOUR)) == ["inapp", "email"]


def test_limits_of_a_notification_and_of_its_channel(ann: World) -> None:
    steps = [ann.event("few", at=step * SECOND) for step in range(4)]
    assert [sent(step) for step in steps] == [["email", "sms"], ["email"], ["email"], []]
    assert said(steps[1]) == [("admitted", "", "email"), ("suppressed", "limit", "sms")]
    assert said(steps[3]) == [("suppressed", "limit", "*")]


def test_overflow_hold_waits_for_room(ann: World) -> None:
    steps = [ann.event("drip", at=step * MINUTE) for step in range(5)]
    assert [said(step)[0][:2] for step in steps[:2]] == [("admitted", "")] * 2
    assert [said(step)[0][:2] for step in steps[2:]] == [("held", "limit_hold")] * 3
    assert [hold.due_ms - NOON for step in steps for hold in step.set_timers] == [
        10 * MINUTE,
        11 * MINUTE,
        20 * MINUTE,
    ]
    ann.advance(HOUR)
    decided = [(message.decided_ms - NOON) // MINUTE for message in ann.messages]
    assert decided == [0, 1, 10, 11, 20]


def test_words_of_things_held_twice_differ(ann: World) -> None:
    for step in range(8):
        ann.event("drip", at=step)
    ann.advance(2 * HOUR)
    assert len({word.outcome_id for word in ann.outcomes}) == len(ann.outcomes)


def test_what_is_held_for_one_moment_leaves_in_the_order_of_its_events(ann: World) -> None:
    for number in range(8):
        ann.event("daytime", at=9 * HOUR + number * MINUTE, event_id=f"e{number}")
    assert ann.messages == []
    ann.advance(DAY)
    assert [message.event_id for message in ann.messages] == [f"e{number}" for number in range(8)]


def test_quiet_hours_hold_until_morning() -> None:
    world = with_defaults()
    step = world.event("flight.landed", at=10 * HOUR)
    assert said(step) == [("expired", "too_late", "*")]
    step = world.event("offer.x", at=10 * HOUR)
    assert said(step) == [("held", "quiet_hours", "*")]
    assert step.set_timers[0].due_ms == NOON + 19 * HOUR
    world.advance(19 * HOUR)
    assert [message.channel for message in world.messages] == ["email"]


def test_own_quiet_hours_replace_the_tenants_and_follow_the_time_zone() -> None:
    world = World("default")
    world.profile(profile(quiet_hours=QuietHours("05:00", "08:00"), timezone="America/New_York"))
    step = world.event("offer.x", at=0)
    assert step.set_timers[0].due_ms == NOON + HOUR
    assert sent(world.event("offer.x", at=12 * HOUR)) == ["email"]


def test_quiet_hours_that_end_where_they_start_are_none() -> None:
    world = World("default")
    world.profile(profile(quiet_hours=QuietHours("00:00", "00:00")))
    assert sent(world.event("offer.x", at=12 * HOUR)) == ["email"]


def test_send_window(ann: World) -> None:
    assert sent(ann.event("daytime", at=0)) == ["email"]
    step = ann.event("daytime", at=8 * HOUR)
    assert said(step) == [("held", "send_window", "*")]
    assert step.set_timers[0].due_ms == NOON + 20 * HOUR


def test_no_channel_for_each_channel_that_is_absent() -> None:
    world = World()
    world.profile(profile(email="", phone="", devices=()))
    assert said(world.event("flight.cancelled")) == [
        ("suppressed", "no_channel", "push"),
        ("suppressed", "no_channel", "sms"),
        ("suppressed", "no_channel", "email"),
    ]
    assert len({word.outcome_id for word in world.outcomes}) == 3


def test_every_device_gets_its_own_message() -> None:
    world = World()
    devices = (Device("ios", token="a"), Device("android", token="b"), Device("ios", token="a"))
    world.profile(profile(devices=devices))
    step = world.event("flight.cancelled")
    assert [message.target.address for message in step.messages if message.channel == "push"] == ["a", "b"]


def test_broadcasts_travel_as_low_unless_critical(ann: World) -> None:
    assert ann.event("flight.delayed", bulk=True).messages[0].priority == "low"
    assert ann.event("flight.cancelled", bulk=True).messages[0].priority == "critical"


def test_an_unknown_user_waits_for_the_profile_and_is_served_in_order() -> None:
    world = World()
    first = world.event("flight.landed", event_id="1")
    world.event("flight.cancelled", event_id="2", at=SECOND)
    assert said(first) == [("held", "awaiting_profile", "*")]
    assert first.outcomes[0].detail == {"due_ms": NOON + 10 * SECOND}
    step = world.profile(profile(), at=2 * SECOND)
    assert [message.event_id for message in step.messages] == ["1", "1", "2", "2", "2"]
    assert world.timers == {}
    assert said(world.event("flight.landed", event_id="1", at=3 * SECOND)) == [
        ("suppressed", "duplicate", "*")
    ]


def test_a_duplicate_of_a_waiting_event_is_one() -> None:
    world = World()
    world.event("flight.landed", event_id="1")
    assert said(world.event("flight.landed", event_id="1")) == [("suppressed", "duplicate", "*")]
    assert len(world.profile(profile()).messages) == 2


def test_unknown_user_is_dead_at_the_deadline_and_may_be_replayed() -> None:
    world = World()
    world.event("flight.landed", event_id="1")
    world.event("flight.landed", event_id="2", at=4 * SECOND)
    world.advance(10 * SECOND)
    assert [(word.status, word.reason) for word in world.outcomes[2:]] == [("dead", "unknown_user")]
    world.advance(14 * SECOND)
    assert [dead.reason for step in world.steps for dead in step.dead_letters] == [Reason.UNKNOWN_USER] * 2
    assert world.records == {}
    assert world.timers == {}
    world.profile(profile(), at=15 * SECOND)
    assert sent(world.event("flight.landed", event_id="1", at=16 * SECOND)) == ["inapp", "email"]


def test_waiting_events_are_bounded_in_number_and_bytes() -> None:
    world = World(policy=GatePolicy(waiting_max=3))
    words = [said(world.event("flight.landed"))[0][:2] for _ in range(5)]
    assert words == [("held", "awaiting_profile")] * 3 + [("dead", "unknown_user")] * 2
    world = World(policy=GatePolicy(waiting_bytes=10_000))
    big = {"text": "x" * 4_000}
    words = [said(world.event("flight.landed", data=big))[0][:2] for _ in range(3)]
    assert words == [("held", "awaiting_profile")] * 2 + [("dead", "unknown_user")]


def test_a_waiting_event_whose_expression_fails_is_dead_and_forgotten() -> None:
    world = World()
    world.event("flight.delayed", event_id="1", data={})
    step = world.profile(profile())
    assert said(step) == [("dead", "bad_expression", "*")]
    assert sent(world.event("flight.delayed", event_id="1")) == ["push", "inapp", "email"]


def test_inline_recipients_need_no_profile() -> None:
    world = World()
    guest = Recipient(email="guest@mail.example", locale="fr", timezone="Europe/Paris")
    step = world.event("flight.landed", recipient=guest)
    assert said(step) == [("suppressed", "no_channel", "inapp"), ("admitted", "", "email")]
    message = step.messages[0]
    assert (message.profile_version, message.locale, message.timezone) == (0, "fr", "Europe/Paris")
    assert message.target.address == "guest@mail.example"


def test_inline_recipients_keep_to_defaults_limits_and_dedup() -> None:
    world = World("default")
    guest = Recipient(email="guest@mail.example", phone="+12125550199")
    assert sent(world.event("offer.x", recipient=guest, event_id="1")) == ["email"]
    assert said(world.event("offer.x", recipient=guest, event_id="1")) == [("suppressed", "duplicate", "*")]
    assert said(world.event("offer.x", recipient=guest)) == [("suppressed", "limit", "*")]


def test_inline_recipients_are_held_and_blocked_like_others() -> None:
    world = World()
    guest = Recipient(email="guest@mail.example")
    assert said(world.event("daytime", at=12 * HOUR, recipient=guest)) == [("held", "send_window", "*")]
    world.receipt("gone", at=13 * HOUR, target=ids.target_id("guest@mail.example"))
    world.advance(DAY)
    assert (world.outcomes[-1].status, world.outcomes[-1].reason) == ("suppressed", "target_blocked")


ODD = Recipient(email="ann@mail.example", locale="??", timezone="UTC+3")
ODD_FAULTS = (
    "recipient.locale: no language tag, left out: the tenant's applies;"
    " send a language tag like de or pt-BR, or leave it out | "
    "recipient.timezone: no zone of IANA, left out: the tenant's applies;"
    " send an IANA name like Europe/Berlin, or Etc/GMT-3 for UTC+03:00"
)


def test_every_outcome_names_what_was_left_out_of_an_inline_recipient() -> None:
    step = World("quiet").event("flight.landed", recipient=ODD)
    assert said(step) == [("suppressed", "no_channel", "inapp"), ("admitted", "", "email")]
    assert [outcome.detail for outcome in step.outcomes] == [{"recipient": ODD_FAULTS}] * 2
    assert (step.messages[0].locale, step.messages[0].timezone) == ("de", "Europe/Berlin")


def test_what_is_left_out_stands_beside_the_numbers_of_a_hold_and_is_named_again_when_due() -> None:
    world = World("quiet")
    held = world.event("flight.landed", recipient=ODD, send_at=HOUR)
    assert held.outcomes[0].detail == {"due_ms": NOON + HOUR, "recipient": ODD_FAULTS}
    world.advance(HOUR)
    assert world.outcomes[-1].status == "admitted"
    assert world.outcomes[-1].detail == {"recipient": ODD_FAULTS}


def test_nothing_is_named_where_the_recipient_is_sound_or_a_profile_wins(ann: World) -> None:
    sound = Recipient(email="ann@mail.example", locale="de", timezone="america/new_york")
    outcomes = [
        *World("quiet").event("flight.landed", recipient=sound).outcomes,
        *ann.event("flight.landed", recipient=ODD).outcomes,
    ]
    assert {outcome.status for outcome in outcomes} == {"admitted", "suppressed"}
    assert not any("recipient" in outcome.detail for outcome in outcomes)


def test_a_profile_wins_over_an_inline_recipient(ann: World) -> None:
    step = ann.event("few", recipient=Recipient(email="guest@mail.example"))
    assert {message.target.address for message in step.messages} == {"ann@mail.example", "+12125550100"}


def test_holds_of_a_user_are_bounded() -> None:
    world = World(policy=GatePolicy(holds_max=3))
    world.profile(profile())
    words = [said(world.event("flight.landed", send_at=HOUR))[0][:2] for _ in range(5)]
    assert words == [("held", "scheduled")] * 3 + [("suppressed", "limit")] * 2
    assert world.outcomes[-1].detail == {"counter": "held", "limit": 3, "count": 3}


def test_a_flood_of_ids_keeps_the_record_small_and_forgets_the_oldest() -> None:
    world = World(policy=GatePolicy(dedup_max=50))
    world.profile(profile())
    for number in range(200):
        world.event("flight.landed", event_id=f"flood-{number}", at=number)
    assert len(world.records["ann"]) < 3_000
    assert said(world.event("flight.landed", event_id="flood-150", at=200)) == [
        ("suppressed", "duplicate", "*")
    ]
    assert sent(world.event("flight.landed", event_id="flood-149", at=200)) == ["inapp", "email"]


def test_a_typical_record_is_small_and_a_quiet_user_costs_only_the_profile() -> None:
    world = with_defaults()
    fresh = len(world.records["ann"])
    for hour in range(3):
        world.event("flight.landed", at=hour * HOUR)
    assert len(world.records["ann"]) < 400
    world.event("flight.landed", at=60 * DAY)
    assert len(world.records["ann"]) < fresh + 100


def test_preferences_of_a_default_profile_cost_nothing() -> None:
    world = World()
    world.profile(profile(preferences=Preferences(channels={"email": True})))
    record = world.record()
    assert record is not None
    assert record.switched_off == ()

"""Events that ask for a notification by name, for fewer channels, or bring a cancel key of their own."""

from hypothesis import given, settings
from hypothesis import strategies as st

from tests.decision.gate_world import DAY, HOUR, MINUTE, World, profile, said, sent, with_preferences
from tests.decision.test_digests import CATALOG as DIGESTS
from tests.decision.test_escalation import LATER, ends, sends, world
from tocsin.decision.policy import GatePolicy
from tocsin.model.event import Asked, Recipient
from tocsin.model.explanations import explain

ALL = ("push", "inapp", "sms", "email")


def only(*channels: str, name: str = "") -> Asked:
    return Asked(name, channels)


def test_only_the_named_notification_answers_whatever_its_type_is() -> None:
    found = world()
    step = found.event("alarm", asked=Asked("plain"))
    assert (sent(step), {one.notification for one in step.outcomes}) == (["inapp", "push"], {"plain"})
    assert sent(found.event("of no notification", at=MINUTE, asked=Asked("plain"))) == ["inapp", "push"]


def test_the_condition_of_its_trigger_is_not_asked_but_those_of_its_channels_are() -> None:
    found = World()
    found.profile(profile())
    notification = found.gate.catalog.tenants["quiet"].notifications
    conditional = next(one for one in notification.values() if one.when is not None)
    data = {"flight": "UA 1545", "delay": 0, "key": "k"}
    assert said(found.event(conditional.message.template, data=data)) == [("suppressed", "no_match", "*")]
    step = found.event("any", at=MINUTE, data=data, asked=Asked(conditional.name))
    assert [one.notification for one in step.outcomes] == [conditional.name] * len(step.outcomes)
    assert step.outcomes


def test_a_name_that_the_catalog_does_not_have_is_said() -> None:
    step = world().event("alarm", asked=Asked("alrm"))
    assert said(step) == [("suppressed", "unknown_notification", "*")]
    (one,) = step.outcomes
    assert explain(one.reason, one.detail) == (
        "The event asks for the notification alrm, which the tenant's catalog does not have."
    )


def test_a_stranger_waits_only_for_a_notification_that_there_is() -> None:
    found = World("lab", catalog=LATER)
    assert said(found.event("x", asked=Asked("alrm"))) == [("suppressed", "unknown_notification", "*")]
    assert said(found.event("x", asked=Asked("alarm", ("sms",)))) == [("held", "awaiting_profile", "*")]
    assert sent(found.profile(profile())) == ["sms"]


def test_preferences_and_limits_hold_all_the_same() -> None:
    found = world()
    found.profile(with_preferences(channels={"push": False}), at=1)
    assert said(found.event("x", at=2, asked=only("push", name="plain"))) == [
        ("suppressed", "channel_off", "push")
    ]
    found.profile(profile(version=2), at=3)
    steps = [found.event("x", at=MINUTE * n, asked=only("sms", name="alarm")) for n in (1, 2, 3)]
    assert [said(step)[0][1] for step in steps] == ["", "", "limit"]


def test_channels_are_narrowed_and_the_others_have_no_outcome() -> None:
    found = world()
    step = found.event("alarm", asked=only("email", "slack"))
    assert said(step) == [("admitted", "", "email")]


def test_no_channel_that_was_asked_for() -> None:
    found = world()
    (one,) = found.event("alarm", asked=only("inapp", "slack")).outcomes
    assert (one.status, one.reason, one.channel) == ("suppressed", "no_asked_channel", "*")
    assert explain(one.reason, one.detail).endswith("channels that the event asks for: inapp, slack.")
    assert (one.notification, found.timers) == ("alarm", {})


def test_an_inline_recipient_on_one_channel() -> None:
    found = World("lab", catalog=LATER)
    to = Recipient(email="bob@mail.example", phone="+12125550101")
    assert sent(found.event("x", recipient=to, asked=only("sms", name="alarm"))) == ["sms"]


def test_what_is_held_keeps_what_it_asks_for() -> None:
    found = world()
    held = found.event("x", send_at=HOUR, asked=only("sms", name="alarm"))
    assert said(held) == [("held", "scheduled", "*")]
    found.advance(DAY)
    assert sends(found) == [("sms", 60)]


def test_later_steps_are_narrowed() -> None:
    found = world()
    found.event("alert", asked=only("push", "email"))
    found.advance(DAY)
    assert (sends(found), ends(found)) == ([("push", 0), ("email", 30)], [])


def test_a_step_goes_out_at_once_where_nothing_before_it_was_asked_for() -> None:
    found = world()
    found.event("alert", asked=only("sms", "email"))
    found.advance(DAY)
    assert (sends(found), ends(found)) == ([("sms", 0), ("email", 20)], [])


def test_a_sequence_is_narrowed() -> None:
    found = world()
    found.event("chain", asked=only("email", "push"))
    found.advance(DAY)
    assert sends(found) == [("push", 0), ("email", 5)]


def test_one_digest_for_each_choice_of_channels() -> None:
    found = World(catalog=DIGESTS)
    found.profile(profile())
    channel = DIGESTS.tenants["quiet"].notifications["hourly"].channels[0].name
    for n, asked in enumerate((None, only(channel), only(channel), None)):
        found.event("hourly", at=n, data={"n": n, "key": "k"}, asked=asked)
    found.advance(DAY)
    found.advance(2 * DAY)
    assert [bytes(one.data).count(b'"n"') for one in found.messages] == [2, 2]


def test_a_cancel_key_of_the_event_reschedules_and_cancels() -> None:
    found = world()
    for n, hours in enumerate((1, 2)):
        found.event("plain", at=n, send_at=hours * HOUR, asked=Asked(cancel_key="order 7"))
    assert ends(found) == [("cancelled", "rescheduled", "*")]
    assert said(found.event("tocsin.cancel", at=3, data={"cancel_key": "order 7"}))[-1] == (
        "suppressed", "cancel_applied", "*"
    )  # fmt: skip
    found.advance(DAY)
    assert (found.messages, found.timers) == ([], {})


def test_a_cancel_event_stays_one_whatever_it_asks_for() -> None:
    found = world()
    step = found.event("tocsin.cancel", data={"cancel_key": 7}, asked=Asked("plain"))
    assert said(step) == [("suppressed", "nothing_to_cancel", "*")]


@settings(max_examples=40)
@given(
    st.lists(
        st.tuples(
            st.sampled_from(["", "alert", "chain", "once_seen", "hurry", "alarm", "scarce", "news", "none"]),
            st.lists(st.sampled_from([*ALL, "slack"]), max_size=3, unique=True),
        ),
        min_size=1,
        max_size=6,
    )
)
def test_every_event_has_one_final_outcome_a_channel_and_only_asked_ones_leave(
    plan: list[tuple[str, list[str]]],
) -> None:
    """Law 1, whatever the events ask for; what they did not ask for never leaves."""
    found = World("lab", catalog=LATER, policy=GatePolicy())
    found.profile(profile())
    for n, (name, channels) in enumerate(plan):
        asked = Asked(name, tuple(channels)) if name or channels else None
        found.event("alarm", at=n * MINUTE, event_id=f"e{n}", asked=asked)
    found.advance(3 * DAY)
    assert found.timers == {}
    for n, (_, channels) in enumerate(plan):
        final = [
            one
            for one in found.outcomes
            if one.event_id == f"e{n}" and one.status != "held" and one.reason != "digest"
        ]
        assert final
        keys = [(one.notification_id, one.channel, one.target) for one in final]
        assert len(set(keys)) == len(keys)
        if channels:
            assert {one.channel for one in final} - {"*"} <= set(channels)

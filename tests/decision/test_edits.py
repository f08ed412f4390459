"""The catalog is edited while things are open: limits count what counted, and the newest of a key is sent."""

import pytest

from tests.decision.edits import ann, edited, notification, of
from tests.decision.gate_world import HOUR, MINUTE, said, sent
from tocsin.catalog.loader import Catalog
from tocsin.model.explanations import explain

A_DAY = [{"max": 1, "calendar": "day", "scope": "user"}]
AN_HOUR = [{"max": 1, "per": "1h", "scope": "channel", "channel": "sms"}]
EDITED = "The catalog was edited while it waited: it does not have this"
FULL = [("suppressed", "limit", "*")]


def daily(*notifications: dict[str, object], **tenant: object) -> Catalog:
    return of(*notifications, limits=A_DAY, **tenant)


@pytest.mark.parametrize(
    "after",
    [
        daily(notification("other")),
        daily(notification("other"), notification("news", channels=["push"])),
        daily(notification("other"), notification("news", priority="critical")),
        of(notification("other"), limits=[]),
    ],
    ids=["it is gone", "its channel is gone", "it is critical now", "there is no limit"],
)
def test_a_slot_comes_back_whatever_the_catalog_is_when_the_send_fails(after: Catalog) -> None:
    before = daily(notification("news"), notification("other"))
    world = ann(before)
    (message,) = world.event("news").messages
    assert said(world.event("other", at=1)) == FULL
    edited(world, after)
    world.failed(message, at=MINUTE)
    edited(world, before)
    assert sent(world.event("other", at=2 * MINUTE)) == ["email"]
    assert said(world.event("other", at=3 * MINUTE)) == FULL


def test_the_slot_of_a_channel_comes_back_when_the_channel_is_gone() -> None:
    text, other = notification("text", channels=["sms"]), notification("other", channels=["sms"])
    before = of(text, other, limits=AN_HOUR)
    world = ann(before)
    (message,) = world.event("text").messages
    edited(world, of(text | {"channels": ["email"]}, other, limits=AN_HOUR))
    world.failed(message, at=MINUTE)
    assert sent(world.event("other", at=2 * MINUTE)) == ["sms"]
    assert said(world.event("other", at=3 * MINUTE)) == [("suppressed", "limit", "sms")]


@pytest.mark.parametrize(
    "after",
    [
        of(notification("news"), notification("other"), limits=[A_DAY[0] | {"calendar": "week"}]),
        of(
            notification("news", category="offers"),
            notification("other", category="offers"),
            limits=[{"max": 1, "calendar": "week", "scope": "marketing"}],
        ),
    ],
    ids=["another window", "another category"],
)
def test_a_slot_does_not_come_back_to_a_limit_that_never_counted_it(after: Catalog) -> None:
    world = ann(daily(notification("news"), notification("other")))
    (message,) = world.event("news").messages
    edited(world, after)
    assert sent(world.event("other", at=1)) == ["email"]
    world.failed(message, at=MINUTE)
    assert said(world.event("other", at=2 * MINUTE)) == FULL


def test_a_channel_that_waits_keeps_the_slot_of_its_notification_over_an_edit() -> None:
    """Its text waits for the window of the channel; by then nothing limits it any more."""
    alert = notification("news", channels=["sms"])
    before = of(
        alert, notification("other"), limits=A_DAY, windows={"sms": {"start": "14:00", "end": "21:00"}}
    )
    world = ann(before)
    assert said(world.event("news")) == [("held", "send_window", "sms")]
    edited(world, of(alert, notification("other")))
    world.advance(3 * HOUR)
    (message,) = world.messages
    edited(world, before)
    assert said(world.event("other", at=4 * HOUR)) == FULL
    world.failed(message, at=5 * HOUR)
    assert sent(world.event("other", at=6 * HOUR)) == ["email"]


def test_what_waited_without_a_limit_takes_no_slot_when_it_leaves() -> None:
    text = notification("news", channels=["sms"])
    windows = {"sms": {"start": "14:00", "end": "21:00"}}
    world = ann(of(text, notification("other"), windows=windows))
    world.event("news")
    edited(world, daily(text, notification("other"), windows=windows))
    assert sent(world.event("other", at=HOUR)) == ["email"]
    world.advance(3 * HOUR)
    (_, message) = world.messages
    assert message.channel == "sms"
    world.failed(message, at=4 * HOUR)
    assert said(world.event("other", at=5 * HOUR)) == FULL


def test_steps_that_expire_at_once_take_nothing_off_a_limit() -> None:
    """The text and the later step are too late at once; the push keeps the slot of the notification."""
    later = {"after": "10m", "unless": "opened", "channels": ["email"]}
    chased = notification("chased", channels=["sms", "push"], escalate=[later])
    windows = {"sms": {"start": "14:00", "end": "21:00"}}
    world = ann(of(chased, notification("other"), limits=[A_DAY[0] | {"max": 2}], windows=windows))
    assert sent(world.event("other")) == ["email"]
    assert said(world.event("chased", at=1, expires=MINUTE)) == [
        ("expired", "too_late", "sms"),
        ("admitted", "", "push"),
        ("expired", "too_late", "email"),
    ]
    assert said(world.event("other", at=2)) == FULL


@pytest.mark.parametrize("window", [None, {"start": "16:00", "end": "20:00"}], ids=["sent", "held again"])
def test_a_collapse_key_that_is_added_merges_nothing_newer_into_what_is_due(
    window: dict[str, str] | None,
) -> None:
    """The older one was held without a key. It takes the key when it is due, beside a newer one with it."""
    score = notification("score", delay="2h")
    world = ann(of(score))
    older = world.event("score").outcomes[0].notification_id
    keyed = score | {"collapse_key": "data.key"} | ({"send_window": window} if window else {})
    edited(world, of(keyed))
    newer = world.event("score", at=HOUR).outcomes[0].notification_id
    world.advance(9 * HOUR)
    ends = {one.notification_id: (one.status, one.detail) for one in world.outcomes if one.status != "held"}
    assert ends[newer] == ("admitted", {})
    assert ends[older] == (("merged", {"into": newer}) if window else ("admitted", {}))


def test_a_step_of_an_older_one_merges_no_step_of_a_newer_one_into_itself() -> None:
    steps = [{"after": "1h", "unless": "read", "channels": ["sms"]}]
    score = notification("score", channels=["push"], escalate=steps)
    windows = {"sms": {"start": "16:00", "end": "20:00"}}
    world = ann(of(score))
    world.event("score")
    edited(world, of(score | {"collapse_key": "data.key"}, windows=windows))
    world.event("score", at=MINUTE)
    world.advance(9 * HOUR)
    assert [one.event_id for one in world.messages if one.channel == "sms"] == ["e2"]
    assert [one.event_id for one in world.outcomes if one.status == "merged"] == ["e1"]


def test_what_ends_by_an_edit_says_what_is_gone() -> None:
    steps = [{"after": "1h", "unless": "read", "channels": ["sms"]}]
    chased = notification("chased", channels=["push"], escalate=steps)
    late, asked = notification("late", delay="2h"), notification("asked", delay="3h")
    world = ann(of(chased, late, asked))
    for kind in ("chased", "late", "asked"):
        world.event(kind)
    asked["on"] = {"type": "asked", "when": "data.delay == 0"}
    edited(world, of(chased | {"escalate": []}, asked))
    world.retry(world.messages[0], at=MINUTE)
    edited(world, of(chased | {"escalate": [], "channels": ["email"]}, asked))
    world.retry(world.messages[0], at=2 * MINUTE, attempt=3)
    world.advance(4 * HOUR)
    ends = [one for one in world.outcomes if one.status == "cancelled"]
    assert [(one.notification, one.channel, explain(one.reason, one.detail)) for one in ends] == [
        ("chased", "push", f"{EDITED} channel any more."),
        ("chased", "sms", f"{EDITED} channel any more."),
        ("late", "*", f"{EDITED} notification any more."),
        ("asked", "*", "When it was due, its condition did not hold any more."),
    ]

"""Preferences: defaults and choices merged into switches, and what a switch refuses."""

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tocsin.catalog.spec import DefaultPreferences
from tocsin.decision import preferences
from tocsin.model.profile import Preferences
from tocsin.model.statuses import CHANNELS, Reason
from tocsin.model.switches import category_key, channel_key, notification_key

NONE = DefaultPreferences()


def off(chosen: dict[str, object], defaults: dict[str, object] | None = None) -> tuple[str, ...]:
    wanted = DefaultPreferences.model_validate(defaults or {})
    return preferences.switched_off(msgspec.convert(chosen, Preferences), wanted)


def test_only_what_is_off_is_kept() -> None:
    assert off({"channels": {"email": True}, "categories": {"a": True}, "notifications": {"n": True}}) == ()


@pytest.mark.parametrize(
    ("chosen", "expected"),
    [
        ({"enabled": False}, ("*",)),
        ({"channels": {"sms": False}}, ("channel:sms",)),
        ({"notifications": {"n": False}}, ("notification:n",)),
        ({"categories": {"a": False}}, ("category:a",)),
        ({"categories": {"a": {"sms": False, "email": True}}}, ("category:a:sms",)),
        ({"categories": {"a": dict.fromkeys(CHANNELS, False)}}, ("category:a",)),
    ],
)
def test_each_switch_has_a_key(chosen: dict[str, object], expected: tuple[str, ...]) -> None:
    assert off(chosen) == expected


@pytest.mark.parametrize(
    ("chosen", "expected"),
    [
        ({}, ("category:a", "category:b:sms", "channel:push", "notification:n")),
        ({"channels": {"push": True}}, ("category:a", "category:b:sms", "notification:n")),
        ({"notifications": {"n": True}}, ("category:a", "category:b:sms", "channel:push")),
        ({"categories": {"b": True}}, ("category:a", "channel:push", "notification:n")),
        (
            {"categories": {"b": {"email": False}}},
            ("category:a", "category:b:email", "category:b:sms", "channel:push", "notification:n"),
        ),
        ({"categories": {"b": {"sms": True}}}, ("category:a", "channel:push", "notification:n")),
    ],
)
def test_defaults_hold_where_nothing_was_chosen(chosen: dict[str, object], expected: tuple[str, ...]) -> None:
    defaults: dict[str, object] = {
        "channels": {"push": False},
        "categories": {"a": False, "b": {"sms": False}},
        "notifications": {"n": False},
    }
    assert off(chosen, defaults) == expected


def test_choosing_one_channel_of_a_category_that_is_off_by_default() -> None:
    found = off({"categories": {"a": {"push": True}}}, {"categories": {"a": False}})
    assert found == ("category:a:email", "category:a:inapp", "category:a:sms", "category:a:webpush")


def test_the_most_general_refusal_is_named_first() -> None:
    everything = ("*", "category:a", "notification:n")
    assert preferences.refusal(everything, "notification:n", "category:a") is Reason.OPTED_OUT
    assert preferences.refusal(everything[1:], "notification:n", "category:a") is Reason.NOTIFICATION_OFF
    assert preferences.refusal(everything[1:2], "notification:n", "category:a") is Reason.CATEGORY_OFF
    assert preferences.refusal((), "notification:n", "category:a") is Reason.NONE


switches = st.dictionaries(st.sampled_from("ab"), st.booleans())
channel_switches = st.dictionaries(st.sampled_from([str(name) for name in CHANNELS]), st.booleans())
wishes = st.builds(
    Preferences,
    enabled=st.booleans(),
    channels=channel_switches,
    categories=st.dictionaries(st.sampled_from("ab"), st.booleans() | channel_switches),
    notifications=switches,
)


@given(wishes, st.sampled_from("ab"), st.sampled_from([str(name) for name in CHANNELS]))
def test_a_no_at_any_level_is_a_no_and_all_else_a_yes(wish: Preferences, name: str, channel: str) -> None:
    category = wish.categories.get(name, True)
    allowed = (
        wish.enabled
        and wish.notifications.get(name, True)
        and wish.channels.get(channel, True)
        and (category if isinstance(category, bool) else category.get(channel, True))
    )
    found = preferences.switched_off(wish, NONE)
    reason = preferences.refusal(
        found, notification_key(name), category_key(name)
    ) or preferences.channel_refusal(found, channel_key(channel), category_key(name, channel))
    assert (reason is Reason.NONE) == allowed

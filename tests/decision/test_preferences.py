"""Preferences: what each switch refuses, and which yes of a user outweighs a default that is off."""

from types import SimpleNamespace
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.decision.causes import ann, evaluation
from tests.decision.gate_world import MINUTE, World, said, with_preferences
from tests.decision.oracle_preferences import LEVELS, REASONS, Choices, Defaults
from tocsin.catalog.compile import CompiledNotification, compile_tenant
from tocsin.catalog.spec import NotificationSpec, TenantSpec
from tocsin.decision import preferences
from tocsin.decision.evaluation import Evaluation, Stage
from tocsin.decision.rules.preferences import channel_preferences, notification_preferences
from tocsin.decision.user_state import RecordCodec
from tocsin.model.profile import Preferences
from tocsin.model.statuses import FIRST_CHANNELS as CHANNELS
from tocsin.model.statuses import Reason
from tocsin.model.switches import DIGEST_BYTES, digest, holds, packed

USED = ("email", "sms", "push")


def off(chosen: dict[str, object]) -> tuple[str, ...]:
    return preferences.switched_off(msgspec.convert(chosen, Preferences))


def test_only_what_is_off_is_kept_by_name() -> None:
    assert off({"channels": {"email": True}, "categories": {"a": True}, "notifications": {"n": True}}) == ()


@pytest.mark.parametrize(
    ("chosen", "expected"),
    [
        ({"enabled": False}, ("*",)),
        ({"channels": {"sms": False}}, ("channel:sms",)),
        ({"notifications": {"n": False}}, ("notification:n",)),
        ({"notifications": {"n": {"sms": False, "email": True}}}, ("notification:n:sms",)),
        ({"categories": {"a": False}}, ("category:a",)),
        ({"categories": {"a": {"sms": False, "email": True}}}, ("category:a:sms",)),
        ({"categories": {"a": dict.fromkeys(CHANNELS, False)}}, ("category:a",)),
        ({"notifications": {"n": dict.fromkeys(CHANNELS, False)}}, ("notification:n",)),
    ],
)
def test_each_switch_has_a_key(chosen: dict[str, object], expected: tuple[str, ...]) -> None:
    assert off(chosen) == expected


def test_what_is_on_is_kept_as_digests_whatever_the_order() -> None:
    chosen = Preferences(channels={"sms": True, "push": False}, categories={"a": {"email": True}})
    turned = Preferences(categories={"a": {"email": True}}, channels={"push": False, "sms": True})
    found = preferences.switched_on(chosen)
    assert found == preferences.switched_on(turned) == packed(["channel:sms", "category:a:email"])
    assert holds(found, digest("channel:sms"))
    assert not holds(found, digest("channel:push"))


@given(st.lists(st.binary(min_size=DIGEST_BYTES, max_size=DIGEST_BYTES), max_size=6), st.integers(0, 30))
def test_a_digest_is_found_only_at_its_place(digests: list[bytes], shift: int) -> None:
    """Bytes that lie across two digests are none."""
    joined = b"".join(digests)
    across = joined[shift : shift + DIGEST_BYTES]
    if len(across) == DIGEST_BYTES:
        assert holds(joined, across) == (across in digests)
    assert not holds(b"", b"123456")


def test_the_most_general_refusal_is_named_first() -> None:
    everything = ("*", "category:a", "notification:n")
    assert preferences.refusal(everything, "notification:n", "category:a") is Reason.OPTED_OUT
    assert preferences.refusal(everything[1:], "notification:n", "category:a") is Reason.NOTIFICATION_OFF
    assert preferences.refusal(everything[1:2], "notification:n", "category:a") is Reason.CATEGORY_OFF
    assert preferences.refusal((), "notification:n", "category:a") is Reason.NONE


def compiled(defaults: dict[str, Any]) -> CompiledNotification:
    """Compile the notification `n` of the category `a`."""
    tenant = TenantSpec.model_validate({"categories": {"a": {}, "b": {}}, "preferences": defaults})
    notice = {"on": {"type": "t"}, "category": "a", "channels": list(USED)}
    specs = {"n": NotificationSpec.model_validate(notice)}
    return compile_tenant("quiet", tenant, specs, "v").notifications["n"]


def about(notification: CompiledNotification, **changes: object) -> Evaluation:
    """Make an evaluation of a notification."""
    found = evaluation(Stage.EVENT)
    for name, value in {**changes, "notification": notification}.items():
        setattr(found, name, value)
    return found


def verdicts(chosen: dict[str, Any], defaults: dict[str, Any]) -> tuple[str, dict[str, str]]:
    """Ask the rules why the notification, and why each of its channels, is refused."""
    wish = msgspec.convert(chosen, Preferences)
    person = ann(switched_off=preferences.switched_off(wish), switched_on=preferences.switched_on(wish))
    found = about(compiled(defaults), recipient=person)
    whole = notification_preferences(found)
    channels = {}
    for channel in found.notification.channels:
        found.channel = channel
        channels[channel.name] = str(getattr(channel_preferences(found), "reason", ""))
    return str(getattr(whole, "reason", "")), channels


by_channel = st.dictionaries(st.sampled_from(USED), st.booleans(), max_size=3)
group = st.booleans() | by_channel
groups = st.fixed_dictionaries(
    {
        "channels": by_channel,
        "categories": st.dictionaries(st.sampled_from("ab"), group, max_size=2),
        "notifications": st.dictionaries(st.sampled_from("nm"), group, max_size=2),
    }
)


@given(groups, groups)
def test_the_rules_decide_as_the_page_says(chosen: dict[str, Any], defaults: dict[str, Any]) -> None:
    """Whatever is chosen and whatever is default: against the second statement."""
    notice = {"name": "n", "category": "a"}
    mine = Choices(SimpleNamespace(**chosen), notice)
    by_default = Defaults(defaults, mine)
    own = [REASONS[level] for level in ("notification", "category") if mine.says(level) is False]
    narrow = ("notification x channel", "category x channel", "channel")
    expected = {}
    for channel in USED:
        refused = [REASONS[level] for level in narrow if mine.says(level, channel) is False]
        expected[channel] = refused[0] if refused else by_default.refusal(channel)
    whole = own[0] if own else by_default.refusal_of_all(USED)
    assert verdicts(chosen, defaults) == (whole, expected)


@given(groups)
def test_a_no_of_the_user_is_a_no_whatever_else_he_has_chosen(chosen: dict[str, Any]) -> None:
    mine = Choices(SimpleNamespace(**chosen), {"name": "n", "category": "a"})
    whole, channels = verdicts(chosen, {})
    for channel in USED:
        refused = any(mine.says(level, channel) is False for level in LEVELS)
        assert refused == bool(whole or channels[channel])


@given(groups, groups)
def test_without_a_yes_of_the_user_defaults_only_ever_add_a_no(
    chosen: dict[str, Any], defaults: dict[str, Any]
) -> None:
    """Defaults never send what the user has refused."""
    whole, channels = verdicts(chosen, {})
    with_whole, with_channels = verdicts(chosen, defaults)
    assert bool(with_whole) >= bool(whole)
    assert all(bool(with_channels[one]) >= bool(channels[one]) for one in USED)


@pytest.mark.parametrize(
    ("chosen", "wanted"),
    [
        ({}, ()),
        ({"categories": {"a": True}}, USED),
        ({"categories": {"a": {"push": True}}}, ("push",)),
        ({"notifications": {"n": True}}, USED),
        ({"notifications": {"n": {"sms": True}}}, ("sms",)),
        ({"channels": {"push": True}}, ()),
        ({"categories": {"b": True}}, ()),
    ],
)
def test_a_category_that_is_off_by_default(chosen: dict[str, Any], wanted: tuple[str, ...]) -> None:
    whole, channels = verdicts(chosen, {"categories": {"a": False}})
    assert tuple(name for name, reason in channels.items() if not whole and not reason) == wanted


def test_a_channel_that_is_off_by_default_may_be_on_for_one_category() -> None:
    defaults = {"channels": {"sms": False}, "categories": {"a": {"sms": True}}}
    assert verdicts({}, defaults)[1]["sms"] == ""
    assert verdicts({}, {"channels": {"sms": False}})[1]["sms"] == "channel_off"
    assert verdicts({"channels": {"sms": False}}, defaults)[1]["sms"] == "channel_off"


def test_a_changed_default_holds_for_users_whose_profile_came_before() -> None:
    world = World()
    world.profile(with_preferences())
    assert said(world.event("flight.landed")) == [("admitted", "", "inapp"), ("admitted", "", "email")]
    tenant = world.gate.catalog.tenants["quiet"]
    landed = tenant.notifications["landed"]
    email = msgspec.structs.replace(
        landed.channels[1], off_by_default=compiled({"channels": {"email": False}}).channels[0].off_by_default
    )
    changed = msgspec.structs.replace(landed, channels=(landed.channels[0], email))
    found = about(changed, channel=email)
    assert getattr(channel_preferences(found), "reason", "") is Reason.CHANNEL_OFF


def test_defaults_that_an_older_record_holds_are_not_asked_again() -> None:
    """Its user may have turned on what is off by default; the record does not tell."""
    older = ann(switched_on=None)
    found = about(compiled({"categories": {"a": False}}), recipient=older)
    assert notification_preferences(found) is None


def test_a_record_takes_few_bytes_for_what_is_on() -> None:
    """Pages of preferences write every switch: 40 of them."""
    choices = {f"category_{number}": dict.fromkeys(USED, True) for number in range(13)}
    world = World()
    world.profile(with_preferences(categories=choices))
    record = world.record()
    assert record is not None
    assert record.switched_off == ()
    bare = msgspec.structs.replace(record, switched_on=b"")
    grown = len(RecordCodec().encode(record)) - len(RecordCodec().encode(bare))
    assert grown <= 39 * DIGEST_BYTES + 2


def test_one_channel_of_a_notification_is_off() -> None:
    world = World()
    world.profile(with_preferences(notifications={"landed": {"email": False}}))
    step = world.event("flight.landed", at=MINUTE)
    assert said(step) == [("admitted", "", "inapp"), ("suppressed", "notification_off", "email")]
    assert step.outcomes[1].detail == {}
    step = world.event("hushed", at=2 * MINUTE)
    assert said(step) == [("admitted", "", "email"), ("suppressed", "notification_off", "sms")]
    assert step.outcomes[1].detail == {"by": "default"}

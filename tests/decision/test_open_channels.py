"""Channels that a tenant declares, channels of a whole team, and channels that share the phone number."""

from pathlib import Path

import pytest

from tests.decision.gate_world import World, profile, said, sent
from tocsin.catalog.loader import load
from tocsin.model.event import Recipient
from tocsin.model.ids import message_id, target_id
from tocsin.model.profile import Preferences, Suppressed

TENANT = """
categories: {ops: {required: false}}
channels: {telegram: {}, pagerduty: {contact: account}}
limits: [{max: 2, per: 1d, scope: channel, channel: telegram}]
"""
NOTICES = """
alarm: {on: {type: alarm}, category: ops, channels: [telegram, pagerduty]}
chat: {on: {type: chat}, category: ops, channels: [telegram, email]}
call: {on: {type: call}, category: ops, channels: [sms, whatsapp, voice]}
text: {on: {type: text}, category: ops, channels: [sms]}
"""
CHAT = "-1001234567"


@pytest.fixture(scope="module")
def catalog(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("catalog")
    files = {"tenants/default.yaml": TENANT, "notifications/all.yaml": NOTICES}
    files |= {f"templates/{name}/en/chat.j2": "Hi" for name in ("alarm", "chat", "call", "text")}
    for name, text in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
    return folder


@pytest.fixture
def world(catalog: Path) -> World:
    return World("default", catalog=load(catalog))


def test_a_declared_channel_goes_to_the_contact_of_its_name(world: World) -> None:
    world.profile(profile(contacts={"telegram": CHAT, "fax": "1"}))
    [message] = [one for one in world.event("alarm").messages if one.channel == "telegram"]
    assert message.target.address == CHAT
    assert message.message_id == message_id(message.notification_id, "telegram", target_id(CHAT, "telegram"))


def test_who_has_no_contact_is_not_reached_and_it_is_said(world: World) -> None:
    world.profile(profile())
    assert said(world.event("chat")) == [("suppressed", "no_channel", "telegram"), ("admitted", "", "email")]


def test_a_channel_of_the_account_needs_no_contact(world: World) -> None:
    world.profile(profile())
    [message] = world.event("alarm").messages
    assert (message.channel, message.target.address, message.target.platform) == (
        "pagerduty",
        "account",
        "account",
    )


def test_preferences_limits_and_unblocking_are_those_of_any_channel(world: World) -> None:
    world.profile(profile(contacts={"telegram": CHAT}))
    assert [sent(world.event("chat", at=at)) for at in range(3)] == [["telegram", "email"]] * 2 + [["email"]]
    off = Preferences(channels={"telegram": False})
    world.profile(profile(contacts={"telegram": CHAT}, preferences=off, version=2), at=10)
    assert said(world.event("chat", at=11))[0] == ("suppressed", "channel_off", "telegram")


def test_a_block_of_one_channel_leaves_another_with_the_same_number(world: World) -> None:
    world.profile(profile())
    first = world.event("call")
    assert sent(first) == ["sms", "whatsapp", "voice"]
    assert len({one.message_id for one in first.messages}) == 3
    world.receipt("gone", channel="whatsapp", address="+12125550100", at=1)
    assert sent(world.event("call", at=2)) == ["sms", "voice"]
    world.receipt("opted_out", channel="sms", address="+12125550100", at=3)
    assert sent(world.event("call", at=4)) == ["voice"]
    world.receipt("unblocked", channel="whatsapp", at=5)
    assert sent(world.event("call", at=6)) == ["whatsapp", "voice"]


def test_a_receipt_by_its_message_blocks_the_lent_number(world: World) -> None:
    world.profile(profile())
    [_, whatsapp, _] = world.event("call").messages
    ids = {"notification_id": whatsapp.notification_id, "message_id": whatsapp.message_id}
    world.receipt("gone", at=1, **ids)
    assert sent(world.event("call", at=2)) == ["sms", "voice"]


def test_a_contact_of_its_own_takes_the_place_of_the_number(world: World) -> None:
    world.profile(profile(contacts={"whatsapp": "+447700900123"}))
    found = {one.channel: one.target.address for one in world.event("call").messages}
    assert found == {"sms": "+12125550100", "whatsapp": "+447700900123", "voice": "+12125550100"}


def test_a_record_keeps_no_point_for_channels_that_only_borrow(world: World) -> None:
    world.profile(profile())
    record = world.record()
    assert record is not None
    assert [point.channel for point in record.contact_points] == ["email", "sms", "push", "inapp"]
    assert sent(world.event("text")) == ["sms"]


def test_a_listed_block_names_its_channel(world: World) -> None:
    listed = (Suppressed(CHAT, channel="telegram"),)
    world.profile(profile(contacts={"telegram": CHAT}, suppressed=listed))
    assert sent(world.event("chat")) == ["email"]


def test_an_inline_recipient_may_have_such_contacts(world: World) -> None:
    step = world.event("chat", user="contact-1", recipient=Recipient(contacts={"telegram": CHAT}))
    assert [(one.channel, one.target.address) for one in step.messages] == [("telegram", CHAT)]


def test_a_message_that_returns_keeps_its_contact_point(world: World) -> None:
    world.profile(profile(contacts={"telegram": CHAT}))
    telegram, _ = world.event("chat").messages
    voice = world.event("call").messages[2]
    for message in (telegram, voice):
        [again] = world.retry(message).messages
        assert (again.message_id, again.target) == (message.message_id, message.target)

"""Contact points of profiles and inline recipients."""

from datetime import UTC, datetime

from tocsin.decision import recipient as recipients
from tocsin.decision.user_state import ContactPoint
from tocsin.model.event import Recipient
from tocsin.model.ids import target_id
from tocsin.model.profile import Device, Profile

ENDPOINT = {"endpoint": "https://push.example/1", "p256dh": "k", "auth": "a"}


def channels(profile: Profile) -> list[str]:
    return [point.channel for point in recipients.profile_contact_points("ann", profile)]


def test_in_app_is_always_there() -> None:
    assert recipients.profile_contact_points("ann", Profile()) == (ContactPoint("inapp", target_id("ann")),)


def test_each_contact_has_its_channel() -> None:
    devices = (Device("ios", token="a"), Device("android", token="b"), Device("web", subscription=ENDPOINT))
    whole = Profile(email="ann@mail.example", phone="+12125550100", devices=devices)
    assert channels(whole) == ["email", "sms", "push", "push", "webpush", "inapp"]


def test_devices_without_an_address_are_left_out() -> None:
    devices = (Device("ios"), Device("web", token="x"), Device("web", subscription={}))
    assert channels(Profile(devices=devices)) == ["inapp"]


def test_the_same_device_twice_is_one() -> None:
    assert channels(Profile(devices=(Device("ios", token="a"), Device("ios", token="a")))) == [
        "push",
        "inapp",
    ]


def test_a_target_says_all_that_delivery_needs() -> None:
    at = datetime(2024, 1, 1, tzinfo=UTC)
    devices = (Device("ios", token="a", app="app", registered_at=at), Device("web", subscription=ENDPOINT))
    push, web, inapp = recipients.profile_contact_points("ann", Profile(devices=devices))
    target = recipients.target(push, "ann")
    assert (target.address, target.platform, target.app) == ("a", "ios", "app")
    assert target.registered_ms == 1_704_067_200_000
    assert recipients.target(web, "ann").subscription == ENDPOINT
    assert recipients.target(inapp, "ann").address == "ann"
    assert push.key == target_id("a")


def test_inline_recipients_have_no_device_and_no_inbox() -> None:
    points = recipients.inline_contact_points(Recipient(email="a@mail.example", phone="+12125550100"))
    assert [point.channel for point in points] == ["email", "sms"]
    assert recipients.inline_contact_points(Recipient()) == ()

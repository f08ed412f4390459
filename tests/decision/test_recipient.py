"""Contact points of profiles and inline recipients."""

from datetime import UTC, datetime

import msgspec
import pytest

from tocsin.decision import recipient as recipients
from tocsin.decision.user_state import ContactPoint, UserRecord
from tocsin.model.event import Event, Origin, Recipient
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


_TOKYO = recipients.TenantDefaults("ja", "Asia/Tokyo", None)


def zones_of(zone: str) -> set[tuple[str, str]]:
    """Return own and effective zone of a user whose stored profile, and of one whose event, names `zone`."""
    event = Event(
        "lab", "1", "/s", "t", "ann", 0, msgspec.Raw(b"{}"), Origin("events", 0, 0), 0,
        recipient=Recipient(email="ann@mail.example", timezone=zone),
    )  # fmt: skip
    known = recipients.for_event(UserRecord(version=1, timezone=zone), event, _TOKYO)
    inline = recipients.for_event(UserRecord(), event, _TOKYO)
    assert known is not None
    assert inline is not None
    return {(one.own_timezone, one.timezone) for one in (known, inline)}


@pytest.mark.parametrize("zone", ["UTC+3", "Mars/Olympus", ""])
def test_where_no_zone_is_known_the_tenants_decides(zone: str) -> None:
    assert zones_of(zone) == {("", "Asia/Tokyo")}


def test_a_zone_is_found_whatever_its_spelling() -> None:
    assert zones_of("america/new_york") == {("America/New_York", "America/New_York")}
    assert zones_of("Asia/Beijing") == {("Asia/Shanghai", "Asia/Shanghai")}

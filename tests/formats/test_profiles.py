"""Profiles as others write them: an opt-out is never lost, and every fault is named with its cure."""

import json
from datetime import UTC, datetime
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.formats.test_codec import raw
from tocsin.errors import DecodeError
from tocsin.formats.profile_checks import attributes_json
from tocsin.formats.profiles import ProfileChange, decode_profile
from tocsin.model.profile import Device, Preferences, Profile, QuietHours
from tocsin.model.statuses import Reason


def read(document: object, key: bytes = b"acme/ann") -> ProfileChange:
    return decode_profile(raw(json.dumps(document).encode(), key))


MINUTE = datetime(2026, 1, 31, 8, 30, tzinfo=UTC)


@pytest.mark.parametrize(
    "written", ["2026-01-31T09:30+01:00", "2026-01-31T08:30Z", "2026-01-31t08:30:00.000z"]
)
def test_times_are_read_as_those_of_events(written: str) -> None:
    device = {"platform": "ios", "token": "x", "registered_at": written}
    found = read({"devices": [device], "preferences": {"snoozed_until": written}})
    assert found.faults == ()
    assert found.profile is not None
    assert found.profile.devices[0].registered_at == MINUTE
    assert found.profile.preferences.snoozed_until == MINUTE


def test_a_leap_second_and_the_last_day_are_times() -> None:
    found = read({"preferences": {"snoozed_until": "2016-12-31T23:59:60Z"}})
    assert found.profile is not None
    assert found.profile.preferences.snoozed_until == datetime(2017, 1, 1, tzinfo=UTC)
    assert read({"preferences": {"snoozed_until": "9999-12-31T23:59Z"}}).faults == ()


@pytest.mark.parametrize("start", ["22:00", "22:00:00", "22:00:00.000"])
def test_quiet_hours_may_have_seconds_that_are_zero(start: str) -> None:
    found = read({"quiet_hours": {"start": start, "end": "07:00"}})
    assert found.faults == ()
    assert found.profile is not None
    assert found.profile.quiet_hours == QuietHours("22:00", "07:00")


@pytest.mark.parametrize("start", ["22:00:30", "22:00:00Z", "22:00:00\n", "24:00:00"])
def test_other_times_of_day_are_left_out_and_named(start: str) -> None:
    found = read({"quiet_hours": {"start": start, "end": "07:00"}})
    assert found.faults[0].startswith("quiet_hours: wrong form, left out")


@pytest.mark.parametrize(
    ("profile", "said"),
    [
        ({"email": "ann"}, "email"),
        ({"email": "a b@example.org"}, "email"),
        ({"email": "ann@example.org\nBcc: x@example.org"}, "email"),
        ({"email": "x" * 65 + "@example.org"}, "email"),
        ({"phone": "0151"}, "phone"),
        ({"phone": "+0151"}, "phone"),
        ({"phone": "+1234567890123456"}, "phone"),
        ({"phone": "+491511\n"}, "phone"),
        ({"phone": 491511}, "phone"),
        ({"locale": "german!"}, "locale"),
        ({"timezone": "../../etc"}, "timezone"),
        ({"timezone": "Mars/Olympus"}, "timezone"),
        ({"timezone": "UTC+3"}, "timezone"),
        ({"timezone": 3}, "timezone"),
        ({"quiet_hours": {"start": "22:00"}}, "quiet_hours"),
        ({"quiet_hours": {"start": "24:00", "end": "07:00"}}, "quiet_hours"),
        ({"quiet_hours": {"start": "9:00", "end": "07:00"}}, "quiet_hours"),
        ({"devices": [{"platform": "ios"}]}, "devices[0]"),
        ({"devices": [{"platform": "ios", "token": "ok"}, {"platform": "web"}]}, "devices[1]"),
        ({"devices": [{"platform": "web", "subscription": {"p256dh": "x"}}]}, "devices[0]"),
        ({"devices": [{"platform": "android", "token": "a\r\nb"}]}, "devices[0]"),
        ({"devices": [{"platform": "secret-token", "token": "x"}]}, "devices"),
        ({"devices": [{"platform": "ios", "token": "x", "registered_at": "today"}]}, "devices"),
        ({"devices": [{"platform": "ios", "token": "x", "registered_at": "0001-01-01T00:00:00"}]}, "devices"),
        ({"preferences": {"snoozed_until": "2026-01-01T00:00:00"}}, "preferences"),
        ({"preferences": {"enabled": "yes"}}, "preferences"),
        ({"preferences": {"categories": {"ads": 1}}}, "preferences"),
        ({"version": -1}, "version"),
        ({"version": 1 << 70}, "version"),
        ({"version": 1 << 53}, "version"),
        ({"version": "3"}, "version"),
    ],
)  # fmt: skip
def test_a_bad_field_is_named_and_the_rest_is_applied(profile: Any, said: str) -> None:
    rest = {"email": "ann@example.org", "phone": "+4915112345678"}
    opt_out = {"channels": {"sms": False}}
    given = {**rest, **profile, "preferences": {**opt_out, **profile.get("preferences", {})}}
    found = read(given)
    assert found.profile is not None
    for name, value in rest.items():
        assert getattr(found.profile, name) == (value if name not in profile else "")
    assert found.profile.preferences.channels == {"sms": False}
    (fault,) = found.faults
    assert fault.startswith(said)
    assert ";" in fault, "no cure"
    assert "secret" not in fault


@pytest.mark.parametrize(
    ("given", "read_as"),
    [
        ("america/new_york", "America/New_York"),
        ("EUROPE/BERLIN", "Europe/Berlin"),
        ("Asia/Beijing", "Asia/Shanghai"),
        ("Asia/Calcutta", "Asia/Calcutta"),
        ("utc", "UTC"),
        ("Europe/Berlin ", "Europe/Berlin"),
        ("", ""),
        (None, ""),
    ],
)
def test_a_zone_is_found_whatever_its_spelling(given: object, read_as: str) -> None:
    found = read({"timezone": given, "email": "ann@example.org"})
    assert found == ProfileChange("acme", "ann", Profile(email="ann@example.org", timezone=read_as))


@pytest.mark.parametrize(
    ("given", "read_as"),
    [
        ("en_US@calendar=japanese", "en-US"),
        ("de_DE.UTF-8", "de-DE"),
        ("sr_RS@latin", "sr-Latn-RS"),
        ("iw-IL", "he-IL"),
        ("no-NO", "nb-NO"),
        ("pt-BR", "pt-BR"),
        ("", ""),
    ],
)
def test_a_locale_has_one_spelling(given: str, read_as: str) -> None:
    found = read({"locale": given, "email": "ann@example.org"})
    assert found == ProfileChange("acme", "ann", Profile(email="ann@example.org", locale=read_as))


@pytest.mark.parametrize(
    "document",
    [
        {"before": None, "after": {"email": "ann@example.org"}, "op": "u"},
        {"before": {"email": "ann@example.org"}, "after": None, "op": "d"},
        {"schema": None, "payload": {"before": None, "after": {}, "op": "c"}},
        {"payload": None},
        {"data": {"preferences": {"enabled": False}}},
        {"enabled": False},
    ],
)
def test_an_object_without_any_field_of_a_profile_replaces_none(document: object) -> None:
    """An empty profile in the place of the true one would lose an opt-out."""
    with pytest.raises(DecodeError, match="without any field of a profile"):
        read(document)


def test_a_profile_framed_for_a_schema_registry_is_named_as_one() -> None:
    with pytest.raises(DecodeError, match=r"schema id 5\), but profiles are plain JSON") as caught:
        decode_profile(raw(b"\0\0\0\0\x05" + b'{"email":"ann@example.org"}', b"acme/ann"))
    assert caught.value.reason == Reason.BAD_JSON


def test_an_empty_profile_and_fields_of_others_are_fine() -> None:
    assert read({}).profile == Profile()
    assert read({"email": "ann@example.org", "name": "Ann"}).faults == ()


@pytest.mark.parametrize("value", [None, b"", b"null", b" null ", b'{"schema":null,"payload":null}'])
def test_nothing_however_it_is_written_erases(value: bytes | None) -> None:
    assert decode_profile(raw(value, b"acme/ann")) == ProfileChange("acme", "ann", None)


def test_an_envelope_of_connect_is_opened() -> None:
    inside = {"email": "ann@example.org", "preferences": {"enabled": False}}
    schema = {"type": "struct", "fields": [], "optional": False}
    assert read({"schema": schema, "payload": inside}) == read(inside)
    assert read({"schema": None, "payload": inside}) == read(inside)


@pytest.mark.parametrize("key", [b'"acme/ann"', b'"acme\\/ann"'])
def test_a_key_in_quotes_names_the_same_user(key: bytes) -> None:
    """Connect, ksqlDB and REST bridges write keys as JSON; a ghost user would take the opt-out with him."""
    assert decode_profile(raw(b"{}", key))[:2] == ("acme", "ann")


@pytest.mark.parametrize("key", [b'"acme/ann', b'"acme"', b'"', b'a"c/ann', b'"\xff/a"'])
def test_a_key_with_half_its_quotes_names_nobody(key: bytes) -> None:
    with pytest.raises(DecodeError) as caught:
        decode_profile(raw(b"{}", key))
    assert caught.value.reason in {Reason.BAD_FIELD, Reason.BAD_UTF8}


def test_a_byte_order_mark_is_passed_over() -> None:
    assert decode_profile(raw(b'\xef\xbb\xbf{"email":"a@b.example"}', b"acme/ann")).profile == Profile(
        "a@b.example"
    )


@pytest.mark.parametrize("switch", ["false", "no", 0, 1, "yes", [], {}])
def test_a_switch_that_cannot_be_read_counts_as_off(switch: Any) -> None:
    found = read(
        {"preferences": {"enabled": switch, "channels": {"email": switch}, "categories": {"ads": switch}}}
    )
    assert found.profile is not None
    wishes = found.profile.preferences
    assert not wishes.enabled
    assert wishes.channels == {"email": False}
    assert wishes.categories in ({"ads": False}, {"ads": {}})
    assert all(
        fault.endswith("send switches as true and false, and times with an offset") for fault in found.faults
    )


@pytest.mark.parametrize(
    "wishes", ["off", 7, [], {"channels": "none"}, {"categories": []}, {"notifications": 1}]
)
def test_preferences_that_cannot_be_read_allow_nothing(wishes: Any) -> None:
    found = read({"preferences": wishes})
    assert found.profile is not None
    assert not found.profile.preferences.enabled
    assert found.faults


def test_one_bad_device_loses_no_other() -> None:
    found = read({"devices": [{"platform": "ios", "token": "t"}, {"platform": "fax"}, {"platform": "ios"}]})
    assert found.profile is not None
    assert found.profile.devices == (Device("ios", "t"),)
    assert [fault.partition(":")[0] for fault in found.faults] == ["devices[1]", "devices[2]"]


def test_null_fields_are_absent_ones() -> None:
    nulls = dict.fromkeys(("email", "phone", "locale", "timezone", "devices", "preferences", "quiet_hours"))
    assert read(nulls) == ProfileChange("acme", "ann", Profile())
    assert read({"preferences": dict.fromkeys(("enabled", "channels", "snoozed_until"))}).faults == ()


@pytest.mark.parametrize("value", [b"[]", b"7", b'"text"', b"true"])
def test_what_is_no_object_is_refused(value: bytes) -> None:
    with pytest.raises(DecodeError, match="value"):
        decode_profile(raw(value, b"acme/ann"))


anything = st.recursive(
    st.none() | st.booleans() | st.integers(-5, 1 << 60) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)
fields = st.sampled_from([*Profile.__struct_fields__, "unknown"])


@given(st.dictionaries(fields, anything))
def test_whatever_stands_in_the_fields_an_opt_out_beside_it_counts(document: dict[str, Any]) -> None:
    found = read({**document, "preferences": {"enabled": False}})
    assert found.profile is not None
    assert found.profile.preferences == Preferences(enabled=False)
    again = decode_profile(raw(msgspec.json.encode(found.profile), b"acme/ann"))
    assert (again.profile, again.faults) == (found.profile, ()), "what was applied is sound"


@pytest.mark.parametrize(
    ("attributes", "said"),
    [
        ([], "attributes: not an object, left out"),
        ({"text": "x" * 4_090}, "attributes: over 4096 bytes, left out; send one object of few fields"),
    ],
)
def test_attributes_that_cannot_be_kept_are_left_out_and_named(attributes: object, said: str) -> None:
    found = read({"email": "ann@mail.example", "attributes": attributes})
    assert found.profile == Profile(email="ann@mail.example")
    assert found.faults[0].startswith(said)


def test_attributes_are_any_json_and_the_order_of_their_producer_is_none() -> None:
    first = read({"attributes": {"b": [1, {"y": 2, "x": None}], "a": "é"}}).profile
    second = read({"attributes": {"a": "é", "b": [1, {"x": None, "y": 2}]}}).profile
    assert first is not None
    assert second is not None
    assert attributes_json(first.attributes) == attributes_json(second.attributes)
    assert json.loads(attributes_json(first.attributes)) == {"a": "é", "b": [1, {"x": None, "y": 2}]}
    assert attributes_json({}) == b""


def test_one_channel_of_a_notification_may_be_off() -> None:
    found = read({"preferences": {"notifications": {"n": {"sms": False, "email": 7}, "m": True}}})
    assert found.profile is not None
    assert found.profile.preferences.notifications == {"n": {"sms": False, "email": False}, "m": True}
    assert found.faults[0].startswith("preferences.notifications.n.email: not true or false, counts as off")


def test_contacts_are_kept_and_numbers_become_text() -> None:
    whole = read({"contacts": {"telegram": "@ann", "slack": "U1", "whatsapp": "+4915112345678"}})
    assert whole.faults == ()
    assert whole.profile is not None
    assert whole.profile.contacts == {"telegram": "@ann", "slack": "U1", "whatsapp": "+4915112345678"}
    found = read({"contacts": {"telegram": 123456789, "slack": None}})
    assert (found.profile, found.faults) == (Profile(contacts={"telegram": "123456789"}), ())


@pytest.mark.parametrize(
    ("contacts", "place"),
    [
        ({"email": "ann@mail.example"}, "contacts.email: no address of this channel"),
        ({"whatsapp": "12"}, "contacts.whatsapp: no address of this channel"),
        ({"telegram": "a\nb"}, "contacts.telegram: no address of this channel"),
        ({"telegram": ["1"]}, "contacts.telegram: no address of this channel"),
        ({"Tele gram": "1"}, "contacts.(odd name): no address of this channel"),
        (["telegram"], "contacts: not an object, left out"),
        ({f"c{number}": "1" for number in range(33)}, "contacts: more than 32, the others left out"),
    ],
)
def test_a_bad_contact_is_named_and_the_rest_is_kept(contacts: object, place: str) -> None:
    found = read({"contacts": contacts, "email": "ann@mail.example"})
    assert found.profile is not None
    assert found.profile.email == "ann@mail.example"
    assert [fault.partition(";")[0].startswith(place) for fault in found.faults] == [True]
    assert "fields of their own" in found.faults[0]


def test_a_subscription_is_taken_as_a_browser_gives_it() -> None:
    given = {
        "endpoint": "https://push.example/1",
        "expirationTime": None,
        "keys": {"p256dh": "k", "auth": "a"},
    }
    found = read({"devices": [{"platform": "web", "subscription": given}]})
    assert found.faults == ()
    assert found.profile is not None
    flat = {"endpoint": "https://push.example/1", "p256dh": "k", "auth": "a"}
    assert found.profile.devices[0].subscription == flat
    for wrong in ({**given, "endpoint": None}, {**given, "keys": {"p256dh": 1}}):
        assert len(read({"devices": [{"platform": "web", "subscription": wrong}]}).faults) == 1

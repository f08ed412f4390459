"""Corrected profiles: whole, once, and with the bytes of everything else."""

import json
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tocsin.formats.profile_corrections import (
    CORRECTED_HEADER,
    Correction,
    ProfileText,
    corrected,
    corrected_from,
    record_of,
    suppressed_since,
    text_of,
)
from tocsin.formats.profiles import decode_profile
from tocsin.model.profile import Suppressed
from tocsin.model.raw import RawRecord

PHONE, EMAIL = "+12125550142", "ann@mail.example"
STOPPED = Correction(suppressed=(suppressed_since(PHONE, "sms", "recipient_opted_out", 1_753_794_002_498),))


def read(text: bytes) -> RawRecord:
    return RawRecord("profiles", 0, 1, 0, b"default/ann", text, ())


def test_what_is_not_changed_keeps_its_bytes() -> None:
    text = b'{"points": 12345678901234567890123, "rate":1.10, "x": [1,  2], "phone": "+12125550142"}'
    found = corrected(text, STOPPED)
    assert found is not None
    assert found.startswith(
        b'{"points":12345678901234567890123,"rate":1.10,"x":[1,  2],"phone":"+12125550142",'
    )
    assert json.loads(found)["suppressed"] == [
        {
            "address": PHONE,
            "channel": "sms",
            "reason": "recipient_opted_out",
            "at": "2025-07-29T13:00:02.498000Z",
        }
    ]


def test_the_profile_that_is_read_has_the_entry() -> None:
    found = corrected(b"{}", STOPPED)
    assert found is not None
    change = decode_profile(read(found))
    assert change.profile is not None
    assert (change.profile.suppressed, change.faults) == (STOPPED.suppressed, ())


@pytest.mark.parametrize(
    ("text", "off", "expected"),
    [
        (b"{}", "offers", {"preferences": {"categories": {"offers": False}}}),
        (b'{"preferences":null}', "", {"preferences": {"enabled": False}}),
        (
            b'{"preferences":{"snoozed_until":null,"categories":{"offers":{"sms":true},"news":true}}}',
            "offers",
            {"preferences": {"snoozed_until": None, "categories": {"offers": False, "news": True}}},
        ),
        (b'{"preferences": {"enabled":  false}}', "", None),
        (b'{"preferences": {"categories": {"offers":  false}}}', "offers", None),
        (b'{"preferences": "none"}', "offers", None),
    ],
)
def test_switches(text: bytes, off: str, expected: dict[str, Any] | None) -> None:
    found = corrected(text, Correction(off=(off,)))
    assert (None if found is None else json.loads(found)) == expected


def test_an_envelope_is_opened_and_a_byte_order_mark_left_out() -> None:
    text = b'\xef\xbb\xbf{"schema": {"type": "struct"}, "payload": {"email": "ann@mail.example"}}'
    found = corrected(text, Correction(off=("offers",)))
    assert found is not None
    assert json.loads(found) == {"email": EMAIL, "preferences": {"categories": {"offers": False}}}


@pytest.mark.parametrize("text", [b"", b"null", b"[]", b"{", b'"text"', b'{"suppressed": 7}', b"\xff"])
def test_what_is_no_profile_is_not_corrected(text: bytes) -> None:
    assert corrected(text, STOPPED) is None


addresses = st.sampled_from([PHONE, EMAIL, "token-1", "token-2"])
corrections = st.builds(
    Correction,
    suppressed=st.lists(st.builds(Suppressed, addresses), max_size=2).map(tuple),
    lifted=st.lists(addresses, max_size=2).map(tuple),
    off=st.lists(st.sampled_from(["", "offers", "news"]), max_size=2).map(tuple),
)


@given(st.lists(corrections, max_size=6), st.booleans())
def test_each_correction_is_made_once_and_the_rest_stays(many: list[Correction], spaced: bool) -> None:
    text = b'{"email" : "ann@mail.example", "own": {"a":  1}}' if spaced else b'{"own":{"a":  1}}'
    listed: set[str] = set()
    for one in many:
        changed = corrected(text, one)
        text = changed or text
        listed = (listed - {*one.lifted}) | {
            each.address for each in one.suppressed if each.address not in listed
        }
        assert b'"own":{"a":  1}' in text or changed is None
        found = json.loads(text)
        assert {each["address"] for each in found.get("suppressed", [])} == listed
        if not {*one.lifted} & {each.address for each in one.suppressed}:
            assert corrected(text, one) is None, "the same again changes nothing"


def test_a_correction_names_the_text_of_the_owner() -> None:
    owner = text_of(read(b'{"email": "ann@mail.example"}'))
    other = text_of(read(b'{"email": "bob@mail.example"}'))
    assert owner.base != other.base
    record = record_of(ProfileText(owner.base, b"{}"), 3, b"default/ann")
    assert (record.topic, record.partition, record.key, record.value) == (
        "profiles",
        3,
        b"default/ann",
        b"{}",
    )
    again = read(b"{}")._replace(headers=record.headers)
    assert (corrected_from(again), text_of(again).base) == (owner.base, owner.base)
    assert [name for name, _ in record.headers] == [CORRECTED_HEADER]
    assert corrected_from(read(b"{}")) == ""


@pytest.mark.parametrize(
    ("listed", "expected", "fault"),
    [
        (None, [], ""),
        ("all", [], "suppressed: not a list"),
        ([7, {"channel": "sms"}], [], "suppressed[0]: names no address"),
        (
            [{"address": PHONE, "at": "yesterday"}],
            [PHONE],
            "suppressed[0]: wrong form, its address is blocked",
        ),
        ([{"address": PHONE}, {"address": EMAIL, "at": "2025-07-29T13:00:02Z"}], [PHONE, EMAIL], ""),
    ],
)
def test_a_list_is_read_leniently(listed: object, expected: list[str], fault: str) -> None:
    change = decode_profile(read(msgspec.json.encode({"email": EMAIL, "suppressed": listed})))
    assert change.profile is not None
    assert [one.address for one in change.profile.suppressed] == expected
    assert any(fault in each for each in change.faults) if fault else not change.faults

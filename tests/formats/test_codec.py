"""Profiles, receipts, retries, messages, outcomes and dead letters: bytes to models and back."""

import json
from datetime import UTC, datetime
from typing import Any

import msgspec
import pytest

from tocsin.errors import DecodeError
from tocsin.formats import codec
from tocsin.model.event import Origin
from tocsin.model.message import Message, Retry, Target
from tocsin.model.outcome import Outcome, ReceiptEvent
from tocsin.model.profile import Device, Preferences, Profile, QuietHours
from tocsin.model.raw import RawRecord
from tocsin.model.statuses import Reason

MESSAGE = Message(
    message_id="m1",
    notification_id="n1",
    tenant="acme",
    user="ann/1",
    channel="email",
    target=Target("ann@example.org"),
    notification="order_shipped",
    category="orders",
    template="order_shipped",
    data=msgspec.Raw(b'{"order":7}'),
    locale="de",
    event_id="e1",
    event_source="/shop",
    event_type="order.shipped",
    event_time_ms=1,
    received_ms=2,
    decided_ms=3,
    origin=Origin("events", 3, 42),
)
RETRY = Retry(message=MESSAGE, reason="transient", due_ms=99)
RECEIPT = ReceiptEvent(tenant="acme", user="ann/1", kind="delivered", message_id="m1", at_ms=5)
OUTCOME = Outcome(outcome_id="o1", status="sent", tenant="acme", detail={"limit": 5, "x": None}, at_ms=7)
PROFILE = Profile(
    email="ann@example.org",
    phone="+4915112345678",
    locale="de-AT",
    timezone="Europe/Vienna",
    devices=(
        Device("ios", token="t1", registered_at=datetime(2026, 1, 1, tzinfo=UTC)),
        Device("web", subscription={"endpoint": "https://push.example.org/1", "p256dh": "k", "auth": "a"}),
    ),
    preferences=Preferences(channels={"sms": False}, categories={"ads": {"email": True}, "news": False}),
    quiet_hours=QuietHours("22:00", "07:00"),
    version=3,
)


def raw(value: bytes | None, key: bytes | None = b"acme/ann/1", topic: str = "profiles") -> RawRecord:
    return RawRecord(topic, 3, 42, 1_000, key, value, ())


def refusal_of_profile(value: bytes | None, key: bytes | None = b"acme/ann") -> DecodeError:
    with pytest.raises(DecodeError) as caught:
        codec.decode_profile(raw(value, key))
    return caught.value


def test_a_profile_comes_back_as_it_was() -> None:
    found = codec.decode_profile(raw(codec.encode(PROFILE)))
    assert found[:3] == ("acme", "ann/1", PROFILE)


def test_a_null_value_erases() -> None:
    assert codec.decode_profile(raw(None))[:3] == ("acme", "ann/1", None)


def test_an_empty_profile_is_one() -> None:
    assert codec.decode_profile(raw(b"{}")).profile == Profile()


def test_the_key_names_the_owner() -> None:
    assert codec.profile_key("acme", "ann/1") == b"acme/ann/1"


@pytest.mark.parametrize(
    ("key", "reason"),
    [
        (None, Reason.BAD_FIELD),
        (b"", Reason.BAD_FIELD),
        (b"ann", Reason.BAD_FIELD),
        (b"/ann", Reason.BAD_FIELD),
        (b"acme/", Reason.BAD_FIELD),
        (b"acme/a\nb", Reason.BAD_FIELD),
        (b"acme/" + b"x" * 513, Reason.BAD_FIELD),
        (b"acme/\xff", Reason.BAD_UTF8),
    ],
)
def test_keys_that_name_nobody(key: bytes | None, reason: Reason) -> None:
    for value in (b"{}", None):
        assert refusal_of_profile(value, key).reason == reason


@pytest.mark.parametrize(
    "profile",
    [
        {"email": "ünïcode@exämple.org"},
        {"email": "o'brien+tag@example.co.uk"},
        {"locale": "zh_Hant_TW"},
        {"timezone": "America/Argentina/Buenos_Aires"},
        {"timezone": "Etc/GMT+5"},
        {"email": "", "phone": "", "locale": "", "timezone": ""},
        {"version": (1 << 53) - 1},
        {"preferences": {"snoozed_until": "0001-01-01T00:00:00+05:00"}},
        {"preferences": {"snoozed_until": "9999-12-31T23:59:59.999999-05:00"}},
        {"version": 1, "unknown": {"deep": []}},
    ],
)
def test_what_is_odd_but_fine(profile: dict[str, Any]) -> None:
    assert codec.decode_profile(raw(json.dumps(profile).encode())).profile is not None


RECORDS = [
    (codec.decode_receipt, RECEIPT),
    (codec.decode_retry, RETRY),
    (codec.decode_message, MESSAGE),
    (codec.decode_outcome, OUTCOME),
]


@pytest.mark.parametrize(("decode", "record"), RECORDS)
def test_what_tocsin_writes_comes_back_as_it_was(decode: Any, record: Any) -> None:
    again = decode(raw(codec.encode(record)))
    assert codec.encode(again) == codec.encode(record)
    assert type(again) is type(record)


@pytest.mark.parametrize(("decode", "record"), RECORDS)
def test_newer_fields_are_ignored(decode: Any, record: Any) -> None:
    value = codec.encode(record)[:-1] + b',"a_field_of_tomorrow":1}'
    assert codec.encode(decode(raw(value))) == codec.encode(record)


@pytest.mark.parametrize(("decode", "record"), RECORDS)
@pytest.mark.parametrize(
    ("value", "reason"),
    [(None, Reason.BAD_JSON), (b"", Reason.BAD_JSON), (b"{", Reason.BAD_JSON), (b"[]", Reason.BAD_FIELD),
     (b"{}", Reason.BAD_FIELD), (b'{"tenant":"\xff"}', Reason.BAD_UTF8), (b"[" * 5_000, Reason.BAD_FIELD)],
)  # fmt: skip
def test_what_is_none_of_them(decode: Any, record: Any, value: bytes | None, reason: Reason) -> None:
    with pytest.raises(DecodeError) as caught:
        decode(raw(value))
    assert caught.value.reason == reason


@pytest.mark.parametrize("tenant_user", [("a/b", "ann"), ("", "ann"), ("acme", ""), ("acme", "a\x00")])
def test_records_without_a_proper_owner_are_refused(tenant_user: tuple[str, str]) -> None:
    tenant, user = tenant_user
    message = msgspec.structs.replace(MESSAGE, tenant=tenant, user=user)
    receipt = msgspec.structs.replace(RECEIPT, tenant=tenant or "a/b", user=user)
    for decode, record in (
        (codec.decode_receipt, receipt),
        (codec.decode_message, message),
        (codec.decode_retry, msgspec.structs.replace(RETRY, message=message)),
    ):
        with pytest.raises(DecodeError, match=r"tenant|user"):
            decode(raw(codec.encode(record)))


def test_numbers_fit_what_stores_them() -> None:
    huge = msgspec.structs.replace(MESSAGE, attempt=1 << 64)
    for decode, record in (
        (codec.decode_message, huge),
        (codec.decode_retry, msgspec.structs.replace(RETRY, message=huge)),
        (codec.decode_retry, msgspec.structs.replace(RETRY, due_ms=-(1 << 64))),
        (codec.decode_outcome, msgspec.structs.replace(OUTCOME, at_ms=1 << 63)),
        (codec.decode_receipt, msgspec.structs.replace(RECEIPT, at_ms=1 << 63)),
    ):
        with pytest.raises(DecodeError, match="64 bits"):
            decode(raw(codec.encode(record)))


class TestDeadLetters:
    RAW = RawRecord("events", 3, 42, 1_000, b"k", b"\xff{", (("ce_id", b"1"), ("tocsin-topic", b"x")))

    def test_the_original_is_kept_and_the_rest_is_in_headers(self) -> None:
        record = codec.dead_letter(self.RAW, "decode", Reason.BAD_UTF8, "value: not UTF-8; encode it")
        assert (record.topic, record.partition, record.key, record.value) == ("dead", 3, b"k", b"\xff{")
        assert dict(record.headers)["tocsin-reason"] == b"bad_utf8"
        assert dict(record.headers)["tocsin-original-ce_id"] == b"1"

    def test_it_reads_back(self) -> None:
        record = codec.dead_letter(
            self.RAW, "deliver", Reason.REJECTED, "no ☎", attempts=4, first_ms=7, last_ms=9
        )
        found = codec.read_dead_letter(RawRecord("dead", 0, 0, 0, record.key, record.value, record.headers))
        assert (found.origin_topic, found.origin_partition, found.origin_offset) == ("events", 3, 42)
        assert (found.stage, found.reason, found.error) == ("deliver", "rejected", "no ☎")
        assert (found.attempts, found.first_ms, found.last_ms) == (4, 7, 9)
        assert (found.key, found.value, found.headers) == (self.RAW.key, self.RAW.value, self.RAW.headers)

    def test_times_default_to_kafkas(self) -> None:
        record = codec.dead_letter(self.RAW, "decode", Reason.BAD_JSON, "")
        found = codec.read_dead_letter(RawRecord("dead", 0, 0, 0, None, None, record.headers))
        assert (found.first_ms, found.last_ms, found.value) == (1_000, 1_000, None)

    def test_long_errors_are_cut(self) -> None:
        record = codec.dead_letter(self.RAW, "decode", Reason.BAD_JSON, "x" * 5_000)
        assert len(dict(record.headers)["tocsin-error"]) == 1_000

    @pytest.mark.parametrize(
        "headers", [(), (("tocsin-topic", b"events"),), (("tocsin-partition", b"three"),)]
    )
    def test_what_is_none(self, headers: tuple[tuple[str, bytes], ...]) -> None:
        with pytest.raises(DecodeError, match="only Tocsin writes"):
            codec.read_dead_letter(RawRecord("dead", 0, 0, 0, None, b"", headers))

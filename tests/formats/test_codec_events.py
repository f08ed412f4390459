"""CloudEvents: what is read, what is refused, and with which words."""

import base64
import contextlib
import json
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from tocsin.errors import DecodeError
from tocsin.formats.codec import EventLimits, decode_event
from tocsin.model.event import Event, Origin, Recipient
from tocsin.model.raw import RawRecord
from tocsin.model.rfc3339 import rfc3339_ms
from tocsin.model.statuses import Reason

RECEIVED = 1_767_225_600_000  # 2026-01-01T00:00:00Z
LIMITS = EventLimits(max_bytes=10_000, max_past_s=86_400, max_future_s=3_600, check_time=True)
ANY_TIME = LIMITS._replace(check_time=False)
EVENT: dict[str, Any] = {
    "specversion": "1.0",
    "id": "e1",
    "source": "/shop",
    "type": "order.shipped",
    "subject": "ann",
    "data": {"order": 7},
}
ATTRIBUTES = ("id", "source", "type", "subject")
BINARY = tuple((f"ce_{name}", EVENT[name].encode()) for name in ("specversion", *ATTRIBUTES))


def raw(value: bytes | None, headers: tuple[tuple[str, bytes], ...] = (), topic: str = "events") -> RawRecord:
    return RawRecord(topic, 3, 42, RECEIVED, b"key", value, headers)


def body(**changes: Any) -> bytes:
    """Build an event; a field that is set to `...` is left out."""
    return json.dumps({k: v for k, v in (EVENT | changes).items() if v is not ...}).encode()


def decode(value: bytes | None, headers: tuple[tuple[str, bytes], ...] = ()) -> Event:
    return decode_event(raw(value, headers), LIMITS)


def refusal(value: bytes | None, headers: tuple[tuple[str, bytes], ...] = ()) -> DecodeError:
    with pytest.raises(DecodeError) as caught:
        decode(value, headers)
    return caught.value


def nested_objects(depth: int) -> dict[str, Any]:
    return {"a": nested_objects(depth - 1)} if depth > 1 else {}


class TestStructured:
    def test_every_field(self) -> None:
        value = body(
            time="2026-01-01T01:00:00.5+01:00",
            tenant="acme",
            recipient={"email": "ann@example.org", "locale": "de-AT"},
            tocsinsendat="2026-01-02T00:00:00Z",
            tocsinexpires="2026-01-03T00:00:00Z",
            unknown={"is": "ignored"},
            traceparent="00-1-2-01",
        )
        assert decode(value) == Event(
            tenant="acme",
            id="e1",
            source="/shop",
            type="order.shipped",
            user="ann",
            time_ms=RECEIVED + 500,
            data=msgspec.Raw(b'{"order": 7}'),
            origin=Origin("events", 3, 42),
            received_ms=RECEIVED,
            recipient=Recipient(email="ann@example.org", locale="de-AT"),
            send_at_ms=RECEIVED + 86_400_000,
            expires_ms=RECEIVED + 2 * 86_400_000,
        )

    def test_what_is_missing_has_a_default(self) -> None:
        event = decode(body(data=...))
        assert (event.tenant, event.time_ms, bytes(event.data)) == ("default", RECEIVED, b"{}")
        assert (event.recipient, event.send_at_ms, event.expires_ms) == (None, None, None)

    def test_null_is_as_good_as_missing(self) -> None:
        event = decode(body(tenant=None, time=None, recipient=None, tocsinsendat=None))
        assert (event.tenant, event.time_ms, event.recipient) == ("default", RECEIVED, None)

    def test_bulk_is_a_matter_of_the_topic(self) -> None:
        assert decode_event(raw(body(), topic="bulk"), LIMITS).bulk
        assert not decode(body()).bulk

    @pytest.mark.parametrize(
        "content_type", [b"application/cloudevents+json", b"Application/CloudEvents+JSON; charset=utf-8"]
    )
    def test_the_content_type_may_say_so(self, content_type: bytes) -> None:
        assert decode(body(), (("Content-Type", content_type),)).id == "e1"

    def test_the_content_type_wins_over_stray_attributes(self) -> None:
        headers = (("content-type", b"application/cloudevents+json"), ("ce_id", b"other"))
        assert decode(body(), headers).id == "e1"

    def test_headers_of_others_change_nothing(self) -> None:
        assert decode(body(), (("trace", b"\xff\x00"),)).id == "e1"

    def test_data_is_kept_byte_for_byte(self) -> None:
        value = (
            b'{"specversion":"1.0","id":"1","source":"s","type":"t","subject":"u","data": {"a" :1.50,"a":2} }'
        )
        assert bytes(decode(value).data) == b'{"a" :1.50,"a":2}'

    def test_the_last_of_two_equal_keys_counts(self) -> None:
        assert decode(body()[:-1] + b',"id":"e2"}').id == "e2"

    @pytest.mark.parametrize(
        ("data", "said"),
        [
            ('"text"', "data: a text, not an object"), ("[]", "data: a list"), ("0", "data: a number"),
            ("true", "data: true or false"), ("1e300", "data: a number"), ("9" * 400, "data"),
            ('"\\ud83d\\ude00"', "data: a text"),
            (' "{\\"order\\": 7}"', "data: a text that holds JSON: send it unquoted"),
        ],
    )  # fmt: skip
    def test_data_that_is_no_object_is_refused(self, data: str, said: str) -> None:
        """A condition would find no field in it and say nothing: `data.x is defined` is false for a text."""
        value = body(data=...)[:-1] + f',"data":{data}'.encode() + b"}"
        assert said in str(refusal(value))

    def test_null_data_are_no_data(self) -> None:
        assert bytes(decode(body(data=None)).data) == b"{}"

    def test_a_byte_order_mark_is_passed_over(self) -> None:
        assert decode(b"\xef\xbb\xbf" + body()).id == "e1"

    @pytest.mark.parametrize(
        "kind", ["application/json", "Application/JSON; charset=utf-8", "text/json", "a/b+json"]
    )
    def test_data_said_to_be_json_are_read(self, kind: str) -> None:
        assert decode(body(datacontenttype=kind)).id == "e1"

    @pytest.mark.parametrize("kind", ["text/plain", "application/xml", "application/octet-stream", "json"])
    def test_data_said_to_be_something_else_are_refused(self, kind: str) -> None:
        error = refusal(body(datacontenttype=kind))
        assert str(error) == "datacontenttype: not JSON; send the data as application/json"

    def test_base64_of_an_object_is_data(self) -> None:
        """SDKs for Python, JavaScript and Go write it whenever they are given bytes."""
        value = body(data=..., data_base64="eyJvcmRlciI6IDd9", datacontenttype="application/json")
        assert bytes(decode(value).data) == b'{"order": 7}'

    @pytest.mark.parametrize("text", ["e30", "%%%%", "/w==", "eA==", "W10=", "OTk5ZTk5OQ=="])
    def test_base64_of_anything_else_is_refused(self, text: str) -> None:
        assert "data" in str(refusal(body(data=..., data_base64=text)))

    def test_nesting_in_base64_is_bounded_too(self) -> None:
        packed = base64.b64encode(json.dumps(nested_objects(400)).encode()).decode()
        assert "data: nested" in str(refusal(body(data=..., data_base64=packed)))

    @pytest.mark.parametrize("value", [None, b""])
    def test_a_tombstone_is_named_as_such(self, value: bytes | None) -> None:
        assert str(refusal(value)).startswith("value: empty or null; a topic of events has no tombstones")


class TestBinary:
    def test_every_header(self) -> None:
        headers = (
            *BINARY,
            ("ce_time", b"2026-01-01T00:00:01Z"),
            ("CE_Tenant", "ümlaut".encode()),
            ("ce_recipient", b'{"phone":"+4915112345678"}'),
            ("ce_tocsinsendat", b"2026-01-02T00:00:00Z"),
            ("ce_tocsinexpires", b"2026-01-03T00:00:00Z"),
            ("ce_other", b"ignored"),
            ("content-type", b"application/json"),
        )
        event = decode(b'{"order": 7}', headers)
        assert (event.id, event.source, event.type, event.user) == ("e1", "/shop", "order.shipped", "ann")
        assert (event.tenant, event.time_ms) == ("ümlaut", RECEIVED + 1_000)
        assert event.recipient == Recipient(phone="+4915112345678")
        assert (event.send_at_ms, event.expires_ms) == (RECEIVED + 86_400_000, RECEIVED + 2 * 86_400_000)
        assert bytes(event.data) == b'{"order": 7}'

    @pytest.mark.parametrize("value", [None, b""])
    def test_no_value_is_no_data(self, value: bytes | None) -> None:
        assert bytes(decode(value, BINARY).data) == b"{}"

    def test_a_dash_in_the_prefix_is_read_like_an_underscore(self) -> None:
        dashed = tuple((name.replace("ce_", "ce-"), data) for name, data in BINARY)
        assert decode(b"{}", dashed) == decode(b"{}", BINARY)

    def test_specversion_1_is_read(self) -> None:
        """Connect's InsertHeader turns 1.0 into a number, and writes 1."""
        headers = tuple((name, b"1" if name == "ce_specversion" else data) for name, data in BINARY)
        assert decode(b"{}", headers).id == "e1"

    @pytest.mark.parametrize(
        "content_type", [b"application/json; charset=utf-8", b"application/vnd.shop+json"]
    )
    def test_any_json_type_is_read(self, content_type: bytes) -> None:
        assert decode(b"{}", (*BINARY, ("content-type", content_type))).id == "e1"

    def test_a_value_that_is_an_event_too_stays_data(self) -> None:
        assert bytes(decode(body(), BINARY).data) == body()

    @pytest.mark.parametrize("name", ["ce_id", "ce_source", "ce_type", "ce_specversion"])
    def test_a_missing_attribute(self, name: str) -> None:
        error = refusal(b"{}", tuple(header for header in BINARY if header[0] != name))
        assert error.reason == Reason.BAD_FIELD
        assert f"`{name[3:]}`" in str(error)

    @pytest.mark.parametrize(
        ("headers", "value", "reason", "said"),
        [
            ((("ce_id", b"\xff"),), b"{}", Reason.BAD_UTF8, "header ce_id"),
            ((("content-type", b"text/plain"),), b"hi", Reason.BAD_FIELD, "content-type"),
            ((), b"\xff", Reason.BAD_JSON, "value"),
            ((), b'"\xff"', Reason.BAD_UTF8, "UTF-8"),
            ((), b"{", Reason.BAD_JSON, "value"),
            ((), b"1e999", Reason.BAD_FIELD, "out of range"),
            ((("ce_recipient", b"ann"),), b"{}", Reason.BAD_FIELD, "recipient"),
            ((("ce_tenant", b"a/b"),), b"{}", Reason.BAD_FIELD, "tenant"),
            ((("ce_subject", b""),), b"{}", Reason.BAD_FIELD, "subject"),
        ],
    )
    def test_refusals(
        self, headers: tuple[tuple[str, bytes], ...], value: bytes, reason: Reason, said: str
    ) -> None:
        error = refusal(value, (*BINARY, *headers))
        assert error.reason == reason
        assert said in str(error)


def test_other_cloudevents_types_are_refused() -> None:
    error = refusal(b"[]", (("content-type", b"application/cloudevents-batch+json"),))
    assert error.reason == Reason.BAD_FIELD
    assert "one event a record" in str(error)


class TestRefusals:
    """Each with its reason, and a text that names the field and the cure."""

    @pytest.mark.parametrize(
        ("value", "reason", "said"),
        [
            (None, Reason.BAD_JSON, "value"),
            (b"", Reason.BAD_JSON, "value"),
            (b"not json", Reason.BAD_JSON, "value"),
            (body()[:-1], Reason.BAD_JSON, "value"),
            (body() + b"x", Reason.BAD_JSON, "value"),
            (b"[]", Reason.BAD_FIELD, "object"),
            (b"null", Reason.BAD_FIELD, "object"),
            (body()[:-1] + b',"x":NaN}', Reason.BAD_JSON, "value"),
            (body()[:-1] + b',"x":Infinity}', Reason.BAD_JSON, "value"),
            (body()[:-1] + b',"x":"\\ud800"}', Reason.BAD_JSON, "value"),
            (body()[:-1] + b',"subject":"\\udfff"}', Reason.BAD_JSON, "value"),
            (body()[:-1] + b',"x":"\xff"}', Reason.BAD_UTF8, "UTF-8"),
            (body()[:-1] + b',"id":"\xff"}', Reason.BAD_UTF8, "UTF-8"),
            (body()[:-1] + b',"data":"\xc3"}', Reason.BAD_UTF8, "UTF-8"),
            (body()[:-1] + b',"data":1e999}', Reason.BAD_FIELD, "data"),
            (body()[:-1] + b',"data":' + b"9" * 5_000 + b"}", Reason.BAD_FIELD, "out of range"),
            (body()[:-1] + b',"data":{"a":' + b"[" * 501 + b"]" * 501 + b"}}", Reason.BAD_FIELD, "nested"),
            (body(data=nested_objects(201)), Reason.BAD_FIELD, "data: nested"),
            (body(pad="x" * 10_000), Reason.TOO_LARGE, "more than the 10000 allowed"),
            (body(specversion="0.3"), Reason.BAD_FIELD, "specversion"),
            (body(specversion=1.0), Reason.BAD_FIELD, "specversion"),
            (body(tenant="a/b"), Reason.BAD_FIELD, "tenant: holds '/'"),
            (body(data_base64="e30="), Reason.BAD_FIELD, "data_base64"),
            (body(subject=...), Reason.NO_SUBJECT, "subject"),
            (body(subject=..., recipient={}), Reason.NO_SUBJECT, "subject"),
            (body(subject=..., recipient={"locale": "de"}), Reason.NO_SUBJECT, "subject"),
            (body(recipient=7), Reason.BAD_FIELD, "recipient"),
            (body(recipient={"email": 7}), Reason.BAD_FIELD, "recipient"),
            (body(recipient={"email": "Ann <ann@example.org>"}), Reason.BAD_FIELD, "email"),
            (body(recipient={"email": "ann@example.org\r\nBcc: all@example.org"}), Reason.BAD_FIELD, "email"),
            (body(recipient={"phone": "0151 1234"}), Reason.BAD_FIELD, "phone"),
            (body(time="yesterday"), Reason.BAD_FIELD, "time: not RFC 3339"),
            (body(time="2026-01-01T00:00:00"), Reason.BAD_FIELD, "offset"),
            (body(time=RECEIVED), Reason.BAD_FIELD, "time"),
            (body(tocsinsendat="soon"), Reason.BAD_FIELD, "tocsinsendat"),
            (body(tocsinexpires="1969-12-31T23:59:59Z"), Reason.TIME_OUT_OF_RANGE, "tocsinexpires"),
            (body(time="1900-01-01T00:00:00Z"), Reason.TIME_OUT_OF_RANGE, "1970"),
            (body(time="2025-12-30T00:00:00Z"), Reason.TIME_OUT_OF_RANGE, "before Kafka's"),
            (body(time="2026-01-01T02:00:00Z"), Reason.TIME_OUT_OF_RANGE, "after Kafka's"),
        ],
    )  # fmt: skip
    def test_reason_and_words(self, value: bytes | None, reason: Reason, said: str) -> None:
        error = refusal(value)
        assert error.reason == reason
        assert said in str(error)
        assert ";" in str(error), "no cure"

    def test_what_nobody_reads_may_not_be_nested_beyond_the_parser(self) -> None:
        """How deep that is depends on Python: some 1,000 with 3.11, 10,000 with 3.12."""
        value = body()[:-1] + b',"x":' + b"[" * 30_000 + b"]" * 30_000 + b"}"
        with pytest.raises(DecodeError, match="nested too deeply; flatten it"):
            decode_event(raw(value), LIMITS._replace(max_bytes=100_000))

    @pytest.mark.parametrize("field", ATTRIBUTES)
    @pytest.mark.parametrize("value", ["", 7, [], {}, True, "a\nb", "\x00", "\x7f", "\x9f", "x" * 513])
    def test_attributes_are_texts_of_reasonable_size(self, field: str, value: Any) -> None:
        error = refusal(body(**{field: value}))
        assert error.reason == Reason.BAD_FIELD
        assert field in str(error)

    @pytest.mark.parametrize("field", ATTRIBUTES)
    @pytest.mark.parametrize("value", ["x" * 512, "ü\u2028", "a b", "/"])
    def test_odd_texts_that_are_fine(self, field: str, value: str) -> None:
        event = decode(body(**{field: value}))
        assert getattr(event, {"subject": "user"}.get(field, field)) == value

    def test_no_content_in_the_words(self) -> None:
        secret = "ann@example.org"
        for changes in ({"recipient": {"email": secret + " "}}, {"recipient": secret}, {"time": secret}):
            assert secret not in str(refusal(body(**changes)))

    def test_times_are_not_checked_where_only_the_stream_has_a_clock(self) -> None:
        value = body(time="2013-01-01T00:00:00Z")
        assert decode_event(raw(value), ANY_TIME).time_ms == rfc3339_ms("2013-01-01T00:00:00Z")
        assert refusal(value).reason == Reason.TIME_OUT_OF_RANGE


class TestWithoutSubject:
    def test_the_user_is_a_hash_of_the_contact(self) -> None:
        by_mail = decode(body(subject=..., recipient={"email": "Ann@example.org", "phone": "+4915112345678"}))
        again = decode(body(subject=..., recipient={"email": "ann@EXAMPLE.org"}))
        by_phone = decode(body(subject=..., recipient={"phone": "+4915112345678"}))
        assert by_mail.user == again.user != by_phone.user
        for event in (by_mail, by_phone):
            assert event.user.startswith("contact-")
            assert "ann" not in event.user
            assert "4915112345678" not in event.user

    def test_the_user_id_never_changes(self) -> None:
        event = decode(body(subject=..., recipient={"email": "ann@example.org"}))
        assert event.user == "contact-183afcf52603dca43d26b52caaefc3b6"

    def test_a_recipient_beside_a_subject_stays_a_contact(self) -> None:
        event = decode(body(recipient={"email": "ann@example.org"}))
        assert (event.user, event.recipient) == ("ann", Recipient(email="ann@example.org"))

    def test_the_locale_of_a_recipient_has_one_spelling(self) -> None:
        event = decode(body(recipient={"email": "ann@example.org", "locale": "sr_RS@latin"}))
        assert event.recipient == Recipient(email="ann@example.org", locale="sr-Latn-RS")

    @pytest.mark.parametrize(
        ("given", "read_as"),
        [
            ("america/new_york", "America/New_York"),
            ("Asia/Beijing", "Asia/Shanghai"),
            ("UTC+03:00", "UTC+03:00"),
            ("../etc/passwd", "../etc/passwd"),
        ],
    )
    def test_the_zone_of_a_recipient_is_one_of_iana_or_stays_for_the_gate_to_name(
        self, given: str, read_as: str
    ) -> None:
        event = decode(body(recipient={"email": "ann@example.org", "timezone": given}))
        assert event.recipient == Recipient(email="ann@example.org", timezone=read_as)

    def test_a_recipient_may_be_json_in_a_text(self) -> None:
        """CloudEvents knows no objects as extensions, so some SDKs send a text."""
        event = decode(body(recipient='{"email":"ann@example.org"}'))
        assert event.recipient == Recipient(email="ann@example.org")


class TestTimes:
    @given(st.datetimes(timezones=st.just(UTC)), st.integers(-1_439, 1_439), st.integers(0, 9))
    def test_any_time_at_any_offset(self, at: datetime, offset_min: int, digits: int) -> None:
        sign, minutes = "+" if offset_min >= 0 else "-", abs(offset_min)
        fraction = f".{at.microsecond:06d}000"[: digits + 1] if digits else ""
        text = f"{at:%H:%M:%S}{fraction}{sign}{minutes // 60:02d}:{minutes % 60:02d}"
        text = f"{at.year:04d}-{at:%m-%d}T{text}"
        kept_us = int(fraction[1:].ljust(6, "0")[:6] or 0)
        since_1970 = at.replace(microsecond=kept_us) - datetime(1970, 1, 1, tzinfo=UTC)
        expected = (since_1970 - timedelta(minutes=offset_min)) // timedelta(milliseconds=1)
        assert rfc3339_ms(text) == expected

    @pytest.mark.parametrize("offset", ["Z", "z", "+01:00", "-09:30"])
    def test_seconds_that_are_0_may_be_left_out_as_java_does(self, offset: str) -> None:
        assert rfc3339_ms(f"2026-01-01T00:00{offset}") == rfc3339_ms(f"2026-01-01T00:00:00{offset}")

    @pytest.mark.parametrize(
        "text", ["2016-12-31T23:59:60Z", "2017-01-01T00:59:60+01:00", "2016-12-31T23:59:60.000Z"]
    )
    def test_a_leap_second_is_the_next_minute(self, text: str) -> None:
        assert rfc3339_ms(text) == rfc3339_ms("2017-01-01T00:00:00Z")

    @pytest.mark.parametrize(
        "text", ["2026-01-01t09:30:00z", "2026-01-01 09:30:00Z", "2026-01-01T09:30:00-00:00"]
    )
    def test_spellings_that_the_standard_allows(self, text: str) -> None:
        assert rfc3339_ms(text) == rfc3339_ms("2026-01-01T09:30:00Z")

    @pytest.mark.parametrize("digits", range(1, 13))
    def test_digits_beyond_the_millisecond_are_cut_off(self, digits: int) -> None:
        fraction = "999999999999"[:digits]
        assert rfc3339_ms(f"1970-01-01T00:00:00.{fraction}Z") == int(fraction.ljust(3, "0")[:3])

    @pytest.mark.parametrize(
        "text",
        ["", "2026", "2026-01-01", "2026-01-01T00:00", "2026-01-01T00:00:00", "2026-01-01T24:00:00Z",
         "2026-13-01T00:00:00Z", "2026-02-30T00:00:00Z",
         "2026-01-01T00:00:61Z", "2026-02-30T00:00Z", "2026-01-01T24:00Z",
         "2026-01-01T00:00:00.Z", "20260101T000000Z", "2026-W05-6T00:00:00Z", "2026-01-01T00:00:00Z\x00",
         "2026-01-01T00:00:00.5", "2026-01-01T00:00:00.٣Z",
         "2026-01-01T00:00:00,5Z", "2026-01-01T00:00:00ZZ", "2026-01-01T00:00:00.5ZZ",
         " 2026-01-01T00:00:00Z",
         "2026-01-01T00:00:00+24:00", "2026-01-01T00:00:00.-1Z", "2026-01-01T00:00:00.5+1:000"],
    )  # fmt: skip
    def test_what_is_no_time(self, text: str) -> None:
        with pytest.raises(ValueError, match="RFC 3339"):
            rfc3339_ms(text)

    @given(st.text(max_size=40))
    @example("2026-01-01T00:00:00.")
    def test_any_text_is_a_time_or_refused(self, text: str) -> None:
        with contextlib.suppress(ValueError):
            assert isinstance(rfc3339_ms(text), int)


@pytest.mark.parametrize(
    "text",
    [
        "2026-01-01T09:30:00+0000",
        "2026-01-01 09:30:00+00",
        "2026-01-01T10:30+01:00[Europe/Berlin]",
        "2026-01-01T09:30:00.000Z[UTC]",
        "2026-01-01T10:30:00+01:00[Europe/Berlin][u-ca=hebrew]",
        "2026-01-01T09:29:60Z",
    ],
)
def test_times_as_other_software_writes_them(text: str) -> None:
    """Python's strftime, PostgreSQL, Java's ZonedDateTime, JavaScript's Temporal."""
    wanted = rfc3339_ms("2026-01-01T09:30:00Z")
    assert rfc3339_ms(text) == wanted
    event = decode(body(tocsinsendat=text, tocsinexpires=text))
    assert (event.send_at_ms, event.expires_ms) == (wanted, wanted)


@pytest.mark.parametrize(
    "text",
    ["2026-01-01T09:30:00Z00", "2026-01-01T09:30.5Z", "2026-01-01T09:30:00+01:00[!Europe/Berlin]",
     "2026-01-01T09:30:00+1", "2026-01-01T09:30:00+01:00[]", "2026-01-01T09:30:00+01:0",
     "2026-01-01T09:30[UTC]"],
)  # fmt: skip
def test_times_that_are_none(text: str) -> None:
    with pytest.raises(ValueError, match="write RFC 3339"):
        rfc3339_ms(text)


def test_a_null_in_a_recipient_is_the_same_as_nothing() -> None:
    nulls = {"email": "ada@example.org", "phone": None, "locale": None, "timezone": None}
    wanted = Recipient(email="ada@example.org")
    assert decode(body(recipient=nulls)).recipient == wanted
    assert decode(body(recipient="\ufeff" + json.dumps(nulls))).recipient == wanted

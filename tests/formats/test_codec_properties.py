"""Whatever the bytes: a model or `DecodeError`; and what is written is read back as it was."""

import contextlib
import json
from collections.abc import Callable
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.formats.test_codec import MESSAGE, OUTCOME, PROFILE, RECEIPT, RETRY
from tests.formats.test_codec_events import BINARY, LIMITS, body
from tocsin.errors import DecodeError
from tocsin.formats import codec
from tocsin.model.event import Event, Origin
from tocsin.model.message import Message, Retry, Target
from tocsin.model.outcome import Outcome, ReceiptEvent
from tocsin.model.profile import Device, Preferences, Profile, QuietHours
from tocsin.model.raw import RawRecord
from tocsin.model.statuses import Reason

TEXT = st.text(st.characters(codec="utf-8", exclude_categories=["Cc", "Cs"]), max_size=20)
NAME = TEXT.filter(bool)
TENANT = NAME.map(lambda name: name.replace("/", "_"))
NUMBER = st.integers(-(1 << 63), (1 << 63) - 1)
JSON = st.recursive(
    st.none() | st.booleans() | NUMBER | st.floats(allow_nan=False, allow_infinity=False) | TEXT,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3),
    max_leaves=8,
)
OBJECT = st.dictionaries(st.text(max_size=5), JSON, max_size=3).map(
    lambda value: msgspec.Raw(json.dumps(value).encode())
)
RAW_JSON = JSON.map(lambda value: msgspec.Raw(json.dumps(value).encode()))
DECODERS: list[Callable[[RawRecord], object]] = [
    lambda raw: codec.decode_event(raw, LIMITS),
    codec.decode_profile,
    codec.decode_receipt,
    codec.decode_retry,
    codec.decode_message,
    codec.decode_outcome,
    codec.read_dead_letter,
]
VALID = [
    body(time="2026-01-01T01:00:00.5+01:00", tenant="acme", recipient={"email": "ann@example.org"}),
    body(subject=None, recipient={"phone": "+4915112345678"}, tocsinsendat="2026-01-02T00:00:00Z"),
    *map(codec.encode, (PROFILE, RECEIPT, RETRY, MESSAGE, OUTCOME)),
]
FRAGMENTS = [
    b"\xff", b"\xc3\x28", b"\\ud800", b"\\u0000", b"NaN", b"-Infinity", b"1e999", b"9" * 5_000, b"null",
    b"{}", b"[]", b'""', b'"', b"{", b"}", b",", b":", b"\x00", b"true", b"-1", b"1.5", b"[" * 1_200, b"/",
    b"\xef\xbb\xbf", b'"id":', b'"data":', b'"time":"9999-12-31T23:59:60-23:59"', b'"tenant":"a/b",',
    b'"specversion":"2.0"',
]  # fmt: skip


def raw(value: bytes | None, key: bytes | None, headers: tuple[tuple[str, bytes], ...] = ()) -> RawRecord:
    return RawRecord("events", 0, 0, 1_767_225_600_000, key, value, headers)


@st.composite
def mutated(draw: st.DrawFn) -> bytes:
    """Break a valid record: cut, overwrite, insert or double parts of it."""
    value = draw(st.sampled_from(VALID))
    for _ in range(draw(st.integers(1, 3))):
        start = draw(st.integers(0, len(value)))
        end = draw(st.integers(start, min(len(value), start + 12)))
        middle = draw(st.sampled_from(FRAGMENTS) | st.binary(max_size=4) | st.just(value[start:end] * 2))
        value = value[:start] + middle + value[end:]
    return value


@st.composite
def wrong_types(draw: st.DrawFn) -> bytes:
    """Put any JSON in the place of any field, at any depth."""
    document: Any = json.loads(draw(st.sampled_from(VALID)))
    place = document
    while True:
        key = draw(st.sampled_from(sorted(place)))
        if isinstance(place[key], dict) and place[key] and draw(st.booleans()):
            place = place[key]
            continue
        place[key] = draw(JSON | st.just(10**30))
        return json.dumps(document).encode()


HEADERS = st.lists(
    st.tuples(
        st.sampled_from(
            [name for name, _ in BINARY] + ["content-type", "ce_time", "ce_tenant", "tocsin-topic"]
        )
        | TEXT,
        st.sampled_from([b"application/json", b"application/cloudevents+json", b"1.0", b"", b"\xff"])
        | st.binary(max_size=8),
    ),
    max_size=6,
).map(tuple)


@settings(max_examples=400)
@given(
    st.sampled_from(DECODERS),
    mutated() | wrong_types() | st.binary(max_size=60) | st.none(),
    st.just(b"acme/ann") | st.binary(max_size=12) | st.none(),
    HEADERS,
)
def test_nothing_but_decode_errors(
    decode: Callable[[RawRecord], object],
    value: bytes | None,
    key: bytes | None,
    headers: tuple[tuple[str, bytes], ...],
) -> None:
    with contextlib.suppress(DecodeError):
        decode(raw(value, key, headers))
    with contextlib.suppress(DecodeError):
        decode(raw(value, b"acme/ann"))


@settings(max_examples=300)
@given(mutated() | wrong_types())
def test_an_accepted_event_can_be_worked_with(value: bytes) -> None:
    """What comes after decode relies on this: texts encode, data parses, times are in range."""
    try:
        event = codec.decode_event(raw(value, None), LIMITS._replace(check_time=False))
    except DecodeError:
        return
    msgspec.json.decode(event.data)
    msgspec.json.encode(event)
    assert "/" not in event.tenant
    assert all((event.tenant, event.id, event.source, event.type, event.user))
    assert all(at is None or 0 <= at < 1 << 50 for at in (event.time_ms, event.send_at_ms, event.expires_ms))


@given(NAME, NAME, NAME, NAME, TENANT, OBJECT)
def test_both_modes_give_the_same_event(
    id_: str, source: str, type_: str, subject: str, tenant: str, data: msgspec.Raw
) -> None:
    attributes = {
        "specversion": "1.0", "id": id_, "source": source, "type": type_, "subject": subject,
        "tenant": tenant,
    }  # fmt: skip
    structured = json.dumps(attributes).encode()[:-1] + b',"data":' + bytes(data) + b"}"
    headers = tuple((f"ce_{name}", text.encode()) for name, text in attributes.items())

    def decoded(value: bytes, *headers: tuple[str, bytes]) -> Event:
        return codec.decode_event(raw(value, None, headers), LIMITS)

    assert decoded(structured) == decoded(bytes(data), *headers)
    assert decoded(structured).user == subject


TARGETS = st.builds(Target, address=TEXT, platform=TEXT, app=TEXT, registered_ms=NUMBER)
MESSAGES = st.builds(
    Message,
    message_id=TEXT, notification_id=TEXT, tenant=TENANT, user=NAME, channel=TEXT, target=TARGETS,
    data=RAW_JSON,
    notification=TEXT, category=TEXT, template=TEXT, locale=TEXT, event_id=TEXT, event_source=TEXT,
    event_type=TEXT, event_time_ms=NUMBER, received_ms=NUMBER, decided_ms=NUMBER, expires_ms=NUMBER,
    attempt=NUMBER, origin=st.builds(Origin, TEXT, NUMBER, NUMBER),
)  # fmt: skip
RETRIES = st.builds(
    Retry, message=MESSAGES, reason=TEXT, due_ms=NUMBER, provider=TEXT, first_failed_ms=NUMBER
)
RECEIPTS = st.builds(ReceiptEvent, tenant=TENANT, user=NAME, kind=TEXT, message_id=TEXT, at_ms=NUMBER)
DETAILS = st.dictionaries(TEXT, st.none() | st.booleans() | NUMBER | TEXT, max_size=3)
OUTCOMES = st.builds(Outcome, outcome_id=TEXT, status=TEXT, tenant=TEXT, detail=DETAILS, at_ms=NUMBER)
PROFILES = st.builds(
    Profile,
    email=st.sampled_from(["", "ann@example.org"]),
    phone=st.sampled_from(["", "+4915112345678"]),
    devices=st.lists(st.builds(Device, platform=st.just("ios"), token=NAME.filter(str.isprintable))).map(
        tuple
    ),
    preferences=st.builds(
        Preferences,
        enabled=st.booleans(),
        channels=st.dictionaries(TEXT, st.booleans(), max_size=2),
        categories=st.dictionaries(TEXT, st.booleans() | st.dictionaries(TEXT, st.booleans()), max_size=2),
    ),
    quiet_hours=st.none() | st.just(QuietHours("22:00", "07:00")),
    version=st.integers(0, (1 << 53) - 1),
)


@pytest.mark.parametrize(
    ("decode", "records"),
    [
        (codec.decode_message, MESSAGES),
        (codec.decode_retry, RETRIES),
        (codec.decode_receipt, RECEIPTS),
        (codec.decode_outcome, OUTCOMES),
    ],
)
@given(st.data())
def test_round_trips_are_identities(
    decode: Callable[[RawRecord], msgspec.Struct],
    records: st.SearchStrategy[msgspec.Struct],
    data: st.DataObject,
) -> None:
    record = data.draw(records)
    assert decode(raw(codec.encode(record), None)) == record


@given(TENANT.filter(lambda name: '"' not in name), NAME, PROFILES)
def test_profiles_round_trip(tenant: str, user: str, profile: Profile) -> None:
    record = raw(codec.encode(profile), codec.profile_key(tenant, user))
    assert codec.decode_profile(record)[:3] == (tenant, user, profile)


@given(
    st.builds(
        RawRecord,
        topic=NAME, partition=st.integers(0, 1_000), offset=st.integers(0, 1 << 60),
        timestamp_ms=st.integers(0, 1 << 50), key=st.none() | st.binary(max_size=9),
        value=st.none() | st.binary(max_size=9),
        headers=st.lists(st.tuples(TEXT, st.binary(max_size=5)), max_size=3).map(tuple),
    ),
    TEXT, st.sampled_from(Reason), TEXT, st.integers(0, 99),
)  # fmt: skip
def test_dead_letters_keep_everything(
    origin: RawRecord, stage: str, reason: Reason, error: str, attempts: int
) -> None:
    record = codec.dead_letter(origin, stage, reason, error, attempts=attempts)
    found = codec.read_dead_letter(RawRecord("dead", 0, 0, 0, record.key, record.value, record.headers))
    assert (found.origin_topic, found.origin_partition, found.origin_offset) == origin[:3]
    assert (found.key, found.value, found.headers) == (origin.key, origin.value, origin.headers)
    assert (found.stage, found.reason, found.error, found.attempts) == (stage, reason, error, attempts)
    assert (found.first_ms, found.last_ms) == (origin.timestamp_ms, origin.timestamp_ms)

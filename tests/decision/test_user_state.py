"""Records: bytes and back, small, and expiry."""

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tocsin.catalog.caps import Counter
from tocsin.decision import dedup, limits
from tocsin.decision.user_state import ContactPoint, HoldRef, RecordCodec, UserRecord, Waiting, expire
from tocsin.errors import StateError
from tocsin.model.event import Origin

CODEC = RecordCodec()

points = st.builds(
    ContactPoint,
    channel=st.sampled_from(["email", "push"]),
    key=st.text(max_size=16),
    address=st.text(),
    platform=st.sampled_from(["", "ios"]),
    app=st.text(max_size=4),
    registered_ms=st.integers(0, 2**62),
    subscription=st.none() | st.dictionaries(st.text(max_size=4), st.text(max_size=4)),
)
refs = st.builds(
    HoldRef,
    due_ms=st.integers(0, 2**62),
    notification_id=st.text(),
    notification=st.text(),
    category=st.text(),
    event_id=st.text(),
    origin=st.text(),
    message_id=st.text(),
    channel=st.sampled_from(["*", "email"]),
    target=st.text(),
    attempt=st.integers(0, 9),
    counter=st.text(),
    spare=st.booleans(),
    unless=st.integers(0, 4),
)
records = st.builds(
    UserRecord,
    version=st.integers(0, 2**62),
    contact_points=st.lists(points, max_size=3).map(tuple),
    locale=st.text(max_size=5),
    timezone=st.text(max_size=5),
    switched_off=st.lists(st.text(max_size=5), max_size=3).map(tuple),
    snoozed_until_ms=st.integers(0, 2**62),
    quiet_start_min=st.integers(-1, 1439),
    quiet_end_min=st.integers(-1, 1439),
    blocked=st.dictionaries(st.text(max_size=4), st.integers(0, 2**62)),
    seen=st.binary(),
    keys=st.binary(),
    counts=st.dictionaries(st.text(max_size=4), st.binary()),
    holds=st.dictionaries(st.text(max_size=4), refs, max_size=3),
    waiting=st.lists(st.builds(Waiting, st.integers(0, 2**62), st.binary()), max_size=3).map(tuple),
    declared=st.lists(st.text(max_size=9), max_size=3).map(tuple),
    engaged=st.binary(),
    opt_outs=st.lists(st.text(max_size=5), max_size=3).map(tuple),
    opt_outs_version=st.integers(0, 2**53),
    has_text=st.booleans(),
    switched_on=st.none() | st.binary(),
    attributes=st.binary(),
    written_version=st.integers(0, 2**53),
)


@given(records)
def test_restoring_a_snapshot_is_the_identity(record: UserRecord) -> None:
    data = CODEC.encode(record)
    assert CODEC.decode(data) == record
    assert CODEC.encode(CODEC.decode(data)) == data


def test_a_golden_record_of_version_1_still_loads() -> None:
    """State on disk outlives releases: a change that breaks this needs a version and a migration."""
    data = bytes.fromhex(GOLDEN)
    assert CODEC.decode(data) == golden()
    # Since 0.2 a hold says at its end whether it is spare, which receipts make it needless, the numbers of a
    # digest, its places in limits, its keys, reason, arm, replay and clock. A record names declared topics.
    # At its end it says when its profile was read, what receipts came and switched off, at which version,
    # whether a text is kept, the version of the owner, what was not sent, what the user turned on (older
    # records do not tell), the attributes, what was cancelled, and when the user was erased.
    now = GOLDEN.replace("639b09", "63dc001809")
    now = now.replace("0a475736572", "0a475736572c200c00000c0c400c400a0a0a0a0c2")
    now = now.replace("019e", "01dc001a", 1) + "9000c4009000c200c400c0c400c40000"
    assert CODEC.encode(golden()).hex() == now


def golden() -> UserRecord:
    record = UserRecord(
        version=3,
        contact_points=(
            ContactPoint("email", "0011223344556677", "ann@mail.example"),
            ContactPoint("push", "8899aabbccddeeff", "token", "ios", "app", 1_700_000_000_000),
        ),
        locale="de-AT",
        timezone="Europe/Vienna",
        switched_off=("category:offers:sms", "channel:sms"),
        snoozed_until_ms=5,
        quiet_start_min=1320,
        quiet_end_min=420,
        blocked={"ff": 7},
        holds={"nabc": HoldRef(9, "abc", "landed", "updates", "e1", "events/3/42", counter="user")},
        waiting=(Waiting(10, b"{}"),),
    )
    origin = Origin("events", 3, 42)
    record.seen = dedup.remember(b"", b"12345678", 100, 50, 90, origin, 8)
    record.keys = dedup.remember(b"", b"abcdefgh", 100, 50, 90, origin, 8)
    limits.count(record.counts, (Counter("user", 1, 60_000),), 100, "UTC")
    return record


@pytest.mark.parametrize("data", [b"", b"\x00\x90", b"\x02\x90"])
def test_another_version_is_refused_with_the_cure(data: bytes) -> None:
    with pytest.raises(StateError, match="start the release that wrote this state"):
        CODEC.decode(data)


def test_fields_of_later_releases_may_be_appended() -> None:
    """A record written before a field existed reads with the field's default."""
    short = b"\x01" + msgspec.msgpack.encode([2, [], "en"])
    assert CODEC.decode(short) == UserRecord(version=2, locale="en")


def test_an_empty_record_is_empty_and_tiny() -> None:
    assert UserRecord().is_empty()
    assert UserRecord(locale="en", switched_off=("*",)).is_empty()
    assert len(CODEC.encode(UserRecord())) <= 40


@pytest.mark.parametrize("field", ["version", "blocked", "seen", "keys", "counts", "holds", "waiting"])
def test_anything_a_decision_needs_keeps_a_record(field: str) -> None:
    record = UserRecord()
    setattr(record, field, getattr(golden(), field))
    assert not record.is_empty()


def test_expiry_keeps_what_does_not_expire() -> None:
    record = golden()
    assert not expire(record, 100)
    assert expire(record, 10**12)
    assert (record.seen, record.keys, record.counts) == (b"", b"", {})
    assert (record.version, record.holds, record.blocked) == (3, golden().holds, {"ff": 7})
    assert not expire(record, 10**12)


GOLDEN = (
    "019e039297a5656d61696cb030303131323233333434353536363737b0616e6e406d61696c2e6578616d706c65a0a000"
    "c097a470757368b038383939616162626363646465656666a5746f6b656ea3696f73a3617070cf0000018bcfe56800c0"
    "a564652d4154ad4575726f70652f5669656e6e6192b363617465676f72793a6f66666572733a736d73ab6368616e6e65"
    "6c3a736d7305cd0528cd01a481a2666607c4233132333435363738640000000000000096000000000000000303002a00"
    "000000000000c4236162636465666768640000000000000096000000000000000303002a0000000000000081a4757365"
    "72c41060ea000000000000640000000000000081a46e6162639b09a3616263a66c616e646564a775706461746573a265"
    "31ab6576656e74732f332f3432a0a12aa000a47573657291920ac4027b7d"
)

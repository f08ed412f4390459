"""Declared topics: their records become CloudEvents, at home or forwarded, and each is counted once."""

import json
from collections.abc import Sequence

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from operators.decode import Decoder
from operators.decode_parts import DecodePolicy
from tests.operators.test_decode import (
    KEY_GROUPS,
    LIMITS,
    NOW,
    PARTITIONS,
    Clocks,
    Notes,
    event,
    home,
    inputs,
    outs,
)
from tocsin.catalog.sources import SourceSpec
from tocsin.decision.timers import HeldEvent, decode_payload, encode_event, event_of
from tocsin.formats.body import NotYet
from tocsin.formats.declared import readers
from tocsin.formats.forwarded import ORIGIN_HEADER, RECEIVED_HEADER, first_read
from tocsin.model import topics
from tocsin.model.event import Event, Origin
from tocsin.model.outcome import Outcome
from tocsin.model.raw import OutRecord, RawRecord
from tocsin.model.statuses import Reason

TOPIC = topics.declared("shop.orders")
SPEC = SourceSpec(format="mapped", type="order.changed", user="value.user", id="value.id")
POLICY = DecodePolicy(PARTITIONS, KEY_GROUPS, LIMITS)


def decoder(notes: Notes | None = None) -> Decoder:
    declared = readers({"shop.orders": SPEC}, LIMITS)
    return Decoder(POLICY, Clocks(), notes or Notes(), lambda: NOW, declared=declared)


def order(user: str, partition: int, offset: int = 0) -> RawRecord:
    value = json.dumps({"id": offset, "user": user, "gate": "B7"}).encode()
    return RawRecord(TOPIC, partition, offset, NOW, b"any", value, (("trace", b"1"),))


def arrived(record: OutRecord, offset: int) -> RawRecord:
    """The forwarded record as the shard of its partition reads it."""
    return RawRecord(
        record.topic, record.partition, offset, NOW + 500, record.key, record.value, record.headers
    )


def test_a_record_that_lies_at_home_is_decided_there_as_a_cloudevent() -> None:
    decode = decoder()
    (entry,) = inputs(decode([order("ann", home("ann"), 9)]))
    assert isinstance(entry.item, Event)
    assert (entry.user_key, str(entry.item.origin)) == ("default/ann", f"{TOPIC}/{home('ann')}/9")
    held = decode_payload(encode_event(entry.item, entry.raw))
    assert isinstance(held, HeldEvent)
    assert event_of(held) == entry.item  # what is held is decoded again when it is due
    assert decode_payload(encode_event(entry.item, held.raw)) == held
    assert (decode.read[TOPIC], decode.forwarded.total()) == (1, 0)


def test_a_record_that_lies_elsewhere_is_forwarded_once_as_a_cloudevent_and_keeps_its_origin() -> None:
    decode = decoder()
    away = home("ann") + PARTITIONS  # a declared topic may have more partitions than ours
    (record,) = outs(decode([order("ann", away, 9)]))
    assert (record.topic, record.partition, record.key) == (topics.EVENTS, home("ann"), b"default/ann")
    assert dict(record.headers) == {
        "content-type": b"application/cloudevents+json",
        ORIGIN_HEADER: f"{TOPIC}/{away}/9".encode(),
        RECEIVED_HEADER: str(NOW).encode(),
    }
    (entry,) = inputs(decode([arrived(record, 55)]))
    assert isinstance(entry.item, Event)
    assert (str(entry.item.origin), entry.item.received_ms) == (f"{TOPIC}/{away}/9", NOW)
    assert msgspec.json.decode(entry.item.data) == {"id": 9, "user": "ann", "gate": "B7"}
    assert decode.forwarded == {TOPIC: 1}


def test_a_dead_letter_of_a_forwarded_record_names_the_place_where_it_was_first_read() -> None:
    away = home("ann") + PARTITIONS
    (record,) = outs(decoder()([order("ann", away, 9)]))
    letter = first_read(arrived(record, 55), Origin(TOPIC, away, 9), NOW)
    assert (letter.topic, letter.partition, letter.offset, letter.timestamp_ms) == (TOPIC, away, 9, NOW)
    assert letter.headers == (("content-type", b"application/cloudevents+json"),)


def test_what_cannot_be_mapped_is_a_dead_letter_on_a_partition_that_exists() -> None:
    notes = Notes()
    raw = order("", PARTITIONS + 1, 9)
    letter, outcome = outs(decoder(notes)([raw]))
    assert (letter.partition, outcome.partition) == (1, 1)
    assert (letter.value, dict(letter.headers)["tocsin-topic"]) == (raw.value, TOPIC.encode())
    assert dict(letter.headers)["tocsin-error"].startswith(b"user: empty; correct the record, or `user: valu")
    said = msgspec.json.decode(outcome.value or b"", type=Outcome)
    assert (said.reason, said.origin) == (Reason.BAD_FIELD, f"{TOPIC}/{PARTITIONS + 1}/9")
    assert notes.seen[False] == 1


def test_tombstones_are_counted_and_leave_no_trace() -> None:
    notes = Notes()
    decode = decoder(notes)
    assert decode([order("ann", 0)._replace(value=None)]) == []
    assert (decode.skipped, notes.seen[False]) == ({TOPIC: 1}, 0)


@given(st.lists(st.tuples(st.sampled_from("abcdef"), st.integers(0, 9)), max_size=30))
def test_each_record_is_decided_exactly_once_whatever_its_partition(orders: list[tuple[str, int]]) -> None:
    decode = decoder()
    raws = [order(user, partition, offset) for offset, (user, partition) in enumerate(orders)]
    routed = decode(raws)
    second = decode([arrived(record, at) for at, record in enumerate(outs(routed))])
    found = inputs(routed) + inputs(second)
    assert sorted(entry.item.origin.offset for entry in found if isinstance(entry.item, Event)) == [
        *range(len(orders))
    ]
    assert outs(second) == []
    assert decode.forwarded.total() == len(inputs(second))


def test_from_the_first_record_without_a_schema_a_topic_is_put_back_in_order() -> None:
    class Broken:
        def __init__(self) -> None:
            self.back: list[tuple[list[int], str]] = []

        def read(self, raw: RawRecord) -> Event:
            if raw.offset == 3:
                raise NotYet("no schema")
            return readers({"shop.orders": SPEC}, LIMITS)[TOPIC](raw)

        def put_back(self, records: Sequence[RawRecord], sentence: str) -> None:
            self.back.append(([record.offset for record in records], sentence))

    broken, notes = Broken(), Notes()
    decode = Decoder(POLICY, Clocks(), notes, declared={TOPIC: broken.read}, put_back=broken.put_back)
    raws = [order("ann", home("ann"), offset) for offset in range(5)]
    found = inputs(decode([*raws, event("ann", offset=9), order("ann", 1 + home("ann"), 7)]))
    assert broken.back == [([3, 4, 7], "no schema")]
    assert [entry.item.origin.offset for entry in found if isinstance(entry.item, Event)] == [0, 1, 2, 9]
    assert (decode.read, notes.seen) == ({TOPIC: 3, topics.EVENTS: 1}, {True: 4})


@pytest.mark.parametrize("ago_s", [LIMITS.max_past_s + 10, 2 * 365 * 86_400])
def test_an_old_event_does_not_pass_because_its_record_is_dated_as_old(ago_s: int) -> None:
    """The JavaScript SDK writes the event's time as the record's timestamp."""
    raw = event("ann", ts=NOW - ago_s * 1000)
    letter, _ = outs(decoder()([raw]))
    assert dict(letter.headers)["tocsin-reason"] == b"time_out_of_range"
    assert b"raise TOCSIN_MAX_PAST_S" in dict(letter.headers)["tocsin-error"]
    assert outs(decoder()([event("ann", ts=NOW - (LIMITS.max_past_s - 10) * 1000)])) == []


def test_an_event_that_is_forwarded_is_counted_by_its_topic() -> None:
    decode = decoder()
    decode([event("ann", partition=(home("ann") + 1) % PARTITIONS)])
    assert decode.forwarded == {topics.EVENTS: 1}

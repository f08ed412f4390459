"""What a replay writes: the same bytes in the same topic, marked; a message as a retry of its own."""

import msgspec
import pytest

from sources.replays.facts import Facts
from sources.replays.rewriting import Rewriter
from tests.sources.replays.records import NOW_MS, event, letter, message_record, read_back, sent_message
from tocsin.formats.cloudevents import EventLimits, decode_event
from tocsin.formats.codec import decode_retry, encode
from tocsin.formats.forwarded import marks_of, rewritten
from tocsin.model.event import Origin, Replay
from tocsin.model.raw import OutRecord, RawRecord
from tocsin.model.statuses import Reason

AGAIN = Rewriter("r1", False, NOW_MS, 2)
FORCE = Rewriter("r1", True, NOW_MS, 2)
LIMITS = EventLimits(100_000, 86_400, 3_600, check_time=True)


def written(raw: RawRecord, rewriter: Rewriter = AGAIN) -> OutRecord:
    return rewriter.written(Facts(raw))


def test_a_dead_event_goes_back_to_its_place_with_key_and_headers() -> None:
    died = event(7)._replace(headers=(("content-type", b"application/cloudevents+json"), ("trace", b"\xff")))
    record = written(letter(died))
    assert (record.topic, record.partition, record.key, record.value) == ("events", 1, died.key, died.value)
    assert record.headers == (*died.headers, ("tocsin-replay", b"r1 again events/1/7"))


def test_what_it_writes_is_read_as_a_replay_of_the_first_record() -> None:
    again = read_back(written(letter(event(7)), FORCE), 99)
    assert decode_event(again, LIMITS).replay == Replay("r1", force=True, origin=Origin("events", 1, 7))


def test_a_replay_of_a_replay_is_one_of_the_first_record() -> None:
    second = letter(read_back(written(letter(event(7))), 99))
    assert dict(written(second).headers)["tocsin-replay"] == b"r1 again events/1/7"


def test_marks_of_forwarding_are_dropped_so_that_it_is_forwarded_again() -> None:
    died = event(7)
    moved = died._replace(partition=0, offset=12, headers=marks_of(died))
    record = written(letter(moved, Reason.BAD_FIELD, "decode"))
    assert [name for name, _ in record.headers] == ["tocsin-replay"]
    assert dict(record.headers)["tocsin-replay"] == b"r1 again events/1/7"


def test_a_dead_event_of_a_declared_topic_goes_to_the_events() -> None:
    known = decode_event(event(7), LIMITS)
    shop = rewritten(msgspec.structs.replace(known, origin=Origin("source:shop.orders", 9, 3)))
    record = written(letter(shop))
    assert (record.topic, record.key) == ("events", b"default/ann")
    assert 0 <= record.partition < 2
    assert dict(record.headers)["tocsin-replay"] == b"r1 again source:shop.orders/9/3"


def test_a_message_returns_to_the_gate_as_a_message_of_its_own() -> None:
    raw = message_record(3, attempt=4, generation=1)
    first = sent_message(3)
    record = written(letter(raw, Reason.RENDER_ERROR, "deliver"))
    retry = decode_retry(read_back(record, 0))
    assert (record.topic, record.key, retry.reason, retry.due_ms) == ("retries", b"acme/ann", "replayed", 0)
    again = retry.message
    assert (again.replay, again.replay_of, again.unless_sent) == ("r1", first.message_id, first.message_id)
    assert (again.attempt, again.generation, again.slots, again.received_ms) == (1, 1, None, NOW_MS)
    assert again.message_id not in {"", first.message_id}
    assert again.notification_id == first.notification_id


def test_a_message_that_is_forced_is_a_new_generation_and_asks_nobody() -> None:
    again = decode_retry(read_back(written(message_record(3), FORCE), 0)).message
    assert (again.generation, again.unless_sent) == (1, "")


def test_a_message_of_a_replay_still_names_the_first_one() -> None:
    """Otherwise two replays of one message could both send it."""
    raw = message_record(3, replay="r0", replay_of="x", unless_sent="first")
    assert decode_retry(read_back(written(raw), 0)).message.unless_sent == "first"


def test_a_replay_of_a_replayed_message_is_one_of_the_first_message() -> None:
    first = decode_retry(read_back(written(message_record(3)), 0)).message
    raw = RawRecord("messages.email.now", 0, 9, NOW_MS, b"acme/ann", encode(first), ())
    for rewriter in (Rewriter("r2", False, NOW_MS, 2), Rewriter("r2", True, NOW_MS, 2)):
        second = decode_retry(read_back(written(raw, rewriter), 0)).message
        assert second.replay_of == sent_message(3).message_id
        assert second.message_id not in {first.message_id, first.replay_of}


@pytest.mark.parametrize(
    ("topic", "stage"), [("receipts", "decode"), ("profiles", "gate"), ("outcomes", "track")]
)
def test_other_records_are_copied_to_their_topic(topic: str, stage: str) -> None:
    died = RawRecord(topic, 1, 5, NOW_MS, b"acme/ann", b"{broken", ())
    record = written(letter(died, Reason.BAD_JSON, stage))
    assert (record.topic, record.partition, record.key, record.value) == (topic, 1, died.key, died.value)


def test_the_same_record_is_written_with_the_same_bytes() -> None:
    assert written(letter(message_record(3))) == written(letter(message_record(3)))

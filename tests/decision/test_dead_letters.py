"""Dead letters of the gate are the very bytes that were read, however long they waited."""

import json

import msgspec
import pytest

from tests.decision.gate_world import CATALOG, HOUR, NOON, SECOND, World, profile
from tocsin.decision.effects import DeadLetter, Decision
from tocsin.decision.gate import Gate
from tocsin.decision.policy import GatePolicy
from tocsin.decision.timers import (
    HeldEvent,
    decode_payload,
    decode_waiting,
    encode_event,
    event_of,
)
from tocsin.decision.user_state import UserRecord, Waiting
from tocsin.formats.cloudevents import EventLimits, decode_event
from tocsin.formats.forwarded import rewritten
from tocsin.model.event import Event
from tocsin.model.raw import RawRecord
from tocsin.model.statuses import Reason

LIMITS = EventLimits(100_000, 86_400, 3_600, check_time=True)
GATE = Gate(CATALOG, GatePolicy())
HEADERS = (("content-type", b"application/cloudevents+json"), ("trace", b"\xff\x00"))


def record(kind: str, *, tenant: str = "quiet", **fields: object) -> RawRecord:
    """A record with everything that a rewriting would lose: spelling, an unknown attribute, headers, key."""
    document = {
        "specversion": "1.0", "id": "e1", "source": "/s", "type": kind, "subject": "ann", "tenant": tenant,
        "time": "2023-11-14T12:00:00+00:00", "partner": "x", "data": {"flight": "ü"}, **fields,
    }  # fmt: skip
    value = json.dumps(document, indent=1).encode()
    return RawRecord("events", 3, 42, NOON, b"any key", value, HEADERS)


def known() -> UserRecord:
    found = GATE.on_profile(None, "quiet", "ann", profile(), NOON).record
    assert found is not None
    return found


def decided(found: UserRecord | None, raw: RawRecord, gate: Gate = GATE) -> Decision:
    return gate.on_event(found, decode_event(raw, LIMITS), NOON, raw)


def letter(decision: Decision) -> DeadLetter:
    (found,) = decision.dead_letters
    (outcome,) = decision.outcomes
    assert (outcome.status, outcome.reason) == ("dead", found.reason.value)
    assert outcome.detail["error"] == found.error
    return found


def test_an_event_whose_expression_fails() -> None:
    raw = record("flight.delayed")
    assert letter(decided(known(), raw)).raw == raw


def test_an_event_of_a_tenant_that_is_not_in_the_catalog() -> None:
    raw = record("flight.landed", tenant="nobody")
    assert letter(decided(None, raw)).raw == raw


def test_an_event_for_which_there_is_no_room_to_wait() -> None:
    raw = record("flight.landed")
    assert letter(decided(None, raw, Gate(CATALOG, GatePolicy(waiting_max=0)))).raw == raw


def test_an_event_whose_profile_did_not_come() -> None:
    raw = record("flight.landed")
    waiting = decided(None, raw)
    (timer,) = waiting.set_timers
    late = GATE.on_timer(waiting.record, "quiet", "ann", timer.timer_id, timer.payload, timer.due_ms)
    assert letter(late) == DeadLetter(raw, Reason.UNKNOWN_USER, letter(late).error)


def test_a_waiting_event_whose_expression_fails_when_the_profile_comes() -> None:
    raw = record("flight.delayed")
    waiting = decided(None, raw)
    assert letter(GATE.on_profile(waiting.record, "quiet", "ann", profile(), NOON + SECOND)).raw == raw


def test_a_held_notification_whose_expression_fails_when_due() -> None:
    raw = record("flight.delayed", data={"delay": 72, "flight": "x"}, tocsinsendat="2023-11-14T13:00:00Z")
    held = decided(known(), raw)
    (timer,) = held.set_timers
    broken = raw._replace(value=(raw.value or b"").replace(b'"delay"', b'"other"'))
    payload = encode_event(decode_event(broken, LIMITS), broken, "delayed", 1)
    due = GATE.on_timer(held.record, "quiet", "ann", timer.timer_id, payload, NOON + HOUR)
    assert letter(due).raw == broken


def test_a_forwarded_record_is_as_its_producer_wrote_it() -> None:
    raw = record("flight.delayed")
    event = decode_event(raw, LIMITS)
    marks = (("tocsin-origin", b"events/3/42"), ("tocsin-received", str(NOON).encode()))
    forwarded = raw._replace(partition=7, offset=1, timestamp_ms=NOON + 5, headers=(*HEADERS, *marks))
    assert letter(GATE.on_event(known(), event, NOON + 5, forwarded)).raw == raw


def test_a_receipt_of_no_known_kind() -> None:
    world = World()
    (found,) = world.receipt("vanished").dead_letters
    assert msgspec.json.decode(found.raw.value or b"")["kind"] == "vanished"
    assert found.raw[:3] == ("receipts", 3, 9)


def test_a_record_that_a_later_release_refuses_is_dead_when_due() -> None:
    """Its bytes and its place are kept, and its outcome has the ids that it was held under."""
    raw = record("flight.landed", tocsinsendat="2023-11-14T13:00:00Z")
    held = decided(known(), raw)
    (timer,) = held.set_timers
    refused = raw._replace(value=b"{")
    payload = encode_event(decode_event(raw, LIMITS), refused, "landed", 1)
    due = GATE.on_timer(held.record, "quiet", "ann", timer.timer_id, payload, NOON + HOUR)
    assert (letter(due).raw, letter(due).reason) == (refused, Reason.BAD_JSON)
    assert due.outcomes[0].notification_id == held.outcomes[0].notification_id
    assert due.record is not None
    assert due.record.seen == b"", "its replay is no duplicate"


def test_a_waiting_record_that_a_later_release_refuses_is_dead_when_the_profile_comes() -> None:
    raw = record("flight.landed")
    refused = raw._replace(value=b"{")
    payload = encode_event(decode_event(raw, LIMITS), refused)
    seen = decided(None, raw).record
    assert seen is not None
    state = UserRecord(waiting=(Waiting(NOON + SECOND, payload),), seen=seen.seen)
    step = GATE.on_profile(state, "quiet", "ann", profile(), NOON)
    assert (letter(step).raw, step.outcomes[0].origin, step.outcomes[0].user) == (
        refused,
        "events/3/42",
        "ann",
    )
    assert step.record is not None
    assert step.record.seen == b"", "its replay is no duplicate"


def read_event(raw: RawRecord, **changes: object) -> Event:
    return msgspec.structs.replace(decode_event(raw, LIMITS), **changes)


@pytest.mark.parametrize("topic", ["events", "bulk"])
def test_a_payload_reads_as_the_event_it_was(topic: str) -> None:
    raw = record("flight.landed", tocsinexpires="2023-11-14T15:00:00Z")._replace(topic=topic)
    moved = read_event(raw, origin=decode_event(record("x"), LIMITS).origin, received_ms=NOON - 5)
    payload = encode_event(moved, raw, "landed", 2)
    held = decode_payload(payload)
    assert isinstance(held, HeldEvent)
    assert (event_of(held), held.notification, held.hold_count) == (moved, "landed", 2)
    assert event_of(decode_waiting(payload)) == moved


def test_payloads_of_the_release_before_are_read() -> None:
    """They were a decoded event in JSON."""
    event = read_event(record("flight.landed", tocsinsendat="2023-11-14T13:00:00Z"))
    old = {"type": "notification", "event": event, "notification": "landed", "round": 3}
    held = decode_payload(msgspec.json.encode(old))
    assert isinstance(held, HeldEvent)
    assert (held.raw, held.notification, held.hold_count) == (rewritten(event), "landed", 3)
    for read in (held, decode_waiting(msgspec.json.encode(event))):
        again = event_of(read)
        assert msgspec.json.decode(again.data) == msgspec.json.decode(event.data)
        assert msgspec.structs.replace(again, data=event.data) == event

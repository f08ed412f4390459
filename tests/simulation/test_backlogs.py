"""A shard that came to a long backlog: all its records were in Kafka before it decided the first one."""

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import msgspec
import pytest

from flows.simulation.player import _HIGH
from flows.simulation.simulation import simulate
from tests.decision.gate_world import HOUR, MINUTE, NOON, SMALL
from tests.golden import wire
from tests.golden.driver import Machine
from tests.simulation.recorded import MemoryHistory, history, request
from tests.simulation.test_small_histories import PROFILE
from tocsin.formats.codec import encode
from tocsin.model import topics
from tocsin.model.message import Message
from tocsin.model.outcome import ReceiptEvent
from tocsin.model.raw import RawRecord

SETTINGS = wire.Settings(catalog=str(SMALL), stream_clock=False, partitions=1, key_groups=2)
EVENTS = _HIGH + 2_000


def _lines() -> Iterator[wire.Line]:
    yield wire.Epoch(NOON)
    profile = msgspec.json.encode(PROFILE)
    yield wire.Record(topics.PROFILES, 0, 0, NOON, b"quiet/ann", profile)
    time = datetime.fromtimestamp(NOON / 1000, UTC).isoformat()
    for number in range(EVENTS):
        event = {
            "specversion": "1.0",
            "id": f"e{number}",
            "source": "/t",
            "type": "nothing",
            "subject": "ann",
        }
        value = msgspec.json.encode(event | {"tenant": "quiet", "time": time})
        yield wire.Record(topics.EVENTS, 0, number, NOON + number, b"quiet/ann", value)
    yield wire.Epoch(NOON + HOUR)


def test_events_of_a_backlog_are_placed_by_their_outcomes(tmp_path: Path) -> None:
    """The queue of events is full when the first outcome is read, and no event has lost its outcome."""
    folder = history(tmp_path / "shard", SETTINGS, _lines()).write(tmp_path / "history", "wall", 1)
    result = simulate(request(folder, SETTINGS)).result
    assert (result.ordered, result.differing) == (EVENTS, 0)


def test_events_whose_outcomes_are_lost_are_played_before_those_that_have_some(tmp_path: Path) -> None:
    """Retention has deleted the outcomes of all but the last events."""
    found = history(tmp_path / "shard", SETTINGS, _lines())
    records = [each for topic in found.bounds for batch in found.read(topic, 0) for each in batch]
    kept = [each for each in records if each.topic != topics.OUTCOMES or each.offset >= EVENTS - 500]
    folder = MemoryHistory(kept).write(tmp_path / "history", "wall", 1)
    result = simulate(request(folder, SETTINGS)).result
    assert (result.inputs, result.ordered) == (EVENTS + 1, 500)
    assert result.equal == 500


STREAM = wire.Settings(catalog=str(SMALL), stream_clock=True, partitions=1, key_groups=2)
BEHIND_MS = 2_900
"""How much of the history was in Kafka when the shard began."""


def _event(kind: str, number: int, at: int, read: int) -> wire.Record:
    """Give an event of a time after noon, which Kafka had some milliseconds after noon."""
    time = datetime.fromtimestamp((NOON + at) / 1000, UTC).isoformat()
    event = {"specversion": "1.0", "id": f"e{number}", "source": "/t", "type": kind, "subject": "ann"}
    fields = {"tenant": "quiet", "time": time, "data": {"flight": "UA 1545", "delay": 72, "key": "k"}}
    return wire.Record(
        topics.EVENTS, 0, number, NOON + read, b"quiet/ann", msgspec.json.encode(event | fields)
    )


def _opened(folder: Path, lines: list[wire.Line], read: int) -> wire.Record:
    """Give the opening of the mail that the lines led to."""
    machine = Machine(folder, STREAM)
    for line in lines:
        machine.play(line)
    mails = [one for one in machine.finish().records if one.topic == topics.messages("email")]
    mail = msgspec.json.decode(mails[-1].value or b"", type=Message)
    receipt = ReceiptEvent(
        tenant="quiet",
        user="ann",
        kind="opened",
        message_id=mail.message_id,
        notification_id=mail.notification_id,
        channel="email",
        at_ms=NOON + HOUR,
    )
    return wire.Record(topics.RECEIPTS, 0, 0, NOON + read, b"quiet/ann", encode(receipt))


def _shown_late(record: RawRecord) -> RawRecord:
    if record.topic != topics.OUTCOMES:
        return record
    return record._replace(timestamp_ms=max(record.timestamp_ms, NOON + BEHIND_MS))


@pytest.mark.parametrize("read", [2_850, 3_200])
def test_a_receipt_is_played_where_its_outcome_stands(tmp_path: Path, read: int) -> None:
    """Under the stream clock, a shard that catches up is less behind with each event; its epochs are long."""
    lines: list[wire.Line] = [
        wire.Record(topics.PROFILES, 0, 0, NOON, b"quiet/ann", msgspec.json.encode(PROFILE)),
        _event("chased", 0, 0, read=1),
        _event("nothing", 1, MINUTE, read=10),
        _event("nothing", 2, 2 * MINUTE, read=600),
        wire.Epoch(NOON + 2_850),
        _event("nothing", 3, 20 * MINUTE, read=2_890),
        wire.Epoch(NOON + 2_900),
        _event("nothing", 4, 21 * MINUTE, read=3_150),
        wire.Epoch(NOON + 3_160),
    ]
    lines += [_opened(tmp_path / "first", lines, read), wire.Epoch(NOON + 3_250)]
    found = history(tmp_path / "shard", STREAM, lines)
    records = [each for topic in found.bounds for batch in found.read(topic, 0) for each in batch]
    folder = MemoryHistory(map(_shown_late, records)).write(tmp_path / "history", "stream", 1)
    result = simulate(request(folder, STREAM)).result
    assert (result.differing, result.dropped) == (0, 0), result.examples
    assert result.equal > 5


def test_a_receipt_does_not_move_the_clock_to_events_that_still_wait(tmp_path: Path) -> None:
    """Under the stream clock: a shard reads receipts before events that Kafka has had for longer."""
    lines: list[wire.Line] = [
        wire.Record(topics.PROFILES, 0, 0, NOON, b"quiet/ann", msgspec.json.encode(PROFILE)),
        _event("chased", 0, 0, read=2_700),
        _event("nothing", 1, 2 * MINUTE, read=2_800),
        wire.Epoch(NOON + 2_850),
    ]
    lines += [
        _opened(tmp_path / "first", lines, read=2_880),
        _event("chased", 2, 3 * MINUTE, read=2_850),
        _event("nothing", 3, 20 * MINUTE, read=2_870),
        wire.Epoch(NOON + 2_950),
    ]
    found = history(tmp_path / "shard", STREAM, lines)
    records = [each for topic in found.bounds for batch in found.read(topic, 0) for each in batch]
    folder = MemoryHistory(map(_shown_late, records)).write(tmp_path / "history", "stream", 1)
    result = simulate(request(folder, STREAM)).result
    assert result.differing == 0, result.examples
    assert result.equal > 5

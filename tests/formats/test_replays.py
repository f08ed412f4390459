"""The mark of a replayed record."""

import pytest

from tocsin.errors import DecodeError
from tocsin.formats.cloudevents import EventLimits, decode_event
from tocsin.formats.forwarded import rewritten
from tocsin.formats.replays import REPLAY_HEADER, read_replay, replay_header
from tocsin.model.event import Origin, Replay
from tocsin.model.raw import RawRecord

NOW_MS = 1_700_000_000_000
LIMITS = EventLimits(100_000, 86_400, 3_600, check_time=True)
VALUE = (
    b'{"specversion":"1.0","id":"e","source":"/s","type":"t","subject":"ann","time":"2020-01-01T00:00:00Z"}'
)
REPLAY = Replay("20261128-151245-k3f9", force=True, origin=Origin("source:shop.orders", 3, 42))


def record(*headers: tuple[str, bytes]) -> RawRecord:
    return RawRecord("events", 1, 2, NOW_MS, None, VALUE, headers)


@pytest.mark.parametrize("force", [True, False])
def test_a_mark_is_read_as_it_was_written(force: bool) -> None:
    marked = Replay(REPLAY.id, force, REPLAY.origin)
    assert read_replay([("trace", b"x"), replay_header(marked)]) == marked


def test_a_record_without_a_mark_is_no_replay() -> None:
    assert read_replay([("trace", b"x")]) is None


@pytest.mark.parametrize("value", [b"", b"r1 again", b"r1 maybe events/0/1", b"r1 again events/x/1", b"\xff"])
def test_a_mark_of_somebody_else_is_refused(value: bytes) -> None:
    with pytest.raises(DecodeError, match="only `tocsin replay` writes it"):
        decode_event(record((REPLAY_HEADER, value)), LIMITS)


def test_a_replayed_event_may_be_old() -> None:
    with pytest.raises(DecodeError, match="time"):
        decode_event(record(), LIMITS)
    event = decode_event(record(replay_header(REPLAY)), LIMITS)
    assert (event.replay, event.origin) == (REPLAY, Origin("events", 1, 2))


def test_an_event_that_is_written_anew_keeps_its_mark() -> None:
    event = decode_event(record(replay_header(REPLAY)), LIMITS)
    assert decode_event(rewritten(event), LIMITS).replay == REPLAY

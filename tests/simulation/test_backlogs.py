"""A shard that came to a long backlog: all its records were in Kafka before it decided the first one."""

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import msgspec

from flows.simulation.player import _HIGH
from flows.simulation.simulation import simulate
from tests.decision.gate_world import HOUR, NOON, SMALL
from tests.golden import wire
from tests.simulation.recorded import MemoryHistory, history, request
from tests.simulation.test_small_histories import PROFILE
from tocsin.model import topics

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

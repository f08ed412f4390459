"""The resume state: a plain versioned tuple; states of earlier releases load."""

import pickle

import pytest

from sources.state import SourceState, read_stored
from tocsin.errors import StateError

STATE = SourceState(
    7,
    {"events": {0: 5, 1: -2}, "profiles": {0: 9}},
    {0: 1_767_225_600_000},
    {("events", 1): "events/1 is paused: 1000 undecodable records in a row"},
    (0, 1),
)
# What release 0.1.0 stored.
GOLDEN_1 = (
    1,
    7,
    {"events": {0: 5, 1: -2}, "profiles": {0: 9}},
    {0: 1_767_225_600_000},
    {("events", 1): "events/1 is paused: 1000 undecodable records in a row"},
    (0, 1),
)


def test_stored_is_plain() -> None:
    stored = STATE.stored()
    assert type(stored) is tuple
    assert stored == GOLDEN_1
    assert read_stored(pickle.loads(pickle.dumps(stored))) == STATE


def test_golden_states_load() -> None:
    assert read_stored(GOLDEN_1) == STATE


@pytest.mark.parametrize("stored", [(2, *GOLDEN_1[1:]), GOLDEN_1[:-1]])
def test_an_unknown_format_is_refused(stored: tuple[object, ...]) -> None:
    with pytest.raises(StateError, match="run the Tocsin that wrote them"):
        read_stored(stored)

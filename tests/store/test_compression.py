"""Rows of the recovery store: compressed, whole again, and refused if damaged."""

import pickle

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.store.rig import Rig
from tocsin.errors import StateError
from tocsin.store.compression import compressed, expanded


@given(st.binary(max_size=3_000))
def test_what_was_compressed_comes_back(data: bytes) -> None:
    assert expanded(compressed(data)) == data


def test_alike_records_take_a_fifth(rig: Rig) -> None:
    records = [f"a record of user {number} that looks like the others" for number in range(1_000)]
    rig.emit(records)
    rig.commit()
    row = rig.store.outbox or b""
    assert len(row) < len(pickle.dumps(records)) / 5
    rig.epoch()
    assert rig.world.published == records


@pytest.mark.parametrize("damaged", [b"", b"\x01", b"\xff\xff\xff\x7f\x00", b"\x20\x00\x00\x00\x12\x34"])
def test_a_damaged_row_is_refused(damaged: bytes) -> None:
    with pytest.raises(StateError, match="damaged: put back base and recovery store"):
        expanded(damaged)

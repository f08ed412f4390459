"""How the records of an epoch are stored beside its state: packed, unpacked, and as 0.1.0 stored them."""

from typing import Any

import msgspec
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import astuple

from tocsin.model.raw import OutRecord, VersionNote, packed, unpacked, unpacked_1

TEXT = st.text(st.characters(codec="utf-8"), max_size=9)
BYTES = st.none() | st.binary(max_size=9)
HEADERS = st.lists(st.tuples(TEXT, st.binary(max_size=5)), max_size=2).map(tuple)
RECORDS = st.lists(
    st.builds(OutRecord, TEXT, st.integers(0, 99), BYTES, BYTES, HEADERS)
    | st.builds(VersionNote, TEXT, st.integers(-(1 << 62), 1 << 62), st.booleans()),
    max_size=9,
)


def in_order(records: list[OutRecord | VersionNote]) -> list[OutRecord | VersionNote]:
    """Put the notes first, as the publisher does."""
    return sorted(records, key=lambda record: type(record) is not VersionNote)


def _plain(record: OutRecord | VersionNote) -> tuple[Any, ...]:
    return astuple(record) if isinstance(record, OutRecord) else (record.user_key, record.version)


@given(RECORDS)
def test_packed_records_come_back(records: list[OutRecord | VersionNote]) -> None:
    found = unpacked(packed(records))
    assert found == in_order(records)
    assert list(map(type, found)) == list(map(type, in_order(records)))


def test_a_note_that_keeps_its_user_comes_back_and_one_of_before_has_no_third_part() -> None:
    note = VersionNote("t/u", -5, keeps_user=True)
    assert unpacked(packed([note])) == [note]
    assert unpacked(msgspec.msgpack.encode(([("t/u", -5)], []))) == [VersionNote("t/u", -5)]


@given(RECORDS)
def test_equal_records_are_packed_into_equal_bytes(records: list[OutRecord | VersionNote]) -> None:
    """So a row that is stored again after a crash has the records byte for byte."""
    assert packed(unpacked(packed(records))) == packed(records)


@given(RECORDS)
def test_the_plain_tuples_of_the_first_release_come_back(records: list[OutRecord | VersionNote]) -> None:
    """It knew no notes that keep their user."""
    records = [one._replace(keeps_user=False) if isinstance(one, VersionNote) else one for one in records]
    found = unpacked_1([_plain(record) for record in records])
    assert found == records
    assert list(map(type, found)) == list(map(type, records))

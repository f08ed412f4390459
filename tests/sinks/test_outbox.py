"""The outbox sink; in a running flow it is tested with the source (`tests/sources/test_source.py`)."""

from typing import Any

import pytest

from sinks.outbox import OutboxSink
from tocsin.errors import StateError
from tocsin.model.raw import OutRecord

RECORDS = [OutRecord("outcomes", 0, b"k", b"%d" % n) for n in range(4)]


class Notes:
    """An outbox that keeps records and what it was resumed with."""

    def __init__(self) -> None:
        self.records: list[Any] = []
        self.resumed: list[Any] = []

    def collect(self, records: list[Any]) -> None:
        self.records += records

    def outbox_snapshot(self) -> tuple[Any, ...]:
        return ("row", *self.records)

    def outbox_resume(self, stored: tuple[Any, ...] | None) -> None:
        self.resumed.append(stored)


def test_lists_of_records_are_collected_in_order() -> None:
    notes = Notes()
    part = OutboxSink(notes).build_part("outbox", "outbox", None)
    part.write_batch([RECORDS[:2], [], RECORDS[2:]])
    assert notes.records == RECORDS
    assert part.snapshot() == ("row", *RECORDS)


@pytest.mark.parametrize("stored", [None, ("row", *RECORDS)])
def test_what_was_stored_is_taken_over(stored: tuple[Any, ...] | None) -> None:
    notes = Notes()
    OutboxSink(notes).build_part("outbox", "outbox", stored)
    assert notes.resumed == [stored]


def test_there_is_one_partition_for_all_keys() -> None:
    sink = OutboxSink(Notes())
    assert sink.list_parts() == ["outbox"]
    assert {sink.part_fn(key) for key in ("0.1", "email", "")} == {0}


def test_a_foreign_partition_in_the_store_is_refused() -> None:
    with pytest.raises(StateError, match="another flow"):
        OutboxSink(Notes()).build_part("outbox", "0", None)

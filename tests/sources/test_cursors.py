"""Where the reading of one partition is, against a plain model of a log with holes."""

from hypothesis import given
from hypothesis import strategies as st

from sources.client import BEGINNING
from sources.cursors import PartitionCursor


def test_nothing_read_yet() -> None:
    cursor = PartitionCursor(BEGINNING)
    assert (cursor.next(), cursor.at_end()) == (BEGINNING, False)
    cursor.end = 0
    assert (cursor.next(), cursor.at_end()) == (0, True)


def test_the_end_counts_when_its_last_offsets_hold_no_record() -> None:
    cursor = PartitionCursor(0)
    cursor.arrived, cursor.end = 4, 9
    cursor.position = 3
    assert (cursor.next(), cursor.at_end()) == (3, False)
    cursor.position = 5
    assert (cursor.next(), cursor.at_end()) == (9, True)


def test_a_new_record_means_not_at_the_end() -> None:
    cursor = PartitionCursor(5)
    cursor.end = 5
    assert cursor.at_end()
    cursor.arrived = 5
    assert (cursor.next(), cursor.at_end()) == (5, False)


def test_a_partition_that_is_not_read_has_no_known_end() -> None:
    cursor = PartitionCursor(0)
    cursor.arrived, cursor.position, cursor.end = 4, 5, 9
    cursor.forget_end()
    assert (cursor.next(), cursor.at_end()) == (9, False)
    cursor.end = 9
    assert cursor.at_end()


@given(st.lists(st.integers(1, 3)), st.data())
def test_the_next_offset_only_grows_and_skips_no_record(gaps: list[int], data: st.DataObject) -> None:
    cursor, buffered, handed, offset, last = PartitionCursor(0), list[int](), list[int](), 0, 0
    for gap in gaps:
        match data.draw(st.sampled_from(["arrive", "hand", "end", "forget"])):
            case "arrive":
                offset += gap
                cursor.arrived = offset
                buffered.append(offset)
            case "hand" if buffered:
                handed.append(buffered.pop(0))
                cursor.position = handed[-1] + 1
            case "end":
                cursor.end = offset + 1
            case "forget":
                cursor.forget_end()
        assert cursor.next() >= last
        last = cursor.next()
        assert not buffered or last <= buffered[0]
        assert not cursor.at_end() or not buffered

"""Where the reading of one partition is, against a plain model of a log with holes."""

from hypothesis import given
from hypothesis import strategies as st

from sources.consumer import BEGINNING
from sources.lines import Line


def test_nothing_read_yet() -> None:
    line = Line(BEGINNING)
    assert (line.next(), line.at_end()) == (BEGINNING, False)
    line.end = 0
    assert (line.next(), line.at_end()) == (0, True)


def test_the_end_counts_when_its_last_offsets_hold_no_record() -> None:
    line = Line(0)
    line.arrived, line.end = 4, 9
    line.position = 3
    assert (line.next(), line.at_end()) == (3, False)
    line.position = 5
    assert (line.next(), line.at_end()) == (9, True)


def test_a_new_record_means_not_at_the_end() -> None:
    line = Line(5)
    line.end = 5
    assert line.at_end()
    line.arrived = 5
    assert (line.next(), line.at_end()) == (5, False)


def test_a_partition_that_is_not_read_has_no_known_end() -> None:
    line = Line(0)
    line.arrived, line.position, line.end = 4, 5, 9
    line.forget_end()
    assert (line.next(), line.at_end()) == (9, False)
    line.end = 9
    assert line.at_end()


@given(st.lists(st.integers(1, 3)), st.data())
def test_the_next_offset_only_grows_and_skips_no_record(gaps: list[int], data: st.DataObject) -> None:
    line, buffered, handed, offset, last = Line(0), list[int](), list[int](), 0, 0
    for gap in gaps:
        match data.draw(st.sampled_from(["arrive", "hand", "end", "forget"])):
            case "arrive":
                offset += gap
                line.arrived = offset
                buffered.append(offset)
            case "hand" if buffered:
                handed.append(buffered.pop(0))
                line.position = handed[-1] + 1
            case "end":
                line.end = offset + 1
            case "forget":
                line.forget_end()
        assert line.next() >= last
        last = line.next()
        assert not buffered or last <= buffered[0]
        assert not line.at_end() or not buffered
